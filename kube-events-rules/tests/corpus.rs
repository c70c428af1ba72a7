//! The recorded evaluations of the Go engine, and what this crate makes of them.
//!
//! `corpus/README.md` describes the cases and what is wanted for each kind.

use std::collections::BTreeMap;

use kube_events_core::Event;
use kube_events_rules::{Condition, Error, JsonEvent, Limits, MapView, Subject, Verdict};
use serde::Deserialize;
use serde_json::{Map, Value};

const CASES: &str = include_str!("corpus/rules-v1alpha1.jsonl");
const EVENTS: &str = include_str!("corpus/events.json");

/// Cases that differ in every view: member names of the Event's JSON are matched exactly.
const MEMBER_CASE: [&str; 6] =
    ["decode-0001", "decode-0002", "decode-0003", "decode-0004", "decode-0005", "decode-0006"];

/// Cases on an Event of `events.k8s.io/v1`, of which the Go engine saw next to nothing, and which
/// a decoded Event shows under the names of `core/v1`.
const OTHER_API: [&str; 2] = ["in-0002", "random-0021"];

/// How the corpus looks at Events.
#[derive(Clone, Copy)]
enum View {
    /// As `core/v1`, like the Go engine.
    Core,
    /// Decoded, of the API that they say they are.
    Decoded,
}

type Events = BTreeMap<String, Value>;

#[derive(Deserialize)]
struct Case {
    id: String,
    expr: String,
    event: Option<Value>,
    map: Option<Map<String, Value>>,
    clean: bool,
    #[serde(rename = "match")]
    matched: Option<bool>,
}

fn cases() -> Vec<Case> {
    CASES.lines().map(|line| serde_json::from_str(line).expect("one case a line")).collect()
}

fn events() -> Events {
    serde_json::from_str(EVENTS).expect("an object of Events")
}

/// The corpus shows that long texts ran, longer than what is allowed by default.
fn parse(text: &str) -> Result<Condition, Error> {
    Condition::parse_within(text, &Limits { length: 32 << 10, ..Limits::default() })
}

impl Case {
    fn verdict(&self, condition: &Condition, events: &Events, view: View) -> Verdict {
        let event = match (&self.map, &self.event) {
            (Some(map), _) => return condition.evaluate(&MapView(map)),
            (None, Some(Value::String(name))) => &events[name],
            (None, Some(event)) => event,
            (None, None) => panic!("{} has neither an event nor a map", self.id),
        };
        match view {
            View::Core => condition.evaluate(&JsonEvent::core(event)),
            View::Decoded => {
                let event = Event::decode(event.to_string().as_bytes());
                let event = event.expect("the corpus holds Events");
                condition.evaluate(&Subject::new(&event))
            }
        }
    }

    /// What is wrong with the outcome, if anything.
    fn complaint(&self, events: &Events, view: View) -> Option<String> {
        let parsed = parse(&self.expr);
        let verdict = parsed.as_ref().map(|condition| self.verdict(condition, events, view));
        match (self.clean, self.matched, verdict) {
            (true, Some(true), Ok(Verdict::True)) | (true, Some(false), Ok(Verdict::False)) => None,
            (true, None, Ok(verdict)) => self.complaint_about_failure(verdict),
            (true, None, Err(error)) | (false, _, Err(error)) => {
                complaint_about_refusal(&self.expr, error)
            }
            (false, _, Ok(verdict)) => self.complaint_about_meaning(verdict, events, view),
            (true, _, outcome) => Some(format!("{outcome:?}")),
        }
    }

    /// Where the old engine failed, a condition is undecided unless its logic decides it.
    fn complaint_about_failure(&self, verdict: Verdict) -> Option<String> {
        let joined = self.expr.contains("and") || self.expr.contains("or");
        let fine = joined || matches!(verdict, Verdict::Undecided(_));
        (!fine).then(|| format!("{verdict:?}"))
    }

