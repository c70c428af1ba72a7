//! One test, carried out.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use kube_events_core::{Alert, Notification};
use kube_events_rules::{Route, Routed, RuleSet};

use super::{
    super::simulation::{Moment, Simulation},
    difference::{Item, Line, difference},
    file::{AlertState, Expectation, Mistake, ObjectName, Test, start},
};

/// A point in time at which something else holds than what was expected.
#[derive(Debug)]
pub(super) struct Failure {
    /// The time since the start, as it was written.
    pub(super) at: String,
    pub(super) line: u64,
    pub(super) difference: Vec<Line>,
}

/// What was told since the point before, and what fires.
#[derive(Debug)]
struct Told {
    alert_duration: SignedDuration,
    alerts: BTreeMap<(u64, Route), Active>,
    others: Vec<Item>,
}

/// An alert that receivers know of.
#[derive(Debug)]
struct Active {
    alert: Alert,
    over: Option<Timestamp>,
    is_new: bool,
}

/// Carries a test out.
///
/// # Errors
/// If the test says something that cannot be.
pub(super) fn play(
    test: &Test,
    rules: &RuleSet,
    alert_duration: SignedDuration,
) -> Result<Vec<Failure>, Mistake> {
    let events = test.events()?;
    let mut events = events.iter().peekable();
    let mut simulation = Simulation::new(rules, start());
    let mut told = Told { alert_duration, alerts: BTreeMap::new(), others: Vec::new() };
    let mut failures = Vec::new();
    for expectation in test.expectations()? {
        let now = expectation.at.value.time();
        while let Some((at, event)) = events.next_if(|(at, _)| *at <= now) {
            simulation.advance(*at, |moment| told.add(&moment));
            told.add(&simulation.take(event, *at));
        }
        simulation.advance(now, |moment| told.add(&moment));
        let difference = told.compare(expectation, now);
        if !difference.is_empty() {
            let line = expectation.at.referenced.line();
            failures.push(Failure { at: expectation.at.value.written(), line, difference });
        }
    }
    Ok(failures)
}

// === impl Told ===

impl Told {
    fn add(&mut self, moment: &Moment<'_>) {
        for Routed { item: alert, route, .. } in &moment.effects.alerts {
            let end = match alert.ends_at {
                // It fires until its end is told.
                Some(end) => (end <= moment.at).then_some(end),
                None => Some(later(moment.at, self.alert_duration)),
            };
            let key = (alert.fingerprint(), route.clone());
            let known = self.alerts.get(&key).filter(|known| !known.is_over(moment.at));
            let is_new = known.is_none_or(|known| known.is_new);
            self.alerts.insert(key, Active { alert: alert.clone(), over: end, is_new });
        }
        let notifications = moment.effects.notifications.iter();
        self.others.extend(notifications.flat_map(|it| notified(&it.item, &it.route)));
        let object = moment.event.map(|event| ObjectName::from(event).to_string());
        self.others.extend(moment.drops().map(|rule| Item {
            what: "drop",
            rule: rule.name().to_owned(),
            details: object.iter().map(|object| ("object".to_owned(), object.clone())).collect(),
        }));
    }

    /// Compares what there is with what should be, and begins anew.
    fn compare(&mut self, expectation: &Expectation, now: Timestamp) -> Vec<Line> {
        let mut got = std::mem::take(&mut self.others);
        let mut optional = Vec::new();
        for ((_, route), active) in &self.alerts {
            // That an alert which was seen at the point before is gone can be expected, or not.
            let counts = active.is_new || !active.is_over(now);
            let items = if counts { &mut got } else { &mut optional };
            items.push(active.item(route, now));
        }
        self.alerts.retain(|_, active| !active.is_over(now));
        self.alerts.values_mut().for_each(|active| active.is_new = false);
        difference(expected(expectation), got, optional, expectation.others)
    }
}

// === impl Active ===

impl Active {
    fn is_over(&self, now: Timestamp) -> bool {
        self.over.is_some_and(|over| over <= now)
    }

    fn item(&self, route: &Route, now: Timestamp) -> Item {
        let state = if self.is_over(now) { AlertState::Resolved } else { AlertState::Firing };
        let Alert { labels, annotations, .. } = &self.alert;
        let rule = labels.get("alertname").cloned().unwrap_or_default();
        let mut details = details(labels, annotations, route.names());
        details.insert("state".to_owned(), word(state).to_owned());
        Item { what: "alert", rule, details }
    }
}

fn word(state: AlertState) -> &'static str {
    match state {
        AlertState::Firing => "firing",
        AlertState::Resolved => "resolved",
    }
}

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// An item for each rule that asked for it.
fn notified(notification: &Notification, route: &Route) -> Vec<Item> {
    let object = ObjectName::from(&notification.event).to_string();
    let item = |rule: &kube_events_core::MatchedRule| {
        let mut annotations = rule.annotations.clone();
        if let Some(because) = &rule.because {
            annotations.entry("because".to_owned()).or_insert_with(|| because.clone());
        }
        let mut details = details(&rule.labels, &annotations, route.names());
        details.insert("object".to_owned(), object.clone());
        Item { what: "notification", rule: rule.name.clone(), details }
    };
    notification.rules.iter().map(item).collect()
}

fn details(
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
    sinks: Option<&[String]>,
) -> BTreeMap<String, String> {
    let labels = labels.iter().map(|(name, value)| (format!("labels.{name}"), value.clone()));
    let texts = annotations.iter();
    let texts = texts.map(|(name, value)| (format!("annotations.{name}"), value.clone()));
    let sinks = sinks.map(|names| ("sinks".to_owned(), listed(names)));
    labels.chain(texts).chain(sinks).collect()
}

/// Names in an order of their own.
fn listed(names: &[String]) -> String {
    let mut names: Vec<_> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    names.join(", ")
}

fn expected(expectation: &Expectation) -> Vec<Item> {
    let object = |object: &Option<ObjectName>| {
        object.iter().map(|it| ("object".to_owned(), it.to_string())).collect::<Vec<_>>()
    };
    let alerts = expectation.alerts.iter().map(|it| {
        let mut details = details(&it.labels, &it.annotations, it.sinks.as_deref());
        details.insert("state".to_owned(), word(it.state).to_owned());
        Item { what: "alert", rule: it.rule.value.clone(), details }
    });
    let notifications = expectation.notifications.iter().map(|it| {
        let mut details = details(&it.labels, &it.annotations, it.sinks.as_deref());
        details.extend(object(&it.object));
        Item { what: "notification", rule: it.rule.value.clone(), details }
    });
    let drops = expectation.drops.iter().map(|it| {
        let details = object(&it.object).into_iter().collect();
        Item { what: "drop", rule: it.rule.value.clone(), details }
    });
    alerts.chain(notifications).chain(drops).collect()
}
