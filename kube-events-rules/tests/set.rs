//! Scopes, notifications and alerts.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use kube_events_core::{
    Event,
    crd::{Absence, EventRule, RuleSpec, RuleType, Threshold},
};
use kube_events_rules::{
    ALLOW_LINTS, Builder, ErrorKind, Object, ProblemKind, Rule, RuleSet, Scope, Statistics,
};

fn event(namespace: &str, reason: &str) -> Event {
    let text = format!(
        r#"{{"metadata": {{"uid": "u", "resourceVersion": "5"}},
            "involvedObject": {{"kind": "Pod", "name": "web-1", "namespace": "{namespace}",
                                "fieldPath": "spec.containers{{nginx}}"}},
            "reason": "{reason}", "message": "it broke", "count": 4, "cluster": "north",
            "lastTimestamp": "2026-01-02T03:04:05Z"}}"#
    );
    Event::decode(text.as_bytes()).unwrap()
}

fn rule(name: &str, kind: RuleType, condition: &str) -> EventRule {
    EventRule {
        name: name.into(),
        condition: condition.into(),
        enable: true,
        r#type: Some(kind),
        ..EventRule::default()
    }
}

fn alert(name: &str, condition: &str) -> RuleSpec {
    RuleSpec { rules: vec![rule(name, RuleType::Alert, condition)], ..RuleSpec::default() }
}

fn names(rules: &RuleSet, event: &Event) -> Vec<String> {
    rules.evaluate(event).matched().iter().map(|rule| rule.name().to_owned()).collect()
}

fn build(fill: impl FnOnce(&mut Builder)) -> RuleSet {
    let mut builder = RuleSet::builder();
    fill(&mut builder);
    builder.build()
}

#[test]
fn each_scope_sees_its_own_events_and_no_others() {
    let rules = build(|rules| {
        let spec = |name| alert(name, "reason exists");
        rules.add("system", "c", &Scope::Cluster, &spec("cluster"));
        rules.add("system", "w", &Scope::Workspace("blue".into()), &spec("workspace"));
        rules.add("shop", "n", &Scope::Namespace("shop".into()), &spec("namespace"));
        rules.add("", "e", &Scope::Namespace(String::new()), &spec("nowhere"));
        rules.member("shop", "blue");
        rules.member("bank", "blue");
        rules.member("park", "green");
    });
    assert_eq!(names(&rules, &event("shop", "x")), ["cluster", "workspace", "namespace"]);
    assert_eq!(names(&rules, &event("bank", "x")), ["cluster", "workspace"]);
    assert_eq!(names(&rules, &event("park", "x")), ["cluster"]);
    assert_eq!(names(&rules, &event("", "x")), ["cluster"]);
    assert_eq!(rules.rules().count(), 4);
}

