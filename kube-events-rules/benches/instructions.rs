//! How many instructions rules cost an Event: the twin of `evaluate`, for which it does not matter what else the machine
//! does. `.ci/run instructions` runs it, with valgrind.

#![allow(missing_docs, reason = "what the macros make has none")]

use std::hint::black_box;

use gungraun::prelude::*;
use kube_events_core::{Event, crd::RuleSpec};
use kube_events_rules::{RuleSet, default_rules};

mod common;

/// How many Events each figure is for: the last three digits are fractions of an instruction for each.
const EVENTS: usize = 1_000;

/// Rules that have seen the Events already, as those of a program that runs have.
fn warm(spec: &RuleSpec) -> (RuleSet, Vec<Event>) {
    let (rules, mut events) = (common::compiled(spec), common::events());
    events.truncate(EVENTS);
    evaluate_all(&rules, &events);
    (rules, events)
}

fn evaluate_all(rules: &RuleSet, events: &[Event]) {
    for event in events {
        black_box(rules.evaluate(event).matched().len());
    }
}

// The rules are given back, so that it does not count what it takes to free them.
#[library_benchmark]
#[bench::default(warm(&default_rules()))]
#[bench::mixed_100(warm(&common::mixed(100)))]
#[bench::mixed_1000(warm(&common::mixed(1_000)))]
#[bench::mixed_10000(warm(&common::mixed(10_000)))]
fn evaluate(given: (RuleSet, Vec<Event>)) -> (RuleSet, Vec<Event>) {
    evaluate_all(&given.0, &given.1);
    given
}

library_benchmark_group!(name = instructions, benchmarks = evaluate);
main!(library_benchmark_groups = instructions);
