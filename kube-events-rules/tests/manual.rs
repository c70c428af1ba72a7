//! The tables of the manual, each row of which is a condition, an Event and what comes of it.

use std::collections::BTreeMap;

use kube_events_core::Event;
use kube_events_rules::{
    Condition, JsonEvent, Limits, LintKind, Lists, Subject, Template, Verdict,
};

const MANUAL: &str = include_str!("../docs/rules.md");

struct Row<'a> {
    condition: &'a str,
    event: &'a str,
    result: &'a str,
}

/// The rows of the only table whose header begins like this, each as its cells.
fn table(header: &str) -> Vec<Vec<String>> {
    let lines = MANUAL.lines().skip_while(|line| !line.starts_with(header)).skip(2);
    let rows = lines.take_while(|line| line.starts_with('|'));
    let cells = |row: &str| -> Vec<String> {
        let row = row.replace(r"\|", "\u{0}");
        let cells = row.trim_matches(['|', ' ']).split(" | ");
        cells.map(|cell| cell.trim().replace('\u{0}', "|")).collect()
    };
    let rows: Vec<_> = rows.map(cells).collect();
    assert!(!rows.is_empty(), "{header}");
    rows
}

/// What a cell has between backticks.
fn codes(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
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

/// What the table of tests has is shown by those of their results.
#[test]
fn every_test_is_shown() {
    let shown: Vec<_> = rows().iter().map(|row| row.condition).collect();
    for row in table("| Test | True if") {
        let text = codes(&row[0])[0].replace("age <", "age(lastTimestamp) <");
        assert!(shown.contains(&text.as_str()), "{text}");
    }
}

#[test]
fn every_field_is_known() {
    let unknown = |name: &str| {
        let condition = Condition::parse(&format!("{name} exists")).unwrap();
        condition.lints().iter().any(|lint| lint.kind().name() == "unknown-field")
    };
    assert!(unknown("resaon"));
    for row in table("| Field | What it is |") {
        let mut parent = String::new();
        for name in codes(&row[0]) {
            let name =
                if name.starts_with('.') { format!("{parent}{name}") } else { name.to_owned() };
            assert!(!unknown(&name), "{name}");
            parent = name.rsplit_once('.').map_or(String::new(), |(parent, _)| parent.to_owned());
        }
    }
}

#[test]
fn what_reads_as_a_number_or_a_boolean_does() {
    let holds = |condition: &str, text: &str| {
        let event = serde_json::json!({ "message": text }).to_string();
        let event = Event::decode(event.as_bytes()).unwrap();
        said(Condition::parse(condition).unwrap().evaluate(&Subject::new(&event)))
    };
    let rows = table("| A field reads as |");
    let [numbers, booleans] = &rows[..] else { panic!("a number, and a boolean") };
    for text in codes(&numbers[1]) {
        let expected = if text == "nan" { "false" } else { "true" };
        assert_eq!(holds("message > 0", text), expected, "{text}");
        assert_eq!(holds("message < 0", text), "false", "{text}");
    }
    for (texts, value) in codes(&booleans[1]).iter().zip(["true", "false"]) {
        for text in texts.split(' ') {
            assert_eq!(holds("message = true", text), value, "{text}");
            assert_eq!(
                holds("message != true", text),
                if value == "true" { "false" } else { "true" }
            );
        }
    }
}

#[test]
fn every_expression_gives_what_it_says() {
    for row in table("| Expression | Gives |") {
        let text = codes(&row[0])[0];
        let template = Template::parse(text);
        let template = template.unwrap_or_else(|error| panic!("{}", error.render(text)));
        let [event, gives] = codes(&row[2])[..] else { panic!("{text}: an Event and a text") };
        let event = Event::decode(event.as_bytes()).unwrap();
        assert_eq!(template.render(&Subject::new(&event)).unwrap(), gives, "{text}");
    }
}

#[test]
fn every_lint_of_a_condition_is_told_of() {
    let rows = table("| Lint | Told of |");
    let told: Vec<_> = rows.iter().flat_map(|row| codes(&row[0])).collect();
    for kind in LintKind::ALL {
        assert!(told.contains(&kind.name()), "{}", kind.name());
    }
}