#[test]
fn every_matching_alert_rule_raises_an_alert_and_a_notification_comes_once() {
    let rules = build(|rules| {
        let kinds =
            [RuleType::Alert, RuleType::Notification, RuleType::Alert, RuleType::Notification];
        let spec = kinds.into_iter().enumerate();
        let spec = spec.map(|(n, kind)| rule(&format!("r{n}"), kind, r#"reason="BackOff""#));
        rules.add(
            "system",
            "o",
            &Scope::Cluster,
            &RuleSpec { rules: spec.collect(), ..RuleSpec::default() },
        );
    });
    let event = event("shop", "BackOff");
    let outcome = rules.evaluate(&event);
    let alerts = outcome.alerts();
    assert_eq!(alerts.iter().map(|a| &*a.labels["alertname"]).collect::<Vec<_>>(), ["r0", "r2"]);
    let notification = outcome.notification().unwrap();
    let matched: Vec<_> =
        notification.rules.iter().map(|rule| (&*rule.namespace, &*rule.name)).collect();
    assert_eq!(matched, [("system", "r1"), ("system", "r3")]);
}

#[test]
fn an_alert_says_where_it_comes_from_whatever_the_rule_says() {
    let mut spec = alert("Broken", "count > 3");
    for (name, value) in [
        ("severity", "warning"),
        ("namespace", "forged"),
        ("cluster", "forged"),
        ("alertname", "forged"),
        ("alerttype", "forged"),
        ("pod", "forged"),
    ] {
        spec.rules[0].labels.insert(name.into(), value.into());
    }
    spec.rules[0].annotations.insert("message".into(), "%reason: %message.".into());
    let rules = build(|rules| rules.add("shop", "o", &Scope::Namespace("shop".into()), &spec));
    let event = event("shop", "BackOff");
    let alert = rules.evaluate(&event).alerts().remove(0);
    let labels: Vec<_> = alert.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(
        labels,
        [
            ("alertname", "Broken"),
            ("alerttype", "event"),
            ("cluster", "north"),
            ("container", "nginx"),
            ("namespace", "shop"),
            ("pod", "web-1"),
            ("severity", "warning"),
        ]
    );
    assert_eq!(alert.annotations["message"], "BackOff: it broke.");
    assert_eq!(alert.starts_at.to_string(), "2026-01-02T03:04:05Z");
    assert_eq!(alert.key, event.key());
    let problems: Vec<_> = rules.problems().iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 4, "{problems:?}");
    assert!(
        problems[0].contains("Rule shop/o, rule Broken: the label `alertname`"),
        "{problems:?}"
    );
}

#[test]
fn a_rule_on_a_node_cannot_claim_a_namespace() {
    let mut spec = alert("NodeDown", "reason exists");
    spec.rules[0].labels.insert("namespace".into(), "forged".into());
    let rules = build(|rules| rules.add("system", "o", &Scope::Cluster, &spec));
    let node = Event::decode(br#"{"involvedObject": {"kind": "Node", "name": "n1"}}"#).unwrap();
    let alert = rules.evaluate(&node).alerts().remove(0);
    assert_eq!(alert.labels.get("namespace"), None);
    assert_eq!(alert.labels["node"], "n1");
}

#[test]
fn one_bad_rule_is_reported_and_hides_no_other() {
    let spec = RuleSpec {
        rules: vec![
            rule("Bad", RuleType::Alert, r#"reason => "x""#),
            rule("", RuleType::Alert, "reason exists"),
            rule("Odd", RuleType::Other("alerts".into()), "reason exists"),
            EventRule { r#type: None, ..rule("None", RuleType::Alert, "reason exists") },
            EventRule { enable: false, ..rule("Off", RuleType::Alert, "reason exists") },
            rule("Good", RuleType::Alert, "reason exists"),
        ],
        ..RuleSpec::default()
    };
    let rules = build(|rules| rules.add("shop", "o", &Scope::Cluster, &spec));
    assert_eq!(names(&rules, &event("shop", "x")), ["Good"]);
    let errors: Vec<_> = rules.problems().iter().filter(|p| p.is_error()).collect();
    assert_eq!(errors.len(), 4, "{errors:#?}");
    assert!(errors[0].render().contains('^'), "{}", errors[0].render());
    assert!(
        errors[2]
            .to_string()
            .ends_with("there is no type `alerts`: use `notification`, `alert`, `drop` or `route`")
    );
}

#[test]
fn an_undecided_rule_does_not_match_and_is_counted() {
    let rules = build(|rules| rules.add("s", "o", &Scope::Cluster, &alert("Odd", "message > 5")));
    let event = event("shop", "x");
    assert_eq!(rules.evaluate(&event).undecided(), 1);
    let rule = rules.rules().next().unwrap();
    assert_eq!((rule.matched(), rule.undecided()), (0, 1));
}

#[test]
fn an_object_counts_in_the_scope_that_its_labels_claim() {
    let label = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
    let rules = build(|rules| {
        let mut add = |namespace, labels, spec| {
            rules.add_labelled((namespace, "o"), &labels, "system", &spec);
        };
        let scope = "kubesphere.io/rule-scope";
        add("system", label(scope, "cluster"), alert("everywhere", "reason exists"));
        add("shop", label("rule-scope", "cluster"), alert("misspelt", "reason exists"));
        add("bank", label(scope, "cluster"), alert("refused", "reason exists or resaon exists"));
    });
    assert_eq!(names(&rules, &event("shop", "x")), ["everywhere", "misspelt"]);
    assert_eq!(names(&rules, &event("bank", "x")), ["everywhere"]);
    let problems = rules.problems().iter();
    let problems: Vec<_> =
        problems.map(|it| (&*it.namespace, it.is_error(), it.kind.to_string())).collect();
    let [misspelt, refused, field] = &*problems else { panic!("{problems:?}") };
    assert!(matches!(misspelt, ("shop", false, text) if text.contains("`rule-scope`")));
    assert!(matches!(refused, ("bank", true, text) if text.contains("cluster")), "{refused:?}");
    assert!(matches!(field, ("bank", false, text) if text.contains("no field")), "{field:?}");
}

#[test]
fn an_object_with_too_many_rules_is_told_and_its_first_count() {
    let rule = |name: usize| EventRule {
        name: format!("r{name}"),
        condition: format!("count > {name}"),
        enable: true,
        r#type: Some(RuleType::Alert),
        ..EventRule::default()
    };
    let spec = RuleSpec { rules: (0..501).map(rule).collect(), ..RuleSpec::default() };
    let mut rules = RuleSet::builder();
    rules.add("shop", "many", &Scope::Cluster, &spec);
    let rules = rules.build();
    assert_eq!(rules.rules().count(), 500);
    let told: Vec<_> = rules.problems().iter().map(ToString::to_string).collect();
    assert_eq!(told, ["Rule shop/many: the object has 501 rules; only the first 500 count"]);
}

/// Each of them is within the limit of one pattern.
#[test]
fn the_patterns_of_one_object_are_bounded_together() {
    let large = alert("large", r#"message regex "\pL{70}""#).rules.remove(0);
    let labelled = |at: usize| {
        let mut rule = large.clone();
        rule.labels.insert("at".into(), at.to_string());
        rule
    };
    let spec = RuleSpec { rules: (0..20).map(labelled).collect(), ..RuleSpec::default() };
    let rules = build(|rules| {
        rules.add("shop", "greedy", &Scope::Namespace("shop".into()), &spec);
        rules.add("bank", "modest", &Scope::Namespace("bank".into()), &alert("a", "count > 1"));
    });
    let kinds: Vec<_> = rules.problems().iter().map(|problem| &problem.kind).collect();
    let too_large = |kind: &&&ProblemKind| {
        matches!(kind, ProblemKind::Condition(error)
            if matches!(error.kind(), ErrorKind::PatternsTooLarge { .. }))
    };
    assert_eq!(kinds.iter().filter(too_large).count(), kinds.len(), "{kinds:?}");
    assert!((1..=10).contains(&(20 - kinds.len())), "{} are left", 20 - kinds.len());
    assert_eq!(rules.rules().filter(|rule| rule.namespace() == "bank").count(), 1);
}

#[test]
fn literals_count_among_the_patterns_of_an_object() {
    let many = alert("many", &[r#"message like "web""#; 500].join(" or "));
    let spec = RuleSpec { rules: vec![many.rules[0].clone(); 20], ..RuleSpec::default() };
    let rules = build(|rules| {
        rules.add("shop", "greedy", &Scope::Namespace("shop".into()), &spec);
    });
    assert_eq!(rules.rules().count(), 8, "4,096 of 4 KiB are 16 MiB");
}

#[test]
fn of_many_hints_about_a_condition_the_first_are_told() {
    let rules = build(|rules| {
        let spec = alert("a", &["foo = 1"; 500].join(" or "));
        rules.add("shop", "hints", &Scope::Namespace("shop".into()), &spec);
    });
    assert_eq!(rules.problems().len(), 20);
}

#[test]
fn the_conditions_of_an_object_share_its_lists() {
    let mut spec = alert("Noisy", "reason in @noisy");
    spec.rules.push(rule("Other", RuleType::Alert, "reason not in @noisy"));
    spec.rules.push(rule("Unknown", RuleType::Alert, "reason in @nosiy"));
    spec.lists.insert("noisy".into(), vec!["Pulled".into(), "BackOff".into()]);
    let rules = build(|rules| rules.add("shop", "o", &Scope::Cluster, &spec));
    assert_eq!(names(&rules, &event("shop", "BackOff")), ["Noisy"]);
    assert_eq!(names(&rules, &event("shop", "Killing")), ["Other"]);
    let [problem] = rules.problems() else { panic!("{:?}", rules.problems()) };
    let rendered = problem.render();
    assert!(rendered.contains("did you mean `@noisy`?"), "{rendered}");
}

#[test]
fn a_rule_that_another_one_makes_useless_is_told() {
    let mut spec = alert("wide", "type = \"Warning\" and count > 3");
    for (name, condition) in [
        ("narrow", "count > 3 and reason = \"x\" and type='Warning'"),
        ("same", "type = \"Warning\" and count > 3"),
        ("other", "type = \"Warning\" and count > 4"),
        ("wider", "count > 3 or type = \"Warning\""),
    ] {
        spec.rules.push(rule(name, RuleType::Alert, condition));
    }
    let mut labelled = rule("labelled", RuleType::Alert, "type = \"Warning\" and count > 3");
    labelled.labels.insert("severity".into(), "page".into());
    spec.rules.push(labelled);
    spec.rules.push(rule("told", RuleType::Notification, "type = \"Warning\" and count > 3"));
    let rules = build(|rules| rules.add("shop", "o", &Scope::Cluster, &spec));
    let useless: Vec<_> = rules
        .problems()
        .iter()
        .map(|problem| (problem.rule.as_deref().unwrap_or_default(), &problem.kind))
        .collect();
    let by = ProblemKind::Unreachable("wide".into());
    assert_eq!(useless, [("narrow", &by), ("same", &by)]);
    assert!(rules.problems()[0].render().starts_with("warning[unreachable]: "));
}

#[test]
fn an_object_can_allow_lints_by_name() {
    let labels = [("kubesphere.io/rule-scope".to_owned(), "cluster".to_owned())].into();
    let told = |allowed: &str| {
        let annotations = [(ALLOW_LINTS.to_owned(), allowed.to_owned())].into();
        let object =
            Object { namespace: "system", name: "o", labels: &labels, annotations: &annotations };
        let mut spec = alert("a", "foo = 1 and type = \"A\" or reason = \"B\"");
        spec.rules.push(rule("broken", RuleType::Alert, "foo ="));
        let rules = build(|rules| rules.add_object(&object, "system", &spec));
        rules.problems().iter().map(|problem| problem.kind.name()).collect::<Vec<_>>()
    };
    assert_eq!(told(""), ["mixed-joints", "unknown-field", "unexpected"]);
    assert_eq!(told("mixed-joints"), ["unknown-field", "unexpected"]);
    assert_eq!(told("unknown-field, mixed-joints,unexpected"), ["unexpected", "unknown-lint"]);
}

#[test]
fn a_text_with_expressions_is_filled_in_and_a_wrong_one_stops_its_rule() {
    let mut spec = alert("good", "reason exists");
    let text = "{{ involvedObject.name | upper }} in {{ involvedObject.namespace }}";
    spec.rules[0].annotations.insert("summary".into(), text.into());
    spec.rules.push(rule("bad", RuleType::Alert, "count > 3"));
    spec.rules[1].annotations.insert("summary".into(), "{{ involvedObject.nmae }}".into());
    let rules = build(|rules| rules.add("shop", "o", &Scope::Cluster, &spec));
    let event = event("shop", "x");
    let alert = rules.evaluate(&event).alerts().remove(0);
    assert!(alert.annotations["summary"].ends_with(" in shop"), "{:?}", alert.annotations);
    assert_eq!(names(&rules, &event), ["good"]);
    let [problem] = rules.problems() else { panic!("{:?}", rules.problems()) };
    assert!(problem.is_error());
    let drawn = problem.render();
    assert!(
        drawn.contains("did you mean `involvedObject.name`?") && drawn.contains("^^^"),
        "{drawn}"
    );
}

#[test]
fn a_text_that_cannot_be_filled_in_loses_no_alert_and_is_counted() {
    let mut spec = alert("long", "reason exists");
    let text = "{{ event }}".repeat(1_400);
    spec.rules[0].annotations.insert("summary".into(), text);
    let rules = build(|rules| rules.add("shop", "o", &Scope::Cluster, &spec));
    let event = event("shop", "x");
    let alert = rules.evaluate(&event).alerts().remove(0);
    assert!(alert.annotations["summary"].starts_with("(this text could not be filled in"));
    assert_eq!(rules.rules().next().unwrap().statistics().unrendered, 1);
}

#[test]
fn a_dropped_event_is_hidden_from_the_rules_of_its_scope_and_from_no_others() {
    let both = |name: &str| {
        let drop = rule("quiet", RuleType::Drop, r#"reason="Noise""#);
        RuleSpec {
            rules: vec![alert(name, "reason exists").rules.remove(0), drop],
            ..RuleSpec::default()
        }
    };
    let rules = build(|rules| {
        rules.add("system", "c", &Scope::Cluster, &alert("cluster", "reason exists"));
        rules.add("system", "w", &Scope::Workspace("blue".into()), &both("workspace"));
        rules.add("shop", "n", &Scope::Namespace("shop".into()), &alert("own", "reason exists"));
        rules.add("bank", "n", &Scope::Namespace("bank".into()), &both("bank"));
        rules.member("shop", "blue");
    });
    assert_eq!(names(&rules, &event("shop", "Noise")), ["cluster", "quiet", "own"]);
    assert_eq!(names(&rules, &event("shop", "x")), ["cluster", "workspace", "own"]);
    assert_eq!(names(&rules, &event("bank", "Noise")), ["cluster", "quiet"]);
    let dropped = rules.rules().map(|rule| rule.statistics().dropped);
    assert_eq!(dropped.sum::<u64>(), 2);
    let workspace = rules.rules().find(|rule| rule.name() == "workspace").unwrap().statistics();
    assert_eq!((workspace.matched, workspace.fired, workspace.dropped), (2, 1, 1));
}

#[test]
fn what_a_rule_takes_is_measured_on_some_events() {
    let spec = RuleSpec {
        rules: vec![
            rule("slow", RuleType::Alert, r#"not message regex "([a-z]+ )*[a-z]+ [0-9]{20}$""#),
            rule("elsewhere", RuleType::Alert, r#"reason = "Other""#),
        ],
        ..RuleSpec::default()
    };
    let rules = build(|rules| {
        rules.add("system", "c", &Scope::Cluster, &spec);
        rules.add("shop", "n", &Scope::Namespace("shop".into()), &alert("own", "reason exists"));
    });
    let event = format!(
        r#"{{"involvedObject": {{"namespace": "shop"}}, "reason": "x", "message": "{}"}}"#,
        "broken ".repeat(100)
    );
    let event = Event::decode(event.as_bytes()).unwrap();
    let statistics =
        |name: &str| rules.rules().find(|rule| rule.name() == name).map(Rule::statistics).unwrap();
    for _ in 1..Statistics::TIMED_ONE_OF {
        rules.evaluate(&event);
    }
    assert_eq!(["slow", "own"].map(|name| statistics(name).timed), [0, 0]);
    for _ in 0..=2 * Statistics::TIMED_ONE_OF {
        rules.evaluate(&event);
    }
    assert_eq!(["slow", "own", "elsewhere"].map(|name| statistics(name).timed), [3, 3, 0]);
    let slow = statistics("slow");
    assert!(!slow.time.is_zero());
    assert_eq!(slow.evaluation(), slow.time * Statistics::TIMED_ONE_OF);
    assert_eq!(statistics("slow").matched, u64::from(3 * Statistics::TIMED_ONE_OF));
}

#[test]
fn what_the_rules_of_one_scope_give_goes_where_its_routes_lead() {
    let route = |name: &str, sinks: &[&str]| {
        let sinks = sinks.iter().map(|&sink| sink.to_owned()).collect();
        EventRule { sinks, ..rule(name, RuleType::Route, "reason exists") }
    };
    let spec = |name: &str, kind: RuleType, routes: Vec<EventRule>| {
        let rules = [vec![rule(name, kind, "reason exists")], routes].concat();
        RuleSpec { rules, ..RuleSpec::default() }
    };
    let rules = build(|rules| {
        let told = RuleType::Notification;
        rules.add("system", "c", &Scope::Cluster, &spec("cluster", told.clone(), vec![]));
        let routes = vec![route("a", &["pager", "chat"]), route("b", &["chat", "archive"])];
        let own = Scope::Namespace("shop".into());
        rules.add("shop", "n", &own, &spec("told", told, routes));
        rules.add("shop", "a", &own, &spec("raised", RuleType::Alert, vec![]));
    });
    let event = event("shop", "x");
    let outcome = rules.evaluate(&event);
    let effects = outcome.effects();
    let told: Vec<_> = effects
        .notifications
        .iter()
        .map(|it| (it.item.rules[0].name.as_str(), it.route.names().map(<[String]>::len)))
        .collect();
    assert_eq!(told, [("cluster", None), ("told", Some(3))]);
    assert_eq!(effects.alerts[0].route.names().unwrap(), ["archive", "chat", "pager"]);
    assert_eq!(outcome.notification().unwrap().rules.len(), 2);
    assert_eq!(rules.sinks().len(), 3);
}

#[test]
fn settings_that_cannot_be_used_are_told_with_what_was_meant() {
    let plain = || rule("R", RuleType::Alert, "reason exists");
    let threshold = |count, within: &str| Threshold { count, within: within.into() };
    let some = |text: &str| Some(text.to_owned());
    let absence = |expected: &str| Absence { expected: expected.into(), within: "1m".into() };
    for (rule, expected) in [
        (
            EventRule { threshold: Some(threshold(0, "5m")), ..plain() },
            "`threshold.count`: 0 is not between 1 and 1000000",
        ),
        (
            EventRule { threshold: Some(threshold(1, "five")), ..plain() },
            "`threshold.within`: not a duration like 10s, 1m30s or 7d: \"five\"",
        ),
        (
            EventRule { keep_firing_for: some("0s"), ..plain() },
            "`keepFiringFor`: has to be longer than nothing",
        ),
        (
            EventRule { repeat_interval: some("2w"), group_by: vec!["reson".into()], ..plain() },
            "`groupBy`: there is no field `reson`: did you mean `reason`?",
        ),
        (
            EventRule {
                repeat_interval: some("2w"),
                group_by: vec!["metadata.labels.app".into()],
                ..plain()
            },
            "`groupBy`: there is no field `metadata.labels.app`: write `metadata.labels[\"app\"]`",
        ),
        (
            EventRule {
                repeat_interval: some("2w"),
                group_by: vec!["source['host']".into()],
                ..plain()
            },
            "`groupBy`: there is no field `source['host']`: did you mean `source.host`?",
        ),
        (
            EventRule {
                repeat_interval: some("2w"),
                group_by: vec!["metadata.labels['a.b']".into(), r#"metadata.labels["a-b"]"#.into()],
                ..plain()
            },
            "`groupBy`: two names become the label `label_a_b`",
        ),
        (
            EventRule { group_by: vec!["reason".into()], ..plain() },
            "`groupBy`: needs one of `threshold`, `absence`, `repeatInterval`, `keepFiringFor` \
             and `resolve`",
        ),
        (
            EventRule {
                resolve: some("reason exists"),
                ..rule("R", RuleType::Notification, "reason exists")
            },
            "`resolve`: belongs to the type `alert`",
        ),
        (EventRule { sinks: vec!["a".into()], ..plain() }, "`sinks`: belongs to the type `route`"),
        (rule("R", RuleType::Route, "reason exists"), "`sinks`: a route needs one at least"),
        (
            EventRule {
                threshold: Some(threshold(1, "1m")),
                absence: Some(absence("reason exists")),
                ..plain()
            },
            "`absence`: cannot be set beside `threshold`",
        ),
        (
            EventRule { absence: Some(absence("reason =")), ..plain() },
            "in `absence.expected`: expected a string in quotes",
        ),
        (
            EventRule { resolve: some("reason ="), ..plain() },
            "in `resolve`: expected a string in quotes",
        ),
    ] {
        let spec = RuleSpec { rules: vec![rule], ..RuleSpec::default() };
        let rules = build(|rules| rules.add("shop", "o", &Scope::Cluster, &spec));
        let [problem] = rules.problems() else { panic!("{expected}: {:?}", rules.problems()) };
        assert!(problem.is_error() && rules.rules().next().is_none());
        assert!(problem.kind.to_string().starts_with(expected), "{}", problem.kind);
        let clause = matches!(problem.kind, ProblemKind::Clause { .. });
        assert_eq!(problem.render().contains('^'), clause, "{}", problem.render());
        assert!(
            problem.render().starts_with(&format!("error: {expected}")),
            "{}",
            problem.render()
        );
    }
}

#[test]
fn ages_are_counted_to_the_time_that_is_told() {
    let rules = build(|rules| {
        rules.add("", "c", &Scope::Cluster, &alert("Fresh", "age(lastTimestamp) < 10m"));
    });
    let event = event("shop", "x");
    let matches = |now: &str| !rules.evaluate_at(&event, now.parse().unwrap()).matched().is_empty();
    assert!(matches("2026-01-02T03:14:00Z"));
    assert!(!matches("2026-01-02T03:14:10Z"));
}

#[test]
fn an_event_that_is_evaluated_again_counts_once() {
    let named = |name, kind| rule(name, kind, "reason exists");
    let rules = vec![
        named("hidden", RuleType::Alert),
        named("drop", RuleType::Drop),
        rule("odd", RuleType::Alert, "message > 5"),
    ];
    let spec = RuleSpec { rules, ..RuleSpec::default() };
    let rules = build(|rules| {
        rules.add("system", "c", &Scope::Cluster, &alert("told", "reason exists"));
        rules.add("shop", "n", &Scope::Namespace("shop".into()), &spec);
    });
    let (event, now) = (event("shop", "x"), "2026-01-02T03:14:00Z".parse().unwrap());
    let again = rules.evaluate_again(&event, now);
    let names: Vec<_> = again.matched().iter().map(|rule| rule.name()).collect();
    assert_eq!((names, again.undecided()), (vec!["told", "drop"], 1));
    assert!(rules.rules().all(|rule| rule.statistics() == Statistics::default()));
    assert_eq!(rules.evaluate_at(&event, now).effects(), again.effects());
    assert!(rules.rules().all(|rule| rule.statistics() != Statistics::default()));
}

#[test]
fn a_rule_has_a_bounded_number_of_texts() {
    let told = |count: usize| {
        let annotations: std::collections::BTreeMap<_, _> =
            (0..count).map(|place| (format!("a{place}"), "x".to_owned())).collect();
        let rule = EventRule { annotations, ..rule("A", RuleType::Alert, "count > 3") };
        let mut set = RuleSet::builder();
        let spec = RuleSpec { rules: vec![rule], ..RuleSpec::default() };
        set.add("shop", "web", &Scope::Namespace("shop".into()), &spec);
        set.build().problems().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(told(EventRule::MAX_MEMBERS), Vec::<String>::new());
    let [told] = &told(EventRule::MAX_MEMBERS + 1)[..] else { panic!("one problem") };
    assert!(told.contains("annotations") && told.contains("more than 64"), "{told}");
}

#[test]
fn durations_are_those_that_an_api_server_takes() {
    let told = |text: &str| {
        let repeat_interval = Some(text.to_owned());
        let rule = EventRule { repeat_interval, ..rule("A", RuleType::Alert, "count > 3") };
        let mut set = RuleSet::builder();
        let spec = RuleSpec { rules: vec![rule], ..RuleSpec::default() };
        set.add("shop", "web", &Scope::Namespace("shop".into()), &spec);
        set.build().problems().iter().map(ToString::to_string).collect::<String>()
    };
    for text in ["10s", "1m30s", "1.5h", "7d", "250ms"] {
        assert_eq!(told(text), "", "{text}");
    }
    for text in ["PT10M", "1 week 2 days", "10min", "10", "", "m", "-5s", "5m 3s"] {
        assert!(told(text).contains("not a duration like 10s"), "{text}: {}", told(text));
    }
    assert!(told("0s").contains("longer than nothing"));
}
