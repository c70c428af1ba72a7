//! What a rule remembers, compiled.

use std::{borrow::Cow, collections::BTreeSet, time::Duration};

use jiff::SignedDuration;
use kube_events_core::{
    Event,
    crd::{EventRule, duration},
};

use crate::{
    Fields as _, Subject,
    name::{Key, Map, Place},
    owner::owner,
    rule::{Kind, container, label_value, object_label},
    suggest,
};

/// What makes a rule more than a condition: that it counts, waits, is quiet for a while, or ends.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) threshold: Option<Threshold>,
    pub(crate) absence: Option<Absence>,
    pub(crate) repeat_interval: Option<SignedDuration>,
    pub(crate) keep_firing_for: Option<SignedDuration>,
    /// Whether there is a condition that ends the alert.
    pub(crate) resolves: bool,
    /// Whether it gives notifications, and not alerts.
    pub(crate) notifies: bool,
    group_by: GroupBy,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Threshold {
    pub(crate) count: u64,
    pub(crate) within: SignedDuration,
}

#[derive(Clone, Debug)]
pub(crate) struct Absence {
    pub(crate) within: SignedDuration,
    expected: String,
}

/// What Events of one group have in common, beside the cluster.
#[derive(Debug)]
enum GroupBy {
    /// The involved object.
    Object,
    Parts {
        parts: Box<[Part]>,
        /// Whether all Events that the rule sees are of one namespace, or `owner` asks for it.
        namespace: bool,
    },
}

#[derive(Debug)]
enum Part {
    Owner,
    Field(Key),
}

/// A setting of a rule that cannot be used: its name, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong(pub(crate) &'static str, pub(crate) String);

/// The most occurrences that a threshold may ask for.
const MAX_COUNT: i64 = 1_000_000;

/// The most parts that a group may be told apart by.
const MAX_PARTS: usize = 8;

/// How long an alert that a condition ends fires without one: as long as API servers keep Events, so
/// that a ruler that begins anew comes to the same picture.
const FORGOTTEN: SignedDuration = SignedDuration::from_hours(1);

/// The longest duration; what is longer lasts for ever for all practical purposes.
const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 3600);

/// Between the values of a group, none of which has it.
const SEPARATOR: char = '\u{1f}';

// === impl Memory ===

impl Memory {
    /// Reads the settings of a rule; `None` if it remembers nothing. `namespaced` says that the rule
    /// sees one namespace only.
    ///
    /// # Errors
    /// All settings that are wrong.
    pub(crate) fn read(
        rule: &EventRule,
        kind: Option<Kind>,
        namespaced: bool,
    ) -> Result<Option<Self>, Vec<Wrong>> {
        let mut wrong = misplaced(rule, kind);
        let mut length = |field, text: &Option<String>| {
            let text = text.as_deref()?;
            positive(text).map_err(|reason| wrong.push(Wrong(field, reason))).ok()
        };
        let repeat_interval = length("repeatInterval", &rule.repeat_interval);
        let keep_firing_for = length("keepFiringFor", &rule.keep_firing_for);
        let threshold = rule.threshold.as_ref().and_then(|threshold| {
            let within = length("threshold.within", &Some(threshold.within.clone()))?;
            Some(Threshold { count: u64::try_from(threshold.count).ok()?, within })
        });
        let absence = rule.absence.as_ref().and_then(|absence| {
            let within = length("absence.within", &Some(absence.within.clone()))?;
            Some(Absence { within, expected: absence.expected.trim().to_owned() })
        });
        if let Some(count) = rule.threshold.as_ref().map(|threshold| threshold.count)
            && !(1..=MAX_COUNT).contains(&count)
        {
            let reason = format!("{count} is not between 1 and {MAX_COUNT}");
            wrong.push(Wrong("threshold.count", reason));
        }
        let group_by = GroupBy::read(&rule.group_by, namespaced, &mut wrong);
        let resolves = rule.resolve.is_some();
        let notifies = kind == Some(Kind::Notification);
        let this = Self {
            threshold,
            absence,
            repeat_interval,
            keep_firing_for,
            resolves,
            notifies,
            group_by,
        };
        if wrong.is_empty() { Ok(remembers(rule).then_some(this)) } else { Err(wrong) }
    }

    /// Whether an alert of the rule fires until something ends it, and not once for each Event.
    pub(crate) fn lasts(&self) -> bool {
        self.threshold.is_some()
            || self.absence.is_some()
            || self.keep_firing_for.is_some()
            || self.resolves
    }

    /// How long an alert fires after what it is about, if no threshold says it.
    pub(crate) fn hold(&self) -> SignedDuration {
        self.keep_firing_for.unwrap_or(FORGOTTEN)
    }

