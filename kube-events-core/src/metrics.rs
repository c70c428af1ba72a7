//! Every metric of the project, by name.
//!
//! Names follow the Prometheus conventions; counters get `_total` when they are exposed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jiff::Timestamp;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use crate::{SendError, gap::GapReason};

/// The label of everything about a lane: its name in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LaneLabel {
    lane: String,
}

/// The label of gaps: why they cannot be excluded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct GapLabel {
    reason: &'static str,
}

/// Figures about a pipeline: what came in, and how far each lane is.
#[derive(Clone, Debug, Default)]
pub struct PipelineMetrics {
    received: Counter,
    gaps: Family<GapLabel, Counter>,
    source_errors: Counter,
    undecodable: Counter,
    ring_bytes: Gauge,
    lag: Family<LaneLabel, Gauge>,
    sinks: SinkFamilies,
}

#[derive(Clone, Debug)]
struct SinkFamilies {
    delivered: Family<LaneLabel, Counter>,
    retried: Family<LaneLabel, Counter>,
    rejected: Family<LaneLabel, Counter>,
    duration: Family<LaneLabel, Histogram, fn() -> Histogram>,
}

/// Figures about a ruler: what it was sent, what its rules made of it, and how its sinks are.
#[derive(Clone, Debug)]
pub struct RulerMetrics {
    received: Counter,
    rejected: Counter,
    undecided: Counter,
    alerts: Counter,
    notifications: Counter,
    rules: Gauge,
    problems: Gauge,
    evaluation: Histogram,
    lost: Family<LaneLabel, Counter>,
    suppressed: Family<LaneLabel, Counter>,
    unknown_sinks: Gauge,
    state_groups: Gauge,
    state_bytes: Gauge,
    state_firing: Gauge,
    state_evicted: Counter,
    warm_up_events: Counter,
    active: Gauge,
    forwarded: Counter,
    forward_failures: Counter,
    objects: Objects,
    sinks: SinkFamilies,
}

/// The labels of what is told of a Rule object. A scrape has a label `namespace` of its own, the ruler's,
/// so this one is named otherwise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct RuleLabels {
    rule_namespace: String,
    rule_name: String,
}

/// What the rules of one object have done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleFigures {
    /// Events that they matched.
    pub matched: u64,
    /// Notifications and alerts that they gave.
    pub fired: u64,
    /// Texts of these that could not be filled in.
    pub unrendered: u64,
    /// Events that gave nothing because their group is quiet.
    pub suppressed: u64,
    /// Events that a rule of the type `drop` took from them.
    pub dropped: u64,
    /// Times that one of them could not be decided.
    pub undecided: u64,
    /// About how long it took to evaluate them.
    pub evaluation: Duration,
    /// The time of the latest Event that one of them matched.
    pub last_match: Option<Timestamp>,
}

/// The figures of Rule objects, as many as the ruler is told to tell of.
#[derive(Clone, Debug, Default)]
struct Objects {
    told: Arc<Mutex<BTreeMap<RuleLabels, RuleFigures>>>,
    families: [Family<RuleLabels, Counter>; 6],
    evaluation: Family<RuleLabels, Counter<f64, AtomicU64>>,
    last_match: Family<RuleLabels, Gauge<f64, AtomicU64>>,
}

/// Figures about one sink, for [`Instrumented`](crate::sink::Instrumented).
#[derive(Clone, Debug)]
pub struct SinkMetrics {
    delivered: Counter,
    retried: Counter,
    rejected: Counter,
    duration: Histogram,
}

/// Figures about a configuration file that is read again when it changes.
#[derive(Clone, Debug, Default)]
pub struct ConfigMetrics {
    successful: Gauge,
    success_timestamp: Gauge<f64, AtomicU64>,
    failures: Counter,
}

/// Figures about an operator: what it looks after, and what that costs.
#[derive(Clone, Debug)]
pub struct OperatorMetrics {
    reconciles: Family<KindLabel, Counter>,
    errors: Family<KindLabel, Counter>,
    writes: Family<KindLabel, Counter>,
    duration: Family<KindLabel, Histogram, fn() -> Histogram>,
    managed: Family<KindLabel, Gauge>,
    leading: Gauge,
}

/// The label of everything about objects of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabel {
    kind: &'static str,
}

/// Seconds that a delivery may take: a millisecond to half a minute.
fn delivery_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 16))
}

// === impl PipelineMetrics ===

