//! What goes on when one set takes the place of another, and what is too much for one namespace.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use kube_events_core::{
    Event,
    crd::{EventRule, RuleSpec, RuleType},
};
use kube_events_rules::{Limits, ProblemKind, Quota, RuleSet, SCOPE_LABEL, Scope};

fn event() -> Event {
    let json =
        br#"{"involvedObject": {"kind": "Pod", "name": "web", "namespace": "shop"}, "count": 5}"#;
    Event::decode(json).unwrap()
}

fn spec<'a>(rules: impl IntoIterator<Item = (&'a str, &'a str)>) -> RuleSpec {
    let rules = rules.into_iter().map(|(name, condition)| EventRule {
        name: name.to_owned(),
        condition: condition.to_owned(),
        enable: true,
        r#type: Some(RuleType::Alert),
        ..EventRule::default()
    });
    RuleSpec { rules: rules.collect(), ..RuleSpec::default() }
}

/// The objects of the namespace `shop`, one after the other, within these limits.
fn set(limits: Limits, before: &RuleSet, objects: &[(&str, RuleSpec)]) -> RuleSet {
    let mut builder = RuleSet::builder().limits(limits).follow(before);
    for (object, spec) in objects {
        builder.add("shop", object, &Scope::Namespace("shop".into()), spec);
    }
    builder.build()
}

fn after(before: &RuleSet, objects: &[(&str, RuleSpec)]) -> RuleSet {
    set(Limits::default(), before, objects)
}

fn conditions(rules: &RuleSet) -> Vec<String> {
    rules.rules().map(|rule| rule.spec().condition).collect()
}

fn told(rules: &RuleSet) -> Vec<String> {
    rules.problems().iter().map(ToString::to_string).collect()
}

#[test]
fn a_rule_that_becomes_wrong_stays_as_it_was() {
    let first =
        after(&RuleSet::default(), &[("a", spec([("A", "count > 1"), ("B", "count > 2")]))]);
    let mut rules = first;
    // However often it is wrong.
    for wrong in ["count >", "count <", "count <"] {
        rules = after(&rules, &[("a", spec([("A", wrong), ("B", "count > 3")]))]);
        assert_eq!(conditions(&rules), ["count > 1", "count > 3"]);
        let [problem] = rules.problems() else { panic!("{:?}", rules.problems()) };
        assert!(problem.kept && problem.is_error());
        assert!(problem.to_string().ends_with("; what counted before goes on"), "{problem}");
        assert_eq!(rules.evaluate(&event()).matched().len(), 2);
    }
    let mended = after(&rules, &[("a", spec([("A", "count > 4"), ("B", "count > 3")]))]);
    assert_eq!(conditions(&mended), ["count > 4", "count > 3"]);
    assert!(mended.problems().is_empty());
}

#[test]
fn what_was_wrong_from_the_start_is_not_kept() {
    let rules = after(&RuleSet::default(), &[("a", spec([("A", "count >")]))]);
    let rules = after(&rules, &[("a", spec([("A", "count <")]))]);
    assert!(conditions(&rules).is_empty());
    assert!(!rules.problems()[0].kept && !told(&rules)[0].contains("before"));
}

#[test]
fn what_is_taken_away_or_disabled_goes() {
    let first =
        after(&RuleSet::default(), &[("a", spec([("A", "count > 1"), ("B", "count > 2")]))]);
    let mut disabled = spec([("A", "count >")]);
    disabled.rules[0].enable = false;
    assert!(conditions(&after(&first, &[("a", disabled)])).is_empty());
    assert!(conditions(&after(&first, &[])).is_empty());
    assert_eq!(conditions(&after(&first, &[("a", spec([("B", "count >")]))])), ["count > 2"]);
}

#[test]
fn a_scope_that_becomes_wrong_leaves_the_rules_where_they_were() {
    let labelled = |before: &RuleSet, scope: &str| {
        let mut builder = RuleSet::builder().follow(before);
        let labels = [(SCOPE_LABEL.to_owned(), scope.to_owned())].into();
        builder.add_labelled(("shop", "a"), &labels, "system", &spec([("A", "count > 1")]));
        builder.build()
    };
    let first = labelled(&RuleSet::default(), "namespace");
    let wrong = labelled(&first, "cluster");
    assert_eq!(wrong.rules().next().unwrap().scope(), &Scope::Namespace("shop".into()));
    assert!(wrong.problems()[0].kept);
    assert_eq!(labelled(&RuleSet::default(), "cluster").rules().count(), 0);
}