    /// Malformed text is accepted where it has words of later versions, which mean what the old ones
    /// mean, and where a `not` stands before a name that begins like an operator, as if a line
    /// ended after that `not`.
    fn complaint_about_meaning(
        &self,
        verdict: Verdict,
        events: &Events,
        view: View,
    ) -> Option<String> {
        let words = [("&&", "and"), ("||", "or"), (" OR ", " or "), ("NOT ", "not ")];
        let old = words.iter().fold(self.expr.clone(), |text, (new, old)| text.replace(new, old));
        let apart = old.replace("not in", "not\nin").replace("not like", "not\nlike");
        let apart = apart.replace("not contains", "not\ncontains");
        let apart = apart.replace("not regex", "not\nregex").replace("not exists", "not\nexists");
        // What was an operator is one again.
        let apart =
            ["in", "like", "contains", "regex", "exists"].iter().fold(apart, |text, word| {
                let glued = ["", " ", "(", "\"", ")"].map(|end| format!("not\n{word}{end}"));
                glued[1..].iter().fold(text, |text, glued| {
                    text.replace(glued.as_str(), &glued.replace('\n', " "))
                })
            });
        match parse(&apart).map(|condition| self.verdict(&condition, events, view)) {
            _ if apart == self.expr => Some("accepted".into()),
            Ok(meant) if meant == verdict => None,
            outcome => Some(format!("{verdict:?}, but apart {outcome:?}")),
        }
    }
}

fn complaint_about_refusal(text: &str, error: &Error) -> Option<String> {
    let (start, end) = (error.span().start, error.span().end);
    let inside = start <= end && text.get(start..end).is_some();
    let drawn = error.render(text).contains('^');
    let explained =
        error.suggestion().is_some() || error.to_string().starts_with("invalid pattern");
    let large = error.to_string().contains("too large") || error.to_string().contains("characters");
    (!inside || !drawn || !(explained || large)).then(|| error.render(text))
}

/// Asserts that exactly the excepted cases differ.
fn assert_corpus(view: View, exceptions: &[&str]) {
    let events = events();
    let cases = cases();
    assert_eq!(cases.len(), 2768);
    let mut missing: Vec<_> = exceptions.to_vec();
    let mut complaints = Vec::new();
    for case in &cases {
        let Some(complaint) = case.complaint(&events, view) else { continue };
        if exceptions.contains(&&*case.id) {
            missing.retain(|id| *id != case.id);
        } else {
            let (id, expr, matched) = (&case.id, &case.expr, case.matched);
            complaints.push(format!("{id} {matched:?}: {complaint}\n    {expr:?}"));
        }
    }
    assert!(complaints.is_empty(), "{} cases:\n{}", complaints.len(), complaints.join("\n"));
    // Half of the questions about member names come out the same either way.
    assert!(missing.iter().all(|id| MEMBER_CASE.contains(id)), "no exceptions: {missing:?}");
}

#[test]
fn every_recorded_case_comes_out_as_wanted_on_core_events() {
    assert_corpus(View::Core, &MEMBER_CASE);
}

#[test]
fn every_recorded_case_comes_out_as_wanted_on_decoded_events() {
    assert_corpus(View::Decoded, &[MEMBER_CASE.as_slice(), &OTHER_API].concat());
}

#[test]
fn every_accepted_condition_prints_a_text_that_means_the_same() {
    let events = events();
    for case in cases() {
        let Ok(condition) = parse(&case.expr) else { continue };
        let printed = condition.to_string();
        let limits = Limits { length: 1 << 20, ..Limits::default() };
        let again = Condition::parse_within(&printed, &limits).unwrap();
        assert_eq!(again.to_string(), printed, "{}", case.id);
        assert_eq!(
            case.verdict(&again, &events, View::Core),
            case.verdict(&condition, &events, View::Core),
            "{}: {printed}",
            case.id
        );
    }
}

/// What an error looks like to a person: the whole list, for review.
#[test]
#[ignore = "prints the diagnostics of all refused cases"]
fn diagnostics() {
    for case in cases() {
        if let Err(error) = parse(&case.expr) {
            println!("{}\n{}\n", case.id, error.render(&case.expr));
        }
    }
}