impl PipelineMetrics {
    /// Registers them under `kube_events_`.
    pub fn register(registry: &mut Registry) -> Self {
        let this = Self::default();
        let registry = registry.sub_registry_with_prefix("kube_events");
        let mut counter = |name: &str, help: &str, counter: &Counter| {
            registry.register(name, help, counter.clone());
        };
        counter("received", "Events that the source gave", &this.received);
        counter("source_errors", "Errors of the source, each tried again", &this.source_errors);
        counter("undecodable", "Lines that are not an Event", &this.undecodable);
        // A counter that begins with its first gap would never be seen to increase by it.
        for reason in [GapReason::Expired, GapReason::WentBack] {
            drop(this.gaps.get_or_create(&GapLabel { reason: reason.as_str() }));
        }
        registry.register(
            "gaps",
            "Stretches in which Events may be missing, by reason",
            this.gaps.clone(),
        );
        registry.register(
            "ring_bytes",
            "Bytes of Events that are held for lanes",
            this.ring_bytes.clone(),
        );
        registry.register(
            "lane_lag_events",
            "Events that a lane has still to deliver",
            this.lag.clone(),
        );
        this.sinks.register(registry);
        this
    }

    /// The figures of one lane's sink.
    pub fn sink(&self, lane: &str) -> SinkMetrics {
        self.sinks.of(lane)
    }

    pub(crate) fn received(&self) {
        self.received.inc();
    }

    pub(crate) fn gap(&self, reason: GapReason) {
        self.gaps.get_or_create(&GapLabel { reason: reason.as_str() }).inc();
    }

    pub(crate) fn undecodable(&self) {
        self.undecodable.inc();
    }

    pub(crate) fn source_error(&self) {
        self.source_errors.inc();
    }

