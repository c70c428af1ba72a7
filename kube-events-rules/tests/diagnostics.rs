//! Errors and lints as a person sees them.

use kube_events_rules::{Condition, Error, LintKind};

fn error(text: &str) -> Error {
    Condition::parse(text).expect_err("the text is no condition")
}

fn suggestion(text: &str) -> String {
    error(text).suggestion().unwrap_or_default().to_owned()
}

fn lints(text: &str) -> Vec<(LintKind, String)> {
    let condition = Condition::parse(text).expect("the text is a condition");
    let lints = condition.lints().iter();
    lints.map(|lint| (lint.kind(), lint.suggestion().unwrap_or_default().to_owned())).collect()
}

#[test]
fn an_error_is_drawn_into_the_text() {
    let expected = "\
error: expected a string in quotes, a number or a boolean, found `>`
  |
2 | and reason => \"BackOff\"
  |             ^
  |
  = help: did you mean `>=`?";
    let text = "type = \"Warning\"\nand reason => \"BackOff\"";
    assert_eq!(error(text).render(text), expected);
}

#[test]
fn a_pattern_is_marked_where_it_is_wrong() {
    let expected = "\
error: invalid pattern: a repetition cannot be repeated; use a group
  |
1 | reason regex \"^a**$\"
  |                 ^^";
    let text = "reason regex \"^a**$\"";
    assert_eq!(error(text).render(text), expected);
}

#[test]
fn what_was_probably_meant_is_said() {
    let table = [
        ("Not (type=\"A\")", "did you mean `not`?"),
        ("reason not  in (\"A\")", "write `not in` with exactly one blank"),
        ("reason notin (\"A\")", "did you mean `not in`?"),
        ("reason in \"A\"", "did you mean `in (\"A\")`?"),
        ("reason in (\"A\",)", "remove the comma"),
        ("reason in ()", "a list has one value at least"),
        ("reason LIKE \"A*\"", "did you mean `like`?"),
        ("reason regexp \"A\"", "did you mean `regex`?"),
        ("reason startsWith \"A\"", "a beginning is a pattern: `like \"^web-*\"`"),
        ("reason endsWith \"A\"", "an end is a pattern: `like \"*-web$\"`"),
        ("type=\"A\" And reason=\"B\"", "did you mean `and`?"),
        ("type=\"A\" & reason=\"B\"", "did you mean `and`?"),
        ("type=\"A\" | reason=\"B\"", "did you mean `or`?"),
        ("reason = A", "values stand in quotes: `\"A\"`"),
        ("reason = `A`", "strings stand in double or single quotes"),
        ("reason === \"A\"", "did you mean a single `=`?"),
        ("reason = 'a\\d'", "put the string in double quotes"),
        ("reason contians \"A\"", "did you mean `contains`?"),
        ("reason iLike \"A\"", "did you mean `ilike`?"),
        ("reason ieq \"A\"", "did you mean `iequals`?"),
        ("reason in @", "a list is `@` and its name"),
        ("reason in noisy", "did you mean `in (\"noisy\")`?"),
        ("reason = @noisy", "a list stands after `in` or `not in`"),
        ("age(lastTimestmp) < 5m", "did you mean `age(lastTimestamp)`?"),
        ("age(count) < 5m", "it is one of `firstTimestamp`"),
        ("age() < 5m", "`age < 10m` is that of the last one"),
        ("age(10m) > lastTimestamp", "the duration comes after it"),
        ("age(lastTimestamp) < 5", "a duration is written `30s`"),
        ("lastTimestamp < 10m", "did you mean `age(lastTimestamp) < 10m`?"),
        ("message = 5m", "quote it if it is a text: `\"5m\"`"),
        ("involvedObject[\"name\"] = 'x'", "did you mean `involvedObject.name`?"),
        ("source['x'] = 'y'", "`$.source['x']`"),
        ("metadata.labels[app] = 'x'", "`[\"name\"]`"),
        ("$.a-b = 1", "quote what has a `-`"),
        ("$.a[?@.b =] = 1", "a path is written"),
        ("reason =~ \"A\"", "did you mean `regex`?"),
        ("count => 3", "did you mean `>=`?"),
        ("count <> 3", "did you mean `!=`?"),
        ("type =", "a value is missing"),
        ("\"A\" = reason", "the name comes first: `reason = \"BackOff\"`"),
        ("reasoncontains \"A\"", "a blank is missing before `contains`"),
        ("reason \"A\"", "an operator is missing: `reason = \"A\"`"),
        ("metadata.labels.a-b = \"x\"", "`metadata.labels[\"a-b\"]`"),
        ("type=\"A\" // why", "a condition has no comments"),
        ("$type=\"A\"", "a name stands alone, without `$`"),
        ("(type=\"A\"", "close it with `)` where the group ends"),
        ("type=\"A\")", "remove it, or open it further to the left"),
        ("count > 1e3", "a number is digits with an optional point"),
    ];
    for (text, expected) in table {
        assert!(suggestion(text).contains(expected), "{text}: {}", suggestion(text));
    }
}

