//! No Rule object makes the compiler panic, nor what follows when its rules meet an Event.
#![no_main]

use std::sync::LazyLock;

use kube_events_core::{Event, crd::RuleSpec};
use kube_events_rules::{RuleSet, Scope, state::State};
use libfuzzer_sys::fuzz_target;

static EVENT: LazyLock<Event> = LazyLock::new(|| {
    let json =
        br#"{"metadata": {"name": "e", "namespace": "shop", "uid": "u", "resourceVersion": "7"},
        "involvedObject": {"kind": "Pod", "name": "web-1", "namespace": "shop"}, "type": "Warning",
        "reason": "BackOff", "message": "Back-off restarting failed container", "count": 27,
        "firstTimestamp": "2026-01-02T03:04:05Z", "lastTimestamp": "2026-01-02T03:14:05Z"}"#;
    Event::decode(json).expect("it is an Event")
});

fuzz_target!(|yaml: &str| {
    let Ok(spec) = serde_saphyr::from_str::<RuleSpec>(yaml) else { return };
    let mut rules = RuleSet::builder();
    rules.add("shop", "web", &Scope::Namespace("shop".to_owned()), &spec);
    let rules = rules.build();
    for problem in rules.problems() {
        drop((problem.to_string(), problem.render()));
    }
    let outcome = rules.evaluate(&EVENT);
    drop(outcome.effects());
    let mut state = State::default();
    let now = EVENT.when().expect("it has a time");
    drop(state.adopt(&rules, now));
    drop(state.observe(&outcome, now));
    while let Some(due) = state.next_due().filter(|_| state.statistics().firing > 0) {
        drop(state.advance(due));
    }
});
