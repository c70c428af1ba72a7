//! How long to wait after a failure.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::source::SourceError;

const MIN: Duration = Duration::from_millis(500);
/// With jitter, the wait is up to twice that.
const MAX: Duration = Duration::from_secs(15);
/// The longest wait that a server may ask for.
const MAX_ASKED: Duration = Duration::from_secs(300);

/// Longer and longer waits with jitter, until something succeeds.
#[derive(Debug)]
pub(super) struct Backoff {
    waits: ExponentialBackoff,
}

// === impl Backoff ===

impl Default for Backoff {
    fn default() -> Self {
        let waits = ExponentialBuilder::new().with_min_delay(MIN).with_max_delay(MAX);
        Self { waits: waits.without_max_times().with_jitter().build() }
    }
}

impl Backoff {
    /// The next wait.
    pub(super) fn next(&mut self) -> Duration {
        self.waits.next().unwrap_or(MAX)
    }

    /// The next wait after this error: as the server asks, and twice as long after a refusal.
    pub(super) fn after(&mut self, error: &SourceError) -> Duration {
        let wait = self.next();
        match error {
            SourceError::Status { retry_after: Some(asked), .. } => {
                wait.max((*asked).min(MAX_ASKED))
            }
            error if error.is_refusal() => wait * 2,
            _ => wait,
        }
    }

    /// Something succeeded.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_half_a_minute_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..20).map(|_| backoff.next()).collect();
        assert!(waits[0] >= MIN && waits[0] <= MIN * 2);
        assert!(waits[10..].iter().all(|wait| *wait >= MAX && *wait <= MAX * 2));
        backoff.reset();
        assert!(backoff.next() <= MIN * 2);
    }

    #[test]
    fn a_server_is_asked_again_when_it_wants_to_be() {
        let busy = |seconds| SourceError::Status {
            action: "list",
            code: 429,
            reason: "TooManyRequests".into(),
            message: String::new(),
            retry_after: Some(Duration::from_secs(seconds)),
        };
        assert_eq!(Backoff::default().after(&busy(60)), Duration::from_secs(60));
        assert_eq!(Backoff::default().after(&busy(86_400)), MAX_ASKED);
    }
}