    /// After this time without an Event a group has nothing to remember any more.
    pub(crate) fn horizon(&self) -> SignedDuration {
        let within = self.threshold.map(|it| it.within);
        let absence = self.absence.as_ref().map(|it| it.within);
        [within, absence, self.repeat_interval, self.keep_firing_for]
            .into_iter()
            .flatten()
            .fold(FORGOTTEN, SignedDuration::max)
    }

    /// The group of an Event, among those of this rule.
    pub(crate) fn group(&self, event: &Event) -> Box<str> {
        let mut key = cluster(event).into_owned();
        for (_, value) in self.group_by.values(event) {
            key.push(SEPARATOR);
            key.push_str(&value);
        }
        key.into()
    }

    /// Labels that all alerts of an Event's group have, and so none that tells one of its Events from
    /// others.
    pub(crate) fn labels(&self, event: &Event) -> Vec<(String, String)> {
        let object = event.involved_object();
        let values = match &self.group_by {
            GroupBy::Object => vec![
                (object_label(event), label_value(object.name).into_owned()),
                ("namespace".to_owned(), label_value(object.namespace).into_owned()),
            ],
            by @ GroupBy::Parts { .. } => by.labels(event),
        };
        let cluster = ("cluster".to_owned(), cluster(event).into_owned());
        let named = |(name, value): &(String, String)| !name.is_empty() && !value.is_empty();
        values.into_iter().chain([cluster]).filter(named).collect()
    }
}

impl Absence {
    /// Why the alert fires.
    pub(crate) fn because(&self) -> String {
        format!("no {} within {}", self.expected, written(self.within))
    }
}

impl Threshold {
    /// Why the alert fires.
    pub(crate) fn because(&self, count: u64) -> String {
        let s = if count == 1 { "" } else { "s" };
        format!("{count} occurrence{s} in {}", written(self.within))
    }
}

// === impl GroupBy ===

impl GroupBy {
    fn read(names: &[String], namespaced: bool, wrong: &mut Vec<Wrong>) -> Self {
        if names.is_empty() {
            return Self::Object;
        }
        if names.len() > MAX_PARTS {
            wrong.push(Wrong("groupBy", format!("more than {MAX_PARTS} names")));
        }
        let mut parts = Vec::new();
        for name in names {
            match Part::read(name) {
                Ok(part) => parts.push(part),
                Err(reason) => wrong.push(Wrong("groupBy", reason)),
            }
        }
        let mut known = BTreeSet::new();
        if let Some(name) = names.iter().find(|name| !known.insert(*name)) {
            wrong.push(Wrong("groupBy", format!("`{name}` is named twice")));
        } else if let Some(label) = doubled(&parts) {
            wrong.push(Wrong("groupBy", format!("two names become the label `{label}`")));
        }
        let namespace = namespaced || parts.iter().any(|part| matches!(part, Part::Owner));
        Self::Parts { parts: parts.into(), namespace }
    }

    /// The values that tell groups apart, under the names in the rule.
    fn values(&self, event: &Event) -> Vec<(String, String)> {
        let object = event.involved_object();
        let own = |(name, value): (&str, &str)| (name.to_owned(), label_value(value).into_owned());
        let namespace = ("involvedObject.namespace", object.namespace);
        let Self::Parts { parts, namespace: in_one } = self else {
            let kind = ("involvedObject.kind", object.kind);
            return [kind, namespace, ("involvedObject.name", object.name)].map(own).into();
        };
        let subject = Subject::new(event);
        let value = |part: &Part| match part {
            Part::Owner => ("owner".to_owned(), label_value(&owner(event)).into_owned()),
            Part::Field(key) => {
                let value =
                    subject.get(key).map(|value| label_value(&value.as_text()).into_owned());
                let name = part.member_label().unwrap_or_else(|| key.as_str().to_owned());
                (name, value.unwrap_or_default())
            }
        };
        in_one.then(|| own(namespace)).into_iter().chain(parts.iter().map(value)).collect()
    }

    /// The same under names of labels, where alerts have some for it.
    fn labels(&self, event: &Event) -> Vec<(String, String)> {
        let values = self.values(event);
        let kind = values.iter().find(|(name, _)| name == "involvedObject.kind");
        let kind = kind.map(|_| object_label(event));
        let label = |(name, value): (String, String)| match &*name {
            "involvedObject.namespace" => ("namespace".to_owned(), value),
            "involvedObject.fieldPath" => ("container".to_owned(), container(&value).to_owned()),
            "involvedObject.name" => (kind.clone().unwrap_or_else(|| "name".to_owned()), value),
            // Told by the label of the name.
            "involvedObject.kind" => (String::new(), value),
            _ => (name.replace('.', "_"), value),
        };
        let named = |name: &str| self.has(name);
        if kind.is_some() && !named("involvedObject.name") {
            let plain = ("kind".to_owned(), event.involved_object().kind.to_owned());
            return values.into_iter().map(label).chain([plain]).collect();
        }
        values.into_iter().map(label).collect()
    }