    pub(crate) fn ring(&self, bytes: usize) {
        self.ring_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(crate) fn lag(&self, lane: &str, events: u64) {
        let label = LaneLabel { lane: lane.to_owned() };
        self.lag.get_or_create(&label).set(i64::try_from(events).unwrap_or(i64::MAX));
    }
}

// === impl RulerMetrics ===

impl Default for RulerMetrics {
    fn default() -> Self {
        Self {
            received: Counter::default(),
            rejected: Counter::default(),
            undecided: Counter::default(),
            alerts: Counter::default(),
            notifications: Counter::default(),
            rules: Gauge::default(),
            problems: Gauge::default(),
            evaluation: Histogram::new(exponential_buckets(0.000_01, 4.0, 10)),
            lost: Family::default(),
            suppressed: Family::default(),
            unknown_sinks: Gauge::default(),
            state_groups: Gauge::default(),
            state_bytes: Gauge::default(),
            state_firing: Gauge::default(),
            state_evicted: Counter::default(),
            warm_up_events: Counter::default(),
            active: Gauge::default(),
            forwarded: Counter::default(),
            forward_failures: Counter::default(),
            objects: Objects::default(),
            sinks: SinkFamilies::default(),
        }
    }
}

impl RulerMetrics {
    /// Registers them under `kube_events_ruler_`.
    pub fn register(registry: &mut Registry) -> Self {
        let this = Self::default();
        let registry = registry.sub_registry_with_prefix("kube_events_ruler");
        let mut counter = |name: &str, help: &str, counter: &Counter| {
            registry.register(name, help, counter.clone());
        };
        counter("received", "Events that were sent to the ruler", &this.received);
        counter("malformed", "Lines that were sent to the ruler and are no Event", &this.rejected);
        counter("undecided", "Times that a rule could not be decided on an Event", &this.undecided);
        counter("alerts", "Alerts that rules raised", &this.alerts);
        counter("notifications", "Notifications that rules asked for", &this.notifications);
        registry.register("rules", "Rules that count", this.rules.clone());
        registry.register(
            "rule_problems",
            "Rules, or objects of Rules, that do not count because something is wrong with them",
            this.problems.clone(),
        );
        registry.register(
            "evaluation_duration_seconds",
            "Time to evaluate all rules on the Events of one request",
            this.evaluation.clone(),
        );
        registry.register(
            "lost",
            "Items that an optional sink lost because its queue was full",
            this.lost.clone(),
        );
        registry.register(
            "suppressed",
            "Alerts that were not sent because they are older than maxAlertAge",
            this.suppressed.clone(),
        );
        for (name, help, gauge) in [
            ("unknown_sinks", "Names in routes that no sink has", &this.unknown_sinks),
            ("active", "1 if rules with state remember in this ruler, else 0", &this.active),
            ("state_groups", "Groups that rules with state remember", &this.state_groups),
            ("state_bytes", "Bytes that these groups take, about", &this.state_bytes),
            ("state_firing", "Alerts of rules with state that fire", &this.state_firing),
        ] {
            registry.register(name, help, gauge.clone());
        }
        registry.register(
            "state_evicted",
            "Groups that were forgotten for want of room",
            this.state_evicted.clone(),
        );
        for (name, help, counter) in [
            ("warm_up_events", "Events of before that were read in warm-ups", &this.warm_up_events),
            ("forwarded", "Events that the active ruler took from this one", &this.forwarded),
            (
                "forward_failures",
                "Times that the active ruler was not known, or did not take Events from this one",
                &this.forward_failures,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
        this.objects.register(registry);
        this.sinks.register(registry);
        this
    }

    /// Tells what the rules of these objects have done, and of no others.
    pub fn objects(&self, objects: BTreeMap<RuleLabels, RuleFigures>) {
        self.objects.tell(objects);
    }

    /// The figures of one lane's sink; all that can be told of the lane is there from now on.
    pub fn sink(&self, lane: &str) -> SinkMetrics {
        self.lost(lane, 0);
        self.suppressed(lane, 0);
        self.sinks.of(lane)
    }

    /// Counts the parts of one request.
    pub fn received(&self, events: usize, malformed: usize) {
        self.received.inc_by(events as u64);
        self.rejected.inc_by(malformed as u64);
    }

    /// Counts what the rules made of one request, and the time that it took.
    pub fn evaluated(&self, alerts: usize, notifications: usize, undecided: usize, time: Duration) {
        self.alerts.inc_by(alerts as u64);
        self.notifications.inc_by(notifications as u64);
        self.undecided.inc_by(undecided as u64);
        self.evaluation.observe(time.as_secs_f64());
    }

    /// Counts what rules with state gave.
    pub fn raised(&self, alerts: usize, notifications: usize) {
        self.alerts.inc_by(alerts as u64);
        self.notifications.inc_by(notifications as u64);
    }

    /// Tells how many names in routes no sink has.
    pub fn unknown_sinks(&self, names: usize) {
        self.unknown_sinks.set(i64::try_from(names).unwrap_or(i64::MAX));
    }

    /// Tells how much rules with state remember, and how many groups they have had to forget so far.
    pub fn state(&self, groups: usize, bytes: usize, firing: usize, evicted: u64) {
        let set = |gauge: &Gauge, value: u64| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        set(&self.state_groups, groups as u64);
        set(&self.state_bytes, bytes as u64);
        set(&self.state_firing, firing as u64);
        self.state_evicted.inc_by(evicted.saturating_sub(self.state_evicted.get()));
    }

    /// Tells whether rules with state remember here.
    pub fn active(&self, active: bool) {
        self.active.set(active.into());
    }

    /// Counts Events that the active ruler took from this one.
    pub fn forwarded(&self, events: usize) {
        self.forwarded.inc_by(events as u64);
    }

    /// Counts that it did not, or that it is not known.
    pub fn not_forwarded(&self) {
        self.forward_failures.inc();
    }

    /// Counts Events that the API server held at a warm-up.
    pub fn warmed_up(&self, events: usize) {
        self.warm_up_events.inc_by(events as u64);
    }

    /// Tells how many rules count, and how many do not because something is wrong with them.
    pub fn rules(&self, rules: usize, problems: usize) {
        self.rules.set(i64::try_from(rules).unwrap_or(i64::MAX));
        self.problems.set(i64::try_from(problems).unwrap_or(i64::MAX));
    }

    /// Counts what an optional sink lost.
    pub fn lost(&self, lane: &str, items: usize) {
        self.lost.get_or_create(&LaneLabel { lane: lane.to_owned() }).inc_by(items as u64);
    }

    /// Counts alerts that were too old to be sent.
    pub fn suppressed(&self, lane: &str, alerts: usize) {
        self.suppressed.get_or_create(&LaneLabel { lane: lane.to_owned() }).inc_by(alerts as u64);
    }
}

// === impl RuleLabels ===

impl RuleLabels {
    /// The labels of the object of this name.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { rule_namespace: namespace.to_owned(), rule_name: name.to_owned() }
    }
}

// === impl RuleFigures ===

impl RuleFigures {
    /// In the order of [`Objects::NAMES`].
    fn values(&self) -> [u64; 6] {
        let Self { matched, fired, unrendered, suppressed, dropped, undecided, .. } = *self;
        [matched, fired, unrendered, suppressed, dropped, undecided]
    }
}

// === impl Objects ===

impl Objects {
    const NAMES: [(&str, &str); 6] = [
        ("rule_matched", "Events that the rules of an object matched"),
        ("rule_fired", "Notifications and alerts that the rules of an object gave"),
        ("rule_unrendered", "Texts of these that could not be filled in"),
        ("rule_suppressed", "Events that gave nothing because their group is quiet"),
        ("rule_dropped", "Events that a rule of the type drop took from the rules of an object"),
        ("rule_undecided", "Times that a rule of an object could not be decided on an Event"),
    ];

