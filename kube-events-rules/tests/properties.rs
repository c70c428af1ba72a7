//! What holds for every text.

use kube_events_rules::{Condition, ErrorKind, JsonEvent, Limits, Template, Verdict};
use proptest::prelude::*;
use serde_json::{Value, json};

/// An Event on which `type` holds, `action` does not, and `reason` is undecided.
fn event() -> Value {
    json!({
        "type": "true", "action": "false", "reason": "BackOff", "message": "line one\nline two",
        "count": 27, "lastTimestamp": "2026-01-01T11:55:00Z",
        "metadata": {"labels": {"team": "sre"}, "finalizers": ["a"]},
        "involvedObject": {"kind": "Pod", "name": "web-1"}
    })
}

fn roomy() -> Limits {
    Limits { length: 1 << 20, ..Limits::default() }
}

/// The logic of a condition, without any syntax.
#[derive(Clone, Debug)]
enum Logic {
    Leaf(Option<bool>),
    Not(Box<Logic>),
    And(Box<Logic>, Box<Logic>),
    Or(Box<Logic>, Box<Logic>),
}

impl Logic {
    fn any() -> impl Strategy<Value = Self> {
        let leaf = prop_oneof![Just(Some(true)), Just(Some(false)), Just(None)];
        leaf.prop_map(Self::Leaf).prop_recursive(8, 64, 2, |inner| {
            let pair = (inner.clone(), inner.clone());
            prop_oneof![
                inner.prop_map(|a| Self::Not(Box::new(a))),
                pair.clone().prop_map(|(a, b)| Self::And(Box::new(a), Box::new(b))),
                pair.prop_map(|(a, b)| Self::Or(Box::new(a), Box::new(b))),
            ]
        })
    }

    fn value(&self) -> Option<bool> {
        match self {
            Self::Leaf(value) => *value,
            Self::Not(a) => a.value().map(|a| !a),
            Self::And(a, b) => match (a.value(), b.value()) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Self::Or(a, b) => match (a.value(), b.value()) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Leaf(Some(true)) => "type".into(),
            Self::Leaf(Some(false)) => "action".into(),
            Self::Leaf(None) => "reason".into(),
            Self::Not(a) => format!("(not {})", a.text()),
            Self::And(a, b) => format!("({} and {})", a.text(), b.text()),
            Self::Or(a, b) => format!("({} or {})", a.text(), b.text()),
        }
    }
}

/// Pieces that make up nearly every condition, right or wrong.
fn soup() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "type",
        "reason",
        "count",
        "foo",
        "involvedObject.kind",
        "metadata.labels",
        "a[0].b",
        "a[*]",
        "not",
        "not ",
        "!",
        "and",
        "or",
        "(",
        ")",
        "=",
        "!=",
        ">",
        "<",
        ">=",
        "<=",
        "contains",
        "in",
        "not in",
        "like",
        "not like",
        "regex",
        "exists",
        "not exists",
        ",",
        "\"BackOff\"",
        "\"\"",
        "\"x\\\"\"",
        "\"[a\"",
        "\"^B.*\"",
        "\"*Off?\"",
        "5",
        "-1.5",
        "27",
        "true",
        "False",
        " ",
        "\n",
        "&&",
        "'x'",
        "é",
        ".",
        "-",
        "\"",
        "\\",
        "==",
        "||",
        "AND",
        "OR",
        "NOT",
        "icontains",
        "ilike",
        "iequals",
        "not ilike",
        "age",
        "age(",
        "lastTimestamp",
        "10m",
        "1h30m",
        "@noisy",
        "metadata.labels[\"a/b\"]",
        "metadata.annotations['c']",
        "$.metadata.labels['team']",
        "$..name",
        "$",
        "'a\\'b\"'",
        "'\\n'",
        "'\\q'",
        "'",
    ]);
    prop::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.join(" "))
}

