//! What time it is.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// The later of two clocks: the system's, which may be set back, and the monotonic one, which may
/// stand still while the machine sleeps (and is virtual in tests).
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    started: Instant,
    at: Timestamp,
}

// === impl Clock ===

impl Clock {
    pub(super) fn start() -> Self {
        Self { started: Instant::now(), at: Timestamp::now() }
    }

    pub(super) fn now(&self) -> Timestamp {
        let elapsed =
            SignedDuration::try_from(self.started.elapsed()).unwrap_or(SignedDuration::MAX);
        let counted = self.at.saturating_add(elapsed).unwrap_or(Timestamp::MAX);
        counted.max(Timestamp::now())
    }
}
