//! Rules and Events as clusters with many tenants have them, the same in every run.

#![allow(dead_code, clippy::unwrap_used, reason = "each bench uses a part; these are benches")]

use jiff::Timestamp;
use kube_events_core::{
    Event,
    crd::{EventRule, RuleSpec, RuleType, Threshold},
};
use kube_events_rules::{Builder, Limits, RuleSet, Scope, default_rules};

/// Reasons and messages of Kubernetes' own components; `{n}` becomes a number.
const STORIES: [(&str, &str, &str); 16] = [
    ("Normal", "Scheduled", "Successfully assigned shop-{n}/web-{n} to node-{n}"),
    (
        "Normal",
        "Pulled",
        "Container image \"registry.example/shop/web:1.{n}\" already present on machine",
    ),
    ("Normal", "Pulling", "Pulling image \"registry.example/shop/web:1.{n}\""),
    ("Normal", "Created", "Created container: web-{n}"),
    ("Normal", "Started", "Started container web-{n}"),
    ("Normal", "Killing", "Stopping container web-{n}"),
    ("Normal", "SuccessfulCreate", "Created pod: web-7d9f8c6b5-x{n}z"),
    ("Normal", "ScalingReplicaSet", "Scaled up replica set web-7d9f8c6b5 from 1 to {n}"),
    ("Normal", "LeaderElection", "controller-{n} became leader"),
    (
        "Warning",
        "BackOff",
        "Back-off restarting failed container web in pod web-{n}_shop-{n}(b1946ac9)",
    ),
    (
        "Warning",
        "Unhealthy",
        "Readiness probe failed: HTTP probe failed with statuscode: 503 on port {n}",
    ),
    (
        "Warning",
        "FailedMount",
        "MountVolume.SetUp failed for volume \"data-{n}\" : secret \"web\" not found",
    ),
    (
        "Warning",
        "FailedScheduling",
        "0/{n} nodes are available: {n} Insufficient cpu. preemption: no victims found",
    ),
    (
        "Warning",
        "Failed",
        "Failed to pull image \"registry.example/shop/web:{n}\": connection refused",
    ),
    ("Warning", "NodeNotReady", "Node node-{n} is not ready: container runtime is down"),
    (
        "Warning",
        "Evicted",
        "The node was low on resource: memory. Threshold quantity: {n}Mi, available: 90Mi",
    ),
];

/// Decoded Events, with different objects and messages. They fit into a core's own cache, where an Event is that
/// has just been decoded.
pub(crate) fn events() -> Vec<Event> {
    (0..1024_usize).map(|n| event(n, &(n * 31 % 1009).to_string())).collect()
}

/// Events with names as clusters make them up, so that no two messages are alike.
pub(crate) fn unlike() -> Vec<Event> {
    let made_up = |n: usize| (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..16_384_usize).map(|n| event(n, &format!("{}_{:x}", n % 1009, made_up(n)))).collect()
}

fn event(n: usize, name: &str) -> Event {
    let (kind, reason, message) = STORIES[n * 7 % STORIES.len()];
    let message = message.replace("{n}", name);
    let value = serde_json::json!({
        "kind": "Event", "apiVersion": "v1",
        "metadata": {"name": format!("web-{n}.17c2a4"), "namespace": format!("shop-{}", n % 200),
            "uid": format!("00000000-0000-0000-0000-{n:012}"), "resourceVersion": n.to_string()},
        "involvedObject": {"kind": "Pod", "namespace": format!("shop-{}", n % 200),
            "name": format!("web-{}", n * 13 % 3001), "uid": "a", "apiVersion": "v1"},
        "reason": reason, "message": message, "type": kind, "count": n % 30 + 1,
        "source": {"component": "kubelet", "host": format!("node-{}", n % 50)},
        "firstTimestamp": "2026-01-02T03:04:05Z", "lastTimestamp": "2026-01-02T03:14:05Z",
    });
    Event::decode(value.to_string().as_bytes()).unwrap()
}

