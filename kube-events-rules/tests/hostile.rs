//! Tenants whose rules and Events are as costly as can be.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use jiff::Timestamp;
use kube_events_core::{
    Alert, Event, Item as _,
    crd::{EventRule, RuleSpec, RuleType, Threshold},
};
use kube_events_rules::{Limits, Outcome, RuleSet, Scope, state::State};

fn event(namespace: &str, message: &str) -> Event {
    let event = serde_json::json!({
        "metadata": {"uid": "u"}, "message": message, "reason": "R",
        "involvedObject": {"kind": "Pod", "name": "web", "namespace": namespace},
    });
    Event::decode(event.to_string().as_bytes()).unwrap()
}

fn spec(conditions: impl Iterator<Item = String>) -> RuleSpec {
    let rules = conditions.enumerate().map(|(n, condition)| EventRule {
        name: format!("rule-{n}"),
        condition,
        enable: true,
        r#type: Some(RuleType::Alert),
        ..EventRule::default()
    });
    RuleSpec { rules: rules.collect(), ..RuleSpec::default() }
}

fn rules(scope: &Scope, event_work: u64, conditions: impl Iterator<Item = String>) -> RuleSet {
    let mut rules = RuleSet::builder().limits(Limits { event_work, ..Limits::default() });
    rules.add("shop", "rules", scope, &spec(conditions));
    rules.add(
        "other",
        "rules",
        &Scope::Namespace("other".into()),
        &spec(["reason = \"R\"".into()].into_iter()),
    );
    rules.build()
}

fn namespace() -> Scope {
    Scope::Namespace("shop".into())
}

