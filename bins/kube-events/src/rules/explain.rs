//! `rules explain`: why rules match an Event, or do not.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use clap::Args;
use kube_events_core::Event;
use kube_events_rules::{Asked, Explanation, Kind, Reason, Rule, RuleSet, Subject, Verdict};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    check::Format,
    events,
    source::{RulesOptions, scope, title},
    style::{BAD, DIM, GOOD, STRONG, UNSURE, paint},
};

/// What `rules explain` is told.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExplainOptions {
    /// Events as JSON: one, one a line, an array, or a List of `kubectl get -o json`; `-` is the
    /// standard input.
    #[arg(value_name = "EVENT", default_value = "-")]
    pub events: PathBuf,
    /// The rules.
    #[command(flatten)]
    pub rules: RulesOptions,
    /// Explain the rules of this name only, and in full.
    #[arg(long, value_name = "NAME")]
    pub rule: Vec<String>,
    /// How it is printed.
    #[arg(long, short = 'o', visible_alias = "output", value_enum, default_value_t)]
    pub format: Format,
}

const EXAMPLES: &str = "\
Rules that match are shown with each of their tests: what it says, and the value that it was made on.
So are rules whose alert the Event ends (`resolve`), or that waited for it (`absence`). The tests that
decide have a `*`. Of the other rules the test that decides is shown. Ages are counted to the time of
the Event.

Exit codes: 0 it was explained, 1 some of the rules do not compile, 2 nothing could be explained.

Examples:
  kubectl get event web-0.1 -o json | kube-events rules explain
  kube-events rules explain --rules rules/ --rule CrashLooping event.json
  kube-events rules explain --rules rules/ event.json -o json | jq '.[].rules[] | select(.matched)'";

/// What became of a rule.
#[derive(Debug)]
struct Explained<'a> {
    rule: &'a Rule,
    fate: Fate<'a>,
    /// Where it leads, if it is a route.
    sinks: Vec<String>,
    condition: Condition,
    /// Whether the Event ends alerts of the rule, for rules that say by which condition.
    resolve: Option<Condition>,
    /// Whether the Event is what has to follow others that the rule matches.
    expected: Option<Condition>,
}

/// A condition of a rule, and what it says of the Event.
#[derive(Debug)]
struct Condition {
    text: String,
    why: Explanation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate<'a> {
    Matched,
    /// It matched, and a rule of this name took the Event from it.
    Dropped(&'a str),
    /// Its condition holds, but the rules of its tenant ask too much of the Event.
    TooCostly,
    NotMatched,
    /// The Event is of another namespace.
    OutOfScope,
}

/// A rule as programs read it.
#[derive(Serialize)]
struct Answer<'a> {
    namespace: &'a str,
    object: &'a str,
    rule: &'a str,
    r#type: &'a str,
    scope: String,
    #[serde(rename = "inScope")]
    in_scope: bool,
    matched: bool,
    #[serde(rename = "droppedBy")]
    dropped_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undecided: Option<&'static str>,
    #[serde(rename = "hasState")]
    has_state: bool,
    /// Where a route leads.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    sinks: &'a [String],
    condition: &'a str,
    tests: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolve: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<Value>,
}

pub(super) fn run(options: &ExplainOptions) -> anyhow::Result<ExitCode> {
    let read = options.rules.read()?;
    options.rule.iter().try_for_each(|name| read.check_name(name))?;
    read.tell_disabled()?;
    let recording = events::read(&options.events)?;
    let mut stderr = anstream::stderr();
    for mistake in &recording.mistakes {
        writeln!(stderr, "{mistake}")?;
    }
    let explained =
        recording.events.iter().map(|event| (event, explain(&read.rules, event, options)));
    let text = match options.format {
        Format::Json => {
            let answers: Vec<_> = explained.map(|(event, all)| answer(event, &all)).collect();
            serde_json::to_string_pretty(&answers)? + "\n"
        }
        Format::Text => {
            let in_full = !options.rule.is_empty();
            let texts: Vec<_> = explained.map(|(event, all)| text(event, &all, in_full)).collect();
            texts.join("\n")
        }
    };
    anstream::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::from(u8::from(read.lacks || !recording.mistakes.is_empty())))
}

