//! One compiled rule, and what follows when it matches.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use kube_events_core::{
    Alert, Event, MatchedRule,
    crd::{EventRule, RuleType},
};

use crate::{
    Condition, Fields, Limits, Lists, Scope, Subject, Template, Verdict, explain::Explanation,
    lists::List, memory::Memory, room::Room, route::Route, sample,
};

/// Labels that say where an alert comes from; a rule cannot set them.
pub const RESERVED_LABELS: [&str; 5] =
    ["alertname", "alerttype", "cluster", "container", "namespace"];

/// A rule that counts: enabled, of a known type, with conditions that compile.
#[derive(Debug)]
pub struct Rule {
    identity: Identity,
    name: Box<str>,
    kind: Kind,
    lists: Lists,
    memory: Option<Box<Memory>>,
    sinks: Box<[String]>,
    /// Sorted, as the annotations are. There are thousands of rules with a few of either, for which a tree would
    /// be several times as large.
    labels: Box<[(Box<str>, Box<str>)]>,
    annotations: Box<[(Box<str>, Template)]>,
    counters: Arc<Counters>,
}

/// What follows when a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The Event is told, once, with all rules of this kind that it matched.
    Notification,
    /// An alert, for each rule of this kind.
    Alert,
    /// The Event does not exist for the other rules of the same scope: of the cluster, of one
    /// workspace or of one namespace.
    Drop,
    /// What other rules of the same scope give goes to the sinks that it names.
    Route,
}

/// What a condition of a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Role {
    /// It is the rule's own.
    Match,
    /// What it holds for was expected (`absence.expected`).
    Expected,
    /// It ends the alert (`resolve`).
    Resolve,
}

/// Which rule it is, and how it is defined. State belongs to it: a rule that is changed begins anew.
#[derive(Clone, Debug)]
pub(crate) struct Identity(Arc<Definition>);

#[derive(Debug)]
struct Definition {
    place: Origin,
    /// The [`EventRule`] as JSON, a fifth of its size.
    spec: Box<str>,
    /// The lists that it names.
    lists: Box<[List]>,
    hash: u64,
}

/// Where a rule is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) holder: Arc<Holder>,
    /// Which one it is among the object's rules of the same name.
    pub(crate) number: usize,
}

/// The object that holds a rule.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Holder {
    pub(crate) scope: Scope,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

#[derive(Debug, Default)]
struct Counters {
    unrendered: AtomicU64,
    matched: AtomicU64,
    undecided: AtomicU64,
    fired: AtomicU64,
    suppressed: AtomicU64,
    dropped: AtomicU64,
    timed: AtomicU64,
    /// Nanoseconds that the evaluations took which were timed.
    time: AtomicU64,
    /// Microseconds since 1970 of the latest Event that matched; before 1970 if there was none.
    last_match: AtomicI64,
}

/// What a rule has done since it was first compiled as it is, by a set or by those that it
/// [follows](crate::Builder::follow).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Events that it matched.
    pub matched: u64,
    /// Events that it could not be decided on, and so did not match.
    pub undecided: u64,
    /// Notifications and alerts that it gave; that an alert fires on counts once.
    pub fired: u64,
    /// Texts of these that could not be filled in; each says why instead.
    pub unrendered: u64,
    /// Events that it matched and that gave nothing because their group is quiet (`repeatInterval`).
    pub suppressed: u64,
    /// Events that it matched and that a rule of the type `drop` took from it.
    pub dropped: u64,
    /// The time of the latest Event that it matched.
    pub last_match: Option<Timestamp>,
    /// How many evaluations of its conditions were timed: those on one of [`Statistics::TIMED_ONE_OF`]
    /// Events, if they were looked at for it.
    pub timed: u64,
    /// How long these took together, less what the clock took. A test that several rules make counts
    /// for the one that makes it first; to find the conditions that are looked at, and what follows from
    /// those that hold, counts for none.
    pub time: Duration,
}

// === impl Statistics ===

impl Statistics {
    /// Of so many Events that a thread evaluates, one is timed.
    pub const TIMED_ONE_OF: u32 = sample::ONE_OF;

