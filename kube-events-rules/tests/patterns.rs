//! Patterns and what Go's `regexp` package (1.26) says about them.
//!
//! The first line of `corpus/patterns.jsonl` is a list of texts; each other line is a pattern,
//! whether Go compiles it, and the texts that it finds something in.

use kube_events_rules::{Condition, JsonEvent, Verdict};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Case {
    pattern: String,
    valid: bool,
    matches: Vec<usize>,
}

/// A condition on the reason. After an odd number of backslashes a string ends with two quotes.
fn condition(pattern: &str) -> String {
    let backslashes = pattern.bytes().rev().take_while(|b| *b == b'\\').count();
    format!("reason regex \"{pattern}\"{}", if backslashes % 2 == 1 { "\"" } else { "" })
}

impl Case {
    fn complaint(&self, events: &[Value]) -> Option<String> {
        match Condition::parse(&condition(&self.pattern)) {
            Err(error) if self.valid => Some(format!("refused: {error}")),
            Err(_) => None,
            Ok(_) if !self.valid => Some("accepted".into()),
            Ok(condition) => {
                let matches = |event| condition.evaluate(&JsonEvent::new(event)) == Verdict::True;
                let found: Vec<_> = (0..events.len()).filter(|i| matches(&events[*i])).collect();
                (found != self.matches).then(|| format!("{found:?}, not {:?}", self.matches))
            }
        }
    }
}

#[test]
fn patterns_mean_what_they_mean_in_go() {
    let mut lines = include_str!("corpus/patterns.jsonl").lines();
    let texts: Vec<String> = serde_json::from_str(lines.next().unwrap()).unwrap();
    let events: Vec<_> = texts.iter().map(|text| json!({"reason": text})).collect();
    let cases: Vec<Case> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(cases.len() > 1000);
    let complaints: Vec<_> = cases
        .iter()
        .filter_map(|case| Some(format!("{:?}: {}", case.pattern, case.complaint(&events)?)))
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
