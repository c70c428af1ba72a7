//! A limit on how old news may be.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use kube_events_core::{Alert, Batch, SendError, Sink, sink::SendErrorKind};
use tracing::debug;

/// Wraps a sink so that alerts which started longer ago than `limit` are not sent; they count as
/// delivered, and `on_suppressed` is told how many there were. An alert that says when it ends is no old
/// news: it fires still, or is over just now.
pub struct MaxAge<S, N> {
    inner: S,
    limit: Duration,
    on_suppressed: N,
}

// === impl MaxAge ===

impl<S, N: Fn(usize)> MaxAge<S, N> {
    /// Suppresses what started longer ago than `limit`.
    pub fn new(inner: S, limit: Duration, on_suppressed: N) -> Self {
        Self { inner, limit, on_suppressed }
    }

    fn is_news(&self, alert: &Alert, now: Timestamp) -> bool {
        let age = Duration::try_from(now.duration_since(alert.starts_at)).unwrap_or_default();
        age <= self.limit || alert.ends_at.is_some()
    }
}

#[async_trait]
impl<S, N> Sink<Alert> for MaxAge<S, N>
where
    S: Sink<Alert>,
    N: Fn(usize) + Send + Sync,
{
    async fn send(&self, batch: &Batch<Alert>) -> Result<(), SendError> {
        let now = Timestamp::now();
        let news = |&place: &usize| self.is_news(&batch[place], now);
        let places: Vec<_> = (0..batch.len()).filter(news).collect();
        if places.len() == batch.len() {
            return self.inner.send(batch).await;
        }
        let news: Vec<_> = places.iter().map(|&place| batch[place].clone()).collect();
        let result = match Batch::new(news) {
            Some(news) => self.inner.send(&news).await.map_err(|error| original(error, &places)),
            None => Ok(()),
        };
        // What has to be tried again is counted when it is.
        if !result.as_ref().is_err_and(SendError::is_retry) {
            let suppressed = batch.len() - places.len();
            debug!(suppressed, "alerts are older than maxAlertAge");
            (self.on_suppressed)(suppressed);
        }
        result
    }

    async fn close(&self) -> Result<(), SendError> {
        self.inner.close().await
    }
}

/// The same error with the places that items have in the whole batch.
fn original(error: SendError, places: &[usize]) -> SendError {
    let items = match error.kind() {
        SendErrorKind::Retry { .. } => return error,
        SendErrorKind::Reject { items: None } => places.to_vec(),
        SendErrorKind::Reject { items: Some(items) } => {
            items.iter().filter_map(|&item| places.get(item).copied()).collect()
        }
    };
    SendError::reject(items, error)
}

impl<S: fmt::Debug, N> fmt::Debug for MaxAge<S, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaxAge")
            .field("inner", &self.inner)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use jiff::SignedDuration;
    use kube_events_core::{contract::Sample, sink_fn};

    use super::*;

    fn batch(minutes: &[i64]) -> Batch<Alert> {
        let alert = |(n, minutes): (usize, &i64)| {
            let starts_at = Timestamp::now() - SignedDuration::from_mins(*minutes);
            Alert { starts_at, ..Alert::sample(n) }
        };
        Batch::new(minutes.iter().enumerate().map(alert).collect::<Vec<_>>()).unwrap()
    }

    #[tokio::test]
    async fn old_news_is_counted_and_not_sent() {
        let (sent, suppressed) = (Arc::new(Mutex::new(Vec::new())), AtomicUsize::new(0));
        let there = Arc::clone(&sent);
        let sink = sink_fn(move |batch: Batch<Alert>| {
            there.lock().unwrap().extend(batch.iter().map(Alert::id));
            async { Err(SendError::reject(vec![1], "bad")) }
        });
        let count = |n| {
            suppressed.fetch_add(n, Ordering::Relaxed);
        };
        let sink = MaxAge::new(sink, Duration::from_secs(900), count);
        let error = sink.send(&batch(&[1, 16, 20, 14, -5])).await.unwrap_err();
        assert_eq!(*sent.lock().unwrap(), ["sample0", "sample3", "sample4"]);
        assert_eq!(*error.kind(), SendErrorKind::Reject { items: Some(vec![3]) });
        assert_eq!(suppressed.load(Ordering::Relaxed), 2);
        sink.send(&batch(&[60])).await.unwrap();
        assert_eq!(suppressed.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn what_fires_on_is_no_old_news() {
        let sent = Arc::new(AtomicUsize::new(0));
        let there = Arc::clone(&sent);
        let sink = sink_fn(move |batch: Batch<Alert>| {
            there.fetch_add(batch.len(), Ordering::Relaxed);
            async { Ok(()) }
        });
        let sink = MaxAge::new(sink, Duration::from_secs(900), |_| {});
        let mut alerts = batch(&[60, 60]).to_vec();
        alerts[1].ends_at = Some(Timestamp::now());
        sink.send(&Batch::new(alerts).unwrap()).await.unwrap();
        assert_eq!(sent.load(Ordering::Relaxed), 1);
    }
}