/// Texts that are conditions.
fn condition() -> impl Strategy<Value = String> {
    let test = prop::sample::select(vec![
        "type",
        "reason = 5",
        "count >= 27",
        "count in (27, \"x\")",
        "foo != \"x\"",
        "type exists",
        "involvedObject.kind not in (\"Pod\")",
        "reason like \"B*f?\"",
        "message regex \"(?m)two$\"",
        "metadata.labels contains \"team:sre\"",
        "reason = \"x\\\"\"",
        "count = true",
        "metadata.finalizers[0] contains \"a\"",
        "related not exists",
        "series.count < 3",
        "message = \"a\\\\\"",
        "in.x exists",
        "reason == 'a\"b\\\\'",
        "message icontains 'TWO'",
        "reason not iequals \"backoff\"",
        "reason ilike \"^b?ck*$\"",
        "metadata.labels[\"team\"] = 'sre'",
        "metadata.annotations['te\"am'] not exists",
        "$.metadata.finalizers[*] not in ('b')",
        "$..name contains \"web\"",
        "$.metadata.finalizers[?@ == 'a'] exists",
        "age(lastTimestamp) < 1h30m",
        "age > 10y",
        "age exists",
        "occurrences = 27",
        "NOT != 'x'",
        "AND exists",
        "ilike not exists",
    ]);
    let start = prop::sample::select(vec!["", "not ", "! ", "(", "not (", "not not ", "NOT "]);
    let joint = prop::sample::select(vec![
        " and ", " or ", ") and ", ") or ", " AND ", " OR ", "&&", "||", ")&&", ") OR ",
    ]);
    prop::collection::vec((start, test, joint), 1..12).prop_map(|parts| {
        let mut text = String::new();
        let (mut open, last) = (0, parts.len() - 1);
        for (i, (start, test, joint)) in parts.into_iter().enumerate() {
            open += start.matches('(').count();
            text += start;
            text += test;
            let joint = if open == 0 { joint.trim_start_matches(')') } else { joint };
            open -= joint.matches(')').count().min(open);
            text += if i == last { "" } else { joint };
            open += if i == last { joint.matches(')').count() } else { 0 };
        }
        text + &")".repeat(open)
    })
}

fn assert_prints_the_same(text: &str) -> Result<(), TestCaseError> {
    let Ok(condition) = Condition::parse(text) else { return Ok(()) };
    let printed = condition.to_string();
    let again = match Condition::parse_within(&printed, &roomy()) {
        Ok(again) => again,
        Err(error) => {
            return Err(TestCaseError::fail(format!("{text:?} prints {printed:?}: {error}")));
        }
    };
    prop_assert_eq!(again.to_string(), printed);
    let event = event();
    let view = JsonEvent::new(&event);
    prop_assert_eq!(again.evaluate(&view), condition.evaluate(&view));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn undecided_tests_follow_three_valued_logic(logic in Logic::any()) {
        let event = event();
        let condition = Condition::parse_within(&logic.text(), &roomy()).unwrap();
        let verdict = condition.evaluate(&JsonEvent::new(&event));
        let expected = match logic.value() {
            Some(true) => verdict == Verdict::True,
            Some(false) => verdict == Verdict::False,
            None => matches!(verdict, Verdict::Undecided(_)),
        };
        prop_assert!(expected, "{}", logic.text());
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        if let Err(error) = Condition::parse(&text) {
            let span = error.span();
            prop_assert!(text.get(span.start..span.end).is_some());
            error.render(&text);
            error.render("");
        }
    }

    #[test]
    fn what_parses_of_a_soup_prints_the_same(text in soup()) {
        if let Err(error) = Condition::parse(&text) {
            error.render(&text);
        }
        assert_prints_the_same(&text)?;
    }

    #[test]
    fn every_condition_prints_a_text_that_means_the_same(text in condition()) {
        let parsed = Condition::parse(&text);
        prop_assert!(parsed.is_ok(), "{text:?}: {}", parsed.unwrap_err());
        assert_prints_the_same(&text)?;
    }

    #[test]
    fn every_string_can_be_printed(text in r#"[a\\ "*]{0,8}"#) {
        assert_prints_the_same(&format!("reason = \"{text}\" or type = \"x\""))?;
        assert_prints_the_same(&format!("reason = \"{text}\""))?;
    }

    #[test]
    fn every_escaped_string_can_be_printed(text in r#"([a"*é ]|\\[ntr\\'"]|\\u\{[1-9a-f]{1,4}\}){0,8}"#) {
        prop_assume!(Condition::parse(&format!("reason = '{text}'")).is_ok());
        assert_prints_the_same(&format!("reason = '{text}' or type = \"x\""))?;
        assert_prints_the_same(&format!("reason like \"x\" or reason icontains '{text}'"))?;
    }

    #[test]
    fn no_path_makes_it_panic(path in r"\$([.]{1,2}[a*]|\[[0-9?@.a*:'\]-]{0,6}\]){0,4}") {
        let event = event();
        let text = format!("{path} = \"a\"");
        match Condition::parse(&text) {
            Ok(condition) => drop(condition.evaluate(&JsonEvent::new(&event))),
            Err(error) => drop(error.render(&text)),
        }
    }

    #[test]
    fn a_string_finds_itself_whatever_its_case(text in any::<String>()) {
        let json = json!({"message": text});
        let mut literal = String::new();
        for c in text.chars() {
            literal.push_str(&c.escape_unicode().to_string());
        }
        for test in ["iequals", "icontains", "="] {
            let condition = Condition::parse(&format!("message {test} '{literal}'")).unwrap();
            prop_assert_eq!(condition.evaluate(&JsonEvent::new(&json)), Verdict::True);
        }
    }

    #[test]
    fn no_template_makes_it_panic(text in any::<String>(), inside in r#"[a-z .|'"()\[\]0-9<>=!,-]{0,24}"#) {
        let event = event();
        for text in [text, format!("{{{{ {inside} }}}}"), format!("{{{{ message | {inside} }}}}")] {
            match Template::parse(&text) {
                Ok(template) => drop(template.render(&JsonEvent::new(&event))),
                Err(error) => drop(error.render(&text)),
            }
        }
    }

    #[test]
    fn no_pattern_makes_it_panic(pattern in r"[\[\]\\(){}?*+|^$.a-cPpdxQE0-9:<>,&-]{0,16}") {
        let event = event();
        let text = format!("reason regex \"{pattern}\"");
        match Condition::parse(&text) {
            Ok(condition) => drop(condition.evaluate(&JsonEvent::new(&event))),
            Err(error) => drop(error.render(&text)),
        }
    }
}

