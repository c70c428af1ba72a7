//! A set of rules says of each what its condition alone says, evaluated by walking it.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use kube_events_core::{
    Event,
    crd::{EventRule, RuleSpec, RuleType},
};
use kube_events_rules::{Condition, RuleSet, Scope, Subject, Verdict};
use proptest::prelude::*;
use serde_json::{Value, json};

const TEXTS: [&str; 12] = [
    "",
    "web",
    "web-1",
    "web-12",
    "BackOff",
    "Back-off restarting",
    "OOMKilled",
    "5",
    "true",
    "a\nb",
    "connection refused",
    "é",
];
const FIELDS: [&str; 10] = [
    "reason",
    "message",
    "type",
    "involvedObject.name",
    "involvedObject.namespace",
    "related.name",
    "count",
    "series.count",
    "metadata.labels",
    "nowhere",
];
const OPERATORS: [&str; 4] = ["", "not ", "not not ", "! "];
const PATTERNS: [&str; 14] = [
    "web",
    "^web",
    "web$",
    "^web$",
    "",
    "web-.",
    "(web|Back)",
    "[0-9]",
    "(?i)OOM",
    "off r.*g",
    "(connection|oom).*(refused|reset)",
    "x?web",
    "b$",
    "web.*1",
];
const WILDCARDS: [&str; 6] = ["*", "*web*", "web-?", "^*web", "web*1", "*-*$"];

fn test() -> impl Strategy<Value = String> {
    let text = || prop::sample::select(TEXTS.to_vec());
    let field = prop::sample::select(FIELDS.to_vec());
    let not = prop::sample::select(vec!["", "not "]);
    let compare = prop::sample::select(vec!["=", "!=", ">", "<", ">=", "<="]);
    let number = prop::sample::select(vec!["0", "1", "5", "27", "-1", "2.5"]);
    let list = prop::collection::vec(text(), 1..4);
    let pattern = (0..PATTERNS.len(), prop::option::of(prop::sample::select(WILDCARDS.to_vec())));
    (field, 0..9, text(), (not, compare), number, list, pattern).prop_map(
        |(field, kind, text, (not, compare), number, list, pattern)| match kind {
            0 => format!("{field} {compare} \"{text}\""),
            1 => format!("{field} = \"{text}\""),
            2 => format!("{field} {compare} {number}"),
            3 => format!("{field} {not}contains \"{text}\""),
            4 => format!("{field} {not}in (\"{}\")", list.join("\", \"")),
            5 => {
                let (at, wildcards) = pattern;
                format!("{field} {not}like \"{}\"", wildcards.unwrap_or(PATTERNS[at]))
            }
            6 => format!("{field} {not}regex \"{}\"", PATTERNS[pattern.0]),
            7 => format!("{field} {not}exists"),
            _ => field.to_owned(),
        },
    )
}

fn condition() -> impl Strategy<Value = String> {
    let operator = || prop::sample::select(OPERATORS.to_vec());
    let leaf = (operator(), test()).prop_map(|(not, test)| format!("{not}({test})"));
    leaf.prop_recursive(4, 12, 3, move |inner| {
        let joint = prop::sample::select(vec![" and ", " and ", " or "]);
        let parts = prop::collection::vec(inner, 1..4);
        (operator(), parts, joint)
            .prop_map(|(not, parts, joint)| format!("{not}({})", parts.join(joint)))
    })
}

fn event() -> impl Strategy<Value = Event> {
    let text = || prop::sample::select(TEXTS.to_vec());
    let number = || prop::option::of(prop::sample::select(vec![0, 1, 5, 27]));
    let texts = (text(), text(), text(), text(), text());
    (texts, prop::option::of(text()), number(), number()).prop_map(
        |((reason, message, r#type, name, label), related, count, series)| {
            let mut event = json!({
                "metadata": {"name": "e", "labels": {"app": label}},
                "involvedObject": {"kind": "Pod", "name": name, "namespace": "shop"},
                "reason": reason, "message": message, "type": r#type,
            });
            let mut set = |key: &str, value: Option<Value>| {
                value.map(|value| event.as_object_mut().unwrap().insert(key.into(), value))
            };
            set("related", related.map(|name| json!({"name": name})));
            set("count", count.map(Value::from));
            set("series", series.map(|count| json!({"count": count})));
            Event::decode(event.to_string().as_bytes()).unwrap()
        },
    )
}

fn rules(conditions: &[String]) -> RuleSet {
    let rules = conditions.iter().enumerate().map(|(at, condition)| EventRule {
        name: at.to_string(),
        condition: condition.clone(),
        enable: true,
        r#type: Some(RuleType::Alert),
        ..EventRule::default()
    });
    let mut builder = RuleSet::builder();
    builder.add(
        "shop",
        "all",
        &Scope::Cluster,
        &RuleSpec { rules: rules.collect(), ..RuleSpec::default() },
    );
    builder.build()
}

fn assert_same(conditions: &[String], events: &[Event]) -> Result<(), TestCaseError> {
    let rules = rules(conditions);
    let alone: Vec<_> = conditions.iter().map(|text| Condition::parse(text).unwrap()).collect();
    for event in events {
        let outcome = rules.evaluate(event);
        let matched: Vec<_> = outcome.matched().iter().map(|rule| rule.name()).collect();
        let (mut expected, mut undecided) = (Vec::new(), 0);
        for (at, condition) in alone.iter().enumerate() {
            match condition.evaluate(&Subject::new(event)) {
                Verdict::True => expected.push(at.to_string()),
                Verdict::Undecided(_) => undecided += 1,
                Verdict::False => {}
            }
        }
        prop_assert_eq!(matched, expected, "{:?} on {}", conditions, event.json());
        prop_assert_eq!(outcome.undecided(), undecided, "{:?} on {}", conditions, event.json());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn few_rules_together_say_what_each_says(
        conditions in prop::collection::vec(condition(), 1..8),
        events in prop::collection::vec(event(), 1..6),
    ) {
        assert_same(&conditions, &events)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    /// So many that texts are searched for together, and that rules are found by them.
    #[test]
    fn many_rules_together_say_what_each_says(
        conditions in prop::collection::vec(condition(), 100..300),
        events in prop::collection::vec(event(), 4..12),
    ) {
        assert_same(&conditions, &events)?;
    }
}
