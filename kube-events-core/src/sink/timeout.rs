//! A limit on how long a delivery may take.

use std::time::Duration;

use async_trait::async_trait;

use super::{SendError, Sink};
use crate::Batch;

/// Wraps a sink so that a `send` or `close` which takes longer than `limit` is given up and may be
/// retried.
#[derive(Clone, Debug)]
pub struct Timeout<S> {
    inner: S,
    limit: Duration,
}

/// The destination took too long.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {0:?}")]
struct Elapsed(Duration);

// === impl Timeout ===

impl<S> Timeout<S> {
    /// Gives up after `limit`.
    pub fn new(inner: S, limit: Duration) -> Self {
        Self { inner, limit }
    }

    async fn within<F>(&self, future: F) -> Result<(), SendError>
    where
        F: Future<Output = Result<(), SendError>>,
    {
        tokio::time::timeout(self.limit, future)
            .await
            .unwrap_or_else(|_| Err(SendError::retry(Elapsed(self.limit))))
    }
}

#[async_trait]
impl<T: Send + Sync + 'static, S: Sink<T>> Sink<T> for Timeout<S> {
    async fn send(&self, batch: &Batch<T>) -> Result<(), SendError> {
        self.within(self.inner.send(batch)).await
    }

    async fn close(&self) -> Result<(), SendError> {
        self.within(self.inner.close()).await
    }
}
