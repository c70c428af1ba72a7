//! A sink with the name that it goes by.

use std::{fmt, time::Duration};

use kube_events_core::Sink;

/// A sink as it was configured: under a name that stays when the order of the configuration
/// changes.
pub struct Lane<T> {
    /// The name in checkpoints, logs and metrics: that of the configuration, else the kind and a
    /// hash of the target, such as `webhook-1a2b3c4d`.
    pub name: String,
    /// Whether the sender of what came in has to wait for this sink. In an exporter always true.
    pub required: bool,
    /// The longest time that one delivery may take, before it is given up and tried again: more
    /// than one request of the sink may.
    pub timeout: Duration,
    /// Whether it has to be told again and again of an alert that fires on, as an Alertmanager has to
    /// be. Who reads lines does not.
    pub refresh: bool,
    /// The sink, with its timeouts; patience and metrics are for its user to add.
    pub sink: Box<dyn Sink<T>>,
}

/// The longest time that a delivery may take where nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(30);

/// So much longer than one request a delivery may take, so that the request ends first.
#[cfg(any(feature = "alertmanager", feature = "webhook"))]
const MARGIN: Duration = Duration::from_secs(5);

// === impl Lane ===

impl<T> Lane<T> {
    pub(crate) fn new(name: String, required: bool, sink: impl Sink<T> + 'static) -> Self {
        Self { name, required, timeout: TIMEOUT, refresh: false, sink: Box::new(sink) }
    }

    /// For a sink that makes requests, which may take so long each.
    #[cfg(any(feature = "alertmanager", feature = "webhook"))]
    pub(crate) fn requests_within(self, limit: Duration) -> Self {
        Self { timeout: TIMEOUT.max(limit + MARGIN), refresh: true, ..self }
    }
}

impl<T> fmt::Debug for Lane<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane")
            .field("name", &self.name)
            .field("required", &self.required)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// The name of a sink that was given none.
pub(crate) fn name_of(kind: &str, target: &str) -> String {
    // 32-bit FNV-1a: the name outlives versions of Rust, unlike its hashers.
    let hash = target
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{kind}-{hash:08x}")
}
