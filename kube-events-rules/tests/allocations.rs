//! What evaluation allocates: nothing, once a thread has seen a set of this size.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::alloc::System;

use kube_events_core::{
    Event,
    crd::{EventRule, RuleSpec, RuleType},
};
use kube_events_rules::{RuleSet, Scope};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn event(n: usize) -> Event {
    let event = serde_json::json!({
        "metadata": {"uid": n.to_string(), "namespace": "shop", "resourceVersion": n.to_string()},
        "involvedObject": {"kind": "Pod", "name": format!("web-{n}"), "namespace": "shop"},
        "reason": "BackOff", "message": format!("Back-off {n} restarting failed container"), "count": n,
    });
    Event::decode(event.to_string().as_bytes()).unwrap()
}

/// A rule of each kind of test, and as many again that other namespaces have.
fn rules() -> RuleSet {
    let condition = |n: usize| match n % 8 {
        0 => format!(r#"reason = "BackOff" and message contains "pod-{n}""#),
        1 => format!(r#"involvedObject.name like "db-{n}*""#),
        2 => format!(r#"message regex "failed (pod|container)s? {n}$""#),
        3 => format!("count > {} and reason exists", 100_000 + n),
        4 => format!(r#"reason in ("Killing", "Reason{n}")"#),
        5 => format!(r#"(not message contains "Back") and type = "Warning{n}""#),
        6 => format!(r#"message like "*image*{n}*""#),
        _ => format!(r#"involvedObject.kind = "Node" or source.host = "node-{n}""#),
    };
    let rule = |n| EventRule {
        name: format!("rule-{n}"),
        condition: condition(n),
        enable: true,
        r#type: Some(RuleType::Alert),
        ..EventRule::default()
    };
    let spec = RuleSpec { rules: (0..400).map(rule).collect(), ..RuleSpec::default() };
    let mut rules = RuleSet::builder();
    rules.add("system", "rules", &Scope::Cluster, &spec);
    rules.add("shop", "rules", &Scope::Namespace("shop".into()), &spec);
    rules.build()
}

#[test]
fn events_that_match_nothing_allocate_nothing() {
    let rules = rules();
    let events: Vec<_> = (0..200).map(event).collect();
    let evaluate =
        |events: &[Event]| events.iter().all(|it| rules.evaluate(it).matched().is_empty());
    assert!(evaluate(&events[..100]), "none matches");
    let region = Region::new(ALLOCATOR);
    let none = evaluate(&events[100..]);
    let change = region.change();
    assert!(none);
    assert_eq!((change.allocations, change.reallocations), (0, 0), "{change:?}");
}