#[test]
fn depth_costs_no_call_stack() {
    let depth = Limits::default().depth;
    let event = event();
    for (open, close) in [("(", ")"), ("!", ""), ("not ", ""), ("(type and ", ")"), ("!(", ")")] {
        let levels = depth / open.matches(['!', '(', 'n']).count().max(1) / 2;
        let text = format!("{}type{}", open.repeat(levels), close.repeat(levels));
        let condition = Condition::parse_within(&text, &roomy()).unwrap();
        assert_ne!(condition.evaluate(&JsonEvent::new(&event)), Verdict::False, "{open}");
        assert_eq!(
            Condition::parse_within(&condition.to_string(), &roomy()).unwrap().to_string(),
            condition.to_string()
        );
    }
}

#[test]
fn what_is_too_deep_or_too_long_is_refused() {
    let small = 1 << 14;
    let limits = Limits {
        depth: 3,
        length: 100,
        pattern_size: small,
        patterns_size: small,
        ..Limits::default()
    };
    let kind =
        |text: &str| Condition::parse_within(text, &limits).map(drop).map_err(|e| e.kind().clone());
    assert_eq!(kind("(((type)))"), Ok(()));
    assert_eq!(kind("((((type))))"), Err(ErrorKind::TooDeep { limit: 3 }));
    let long = ErrorKind::TooLong { length: 101, limit: 100 };
    let text = format!("type{}", " ".repeat(97));
    assert_eq!(kind(&text), Err(long.clone()));
    let drawn = Condition::parse_within(&text, &limits).unwrap_err().render(&text);
    assert_eq!(drawn, format!("error: {long}"), "there is no place to draw");
    let large = ErrorKind::PatternTooLarge { limit: 1 << 14 };
    assert_eq!(kind(r#"reason regex "\pL{900}""#), Err(large));
}

#[test]
fn the_deepest_pattern_costs_little_call_stack() {
    let pattern = |open: &str, close: &str, groups| {
        format!("reason regex \"{}B{}\"", open.repeat(groups), close.repeat(groups))
    };
    let refused = |text: String| Condition::parse(&text).unwrap_err().to_string();
    for (open, close, groups) in [("(a?", ")*", 49), ("(", ")", 999), ("(a|b", "|)", 49)] {
        let condition = Condition::parse(&pattern(open, close, groups)).unwrap();
        let verdict = condition.evaluate(&JsonEvent::new(&event()));
        assert_eq!(verdict, Verdict::True, "{open}");
        assert!(refused(pattern(open, close, groups + 60)).contains("too deeply"), "{open}");
    }
    // Flags between two repetitions make them nest without any group.
    assert!(refused(format!("reason regex \"B{}\"", "*(?i)".repeat(200))).contains("too deeply"));
}