    /// About how long it took to evaluate its conditions, on all Events.
    pub fn evaluation(&self) -> Duration {
        self.time.saturating_mul(Self::TIMED_ONE_OF)
    }
}

// === impl Kind ===

impl Kind {
    /// The kind of a rule; `None` if nothing follows from it.
    pub fn of(rule: &EventRule) -> Option<Self> {
        match rule.r#type {
            Some(RuleType::Notification) => Some(Self::Notification),
            Some(RuleType::Alert) => Some(Self::Alert),
            Some(RuleType::Drop) => Some(Self::Drop),
            Some(RuleType::Route) => Some(Self::Route),
            _ => None,
        }
    }
}

// === impl Identity ===

impl Identity {
    fn new(place: Origin, spec: &EventRule, lists: &Lists) -> Self {
        let spec: Box<str> =
            serde_json::to_string(spec).expect("texts and numbers are JSON").into();
        let lists = lists.named_in(&spec);
        let mut hasher = DefaultHasher::new();
        (&place, &spec, &lists).hash(&mut hasher);
        Self(Arc::new(Definition { place, spec, lists, hash: hasher.finish() }))
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || self.0.hash == other.0.hash
                && self.0.place == other.0.place
                && self.0.spec == other.0.spec
                && self.0.lists == other.0.lists
    }
}

impl Eq for Identity {}

impl Hash for Identity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

// === impl Rule ===

impl Rule {
    pub(crate) fn new(
        place: Origin,
        rule: &EventRule,
        kind: Kind,
        lists: Lists,
        annotations: Vec<(&str, Template)>,
        memory: Option<Memory>,
    ) -> Self {
        let severity = rule.severity.iter().map(|severity| ("severity", &**severity));
        let labels = rule.labels.iter().map(|(name, value)| (&**name, &**value));
        let labels = labels.filter(|(name, _)| !is_reserved(name));
        let labels: BTreeMap<_, _> = severity.chain(labels).collect();
        Self {
            identity: Identity::new(place, rule, &lists),
            name: rule.name.as_str().into(),
            kind,
            lists,
            memory: memory.map(Box::new),
            sinks: rule.sinks.clone().into(),
            labels: labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            annotations: annotations.into_iter().map(|(name, text)| (name.into(), text)).collect(),
            counters: Arc::new(Counters { last_match: AtomicI64::new(-1), ..Counters::default() }),
        }
    }

    /// The rule's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace of the object that holds it.
    pub fn namespace(&self) -> &str {
        &self.identity.0.place.holder.namespace
    }

    /// The name of that object.
    pub fn object(&self) -> &str {
        &self.identity.0.place.holder.name
    }

    /// What follows when it matches.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The names of the sinks that a route leads to.
    pub fn sinks(&self) -> &[String] {
        &self.sinks
    }

    /// Whether it counts, waits, is quiet for a while or ends: what follows from it is then for
    /// [`State`](crate::state::State) to say.
    pub fn has_state(&self) -> bool {
        self.memory.is_some()
    }

    /// How many Events it matched since it was first compiled as it is.
    pub fn matched(&self) -> u64 {
        self.counters.matched.load(Ordering::Relaxed)
    }

    /// How many Events it could not be decided on since it was first compiled as it is.
    pub fn undecided(&self) -> u64 {
        self.counters.undecided.load(Ordering::Relaxed)
    }

    /// What it has done since it was first compiled as it is.
    pub fn statistics(&self) -> Statistics {
        let Counters { fired, unrendered, suppressed, dropped, timed, time, last_match, .. } =
            &*self.counters;
        let last_match = last_match.load(Ordering::Relaxed);
        Statistics {
            matched: self.matched(),
            undecided: self.undecided(),
            fired: fired.load(Ordering::Relaxed),
            unrendered: unrendered.load(Ordering::Relaxed),
            suppressed: suppressed.load(Ordering::Relaxed),
            dropped: dropped.load(Ordering::Relaxed),
            last_match: (last_match >= 0)
                .then(|| Timestamp::from_microsecond(last_match).ok())
                .flatten(),
            timed: timed.load(Ordering::Relaxed),
            time: Duration::from_nanos(time.load(Ordering::Relaxed)),
        }
    }

