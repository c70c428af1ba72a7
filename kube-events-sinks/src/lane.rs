//! A sink with the name that it goes by.

use std::fmt;

use kube_events_core::Sink;

/// A sink as it was configured: under a name that stays when the order of the configuration
/// changes.
pub struct Lane<T> {
    /// The name in checkpoints, logs and metrics: that of the configuration, else the kind and a
    /// hash of the target, such as `webhook-1a2b3c4d`.
    pub name: String,
    /// Whether the sender of what came in has to wait for this sink. In an exporter always true.
    pub required: bool,
    /// The sink, with its timeouts; patience and metrics are for its user to add.
    pub sink: Box<dyn Sink<T>>,
}

// === impl Lane ===

impl<T> Lane<T> {
    pub(crate) fn new(name: String, required: bool, sink: impl Sink<T> + 'static) -> Self {
        Self { name, required, sink: Box::new(sink) }
    }
}

impl<T> fmt::Debug for Lane<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane")
            .field("name", &self.name)
            .field("required", &self.required)
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