/// Four fifths compare a field and look for a text, three twentieths are `like`, one twentieth is `regex`.
pub(crate) fn mixed(rules: usize) -> RuleSpec {
    spec(rules, |n| {
        let (_, reason, message) = STORIES[n % STORIES.len()];
        let word = message.split(' ').max_by_key(|word| word.len()).unwrap().replace("{n}", "");
        let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let number = n * 17 % 40_009;
        match n % 20 {
            0..8 => format!(r#"reason = "{reason}" and message contains "{word}-{number}""#),
            8..13 => format!(
                r#"involvedObject.namespace = "shop-{}" and message contains "{word} {n}""#,
                n % 400
            ),
            13..16 => format!(
                r#"type = "Warning" and involvedObject.name = "web-{number}" and message contains "container""#
            ),
            16 => format!(r#"reason = "{reason}" and involvedObject.name like "^web-{number}-*""#),
            17 => {
                format!(r#"type = "Warning" and message like "*volume data-{number}*not found*""#)
            }
            18 => format!(r#"involvedObject.kind = "Pod" and message like "*web-{number}?shop*""#),
            _ => format!(
                r#"reason = "{reason}" and message regex "exit code:? (1[0-9]{{2}}|[2-9]).*{number}""#
            ),
        }
    })
}

/// Nothing but regular expressions, on one field.
pub(crate) fn regexes(rules: usize) -> RuleSpec {
    spec(rules, |n| format!(r#"message regex "{}""#, pattern(n)))
}

/// The regular expression of a rule of [`regexes`].
pub(crate) fn pattern(n: usize) -> String {
    match n % 4 {
        0 => format!("Back-off .* pod web-{n}_"),
        1 => format!("(?i)probe failed: .*port {n}$"),
        2 => format!("^(Failed|Error): (pull|mount)[a-z ]+{n}"),
        _ => format!("[0-9]{{3}}-{n}-[a-z]+"),
    }
}

fn spec(rules: usize, condition: impl Fn(usize) -> String) -> RuleSpec {
    let rules = (0..rules).map(|n| EventRule {
        name: format!("rule-{n}"),
        condition: condition(n),
        enable: true,
        r#type: Some(RuleType::Alert),
        labels: [("severity".to_owned(), "warning".to_owned())].into(),
        annotations: [("message".to_owned(), "%message".to_owned())].into(),
        ..EventRule::default()
    });
    RuleSpec { rules: rules.collect(), ..RuleSpec::default() }
}

/// The rules, for the whole cluster, so that each Event meets all of them.
pub(crate) fn compiled(spec: &RuleSpec) -> RuleSet {
    compiled_all(&objects(spec))
}

/// The rules in objects, each as large as it can be.
pub(crate) fn objects(spec: &RuleSpec) -> Vec<RuleSpec> {
    let chunks = spec.rules.chunks(Limits::default().rules);
    chunks.map(|rules| RuleSpec { rules: rules.to_vec(), ..RuleSpec::default() }).collect()
}

pub(crate) fn compiled_all(objects: &[RuleSpec]) -> RuleSet {
    add_all(RuleSet::builder(), objects)
}

fn add_all(mut builder: Builder, objects: &[RuleSpec]) -> RuleSet {
    for (n, spec) in objects.iter().enumerate() {
        builder.add("rules", &format!("bench-{n}"), &Scope::Cluster, spec);
    }
    let rules = builder.build();
    let errors: Vec<_> = rules.problems().iter().filter(|problem| problem.is_error()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    rules
}

/// The rules that come with the programs.
pub(crate) fn defaults() -> RuleSet {
    compiled(&default_rules())
}

/// Rules of which none can be found by anything, and each runs a pattern over the whole message.
pub(crate) fn worst(rules: usize) -> RuleSpec {
    spec(rules, |n| format!(r#"not message regex "([a-z]+ )*[a-z]+ [0-9]{{{}}}$""#, n % 90 + 10))
}

/// Rules that count, and see every Event.
pub(crate) fn counting(rules: usize) -> RuleSpec {
    let mut spec = spec(rules, |_| "reason exists".to_owned());
    for rule in &mut spec.rules {
        rule.threshold = Some(Threshold { count: 100, within: "10m".to_owned() });
    }
    spec
}

/// An Event that [`counting`] rules count for the first time.
pub(crate) fn counted(namespace: &str, number: u64, at: Timestamp) -> Event {
    let value = serde_json::json!({
        "metadata": {"uid": format!("u-{number}"), "namespace": namespace, "resourceVersion": number.to_string()},
        "involvedObject": {"kind": "Pod", "namespace": namespace, "name": "web"},
        "reason": "BackOff", "count": 1, "lastTimestamp": at.to_string(),
    });
    Event::decode(value.to_string().as_bytes()).unwrap()
}

/// The rules that take the place of others.
pub(crate) fn following(before: &RuleSet, spec: &RuleSpec) -> RuleSet {
    add_all(RuleSet::builder().follow(before), &objects(spec))
}

/// Patterns of which an engine cannot keep the states that it comes to, on texts of `a` and `b`.
pub(crate) fn thrashing(rules: usize) -> RuleSpec {
    spec(rules, |n| format!(r#"message regex "(a|b)*a(a|b){{{}}}[^ab]|^{n}$""#, n % 20 + 6))
}

/// An Event whose message is such a text, as long as most patterns of [`thrashing`] may look at.
pub(crate) fn thrashed(namespace: &str) -> Event {
    let letter =
        |n: u64| if (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 63 == 0 { 'a' } else { 'b' };
    let value = serde_json::json!({
        "metadata": {"uid": "a", "namespace": namespace}, "reason": "Worst",
        "involvedObject": {"kind": "Pod", "namespace": namespace, "name": "web"},
        "message": (0..256).map(letter).collect::<String>(),
    });
    Event::decode(value.to_string().as_bytes()).unwrap()
}

/// The rules of one namespace, which may cost as much as is usual.
pub(crate) fn bounded(tenant: (&str, &RuleSpec)) -> RuleSet {
    let Limits { event_work, .. } = Limits::default();
    tenants_within(Limits { event_work, ..Limits::NONE }, [tenant])
}

/// The rules of namespaces, each for its own.
pub(crate) fn tenants<'a>(
    first: (&'a str, &'a RuleSpec),
    others: impl IntoIterator<Item = (&'a str, &'a RuleSpec)>,
) -> RuleSet {
    tenants_within(Limits::NONE, std::iter::once(first).chain(others))
}

fn tenants_within<'a>(
    limits: Limits,
    tenants: impl IntoIterator<Item = (&'a str, &'a RuleSpec)>,
) -> RuleSet {
    let mut builder = RuleSet::builder().limits(limits);
    for (namespace, spec) in tenants {
        builder.add(namespace, "bench", &Scope::Namespace(namespace.to_owned()), spec);
    }
    let rules = builder.build();
    assert!(rules.problems().iter().all(|problem| !problem.is_error()), "all rules count");
    rules
}