    fn register(&self, registry: &mut Registry) {
        for ((name, help), family) in Self::NAMES.into_iter().zip(&self.families) {
            registry.register(name, help, family.clone());
        }
        let help = "About how long it took to evaluate the rules of an object";
        registry.register("rule_evaluation_seconds", help, self.evaluation.clone());
        let help = "When the latest Event happened that a rule of an object matched";
        let name = "rule_last_match_timestamp_seconds";
        registry.register(name, help, self.last_match.clone());
    }

    fn tell(&self, objects: BTreeMap<RuleLabels, RuleFigures>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for labels in told.keys().filter(|labels| !objects.contains_key(labels)) {
            for family in &self.families {
                family.remove(labels);
            }
            self.evaluation.remove(labels);
            self.last_match.remove(labels);
        }
        for (labels, figures) in &objects {
            for (family, value) in self.families.iter().zip(figures.values()) {
                // A rule that was changed begins anew, and so does the counter.
                if family.get_or_create(labels).get() > value {
                    family.remove(labels);
                }
                let counter = family.get_or_create(labels);
                counter.inc_by(value - counter.get());
            }
            let seconds = figures.evaluation.as_secs_f64();
            if self.evaluation.get_or_create(labels).get() > seconds {
                self.evaluation.remove(labels);
            }
            let counter = self.evaluation.get_or_create(labels);
            counter.inc_by(seconds - counter.get());
            match figures.last_match {
                None => drop(self.last_match.remove(labels)),
                Some(last) => {
                    let last = last.as_duration().as_secs_f64();
                    self.last_match.get_or_create(labels).set(last);
                }
            }
        }
        *told = objects;
    }
}

// === impl SinkFamilies ===

impl Default for SinkFamilies {
    fn default() -> Self {
        Self {
            delivered: Family::default(),
            retried: Family::default(),
            rejected: Family::default(),
            duration: Family::new_with_constructor(delivery_seconds),
        }
    }
}

impl SinkFamilies {
    fn register(&self, registry: &mut Registry) {
        registry.register("delivered", "Items that a sink accepted", self.delivered.clone());
        registry.register(
            "retries",
            "Deliveries that failed and are tried again",
            self.retried.clone(),
        );
        registry.register("rejected", "Items that a sink refused for good", self.rejected.clone());
        registry.register(
            "delivery_duration_seconds",
            "Time that a delivery took",
            self.duration.clone(),
        );
    }

    fn of(&self, lane: &str) -> SinkMetrics {
        let label = LaneLabel { lane: lane.to_owned() };
        SinkMetrics {
            delivered: self.delivered.get_or_create_owned(&label),
            retried: self.retried.get_or_create_owned(&label),
            rejected: self.rejected.get_or_create_owned(&label),
            duration: self.duration.get_or_create_owned(&label),
        }
    }
}

// === impl SinkMetrics ===

impl SinkMetrics {
    pub(crate) fn observe(&self, items: usize, time: Duration, result: &Result<(), SendError>) {
        self.duration.observe(time.as_secs_f64());
        let rejected = match result {
            Ok(()) => 0,
            Err(error) if error.is_retry() => {
                self.retried.inc();
                return;
            }
            Err(error) => error.rejected(items),
        };
        self.rejected.inc_by(rejected as u64);
        self.delivered.inc_by((items - rejected) as u64);
    }
}

// === impl ConfigMetrics ===

impl ConfigMetrics {
    /// Registers them under `kube_events_config_`.
    pub fn register(registry: &mut Registry) -> Self {
        let this = Self::default();
        let registry = registry.sub_registry_with_prefix("kube_events_config");
        registry.register(
            "last_reload_successful",
            "Whether the configuration that was read last is in force",
            this.successful.clone(),
        );
        registry.register(
            "last_reload_success_timestamp_seconds",
            "When a configuration last came into force",
            this.success_timestamp.clone(),
        );
        registry.register(
            "reload_failures",
            "Configurations that were refused; the one before stays in force",
            this.failures.clone(),
        );
        this
    }