fn explain<'a>(
    rules: &'a RuleSet,
    event: &'a Event,
    options: &ExplainOptions,
) -> Vec<Explained<'a>> {
    let picked = |rule: &&Rule| {
        options.rule.is_empty() || options.rule.iter().any(|name| name == rule.name())
    };
    let seeing: Vec<_> = rules.seeing(event).collect();
    let now = event.when().unwrap_or_else(jiff::Timestamp::now);
    let matched = rules.evaluate_at(event, now).matched();
    let subject = Subject::at(event, now);
    let fate = |rule: &'a Rule, why: &Explanation| match why.verdict {
        Verdict::True if is_in(&matched, rule) => Fate::Matched,
        Verdict::True => {
            let drop =
                matched.iter().find(|it| it.kind() == Kind::Drop && it.scope() == rule.scope());
            drop.map_or(Fate::TooCostly, |drop| Fate::Dropped(drop.name()))
        }
        _ => Fate::NotMatched,
    };
    let mut explained: Vec<_> = seeing
        .iter()
        .copied()
        .filter(picked)
        .map(|rule| Explained::new(rule, &subject, |why| fate(rule, why)))
        .collect();
    if !options.rule.is_empty() {
        let others = rules.rules().filter(picked).filter(|rule| !is_in(&seeing, rule));
        explained.extend(others.map(|rule| Explained::new(rule, &subject, |_| Fate::OutOfScope)));
    }
    explained
}

fn is_in(rules: &[&Rule], rule: &Rule) -> bool {
    rules.iter().any(|other| std::ptr::eq(*other, rule))
}

// === for people ===

/// What an Event is, on a line.
pub(super) fn summary(event: &Event) -> String {
    let object = event.involved_object();
    let parts = [object.namespace, object.name].into_iter().filter(|part| !part.is_empty());
    let place = parts.collect::<Vec<_>>().join("/");
    let words = [event.type_(), event.reason(), object.kind, &place];
    let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    let message = shortened(event.message());
    let colon = if message.is_empty() { "" } else { ": " };
    format!("{}{colon}{message}", words.join(" "))
}

fn text(event: &Event, explained: &[Explained<'_>], in_full: bool) -> String {
    let is_full = |it: &&Explained<'_>| in_full || it.is_concerned();
    let mut text = format!("{}\n", paint(STRONG, &summary(event)));
    for it in explained.iter().filter(is_full) {
        text += "\n";
        text += &it.full(in_full);
    }
    let others: Vec<_> = explained.iter().filter(|it| !is_full(it)).collect();
    if !others.is_empty() {
        let s = if others.len() == 1 { " does" } else { "s do" };
        let shown = explained.iter().filter(is_full).any(|it| it.fate == Fate::NotMatched);
        let more = if shown { " more" } else { "" };
        let head = format!("\n{}{more} rule{s} not match:\n", others.len());
        text += &head;
        let width = width(others.iter().map(|it| it.rule.name()));
        for it in others {
            text += &it.line(width);
        }
    }
    if explained.is_empty() {
        text += "\nno rule sees this Event: all are of other namespaces\n";
    }
    text
}

/// The width of a column, if it is not too wide.
fn width<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|text| text.chars().count()).filter(|width| *width <= 48).max().unwrap_or_default()
}