    fn has(&self, field: &str) -> bool {
        let Self::Parts { parts, .. } = self else { return true };
        parts.iter().any(|part| matches!(part, Part::Field(key) if key.as_str() == field))
    }
}

// === impl Part ===

impl Part {
    /// # Errors
    /// Why there is no such thing.
    fn read(name: &str) -> Result<Self, String> {
        if name == "owner" {
            return Ok(Self::Owner);
        }
        let key = Key::alone(name);
        let help = match key {
            Ok(key) if matches!(key.place(), Place::Field(_) | Place::Member(_)) => {
                return Ok(Self::Field(key));
            }
            Ok(_) => suggest::field(name).map(|(help, _)| help),
            Err(error) => error.suggestion().map(str::to_owned),
        };
        let help = help.map(|help| format!(": {help}")).unwrap_or_default();
        Err(format!("there is no field `{name}`{help}"))
    }

    /// What a label or an annotation of an Event is called among the labels of an alert, as
    /// kube-state-metrics does: others than letters, digits and `_` cannot be in it.
    fn member_label(&self) -> Option<String> {
        let Self::Field(key) = self else { return None };
        let prefix = match key.place() {
            Place::Member(Map::Labels) => "label_",
            Place::Member(Map::Annotations) => "annotation_",
            _ => return None,
        };
        let plain = key.member().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        Some(prefix.to_owned() + &plain)
    }
}

fn cluster(event: &Event) -> Cow<'_, str> {
    label_value(event.cluster().unwrap_or_default())
}

/// The label of an alert that two members would become: by it alone, groups could not be told apart.
fn doubled(parts: &[Part]) -> Option<String> {
    let mut known = BTreeSet::new();
    parts.iter().filter_map(Part::member_label).find(|label| !known.insert(label.clone()))
}

fn remembers(rule: &EventRule) -> bool {
    rule.threshold.is_some()
        || rule.absence.is_some()
        || rule.repeat_interval.is_some()
        || rule.keep_firing_for.is_some()
        || rule.resolve.is_some()
}

/// Settings that have no meaning beside the rule's type, or beside another one.
fn misplaced(rule: &EventRule, kind: Option<Kind>) -> Vec<Wrong> {
    let gives = matches!(kind, Some(Kind::Notification | Kind::Alert) | None);
    let lasts = matches!(kind, Some(Kind::Alert) | None);
    let fires = "belongs to the types `notification` and `alert`";
    let alert = "belongs to the type `alert`";
    let table = [
        ("threshold", rule.threshold.is_some() && !gives, fires),
        ("absence", rule.absence.is_some() && !gives, fires),
        ("repeatInterval", rule.repeat_interval.is_some() && !gives, fires),
        ("keepFiringFor", rule.keep_firing_for.is_some() && !lasts, alert),
        ("resolve", rule.resolve.is_some() && !lasts, alert),
        (
            "absence",
            rule.absence.is_some() && rule.threshold.is_some(),
            "cannot be set beside `threshold`",
        ),
        (
            "groupBy",
            !rule.group_by.is_empty() && !remembers(rule),
            "needs one of `threshold`, `absence`, `repeatInterval`, `keepFiringFor` and `resolve`",
        ),
        (
            "sinks",
            !rule.sinks.is_empty() && kind != Some(Kind::Route),
            "belongs to the type `route`",
        ),
        ("sinks", rule.sinks.is_empty() && kind == Some(Kind::Route), "a route needs one at least"),
    ];
    let wrong = table.into_iter().filter(|(_, is_wrong, _)| *is_wrong);
    wrong.map(|(field, _, reason)| Wrong(field, reason.to_owned())).collect()
}

fn positive(text: &str) -> Result<SignedDuration, String> {
    if !is_plain(text) {
        return Err(format!("not a duration like 10s, 1m30s or 7d: {text:?}"));
    }
    let length = duration::parse(text).map_err(|error| error.to_string())?;
    if length.is_zero() {
        return Err("has to be longer than nothing".to_owned());
    }
    if length > MAX_DURATION {
        return Err("has to be a year at most".to_owned());
    }
    SignedDuration::try_from(length).map_err(|error| error.to_string())
}

/// Whether an API server takes it, which knows numbers with units only.
fn is_plain(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let behind = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let end = behind.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(behind.len());
        let is_unit = ["ns", "us", "ms", "s", "m", "h", "d", "w"].contains(&&behind[..end]);
        if behind.len() == rest.len() || !is_unit {
            return false;
        }
        rest = &behind[end..];
    }
    !text.is_empty()
}

fn written(length: SignedDuration) -> String {
    duration::format(length.unsigned_abs())
}
