//! `rules eval`: conditions on Events, in bulk.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, Write, stdin, stdout},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use kube_events_core::Event;
use kube_events_rules::{Condition, Error, JsonEvent, Limits, MapView, Subject, Verdict};
use serde::Serialize;
use serde_json::{Map, Value};

/// What `rules eval` is told.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct EvalOptions {
    /// JSON objects, one a line; `-` is the standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    pub file: PathBuf,
    /// A JSON object of Events, which cases may name.
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// The API that Events are read as.
    #[arg(long, value_enum, default_value_t)]
    pub event_api: EventApi,
    /// Bytes that a condition may have. The ruler takes up to 16384.
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 10)]
    pub max_length: usize,
}

/// The API that Events are read as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum EventApi {
    /// `v1`, whatever an Event says of itself: what the members of `v1` hold.
    #[default]
    V1,
    /// The one that an Event says it is of, as the ruler reads it: `note` is `message`, and so on.
    Auto,
}

const EXAMPLES: &str = "\
Each line in:  {\"id\": …, \"expr\": CONDITION, \"event\": EVENT or its name in --events}
          or:  {\"id\": …, \"expr\": CONDITION, \"map\": {NAME: VALUE, …}}
Each line out: {\"id\": …, \"valid\": …, \"match\": …, \"error\": …}

  true, true or false, null    the condition holds, or it does not
  true, false, REASON          it cannot be decided on this Event, so it does not match
  true, null, MESSAGE          there is nothing to evaluate it on
  false, null, MESSAGE         it was refused, or the line is no such object

Example:
  echo '{\"id\": 1, \"expr\": \"count > 3\", \"event\": {\"count\": 4}}' | kube-events rules eval";

/// One line of the output.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Answer {
    id: Value,
    valid: bool,
    #[serde(rename = "match")]
    matched: Option<bool>,
    error: Option<String>,
}

/// How cases are evaluated.
#[derive(Debug)]
struct Evaluator {
    events: BTreeMap<String, Value>,
    api: EventApi,
    limits: Limits,
}

pub(super) fn run(options: &EvalOptions) -> anyhow::Result<ExitCode> {
    let evaluator = Evaluator::new(options)?;
    if options.file.as_os_str() == "-" {
        evaluator.run(stdin().lock(), stdout().lock())?;
    } else {
        evaluator.run(BufReader::new(open(&options.file)?), stdout().lock())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path).with_context(|| format!("cannot read {}", path.display()))
}

fn named_events(path: &Path) -> anyhow::Result<BTreeMap<String, Value>> {
    serde_json::from_reader(BufReader::new(open(path)?))
        .with_context(|| format!("{} is no JSON object of Events", path.display()))
}

// === impl Evaluator ===

impl Evaluator {
    fn new(options: &EvalOptions) -> anyhow::Result<Self> {
        let events = options.events.as_deref().map(named_events).transpose()?;
        Ok(Self {
            events: events.unwrap_or_default(),
            api: options.event_api,
            limits: Limits { length: options.max_length, ..Limits::default() },
        })
    }

    /// Answers every line that is not blank as soon as it is read.
    fn run(&self, mut input: impl BufRead, mut output: impl Write) -> anyhow::Result<()> {
        let mut line = Vec::new();
        while input.read_until(b'\n', &mut line).context("cannot read the cases")? > 0 {
            if !line.trim_ascii().is_empty() {
                let mut answer = serde_json::to_vec(&self.answer(&line))?;
                answer.push(b'\n');
                output.write_all(&answer)?;
                output.flush()?;
            }
            line.clear();
        }
        Ok(())
    }

    fn answer(&self, line: &[u8]) -> Answer {
        let mut case: Map<String, Value> = match serde_json::from_slice(line) {
            Ok(case) => case,
            Err(error) => return Answer::failed(Value::Null, error.to_string()),
        };
        let id = case.remove("id").unwrap_or_default();
        let Some(text) = case.get("expr").and_then(Value::as_str) else {
            return Answer::failed(id, "there is no text `expr`".to_owned());
        };
        match Condition::parse_within(text, &self.limits) {
            Err(error) => Answer::failed(id, refusal(&error)),
            Ok(condition) => Answer::of_verdict(id, self.verdict(&condition, &case)),
        }
    }

    fn verdict(&self, condition: &Condition, case: &Map<String, Value>) -> Result<Verdict, String> {
        match (case.get("event"), case.get("map")) {
            (Some(event), None) => self.on_event(condition, event),
            (None, Some(Value::Object(map))) => Ok(condition.evaluate(&MapView(map))),
            (None, Some(_)) => Err("`map` is no object".to_owned()),
            (Some(_), Some(_)) => Err("there are both `event` and `map`".to_owned()),
            (None, None) => Err("there is neither `event` nor `map`".to_owned()),
        }
    }

    fn on_event(&self, condition: &Condition, event: &Value) -> Result<Verdict, String> {
        let event = match event {
            Value::String(name) => {
                self.events.get(name).ok_or_else(|| format!("no Event is named `{name}`"))?
            }
            event => event,
        };
        if !event.is_object() {
            return Err("the Event is no object".to_owned());
        }
        match self.api {
            EventApi::V1 => Ok(condition.evaluate(&JsonEvent::core(event))),
            EventApi::Auto => Event::decode(event.to_string().as_bytes())
                .map(|event| condition.evaluate(&Subject::new(&event)))
                .map_err(|error| format!("the Event cannot be decoded: {error}")),
        }
    }
}

fn refusal(error: &Error) -> String {
    match error.suggestion() {
        Some(help) => format!("{error}; {help}"),
        None => error.to_string(),
    }
}

// === impl Answer ===

impl Answer {
    fn failed(id: Value, error: String) -> Self {
        Self { id, error: Some(error), ..Self::default() }
    }

    fn of_verdict(id: Value, verdict: Result<Verdict, String>) -> Self {
        let (matched, error) = match verdict {
            Ok(Verdict::Undecided(reason)) => (Some(false), Some(reason.to_string())),
            Ok(verdict) => (Some(verdict.matches()), None),
            Err(error) => (None, Some(error)),
        };
        Self { id, valid: true, matched, error }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn evaluator(api: EventApi) -> Evaluator {
        let events = BTreeMap::from([("pod".to_owned(), json!({"reason": "BackOff"}))]);
        Evaluator { events, api, limits: Limits::default() }
    }

    fn answer(line: &Value) -> Value {
        serde_json::to_value(evaluator(EventApi::V1).answer(line.to_string().as_bytes())).unwrap()
    }

    #[test]
    fn a_condition_matches_or_does_not() {
        for (case, matched) in [
            (json!({"expr": "count > 3", "event": {"count": 4}}), true),
            (json!({"expr": "count > 3", "event": {"count": 3}}), false),
            (json!({"expr": "reason = \"BackOff\"", "event": "pod"}), true),
            (json!({"expr": "a[*] contains \"x\"", "map": {"a": ["y", "x"]}}), true),
        ] {
            let expected = json!({"id": null, "valid": true, "match": matched, "error": null});
            assert_eq!(answer(&case), expected, "{case}");
        }
    }

    #[test]
    fn undecided_and_refused_say_why() {
        let undecided = answer(&json!({"id": [1], "expr": "message > 3", "event": {}}));
        let reason = "a field does not read as a number";
        let expected = json!({"id": [1], "valid": true, "match": false, "error": reason});
        assert_eq!(undecided, expected);
        let refused = answer(&json!({"id": "x", "expr": "count >", "event": {}}));
        assert_eq!((&refused["valid"], &refused["match"]), (&json!(false), &Value::Null));
        assert!(refused["error"].as_str().unwrap().starts_with("expected a string"), "{refused}");
    }

    #[test]
    fn a_condition_without_anything_to_evaluate_it_on_is_checked_only() {
        for (rest, part) in [
            (json!({}), "neither"),
            (json!({"event": {}, "map": {}}), "both"),
            (json!({"event": "nobody"}), "`nobody`"),
            (json!({"event": 5}), "no object"),
            (json!({"map": []}), "no object"),
        ] {
            let mut case = json!({"expr": "count > 3"});
            case.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            let answer = answer(&case);
            assert_eq!((&answer["valid"], &answer["match"]), (&json!(true), &Value::Null));
            assert!(answer["error"].as_str().unwrap().contains(part), "{answer}");
        }
    }

    #[test]
    fn every_line_has_an_answer_whatever_it_is() {
        let lines = b"\n{\n[]\n\xff\n{\"id\": 7}\n  \r\n{\"expr\": 5}\n\0";
        let mut out = Vec::new();
        evaluator(EventApi::V1).run(&lines[..], &mut out).unwrap();
        let answers: Vec<Value> = String::from_utf8(out)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(answers.len(), 6);
        for answer in &answers {
            assert_eq!((&answer["valid"], &answer["match"]), (&json!(false), &Value::Null));
            assert!(answer["error"].is_string());
        }
        assert_eq!(answers[3]["id"], 7);
    }

    #[test]
    fn an_event_of_the_other_api_is_read_as_the_ruler_does_where_it_is_asked_for() {
        let event = json!({"apiVersion": "events.k8s.io/v1", "note": "Pulling image"});
        let line = json!({"expr": "message contains \"image\"", "event": event}).to_string();
        let matched = |api| evaluator(api).answer(line.as_bytes()).matched;
        assert_eq!(matched(EventApi::V1), Some(false));
        assert_eq!(matched(EventApi::Auto), Some(true));
        let line = br#"{"expr": "count > 3", "event": {"count": "many"}}"#;
        let answer = evaluator(EventApi::Auto).answer(line);
        assert!(answer.error.unwrap().starts_with("the Event cannot be decoded"));
    }
}