/// On one line, and not too long.
fn shortened(text: &str) -> String {
    const MOST: usize = 100;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

// === impl Explained ===

impl<'a> Explained<'a> {
    fn new(
        rule: &'a Rule,
        event: &Subject<'_>,
        fate: impl FnOnce(&Explanation) -> Fate<'a>,
    ) -> Self {
        let spec = rule.spec();
        let condition = Condition { text: spec.condition, why: rule.explain(event) };
        let of = |text: Option<String>, why: Option<Explanation>| {
            Some(Condition { text: text?, why: why? })
        };
        Self {
            rule,
            fate: fate(&condition.why),
            sinks: spec.sinks,
            condition,
            resolve: of(spec.resolve, rule.explain_resolve(event)),
            expected: of(spec.absence.map(|it| it.expected), rule.explain_expected(event)),
        }
    }

    /// Whether the rule has to do with the Event.
    fn is_concerned(&self) -> bool {
        let others = [&self.resolve, &self.expected];
        self.fate != Fate::NotMatched || others.into_iter().flatten().any(Condition::holds)
    }

    /// With all conditions, or with the rule's own and those that hold.
    fn full(&self, all: bool) -> String {
        let Self { rule, fate, sinks, condition, resolve, expected } = self;
        let verdict = match fate {
            Fate::Matched => paint(GOOD, "matches"),
            Fate::Dropped(by) => paint(BAD, &format!("would match, but `{by}` drops the Event")),
            Fate::TooCostly => paint(
                BAD,
                "is undecided: rules of its namespace or workspace cost the Event too much",
            ),
            Fate::NotMatched => paint(BAD, "does not match"),
            Fate::OutOfScope => {
                paint(BAD, "does not see this Event, which is of another namespace")
            }
        };
        let kind = kind(rule.kind());
        let about = paint(DIM, &format!("({kind}, {})", scope(rule)));
        let mut text = format!("{} {about}: {verdict}\n", paint(STRONG, &title(rule)));
        if *fate == Fate::Matched && rule.has_state() {
            text += "  it has state: `rules replay` says when it fires\n";
        }
        if rule.kind() == Kind::Route {
            let to = if *fate == Fate::Matched { "what follows goes to" } else { "leads to" };
            text += &["  ", to, " ", &sinks.join(", "), "\n"].concat();
        }
        text += &condition.tests();
        for (condition, yes, no) in [
            (resolve, "resolve: ends its alert, if one fires", "resolve: does not end its alert"),
            (expected, "absence: is what it waits for", "absence: is not what it waits for"),
        ] {
            if let Some(condition) = condition.as_ref().filter(|it| all || it.holds()) {
                let line = if condition.holds() { paint(GOOD, yes) } else { paint(BAD, no) };
                text += &["  ", &line, "\n", &condition.tests()].concat();
            }
        }
        text
    }

    fn line(&self, width: usize) -> String {
        let Condition { text, why } = &self.condition;
        let decisive = why.tests.iter().find(|asked| asked.decides);
        let why = decisive.map(|asked| format!("{}  {}", asked.span.of(text), value(asked)));
        format!("  {:width$}  {}\n", self.rule.name(), why.unwrap_or_default())
    }
}

// === impl Condition ===

impl Condition {
    fn holds(&self) -> bool {
        self.why.verdict.matches()
    }

    fn tests(&self) -> String {
        let tests = &self.why.tests;
        let width = width(tests.iter().map(|asked| asked.span.of(&self.text)));
        tests.iter().map(|asked| self.test(asked, width)).collect()
    }

    fn test(&self, asked: &Asked, width: usize) -> String {
        let mark = if asked.decides { "*" } else { " " };
        let (style, word) = match asked.verdict {
            Verdict::True => (GOOD, "true "),
            Verdict::False => (BAD, "false"),
            Verdict::Undecided(_) => (UNSURE, "-    "),
        };
        let test = asked.span.of(&self.text);
        let test = format!("{test:width$}");
        let test = if asked.decides { test } else { paint(DIM, &test) };
        format!("  {mark} {}  {test}  {}\n", paint(style, word), value(asked))
    }
}

/// What a test was made on.
fn value(asked: &Asked) -> String {
    let value = match &asked.value {
        Some(value) => format!("{:?}", shortened(value)),
        None => "not there".to_owned(),
    };
    let reason = match asked.verdict {
        Verdict::Undecided(reason) => format!(": {reason}"),
        _ => String::new(),
    };
    paint(DIM, &format!("# {value}{reason}"))
}

/// The word for a type of rules.
pub(super) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Notification => "notification",
        Kind::Alert => "alert",
        Kind::Drop => "drop",
        Kind::Route => "route",
    }
}

// === for programs ===

fn answer(event: &Event, explained: &[Explained<'_>]) -> Value {
    let object = event.involved_object();
    json!({
        "event": {
            "uid": event.uid(),
            "type": event.type_(),
            "reason": event.reason(),
            "kind": object.kind,
            "namespace": object.namespace,
            "name": object.name,
        },
        "rules": explained.iter().map(Explained::answer).collect::<Vec<_>>(),
    })
}

impl Explained<'_> {
    fn answer(&self) -> Answer<'_> {
        let Self { rule, fate, sinks, condition, resolve, expected } = self;
        Answer {
            namespace: rule.namespace(),
            object: rule.object(),
            rule: rule.name(),
            r#type: kind(rule.kind()),
            scope: scope(rule),
            in_scope: *fate != Fate::OutOfScope,
            matched: *fate == Fate::Matched,
            dropped_by: match fate {
                Fate::Dropped(by) => Some(by),
                _ => None,
            },
            undecided: (*fate == Fate::TooCostly).then_some(Reason::TooCostly.as_str()),
            has_state: rule.has_state(),
            sinks,
            condition: &condition.text,
            tests: condition.answers(),
            resolve: resolve.as_ref().map(Condition::answer),
            expected: expected.as_ref().map(Condition::answer),
        }
    }
}

impl Condition {
    fn answer(&self) -> Value {
        json!({"condition": self.text, "matched": self.holds(), "tests": self.answers()})
    }

    fn answers(&self) -> Vec<Value> {
        let answer = |asked: &Asked| {
            let (verdict, reason) = match asked.verdict {
                Verdict::Undecided(reason) => (None, Some(reason.as_str())),
                verdict => (Some(verdict.matches()), None),
            };
            json!({
                "test": asked.span.of(&self.text),
                "span": asked.span,
                "verdict": verdict,
                "undecided": reason,
                "value": asked.value,
                "decides": asked.decides,
            })
        };
        self.why.tests.iter().map(answer).collect()
    }
}
