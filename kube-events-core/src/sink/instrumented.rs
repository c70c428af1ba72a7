//! Figures about a sink.

use async_trait::async_trait;

use super::{SendError, Sink};
use crate::{Batch, metrics::SinkMetrics};

/// Wraps a sink so that each delivery is counted and timed.
#[derive(Clone, Debug)]
pub struct Instrumented<S> {
    inner: S,
    metrics: SinkMetrics,
}

// === impl Instrumented ===

impl<S> Instrumented<S> {
    /// Counts into these metrics.
    pub fn new(inner: S, metrics: SinkMetrics) -> Self {
        Self { inner, metrics }
    }
}

#[async_trait]
impl<T: Send + Sync + 'static, S: Sink<T>> Sink<T> for Instrumented<S> {
    async fn send(&self, batch: &Batch<T>) -> Result<(), SendError> {
        let start = tokio::time::Instant::now();
        let result = self.inner.send(batch).await;
        self.metrics.observe(batch.len(), start.elapsed(), &result);
        result
    }

    async fn close(&self) -> Result<(), SendError> {
        self.inner.close().await
    }
}