/// Patterns whose states no engine can keep, on a text that meets all of them.
fn patterns() -> impl Iterator<Item = String> {
    (10..30).map(|n| format!(r#"message regex "(a|b)*a(a|b){{{n}}}c""#))
}

fn text(length: usize) -> String {
    let mut seed = 1_u32;
    let mut letter = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if seed >> 31 == 0 { 'a' } else { 'b' }
    };
    (0..length).map(|_| letter()).chain(['c']).collect()
}

fn told(outcome: &Outcome<'_>) -> (Vec<String>, usize) {
    let matched = outcome.matched().iter().map(|rule| rule.name().to_owned()).collect();
    (matched, outcome.undecided())
}

#[test]
fn patterns_beyond_what_an_event_may_cost_are_undecided() {
    let rules = rules(&namespace(), 1 << 20, patterns());
    let (_, undecided) = told(&rules.evaluate(&event("shop", &text(100))));
    assert_eq!(undecided, 18, "of 20, with fuel for two of 4 KiB on 101 bytes");
    assert_eq!(told(&rules.evaluate(&event("shop", "bac"))).1, 0, "a short text costs less");
    assert_eq!(told(&rules.evaluate(&event("other", &text(100)))), (vec!["rule-0".into()], 0));
}

#[test]
fn rules_of_the_cluster_have_no_such_bound() {
    let rules = rules(&Scope::Cluster, 1, patterns());
    assert_eq!(told(&rules.evaluate(&event("shop", &text(100)))).1, 0);
}

#[test]
fn texts_within_one_another_are_found_or_undecided() {
    let contains = |n| format!(r#"message contains "{}""#, "a".repeat(n));
    let rules = rules(&namespace(), 64 << 10, (3..203).map(contains));
    let few = told(&rules.evaluate(&event("shop", &"a".repeat(10))));
    assert_eq!((few.0.len(), few.1), (8, 0));
    let (matched, undecided) = told(&rules.evaluate(&event("shop", &"a".repeat(10_000))));
    assert!(!matched.is_empty());
    assert_eq!(matched.len() + undecided, 200, "none is taken for false");
}

#[test]
fn paths_beyond_what_an_event_may_cost_are_undecided() {
    let path = |n| format!(r#"$..member{n} = "x""#);
    let rules = rules(&namespace(), 1 << 20, (0..100).map(path));
    let (_, undecided) = told(&rules.evaluate(&event("shop", &text(4000))));
    assert!((90..100).contains(&undecided), "{undecided}");
    assert_eq!(told(&rules.evaluate(&event("shop", "short"))).1, 0);
}

#[test]
fn a_replay_says_the_same_each_time() {
    let rules = rules(&namespace(), 4 << 20, patterns());
    let event = event("shop", &text(400));
    let once = told(&rules.evaluate_at(&event, Timestamp::UNIX_EPOCH));
    assert!(once.1 > 0);
    for _ in 0..3 {
        assert_eq!(told(&rules.evaluate_at(&event, Timestamp::UNIX_EPOCH)), once);
    }
}

#[test]
fn collections_as_texts_beyond_what_an_event_may_cost_are_undecided() {
    // Nothing finds such a condition, and each makes the text.
    let test = |n| format!(r#"metadata.annotations > "z{n}""#);
    let rules = rules(&namespace(), 1 << 20, (0..200).map(test));
    let mut value = event("shop", "m").value().clone();
    value["metadata"]["annotations"]["note"] = "a".repeat(10_000).into();
    let large = Event::decode(value.to_string().as_bytes()).unwrap();
    let (matched, undecided) = told(&rules.evaluate(&large));
    assert_eq!(matched, [] as [&str; 0]);
    assert!((80..120).contains(&undecided), "{undecided}");
    assert_eq!(told(&rules.evaluate(&event("shop", "m"))).1, 0);
}

#[test]
fn texts_of_all_alerts_about_one_event_have_a_bound() {
    let text = "{{ message | replace('a', 'bbbbbbbb') }}";
    let rule = |n: usize, kind: RuleType| EventRule {
        name: format!("rule-{n}"),
        condition: "reason exists".into(),
        enable: true,
        r#type: Some(kind),
        annotations: (0..8).map(|n| (format!("a{n}"), text.to_owned())).collect(),
        threshold: (n % 2 == 1).then(|| Threshold { count: 1, within: "1m".into() }),
        ..EventRule::default()
    };
    let all = [RuleType::Alert, RuleType::Notification];
    let rules = (0..400).map(|n| rule(n, all[n / 2 % 2].clone()));
    let spec = RuleSpec { rules: rules.collect(), ..RuleSpec::default() };
    let size = |scope: &Scope| {
        let mut rules = RuleSet::builder();
        rules.add("shop", "rules", scope, &spec);
        let rules = rules.build();
        let event = event("shop", &"a".repeat(4000));
        let mut state = State::default();
        state.adopt(&rules, Timestamp::UNIX_EPOCH);
        let outcome = rules.evaluate(&event);
        let mut effects = outcome.effects();
        effects.extend(state.observe(&outcome, Timestamp::UNIX_EPOCH));
        assert_eq!(effects.alerts.len(), 200);
        let texts = |all: &std::collections::BTreeMap<String, String>| {
            all.values().map(String::len).sum::<usize>()
        };
        let alerts = effects.alerts.iter().map(|it| texts(&it.item.annotations));
        let matched = effects.notifications.iter().flat_map(|it| &it.item.rules);
        alerts.chain(matched.map(|rule| texts(&rule.annotations))).sum::<usize>()
    };
    // Twice a mebibyte, and what is told of those that are left out.
    assert!(size(&namespace()) < 3 << 20, "{}", size(&namespace()));
    // The cluster's have sixteen times as much.
    let of_the_cluster = size(&Scope::Cluster);
    assert!((20 << 20..34 << 20).contains(&of_the_cluster), "{of_the_cluster}");
}

#[test]
fn what_was_evaluated_before_costs_no_more_than_what_has_just_come() {
    let rules = rules(&namespace(), 1 << 20, patterns());
    let again =
        |text: &str| rules.evaluate_again(&event("shop", text), Timestamp::UNIX_EPOCH).undecided();
    assert_eq!(again(&text(100)), 18);
}

/// Senders of Events can write longer names than there are in Kubernetes.
#[test]
fn what_an_event_says_is_kept_for_each_rule_up_to_a_bound() {
    let long = "x".repeat(1 << 14);
    let object = serde_json::json!({"kind": long, "name": long, "namespace": "shop"});
    let event = serde_json::json!({"message": long, "reason": "R", "involvedObject": object});
    let event = Event::decode(event.to_string().as_bytes()).unwrap();
    let now = Timestamp::UNIX_EPOCH;
    for group_by in [vec![], vec!["message".to_owned()]] {
        let mut spec = spec((0..100).map(|_| "reason = \"R\"".to_owned()));
        for rule in &mut spec.rules {
            rule.keep_firing_for = Some("5m".to_owned());
            rule.group_by.clone_from(&group_by);
        }
        let mut rules = RuleSet::builder();
        rules.add("shop", "rules", &namespace(), &spec);
        let rules = rules.build();
        let mut state = State::default();
        state.adopt(&rules, now);
        let effects = state.observe(&rules.evaluate(&event), now);
        let size: usize = effects.alerts.iter().map(|alert| alert.item.size()).sum();
        assert_eq!((effects.alerts.len(), size < 1 << 20), (100, true), "{size}");
        let longest = |alert: &Alert| alert.labels.iter().map(|(k, v)| k.len().max(v.len())).max();
        assert!(effects.alerts.iter().all(|alert| longest(&alert.item) <= Some(256)));
    }
}
