//! Patience with a destination.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBuilder};

use super::{SendError, SendErrorKind, Sink};
use crate::Batch;

/// How long to wait before the next try.
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    /// The wait before the second try. Default 200 ms.
    pub min_delay: Duration,
    /// The longest wait, also for what a destination asks for with `Retry-After`. Default 30 s.
    pub max_delay: Duration,
    /// How many tries there are in all; `None`, the default, tries until it succeeds.
    pub max_tries: Option<usize>,
}

/// Wraps a sink so that what can succeed later is tried again, after longer and longer waits with
/// jitter, or when the destination asked for it.
pub struct Retry<S, N = fn(&SendError, Duration)> {
    inner: S,
    policy: RetryPolicy,
    notify: N,
}

// === impl RetryPolicy ===

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            min_delay: Duration::from_millis(200),
            max_delay: Duration::from_secs(30),
            max_tries: None,
        }
    }
}

impl RetryPolicy {
    fn delays(&self) -> impl Iterator<Item = Duration> + use<> {
        ExponentialBuilder::new()
            .with_min_delay(self.min_delay)
            .with_max_delay(self.max_delay)
            .without_max_times()
            .with_jitter()
            .build()
            .take(self.max_tries.map_or(usize::MAX, |tries| tries.saturating_sub(1)))
    }
}

// === impl Retry ===

impl<S> Retry<S> {
    /// Tries again as the policy says.
    pub fn new(inner: S, policy: RetryPolicy) -> Self {
        Self { inner, policy, notify: |_, _| {} }
    }
}

impl<S, N> Retry<S, N> {
    /// Calls `notify` with each error that is tried again, and the wait before it is.
    pub fn on_retry<M: Fn(&SendError, Duration)>(self, notify: M) -> Retry<S, M> {
        Retry { inner: self.inner, policy: self.policy, notify }
    }
}

#[async_trait]
impl<T, S, N> Sink<T> for Retry<S, N>
where
    T: Send + Sync + 'static,
    S: Sink<T>,
    N: Fn(&SendError, Duration) + Send + Sync,
{
    async fn send(&self, batch: &Batch<T>) -> Result<(), SendError> {
        let mut delays = self.policy.delays();
        loop {
            let error = match self.inner.send(batch).await {
                Err(error) if error.is_retry() => error,
                result => return result,
            };
            let Some(delay) = delays.next() else { return Err(error) };
            let delay = match error.kind() {
                SendErrorKind::Retry { after: Some(after) } => *after.min(&self.policy.max_delay),
                _ => delay.min(self.policy.max_delay),
            };
            (self.notify)(&error, delay);
            tokio::time::sleep(delay).await;
        }
    }

    async fn close(&self) -> Result<(), SendError> {
        self.inner.close().await
    }
}

impl<S: fmt::Debug, N> fmt::Debug for Retry<S, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("inner", &self.inner)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