#[test]
fn an_object_that_cannot_be_read_any_more_stays_as_it_was() {
    let first = after(&RuleSet::default(), &[("a", spec([("A", "count > 1")]))]);
    let mut builder = RuleSet::builder().follow(&first);
    builder.add_unread(("shop", "a"), "no text");
    builder.add_unread(("shop", "b"), "no text");
    let rules = builder.build();
    assert_eq!(conditions(&rules), ["count > 1"]);
    assert_eq!(rules.problems().iter().map(|it| it.kept).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn rules_that_did_not_change_count_on() {
    let objects = [("a", spec([("A", "count > 1"), ("B", "count > 2")]))];
    let first = after(&RuleSet::default(), &objects);
    drop(first.evaluate(&event()));
    let second = after(&first, &[("a", spec([("A", "count > 1"), ("B", "count > 3")]))]);
    // On its way while the sets change.
    drop(first.evaluate(&event()));
    drop(second.evaluate(&event()));
    let matched: Vec<_> = second.rules().map(|rule| rule.statistics().matched).collect();
    assert_eq!(matched, [3, 1]);
}

#[test]
fn a_namespace_has_room_for_so_much_and_what_comes_first_counts() {
    let patterns = |n: usize| spec((0..n).map(|_| ("P", r#"reason regex "^(a|b)+c""#)));
    for (limits, quota, limit, late) in [
        (
            Limits { namespace_rules: 2, ..Limits::default() },
            Quota::Rules,
            2,
            spec([("C", "count > 3")]),
        ),
        (
            Limits { namespace_conditions_size: 20, ..Limits::default() },
            Quota::Conditions,
            20,
            spec([("C", "count > 3")]),
        ),
        (
            Limits { namespace_patterns_size: 6 << 10, ..Limits::default() },
            Quota::Patterns,
            6 << 10,
            patterns(2),
        ),
    ] {
        let early = ("early", spec([("A", "count > 1"), ("B", "count > 2")]));
        let rules = set(limits, &RuleSet::default(), &[early, ("late", late)]);
        let late = rules.rules().filter(|rule| rule.object() == "late").count();
        assert_eq!(rules.rules().count() - late, 2, "{quota:?}");
        let [problem] = rules.problems() else { panic!("{:?}", rules.problems()) };
        let kind = ProblemKind::NamespaceFull { quota, limit, left_out: 1 };
        assert_eq!((problem.object.as_str(), &problem.kind), ("late", &kind));
        let text = problem.to_string();
        for part in [&limit.to_string(), &quota.to_string(), quota.setting(), "1 rule of this one"]
        {
            assert!(text.contains(part), "{text}");
        }
    }
}

#[test]
fn one_namespace_takes_no_room_from_another() {
    let limits = Limits { namespace_rules: 1, ..Limits::default() };
    let mut builder = RuleSet::builder().limits(limits);
    for namespace in ["bank", "shop"] {
        builder.add(
            namespace,
            "a",
            &Scope::Namespace(namespace.into()),
            &spec([("A", "count > 1")]),
        );
    }
    assert_eq!(builder.build().rules().count(), 2);
}

#[test]
fn an_object_that_grows_too_large_stays_as_it_was() {
    let limits = Limits { namespace_rules: 3, ..Limits::default() };
    let before = [("a", spec([("A", "count > 1")])), ("b", spec([("B", "count > 2")]))];
    let first = set(limits, &RuleSet::default(), &before);
    let grown =
        spec([("X", "count > 7"), ("Y", "count > 8"), ("Z", "count > 9"), ("A", "count > 6")]);
    let rules = set(limits, &first, &[("a", grown.clone()), ("b", spec([("B", "count > 2")]))]);
    assert_eq!(conditions(&rules), ["count > 1", "count > 2"]);
    let [problem] = rules.problems() else { panic!("{:?}", rules.problems()) };
    assert!(problem.kept && problem.object == "a");
    // Without anything to go on from, what fits counts.
    let rules = set(limits, &RuleSet::default(), &[("a", grown)]);
    assert_eq!(conditions(&rules), ["count > 7", "count > 8", "count > 9"]);
}