#[test]
fn mixed_joints_are_shown_with_their_parentheses() {
    let text = "type=\"A\" or type=\"B\" and not reason=\"C\" or count>3";
    let read = |text: &str| format!("it is read as `{text}`; write the parentheses that you mean");
    assert_eq!(
        lints(text),
        [
            (
                LintKind::MixedJoints,
                read("(type = \"A\" or type = \"B\") and (not (reason = \"C\" or count > 3))")
            ),
            (LintKind::NotTakesTheRest, read("not (reason = \"C\" or count > 3)")),
        ]
    );
    assert_eq!(lints("(type=\"A\" or type=\"B\") and (not reason=\"C\")"), []);
    assert_eq!(lints("not (type=\"A\" or type=\"B\")"), []);
}

#[test]
fn names_that_events_never_have_are_told() {
    for text in ["metadata.labels.app=\"x\"", "firstTimestamp exists", "kind=\"Event\"", "foo"] {
        assert_eq!(lints(text)[0].0, LintKind::UnknownField, "{text}");
    }
    assert_eq!(lints("involvedobject.kind=\"Pod\"")[0].1, "did you mean `involvedObject.kind`?");
    assert_eq!(lints("related exists and series exists and source exists"), []);
    assert_eq!(lints("source = \"kubelet\"")[0].1, "did you mean `source.component`?");
}

#[test]
fn tests_that_are_never_decided_are_told() {
    let table = [
        ("reason", LintKind::NameAlone),
        ("metadata.labels = 5", LintKind::NeverThisType),
        ("metadata.finalizers[0] contains \"x\"", LintKind::NoLists),
        ("foo[3:1].x = \"y\"", LintKind::ReversedRange),
        ("source like \"[\"", LintKind::InvalidPattern),
        ("count in (1000000)", LintKind::NumberAsText),
        ("count in (27.0)", LintKind::NumberAsText),
    ];
    for (text, kind) in table {
        assert!(lints(text).iter().any(|(k, _)| *k == kind), "{text}: {:?}", lints(text));
    }
    assert_eq!(lints("count in (27)"), []);
}

#[test]
fn what_no_event_or_every_event_passes_is_told() {
    let table = [
        ("reason = \"A\" and type = \"W\" and reason = \"B\"", LintKind::AlwaysFalse),
        ("reason in (\"A\", \"B\") and reason = \"C\"", LintKind::AlwaysFalse),
        ("reason in (\"A\", \"B\") and reason not in (\"B\", \"A\")", LintKind::AlwaysFalse),
        ("reason = \"A\" and reason != \"A\"", LintKind::AlwaysFalse),
        ("count > 3 and count < 3", LintKind::AlwaysFalse),
        ("count > 3 and count <= 3", LintKind::AlwaysFalse),
        ("count >= 4 and (type exists and count = 3)", LintKind::AlwaysFalse),
        ("age > 1h and age < 30m", LintKind::AlwaysFalse),
        (
            "metadata.labels[\"a\"] = \"x\" and metadata.labels[\"a\"] = \"y\"",
            LintKind::AlwaysFalse,
        ),
        ("message contains \"a\" and message not contains \"a\"", LintKind::AlwaysFalse),
        ("message like \"^a\" and (not message like \"^a\")", LintKind::AlwaysFalse),
        ("$.a[*] = 1 and (not $.a[*] = 1)", LintKind::AlwaysFalse),
        ("message not exists", LintKind::AlwaysFalse),
        ("reason != \"A\" or reason != \"B\"", LintKind::AlwaysTrue),
        ("reason = \"A\" or (not reason = \"A\")", LintKind::AlwaysTrue),
        ("reason = \"A\" or reason != \"A\"", LintKind::AlwaysTrue),
        ("count > 3 or count <= 5", LintKind::AlwaysTrue),
        (
            "metadata.labels[\"a\"] exists or (not metadata.labels[\"a\"] exists)",
            LintKind::AlwaysTrue,
        ),
    ];
    for (text, kind) in table {
        assert!(lints(text).iter().any(|(k, _)| *k == kind), "{text}: {:?}", lints(text));
    }
    for text in [
        "reason = \"A\" or reason = \"B\"",
        "reason in (\"A\", \"B\") and reason != \"A\"",
        "count > 3 and count < 5 and count != 4",
        "count >= 3 and count <= 3",
        "count < 3 or count > 5",
        "message > 3 or message <= 3",
        "series.count > 3 or series.count <= 3",
        "$.a[*] = 1 and $.a[*] = 2",
        "metadata.labels[\"a\"] != \"x\" or metadata.labels[\"a\"] != \"y\"",
        "series not exists",
    ] {
        assert_eq!(lints(text), [], "{text}");
    }
}

