//! One compiled rule, and what follows when it matches.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use jiff::Timestamp;
use kube_events_core::{
    Alert, Event, MatchedRule,
    crd::{EventRule, RuleType},
};

use crate::{Condition, Subject, Template, Verdict};

/// Labels that say where an alert comes from; a rule cannot set them.
pub const RESERVED_LABELS: [&str; 5] =
    ["alertname", "alerttype", "cluster", "container", "namespace"];

/// A rule that counts: enabled, of a known type, with a condition that compiles.
#[derive(Debug)]
pub struct Rule {
    name: String,
    namespace: String,
    kind: Kind,
    condition: Condition,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, Template>,
    matched: AtomicU64,
    undecided: AtomicU64,
}

/// What follows when a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The Event is told, once, with all rules of this kind that it matched.
    Notification,
    /// An alert, for each rule of this kind.
    Alert,
}

// === impl Kind ===

impl Kind {
    /// The kind of a rule; `None` if nothing follows from it.
    pub fn of(rule: &EventRule) -> Option<Self> {
        match rule.r#type {
            Some(RuleType::Notification) => Some(Self::Notification),
            Some(RuleType::Alert) => Some(Self::Alert),
            _ => None,
        }
    }
}

// === impl Rule ===

impl Rule {
    pub(crate) fn new(namespace: &str, rule: &EventRule, kind: Kind, condition: Condition) -> Self {
        let labels = rule.labels.iter().filter(|(name, _)| !is_reserved(name));
        let annotations = rule.annotations.iter();
        Self {
            name: rule.name.clone(),
            namespace: namespace.to_owned(),
            kind,
            condition,
            labels: labels.map(|(name, value)| (name.clone(), value.clone())).collect(),
            annotations: annotations
                .map(|(name, text)| (name.clone(), Template::new(text)))
                .collect(),
            matched: AtomicU64::new(0),
            undecided: AtomicU64::new(0),
        }
    }

    /// The rule's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace of the object that holds it.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What follows when it matches.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How many Events it matched since it was compiled.
    pub fn matched(&self) -> u64 {
        self.matched.load(Ordering::Relaxed)
    }

    /// How many Events it could not be decided on since it was compiled.
    pub fn undecided(&self) -> u64 {
        self.undecided.load(Ordering::Relaxed)
    }

    pub(crate) fn condition(&self) -> &Condition {
        &self.condition
    }

    pub(crate) fn count(&self, verdict: Verdict) {
        match verdict {
            Verdict::True => self.matched.fetch_add(1, Ordering::Relaxed),
            Verdict::Undecided(_) => self.undecided.fetch_add(1, Ordering::Relaxed),
            Verdict::False => 0,
        };
    }

    pub(crate) fn as_matched(&self, event: &Event) -> MatchedRule {
        MatchedRule {
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            labels: self.labels.clone(),
            annotations: self.annotations(event),
        }
    }

    /// The alert that this rule raises for an Event: labels of the place, then of the object, then
    /// of the rule.
    pub(crate) fn alert(&self, event: &Event) -> Alert {
        let starts_at = event.when().unwrap_or_else(Timestamp::now);
        let mut alert = Alert::new(event.key(), starts_at);
        alert.annotations = self.annotations(event);
        alert.labels.clone_from(&self.labels);
        let object = event.involved_object();
        let kind = object.kind.to_lowercase();
        for (name, value) in [
            (&*kind, object.name),
            ("container", container(object.field_path)),
            ("namespace", object.namespace),
            ("cluster", event.cluster().unwrap_or_default()),
            ("alerttype", "event"),
            ("alertname", &self.name),
        ] {
            if !name.is_empty() && !value.is_empty() {
                alert.labels.insert(name.to_owned(), value.to_owned());
            }
        }
        alert
    }

    fn annotations(&self, event: &Event) -> BTreeMap<String, String> {
        let subject = Subject::new(event);
        let rendered = |(name, text): (&String, &Template)| (name.clone(), text.render(&subject));
        self.annotations.iter().map(rendered).collect()
    }
}

pub(crate) fn is_reserved(label: &str) -> bool {
    RESERVED_LABELS.contains(&label)
}

/// The container that `spec.containers{name}` or `spec.initContainers{name}` is about.
fn container(field_path: &str) -> &str {
    ["spec.containers{", "spec.initContainers{", "spec.ephemeralContainers{"]
        .iter()
        .find_map(|prefix| field_path.strip_prefix(prefix)?.strip_suffix('}'))
        .unwrap_or_default()
}
