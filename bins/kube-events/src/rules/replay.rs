//! `rules replay`: what would have fired.

use std::{
    collections::{BTreeMap, HashSet},
    hash::{DefaultHasher, Hasher as _},
    io::Write as _,
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::{Timestamp, Unit};
use kube_events_core::{Event, EventKey, Item as _};
use kube_events_rules::{Rule, RuleSet};
use serde::Serialize;

use super::{
    check::Format,
    events,
    explain::{kind, summary},
    simulation::{Moment, Simulation},
    source::{RulesOptions, scope, title},
    style::{BAD, DIM, GOOD, STRONG, paint},
};

/// What `rules replay` is told.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReplayOptions {
    /// Events as JSON, compressed or not: one a line, as sinks write them; an array; a List of
    /// `kubectl get -o json`; `-` is the standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The rules.
    #[command(flatten)]
    pub rules: RulesOptions,
    /// Show the rules that matched nothing, too.
    #[arg(long)]
    pub all: bool,
    /// Show each firing before the table.
    #[arg(long)]
    pub timeline: bool,
    /// How it is printed; JSON has the timeline always.
    #[arg(long, short = 'o', visible_alias = "output", value_enum, default_value_t)]
    pub format: Format,
}

const EXAMPLES: &str = "\
Events are put in order of their times and evaluated as if each came when it happened; repeats are
left out. After the last one time goes on until nothing more can follow. The result is the same each
time.

  matched     Events that the rule matched
  fired       notifications and alerts that it gave
  suppressed  matches that gave nothing because their group was quiet (repeatInterval)
  dropped     matches that gave nothing because a rule of the type `drop` took the Event
  first, last when it fired; of rules that only drop or route, when they matched
  undecided   Events on which the rule could not be decided: in JSON, and in a line below the table

Exit codes: 0 all was replayed, 1 some of the rules do not compile or some lines are no Events,
2 nothing could be replayed.

