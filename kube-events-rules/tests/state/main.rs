//! Rules that count, wait and recover.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod properties;
mod scenes;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use kube_events_core::{Alert, Event, crd::RuleSpec};
use kube_events_rules::{
    Effects, RuleSet, Scope,
    state::{State, StateOptions},
};
use serde_json::{Value, json};

/// Rules and their state, and what receivers were told.
struct World {
    rules: RuleSet,
    state: State,
    /// The alerts that were told last, by fingerprint.
    alerts: BTreeMap<u64, Alert>,
    told: Vec<Effects>,
    version: u64,
}

/// An Event of a pod, in `shop` unless another namespace is named.
#[derive(Clone, Debug)]
struct Happening {
    uid: String,
    name: String,
    namespace: &'static str,
    version: u64,
    reason: String,
    pod: String,
    labels: Value,
    count: u64,
    first: i64,
    at: i64,
    millis: i64,
}

/// Seconds after a quarter past one on a winter's day.
fn time(second: i64) -> Timestamp {
    let start: Timestamp = "2026-01-02T01:15:00Z".parse().unwrap();
    start + SignedDuration::from_secs(second)
}

fn rules_of(namespace: &str, rules: &Value) -> RuleSet {
    let spec: RuleSpec = serde_json::from_value(json!({ "rules": rules })).unwrap();
    let mut set = RuleSet::builder();
    set.add(namespace, "object", &Scope::Namespace("shop".into()), &spec);
    let set = set.build();
    assert!(set.problems().is_empty(), "{:?}", set.problems());
    set
}

/// An enabled alert on `reason="BackOff"` with these settings.
fn alert(settings: &Value) -> Value {
    rule("alert", settings)
}

fn rule(kind: &str, settings: &Value) -> Value {
    let mut rule =
        json!({"name": "Trouble", "type": kind, "enable": true, "condition": "reason=\"BackOff\""});
    rule.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    rule
}

// === impl Happening ===

impl Happening {
    fn new(reason: &str, pod: &str, at: i64) -> Self {
        Self {
            uid: format!("{reason}-{pod}-{at}"),
            name: String::new(),
            namespace: "shop",
            version: 0,
            reason: reason.into(),
            pod: pod.into(),
            labels: Value::Null,
            count: 1,
            first: at,
            at,
            millis: 0,
        }
    }

    /// A later state of one and the same Event object.
    fn counted(self, count: u64, first: i64) -> Self {
        Self { uid: format!("{}-{}", self.reason, self.pod), count, first, ..self }
    }

    /// So much later, by a clock that tells more than seconds.
    fn and(self, millis: i64) -> Self {
        Self { millis, ..self }
    }

    fn within(self, namespace: &'static str) -> Self {
        Self { namespace, uid: format!("{}-{namespace}", self.uid), ..self }
    }

    fn event(&self) -> Event {
        let last = time(self.at) + SignedDuration::from_millis(self.millis);
        let event = json!({
            "metadata": {"uid": self.uid, "name": self.name, "namespace": self.namespace, "resourceVersion": self.version.to_string(),
                "labels": self.labels},
            "involvedObject": {"kind": "Pod", "name": self.pod, "namespace": self.namespace},
            "reason": self.reason, "type": "Warning", "message": format!("{} {}", self.reason, self.at),
            "count": self.count,
            "firstTimestamp": time(self.first).to_string(), "lastTimestamp": last.to_string(),
        });
        Event::decode(event.to_string().as_bytes()).unwrap()
    }
}

// === impl World ===

impl World {
    fn new(rules: &Value) -> Self {
        Self::with(rules, StateOptions::default())
    }

    fn with(rules: &Value, options: StateOptions) -> Self {
        let rules = rules_of("shop", rules);
        let mut state = State::new(options);
        assert!(state.adopt(&rules, time(0)).is_empty());
        Self { rules, state, alerts: BTreeMap::new(), told: Vec::new(), version: 100 }
    }

    /// Something happens, and is heard of at once.
    fn see(&mut self, happening: Happening) -> Effects {
        let at = happening.at;
        self.hear(happening, at)
    }

    /// Something is heard of at a time; until then time passes.
    fn hear(&mut self, mut happening: Happening, received: i64) -> Effects {
        if happening.version == 0 {
            self.version += 1;
            happening.version = self.version;
        }
        self.wait(received);
        let event = happening.event();
        let effects = self.state.observe(&self.rules.evaluate(&event), time(received));
        self.note(effects)
    }

    /// Time passes; what is due is done at its time.
    fn wait(&mut self, until: i64) -> Effects {
        let mut effects = Effects::default();
        while let Some(due) = self.state.next_due().filter(|due| *due < time(until)) {
            effects.extend(self.state.advance(due));
        }
        effects.extend(self.state.advance(time(until)));
        self.note(effects)
    }

    fn note(&mut self, effects: Effects) -> Effects {
        for alert in &effects.alerts {
            self.alerts.insert(alert.item.fingerprint(), alert.item.clone());
        }
        if !effects.is_empty() {
            self.told.push(effects.clone());
        }
        effects
    }

    /// What receivers take for firing at a time: pod, since when, and annotations.
    fn firing(&self, now: i64) -> Vec<(String, Timestamp, BTreeMap<String, String>)> {
        let fires = |alert: &&Alert| alert.ends_at.is_some_and(|end| end > time(now));
        let alerts = self.alerts.values().filter(fires);
        let mut alerts: Vec<_> = alerts
            .map(|it| (it.labels["pod"].clone(), it.starts_at, it.annotations.clone()))
            .collect();
        alerts.sort();
        alerts
    }

    fn notified(&self) -> usize {
        self.told.iter().map(|effects| effects.notifications.len()).sum()
    }
}

/// When the alerts among effects end, in seconds.
fn ends(effects: &Effects) -> Vec<Option<i64>> {
    let second = |end: Timestamp| end.duration_since(time(0)).as_secs();
    effects.alerts.iter().map(|alert| alert.item.ends_at.map(second)).collect()
}