    /// The rule as it is written, made anew from what is kept of it.
    pub fn spec(&self) -> EventRule {
        serde_json::from_str(&self.identity.0.spec).expect("it was written as one")
    }

    /// Which Events it sees.
    pub fn scope(&self) -> &Scope {
        &self.identity.0.place.holder.scope
    }

    /// What its condition says of an Event, and why. Compiles the condition anew.
    pub fn explain(&self, event: &(impl Fields + ?Sized)) -> Explanation {
        self.explain_one(&self.spec().condition, event)
    }

    /// What the condition that ends its alerts (`resolve`) says of an Event, and why; `None` if it has
    /// none. Compiles it anew.
    pub fn explain_resolve(&self, event: &(impl Fields + ?Sized)) -> Option<Explanation> {
        Some(self.explain_one(&self.spec().resolve?, event))
    }

    /// The same of the condition for what has to follow (`absence.expected`).
    pub fn explain_expected(&self, event: &(impl Fields + ?Sized)) -> Option<Explanation> {
        Some(self.explain_one(&self.spec().absence?.expected, event))
    }

    fn explain_one(&self, condition: &str, event: &(impl Fields + ?Sized)) -> Explanation {
        let condition = Condition::parse_with(condition, &Limits::NONE, &self.lists);
        condition.expect("it compiled when the rule was added").explain(event)
    }

    /// Counts where a rule that is defined alike has counted until now.
    pub(crate) fn go_on_from(&mut self, same: &Self) {
        self.identity = same.identity.clone();
        self.counters = Arc::clone(&same.counters);
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.identity.0.place
    }