    /// A configuration has come into force.
    pub fn succeeded(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.successful.set(1);
        self.success_timestamp.set(now.as_secs_f64());
    }

    /// A configuration was refused.
    pub fn failed(&self) {
        self.successful.set(0);
        self.failures.inc();
    }
}

// === impl OperatorMetrics ===

impl OperatorMetrics {
    /// Registers them under `kube_events_operator_`.
    pub fn register(registry: &mut Registry) -> Self {
        let this = Self {
            reconciles: Family::default(),
            errors: Family::default(),
            writes: Family::default(),
            duration: Family::new_with_constructor(delivery_seconds),
            managed: Family::default(),
            leading: Gauge::default(),
        };
        let registry = registry.sub_registry_with_prefix("kube_events_operator");
        registry.register("reconciles", "Objects that were looked at", this.reconciles.clone());
        registry.register(
            "reconcile_errors",
            "Objects that could not be brought to where they have to be",
            this.errors.clone(),
        );
        registry.register("writes", "Children and statuses that were written", this.writes.clone());
        registry.register(
            "reconcile_duration_seconds",
            "Time that one look took",
            this.duration.clone(),
        );
        registry.register("managed_objects", "Objects that are kept", this.managed.clone());
        registry.register(
            "leading",
            "Whether this operator is the one that acts",
            this.leading.clone(),
        );
        this
    }

    /// Counts one look at an object of a kind.
    pub fn reconciled(&self, kind: &'static str, time: Duration, failed: bool) {
        let label = KindLabel { kind };
        self.reconciles.get_or_create(&label).inc();
        self.duration.get_or_create(&label).observe(time.as_secs_f64());
        // The series is there from the start.
        self.errors.get_or_create(&label).inc_by(u64::from(failed));
    }

    /// Counts children and statuses of objects of a kind that were written.
    pub fn wrote(&self, kind: &'static str, objects: usize) {
        self.writes.get_or_create(&KindLabel { kind }).inc_by(objects as u64);
    }

    /// Tells how many objects of a kind there are.
    pub fn managed(&self, kind: &'static str, objects: usize) {
        let objects = i64::try_from(objects).unwrap_or(i64::MAX);
        self.managed.get_or_create(&KindLabel { kind }).set(objects);
    }

    /// Tells whether this operator acts.
    pub fn leading(&self, leading: bool) {
        self.leading.set(i64::from(leading));
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn rule_objects_are_told_of_until_they_are_no_longer() {
        let mut registry = Registry::default();
        let metrics = RulerMetrics::register(&mut registry);
        let told = |figures: &[RuleFigures]| {
            let labelled = figures.iter().map(|figures| (RuleLabels::new("shop", "web"), *figures));
            metrics.objects(labelled.collect());
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            let values = text.lines().filter(|line| line.contains("rule_name=\"web\""));
            let value = |line: &str| {
                let (name, value) = line.split_once(' ').unwrap();
                let name =
                    name.split('{').next().unwrap().trim_start_matches("kube_events_ruler_rule_");
                format!("{name} {value}")
            };
            values.map(value).collect::<Vec<_>>()
        };
        let mut figures = RuleFigures { matched: 7, unrendered: 2, ..RuleFigures::default() };
        let first = told(&[figures]);
        assert!(first.contains(&"matched_total 7".to_owned()), "{first:?}");
        assert!(first.contains(&"unrendered_total 2".to_owned()), "{first:?}");
        assert!(!first.iter().any(|line| line.starts_with("last_match")), "{first:?}");
        // It was changed, and counts anew.
        figures.matched = 1;
        figures.last_match = Some(Timestamp::from_second(1_700_000_000).unwrap());
        let next = told(&[figures]);
        assert!(next.contains(&"matched_total 1".to_owned()), "{next:?}");
        assert!(next.contains(&"last_match_timestamp_seconds 1700000000.0".to_owned()), "{next:?}");
        assert_eq!(told(&[]), Vec::<String>::new());
    }
}
