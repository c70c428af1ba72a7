//! The tables of the manual, each row of which is a condition, an Event and what comes of it.

use std::collections::BTreeMap;

use kube_events_core::Event;
use kube_events_rules::{Condition, JsonEvent, Limits, Lists, Subject, Verdict};

const MANUAL: &str = include_str!("../docs/rules.md");

struct Row<'a> {
    condition: &'a str,
    event: &'a str,
    result: &'a str,
}

/// The rows of all tables whose columns are these three.
fn rows() -> Vec<Row<'static>> {
    let mut rows = Vec::new();
    let mut inside = false;
    for line in MANUAL.lines() {
        inside = line == "| Condition | Event | Result |" || inside && line.starts_with('|');
        let cells: Vec<_> = line.trim_matches(['|', ' ']).split(" | ").collect();
        if let (true, [condition, event, result]) = (inside && line.starts_with("| `"), &*cells) {
            rows.push(Row { condition: code(condition), event: code(event), result });
        }
    }
    rows
}

fn code(cell: &str) -> &str {
    cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`')).expect("a cell of code")
}

fn said(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::True => "true",
        Verdict::False => "false",
        Verdict::Undecided(_) => "undecided",
    }
}

#[test]
fn every_row_comes_out_as_it_says_on_either_view() {
    let noisy = vec!["Pulled".to_owned(), "Created".to_owned()];
    let lists = Lists::from(&BTreeMap::from([("noisy".to_owned(), noisy)]));
    let noon = "2026-01-01T12:00:00Z".parse().unwrap();
    let rows = rows();
    assert!(rows.len() > 80, "{} rows", rows.len());
    for Row { condition: text, event: json, result } in rows {
        let condition = Condition::parse_with(text, &Limits::default(), &lists);
        let condition = condition.unwrap_or_else(|error| panic!("{}", error.render(text)));
        let event =
            Event::decode(json.as_bytes()).unwrap_or_else(|error| panic!("{json}: {error}"));
        assert_eq!(
            said(condition.evaluate(&Subject::at(&event, noon))),
            result,
            "{text} on {json}"
        );
        let whole = serde_json::from_str(json).unwrap();
        let view = JsonEvent::new(&whole).at(noon);
        assert_eq!(said(condition.evaluate(&view)), result, "{text} on the JSON {json}");

        let printed = condition.to_string();
        let again = Condition::parse_with(&printed, &Limits::default(), &lists).unwrap();
        assert_eq!(again.to_string(), printed);
        assert_eq!(said(again.evaluate(&view)), result, "{printed} on {json}");
    }
}