    pub(crate) fn lists(&self) -> &Lists {
        &self.lists
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn memory(&self) -> Option<&Memory> {
        self.memory.as_deref()
    }

    /// Counts what became of one of its conditions.
    pub(crate) fn count(&self, role: Role, verdict: Verdict) {
        let counters = &self.counters;
        let counter = match verdict {
            Verdict::True if role == Role::Match => &counters.matched,
            Verdict::Undecided(_) => &counters.undecided,
            Verdict::True | Verdict::False => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Remembers the time of an Event on which one of its conditions held.
    pub(crate) fn seen(&self, role: Role, when: Option<Timestamp>) {
        if let Some(when) = when.filter(|_| role == Role::Match) {
            self.counters.last_match.fetch_max(when.as_microsecond(), Ordering::Relaxed);
        }
    }

    /// Counts an evaluation of one of its conditions that was timed.
    pub(crate) fn count_time(&self, time: Duration) {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.counters.timed.fetch_add(1, Ordering::Relaxed);
        self.counters.time.fetch_add(time, Ordering::Relaxed);
    }

    pub(crate) fn count_fired(&self, times: u64) {
        self.counters.fired.fetch_add(times, Ordering::Relaxed);
    }

    pub(crate) fn count_suppressed(&self) {
        self.counters.suppressed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_dropped(&self) {
        self.counters.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Where a route leads.
    pub(crate) fn route<'a>(routes: impl Iterator<Item = &'a Self>) -> Route {
        Route::to(routes.flat_map(Self::sinks))
    }

    pub(crate) fn as_matched(
        &self,
        event: &Event,
        because: Option<String>,
        room: &Room,
    ) -> MatchedRule {
        MatchedRule {
            name: self.name().to_owned(),
            namespace: self.namespace().to_owned(),
            object: self.object().to_owned(),
            because,
            labels: self.labels().collect(),
            annotations: self.annotations(event, room),
        }
    }

    /// The alert that this rule raises for an Event: labels of the place, then of the object, then
    /// of the rule.
    pub(crate) fn alert(&self, event: &Event, room: &Room) -> Alert {
        let starts_at = event.when().unwrap_or_else(Timestamp::now);
        let object = event.involved_object();
        let kind = object_label(event);
        let place = [
            (&*kind, object.name),
            ("container", container(object.field_path)),
            ("namespace", object.namespace),
            ("cluster", event.cluster().unwrap_or_default()),
        ];
        let place = place.map(|(name, value)| (name.to_owned(), label_value(value).into_owned()));
        self.alert_of(event, starts_at, place, room)
    }

    /// The alert of a group of Events: labels of the group, then of the rule.
    pub(crate) fn group_alert(
        &self,
        memory: &Memory,
        event: &Event,
        starts_at: Timestamp,
        because: Option<&str>,
        room: &Room,
    ) -> Alert {
        let mut alert = self.alert_of(event, starts_at, memory.labels(event), room);
        if let Some(because) = because {
            alert.annotations.entry("because".to_owned()).or_insert_with(|| because.to_owned());
        }
        alert
    }

    fn alert_of(
        &self,
        event: &Event,
        starts_at: Timestamp,
        place: impl IntoIterator<Item = (String, String)>,
        room: &Room,
    ) -> Alert {
        let mut alert = Alert::new(event.key(), starts_at);
        alert.annotations = self.annotations(event, room);
        let rule = format!("{}/{}/{}", self.namespace(), self.object(), self.name());
        alert.annotations.entry("rule".to_owned()).or_insert(rule);
        alert.labels.extend(self.labels());
        let ours = [("alerttype", "event"), ("alertname", self.name())];
        let ours = ours.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let named = |(name, value): &(String, String)| !name.is_empty() && !value.is_empty();
        alert.labels.extend(place.into_iter().chain(ours).filter(named));
        alert
    }

    fn labels(&self) -> impl Iterator<Item = (String, String)> {
        self.labels.iter().map(|(name, value)| (name.to_string(), value.to_string()))
    }

    fn annotations(&self, event: &Event, room: &Room) -> BTreeMap<String, String> {
        let subject = Subject::new(event);
        let rendered = |text: &Template| {
            let text = text.render_within(&subject, room.left());
            room.take(text.as_deref().ok());
            text.unwrap_or_else(|error| {
                self.counters.unrendered.fetch_add(1, Ordering::Relaxed);
                format!("(this text could not be filled in: {error})")
            })
        };
        self.annotations.iter().map(|(name, text)| (name.to_string(), rendered(text))).collect()
    }
}

/// Bytes of a label's value that comes from an Event.
const MAX_LABEL: usize = 256;

pub(crate) fn is_reserved(label: &str) -> bool {
    RESERVED_LABELS.contains(&label)
}

/// What an Event says, as the value of a label. No name in Kubernetes is as long as the bound; but senders of Events
/// can write what they like, and it would be kept, and looked at, for each rule that matches.
pub(crate) fn label_value(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_LABEL {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let (begin, end) = (&bytes[..MAX_LABEL], &bytes[bytes.len() - MAX_LABEL..]);
    let mut hasher = DefaultHasher::new();
    (begin, end, bytes.len()).hash(&mut hasher);
    let cut = (0..MAX_LABEL - 20).rev().find(|at| text.is_char_boundary(*at));
    let shown = &text[..cut.unwrap_or_default()];
    Cow::Owned(format!("{shown}…{:016x}", hasher.finish()))
}

/// The label with the name of an Event's object: its kind. Of an object of the kind `Cluster` it is `name`,
/// where that label says which cluster of Kubernetes it is in.
pub(crate) fn object_label(event: &Event) -> String {
    let kind = label_value(event.involved_object().kind).to_lowercase();
    let is_taken = kind == "cluster" && event.cluster().is_some_and(|name| !name.is_empty());
    if is_taken { "name".to_owned() } else { kind }
}

/// The container that `spec.containers{name}` or `spec.initContainers{name}` is about.
pub(crate) fn container(field_path: &str) -> &str {
    ["spec.containers{", "spec.initContainers{", "spec.ephemeralContainers{"]
        .iter()
        .find_map(|prefix| field_path.strip_prefix(prefix)?.strip_suffix('}'))
        .unwrap_or_default()
}
