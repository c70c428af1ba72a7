//! Every metric of the project, by name.
//!
//! Names follow the Prometheus conventions; counters get `_total` when they are exposed.

use std::{
    sync::atomic::AtomicU64,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

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
