//! A set of rules says of each what its condition alone says. The first line is an Event, each other one a
//! condition.
#![no_main]

use kube_events_core::{
    Event,
    crd::{EventRule, RuleSpec, RuleType},
};
use kube_events_rules::{Condition, Limits, RuleSet, Scope, Subject, Verdict};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Some((event, conditions)) = text.split_once('\n') else { return };
    let Ok(event) = Event::decode(event.as_bytes()) else { return };
    let alone: Vec<_> =
        conditions.lines().filter_map(|text| Some((text, Condition::parse(text).ok()?))).collect();
    let rules = together(alone.iter().map(|(text, _)| *text));
    let subject = Subject::new(&event);
    let verdicts: Vec<_> =
        alone.iter().map(|(_, condition)| condition.evaluate(&subject)).collect();
    let outcome = rules.evaluate(&event);
    let matched: Vec<_> = outcome.matched().iter().map(|rule| rule.name().to_owned()).collect();
    let holds = verdicts.iter().enumerate().filter(|(_, verdict)| verdict.matches());
    assert_eq!(matched, holds.map(|(at, _)| at.to_string()).collect::<Vec<_>>());
    let undecided = verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Undecided(_)));
    assert_eq!(outcome.undecided(), undecided.count());
});

fn together<'a>(conditions: impl Iterator<Item = &'a str>) -> RuleSet {
    let rules = conditions.enumerate().map(|(at, condition)| EventRule {
        name: at.to_string(),
        condition: condition.to_owned(),
        enable: true,
        r#type: Some(RuleType::Alert),
        ..EventRule::default()
    });
    let spec = RuleSpec { rules: rules.collect(), ..RuleSpec::default() };
    let limits = Limits { rules: usize::MAX, patterns_size: usize::MAX, ..Limits::default() };
    let mut builder = RuleSet::builder().limits(limits);
    builder.add("shop", "all", &Scope::Cluster, &spec);
    builder.build()
}