Examples:
  kubectl get events -A -o json | kube-events rules replay --rules rules/ -
  kube-events rules replay --rules rules/ /var/log/kube-events/*.gz
  kube-events rules replay --rules rules/ events.json -o json | jq '.rules[] | select(.fired > 10)'";

/// The result, as programs read it.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Replay {
    /// How many were evaluated.
    events: usize,
    /// How many came more than once.
    repeated: usize,
    /// What was no Event.
    mistakes: usize,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    rules: Vec<Row>,
    timeline: Vec<Consequence>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Row {
    rule: String,
    r#type: &'static str,
    scope: String,
    matched: u64,
    fired: u64,
    suppressed: u64,
    dropped: u64,
    undecided: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

/// Something that would have been sent.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "lowercase")]
enum Consequence {
    /// An alert that began.
    Firing {
        at: Timestamp,
        labels: BTreeMap<String, String>,
        annotations: BTreeMap<String, String>,
    },
    /// An alert that is over.
    Resolved {
        at: Timestamp,
        labels: BTreeMap<String, String>,
    },
    Notification {
        at: Timestamp,
        rules: Vec<String>,
        event: String,
        key: String,
    },
}

/// When a rule fired.
#[derive(Clone, Copy, Debug)]
struct Times {
    first: Timestamp,
    last: Timestamp,
    /// What its own counter said then.
    fired: u64,
}

pub(super) fn run(options: &ReplayOptions) -> anyhow::Result<ExitCode> {
    let read = options.rules.read()?;
    read.tell_disabled()?;
    let mut events = Vec::new();
    let mut mistakes = 0;
    for file in &options.files {
        let recording = events::read(file)?;
        events.extend(recording.events);
        mistakes += recording.mistakes.len();
        for mistake in recording.mistakes {
            writeln!(anstream::stderr(), "{mistake}")?;
        }
    }
    let replay = Replay { mistakes, ..replay(&read.rules, events, &progress()) };
    let text = match options.format {
        Format::Json => serde_json::to_string_pretty(&replay)? + "\n",
        Format::Text => replay.text(options),
    };
    anstream::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::from(u8::from(read.lacks || mistakes > 0)))
}

/// Shown on a terminal only.
fn progress() -> ProgressBar {
    let style =
        ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} Events, {eta} to go");
    ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr())
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Evaluates Events in the order of their times, each at its own.
fn replay(rules: &RuleSet, events: Vec<Event>, progress: &ProgressBar) -> Replay {
    let found = events.len();
    let events = ordered(events);
    let time = |event: &Event| event.when().unwrap_or(Timestamp::UNIX_EPOCH);
    let [from, to] = [events.first(), events.last()].map(|event| event.map(time));
    let mut simulation = Simulation::new(rules, from.unwrap_or_default());
    let mut record = Record::new(rules);
    progress.set_length(u64::try_from(events.len()).unwrap_or(u64::MAX));
    for event in &events {
        simulation.advance(time(event), |moment| record.add(&moment));
        record.add(&simulation.take(event, time(event)));
        progress.inc(1);
    }
    simulation.finish(|moment| record.add(&moment));
    progress.finish_and_clear();
    Replay {
        events: events.len(),
        repeated: found - events.len(),
        mistakes: 0,
        from,
        to,
        rules: record.rows(),
        timeline: record.timeline,
    }
}

/// Events by time, each state once. What happens at one time is in an order that does not depend on
/// the files.
fn ordered(mut events: Vec<Event>) -> Vec<Event> {
    let mut known = HashSet::new();
    events.retain(|event| known.insert(identity(event)));
    events.sort_by_cached_key(|event| {
        let EventKey { uid, resource_version } = event.key();
        (event.when(), resource_version, uid)
    });
    events
}

/// The identity of a state of an Event, for telling repeats.
fn identity(event: &Event) -> u64 {
    let mut hasher = DefaultHasher::new();
    event.identify(&mut hasher);
    hasher.finish()
}

/// What is known so far.
struct Record<'a> {
    rules: &'a RuleSet,
    with_state: Vec<&'a Rule>,
    times: BTreeMap<*const Rule, Times>,
    timeline: Vec<Consequence>,
}

// === impl Record ===

impl<'a> Record<'a> {
    fn new(rules: &'a RuleSet) -> Self {
        let with_state = rules.rules().filter(|rule| rule.has_state()).collect();
        Self { rules, with_state, times: BTreeMap::new(), timeline: Vec::new() }
    }

    fn add(&mut self, moment: &Moment<'_>) {
        for rule in moment.matched.iter().filter(|rule| !rule.has_state()) {
            fired(&mut self.times, rule, moment.at);
        }
        let effects = &moment.effects;
        if effects.is_empty() {
            return;
        }
        // What of a group follows does not name its rule in a way that no author can change, so the
        // rules' own counters are asked.
        for rule in &self.with_state {
            let known = self.times.get(&std::ptr::from_ref(*rule)).map_or(0, |times| times.fired);
            if rule.statistics().fired > known {
                fired(&mut self.times, rule, moment.at);
            }
        }
        let at = moment.at;
        for alert in effects.alerts.iter().filter(|alert| !alert.again).map(|alert| &alert.item) {
            let labels = alert.labels.clone();
            let over = alert.ends_at.is_some_and(|end| end <= at);
            self.timeline.push(if over {
                Consequence::Resolved { at, labels }
            } else {
                Consequence::Firing { at, labels, annotations: alert.annotations.clone() }
            });
        }
        for notification in &effects.notifications {
            let rules = notification.item.rules.iter();
            let rules = rules.map(|it| [&*it.namespace, &it.object, &it.name].join("/")).collect();
            let event = &notification.item.event;
            let key = event.key().to_string();
            self.timeline.push(Consequence::Notification { at, rules, event: summary(event), key });
        }
    }

    fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<_> = self.rules.rules().map(|rule| self.row(rule)).collect();
        rows.sort_by(|a, b| (&a.rule, &a.scope).cmp(&(&b.rule, &b.scope)));
        rows
    }

    fn row(&self, rule: &Rule) -> Row {
        let statistics = rule.statistics();
        let times = self.times.get(&std::ptr::from_ref(rule));
        Row {
            rule: title(rule),
            r#type: kind(rule.kind()),
            scope: scope(rule),
            matched: statistics.matched,
            fired: statistics.fired,
            suppressed: statistics.suppressed,
            dropped: statistics.dropped,
            undecided: statistics.undecided,
            first: times.map(|times| times.first),
            last: times.map(|times| times.last),
        }
    }
}

fn fired(times: &mut BTreeMap<*const Rule, Times>, rule: &Rule, at: Timestamp) {
    let first = Times { first: at, last: at, fired: 0 };
    let times = times.entry(std::ptr::from_ref(rule)).or_insert(first);
    times.last = at;
    times.fired = rule.statistics().fired;
}

// === impl Replay ===

impl Replay {
    fn text(&self, options: &ReplayOptions) -> String {
        let mut text = String::new();
        if options.timeline {
            self.timeline.iter().for_each(|firing| text += &firing.line());
            text += "\n";
        }
        let shown: Vec<_> =
            self.rules.iter().filter(|row| options.all || row.matched > 0).collect();
        if !shown.is_empty() {
            text += &table(&shown);
            text += "\n";
        }
        text + &self.summary()
    }

    fn summary(&self) -> String {
        let fired = self.rules.iter().filter(|row| row.fired > 0).count();
        let span = match (self.from, self.to) {
            (Some(from), Some(to)) => format!(" from {} to {}", written(from), written(to)),
            _ => String::new(),
        };
        let repeated = match self.repeated {
            0 => String::new(),
            1 => " (1 repeat left out)".to_owned(),
            repeated => format!(" ({repeated} repeats left out)"),
        };
        let (events, rules) = (self.events, self.rules.len());
        let s = |count: usize| if count == 1 { "" } else { "s" };
        let mut summary = format!(
            "{events} Event{}{span}{repeated}; {fired} of {rules} rule{} fired\n",
            s(events),
            s(rules)
        );
        let undecided = self.rules.iter().filter(|row| row.undecided > 0).count();
        if undecided > 0 {
            let s = s(undecided);
            let told =
                "could not be decided on some Events: `rules explain` says why, -o json how often";
            summary += &[&undecided.to_string(), " rule", s, " ", told, "\n"].concat();
        }
        summary
    }
}

/// A time, to the second.
fn written(time: Timestamp) -> String {
    time.round(Unit::Second).unwrap_or(time).to_string()
}

fn table(rows: &[&Row]) -> String {
    let head = ["rule", "scope", "matched", "fired", "suppressed", "dropped", "first", "last"];
    let time = |time: Option<Timestamp>| time.map_or_else(|| "-".to_owned(), written);
    let cells = rows.iter().map(|row| {
        let numbers =
            [row.matched, row.fired, row.suppressed, row.dropped].map(|it| it.to_string());
        let [matched, fired, suppressed, dropped] = numbers;
        let texts = [row.rule.clone(), row.scope.clone()];
        let [rule, scope] = texts;
        [rule, scope, matched, fired, suppressed, dropped, time(row.first), time(row.last)]
    });
    let cells: Vec<_> = [head.map(str::to_owned)].into_iter().chain(cells).collect();
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<_> = (0..head.len()).map(|column| width(column).unwrap_or(0)).collect();
    let line = |(at, row): (usize, &[String; 8])| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (text, width))| {
            let is_number = (2..6).contains(&column);
            if is_number { format!("{text:>width$}") } else { format!("{text:width$}") }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        let line = line.trim_end();
        if at == 0 { paint(STRONG, line) + "\n" } else { format!("{line}\n") }
    };
    cells.iter().enumerate().map(line).collect()
}

// === impl Consequence ===

impl Consequence {
    fn line(&self) -> String {
        match self {
            Self::Firing { at, labels, .. } => {
                format!("{}  {}  {}\n", written(*at), paint(BAD, "firing  "), alert(labels))
            }
            Self::Resolved { at, labels } => {
                format!("{}  {}  {}\n", written(*at), paint(GOOD, "resolved"), alert(labels))
            }
            Self::Notification { at, rules, event, .. } => {
                let told = paint(DIM, "told    ");
                format!("{}  {told}  {} ({event})\n", written(*at), rules.join(", "))
            }
        }
    }
}

/// An alert as Prometheus writes it.
fn alert(labels: &BTreeMap<String, String>) -> String {
    let name = labels.get("alertname").map_or("", String::as_str);
    let others = labels.iter().filter(|(name, _)| !["alertname", "alerttype"].contains(&&***name));
    let others: Vec<_> = others.map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{name}{{{}}}", others.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const RULES: &str = r#"{"rules": [
        {"name": "Often", "type": "alert", "enable": true, "condition": "reason = \"A\"",
         "threshold": {"count": 3, "within": "10m"}, "keepFiringFor": "5m"},
        {"name": "Missing", "type": "alert", "enable": true, "condition": "reason = \"B\"",
         "absence": {"expected": "reason = \"C\"", "within": "2m"}},
        {"name": "Fresh", "type": "notification", "enable": true,
         "condition": "age(firstTimestamp) < 10m"}
    ]}"#;

    fn rules() -> RuleSet {
        let mut rules = RuleSet::builder();
        let spec = serde_json::from_str(RULES).unwrap();
        rules.add("shop", "web", &kube_events_rules::Scope::Cluster, &spec);
        rules.build()
    }

    fn events() -> Vec<Event> {
        let event = |(version, (reason, minute)): (usize, &(&str, u32))| {
            let json = json!({
                "metadata": {"uid": format!("u{version}"), "resourceVersion": version.to_string()},
                "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web"},
                "reason": reason,
                "firstTimestamp": format!("2026-01-02T03:{minute:02}:00Z"),
                "lastTimestamp": format!("2026-01-02T03:{minute:02}:00Z"),
            });
            Event::decode(json.to_string().as_bytes()).unwrap()
        };
        let told = [("A", 0), ("A", 1), ("A", 1), ("B", 2), ("C", 9), ("A", 40), ("B", 50)];
        told.iter().enumerate().map(event).collect()
    }

    #[test]
    fn the_result_is_the_same_each_time_and_in_every_order_of_the_files() {
        let progress = ProgressBar::hidden();
        let expected = replay(&rules(), events(), &progress);
        let fired: Vec<_> = expected.rules.iter().map(|row| (&*row.rule, row.fired)).collect();
        assert_eq!(fired, [("shop/web/Fresh", 7), ("shop/web/Missing", 2), ("shop/web/Often", 1)]);
        let mut events = events();
        for _ in 0..events.len() {
            events.rotate_left(1);
            let mut twice = [events.clone(), events.clone()].concat();
            twice.reverse();
            let found = replay(&rules(), twice, &progress);
            assert_eq!(found, Replay { repeated: events.len(), ..expected.clone() });
        }
    }

    #[test]
    fn what_fires_after_the_last_event_is_told_and_ended() {
        let found = replay(&rules(), events(), &ProgressBar::hidden());
        let is_missing = |labels: &BTreeMap<String, String>| labels["alertname"] == "Missing";
        let ends = found.timeline.iter().rev().find_map(|it| match it {
            Consequence::Resolved { at, labels } if is_missing(labels) => Some(*at),
            _ => None,
        });
        assert_eq!(ends, Some("2026-01-02T04:52:00Z".parse().unwrap()));
    }
}