#[test]
fn a_chain_of_many_tests_on_one_field_is_looked_at_quickly() {
    let start = std::time::Instant::now();
    for joint in [" or ", " and "] {
        let chain = vec!["type"; 1_600].join(joint);
        assert!(Condition::parse(&chain).is_ok());
    }
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
}

#[test]
fn patterns_that_are_not_what_they_look_are_told() {
    assert_eq!(lints("reason like \"Fail*\"")[0].0, LintKind::UnanchoredLike);
    assert_eq!(lints("reason ilike \"fail\"")[0].0, LintKind::UnanchoredLike);
    let (kind, help) = &lints("metadata.labels[\"a\"] not regex \"^b$\"")[0];
    assert_eq!(*kind, LintKind::LiteralRegex);
    assert_eq!(help, "write `metadata.labels[\"a\"] != \"b\"`");
    assert_eq!(lints("reason regex \"a\\.b\"")[0].1, "write `reason contains \"a.b\"`");
}

#[test]
fn what_is_safe_to_write_instead_means_what_was_read() {
    let table = [
        ("type or action and reason", "(type or action) and reason"),
        ("not type and reason", "not (type and reason)"),
        ("not type and reason or action", "not ((type and reason) or action)"),
        ("type\n and  reason  or action and kind", "((type\n and  reason)  or action) and kind"),
        ("metadata.labels.app = \"x\"", "metadata.labels[\"app\"]"),
        ("resaon = \"x\"", "reason"),
        ("reason regex \"^a$\"", "reason = \"a\""),
        ("reason not regex \"a\"", "reason not contains \"a\""),
    ];
    for (text, expected) in table {
        let condition = Condition::parse(text).unwrap();
        assert_eq!(condition.lints()[0].fix(), Some(expected), "{text}");
    }
    let mixed = Condition::parse("type or action and reason").unwrap();
    let fixed = Condition::parse(mixed.lints()[0].fix().unwrap()).unwrap();
    assert_eq!(fixed.to_string(), mixed.to_string());
    assert!(fixed.lints().iter().all(|lint| lint.kind() == LintKind::NameAlone));
    assert_eq!(error("age(lastTimestmp) < 5m").fix(), Some("age(lastTimestamp)"));
}

#[test]
fn a_lint_is_drawn_with_its_name() {
    let text = "foo = 1";
    let drawn = Condition::parse(text).unwrap().lints()[0].render(text);
    assert!(drawn.starts_with("warning[unknown-field]: Events have no field"), "{drawn}");
}

#[test]
fn the_examples_of_the_manual_compile_without_a_lint() {
    let manual = include_str!("../docs/rules.md");
    let examples: Vec<_> = manual.split("```rule\n").skip(1).collect();
    assert!(examples.len() > 4);
    for example in examples {
        let (text, _) = example.split_once("```").unwrap();
        assert_eq!(lints(text), [], "{text}");
    }
}

#[test]
fn the_manual_tells_how_chains_are_read() {
    let mut read_chains = 0;
    for line in include_str!("../docs/rules.md").lines() {
        let line = line.replace(r"\|", "\u{1}");
        let cells: Vec<_> = line.split(" | ").map(|cell| cell.trim_matches(['|', ' '])).collect();
        let [written, read] = cells[..] else { continue };
        let cell = |text: &str| text.trim_matches('`').replace('\u{1}', "|");
        let words =
            ["a", "b", "c", "!c", "not", "and", "or", "(a)", "NOT", "AND", "OR", "&&", "||"];
        if cell(written).split(' ').all(|word| words.contains(&word)) {
            let parse = |text: String| Condition::parse(&text).unwrap().to_string();
            assert_eq!(parse(cell(written)), parse(cell(read)), "{line}");
            read_chains += 1;
        }
    }
    assert_eq!(read_chains, 6);
}
