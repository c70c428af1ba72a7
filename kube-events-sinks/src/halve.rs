//! Search for the items that a destination refuses.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use kube_events_core::{Batch, Item, SendError, Sink, sink::SendErrorKind};

/// Wraps a sink that refuses a batch as a whole, and halves what is refused until the bad items
/// are alone: those are refused, by place, and all others delivered.
///
/// What was delivered or refused before a half failed in a way that can pass is remembered, so
/// that sending the same batch again goes on from there.
pub(crate) struct Halve<S> {
    inner: S,
    progress: Mutex<Progress>,
}

/// What became of the parts of one batch.
#[derive(Default)]
struct Progress {
    whole: String,
    parts: HashMap<String, bool>,
}

/// The refusals found so far.
#[derive(Default)]
struct Refused {
    places: Vec<usize>,
    last: Option<SendError>,
}

/// A refusal of some items, told by the last of them.
#[derive(Debug, thiserror::Error)]
#[error("{refused} of {len} items refused")]
struct SomeRefused {
    refused: usize,
    len: usize,
    source: Option<SendError>,
}

// === impl Halve ===

impl<S> Halve<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner, progress: Mutex::default() }
    }

    fn begin(&self, batch: &Batch<impl Item>) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = batch.idempotency_key();
        if progress.whole != whole {
            *progress = Progress { whole, parts: HashMap::new() };
        }
    }

    /// Whether a part was accepted (`true`) or refused (`false`) at an earlier try.
    fn known(&self, part: &Batch<impl Item>) -> Option<bool> {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if progress.parts.is_empty() {
            return None;
        }
        progress.parts.get(&part.idempotency_key()).copied()
    }

    fn note(&self, part: &Batch<impl Item>, accepted: bool) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.parts.insert(part.idempotency_key(), accepted);
    }

    fn end(&self) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Progress::default();
    }

    async fn search<T>(&self, batch: &Batch<T>, refused: &mut Refused) -> Result<(), SendError>
    where
        T: Item,
        S: Sink<T>,
    {
        let halves =
            |part: Batch<T>, at: usize| part.halves().map(|(a, b)| [(at + a.len(), b), (at, a)]);
        // The whole is known to be refused; the part that is next is the last of the stack.
        let mut stack: Vec<_> = halves(batch.clone(), 0).into_iter().flatten().collect();
        while let Some((at, part)) = stack.pop() {
            if !self.part(&part, at, refused).await? {
                stack.extend(halves(part, at).into_iter().flatten());
            }
        }
        Ok(())
    }

    /// True if nothing more is to be done about this part.
    async fn part<T>(
        &self,
        part: &Batch<T>,
        at: usize,
        refused: &mut Refused,
    ) -> Result<bool, SendError>
    where
        T: Item,
        S: Sink<T>,
    {
        match self.known(part) {
            Some(true) => return Ok(true),
            Some(false) => {
                refused.places.push(at);
                return Ok(true);
            }
            None => {}
        }
        match self.inner.send(part).await {
            Ok(()) => self.note(part, true),
            Err(error) if !is_refusal(&error) => return Err(error),
            Err(_) if part.len() > 1 => return Ok(false),
            Err(error) => {
                self.note(part, false);
                refused.places.push(at);
                refused.last = Some(error);
            }
        }
        Ok(true)
    }
}

fn is_refusal(error: &SendError) -> bool {
    matches!(error.kind(), SendErrorKind::Reject { items: None })
}

#[async_trait]
impl<T: Item, S: Sink<T>> Sink<T> for Halve<S> {
    async fn send(&self, batch: &Batch<T>) -> Result<(), SendError> {
        match self.inner.send(batch).await {
            Err(error) if is_refusal(&error) && batch.len() > 1 => {}
            result => return result,
        }
        self.begin(batch);
        let mut refused = Refused::default();
        self.search(batch, &mut refused).await?;
        self.end();
        if refused.places.is_empty() {
            return Ok(());
        }
        let (count, len) = (refused.places.len(), batch.len());
        Err(SendError::reject(
            refused.places,
            SomeRefused { refused: count, len, source: refused.last },
        ))
    }

    async fn close(&self) -> Result<(), SendError> {
        self.inner.close().await
    }
}

impl<S: fmt::Debug> fmt::Debug for Halve<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Halve").field(&self.inner).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use kube_events_core::{Event, contract::Sample, sink_fn};

    use super::*;

    fn batch(len: usize) -> Batch<Event> {
        Batch::new((0..len).map(Event::sample).collect::<Vec<_>>()).unwrap()
    }

    #[tokio::test]
    async fn a_repeat_after_a_failure_goes_on_where_it_stopped() {
        let delivered = Arc::new(Mutex::new(Vec::new()));
        let tries = Arc::new(AtomicUsize::new(0));
        let (there, count) = (Arc::clone(&delivered), Arc::clone(&tries));
        let sink = Halve::new(sink_fn(move |batch: Batch<Event>| {
            let ids: Vec<_> = batch.iter().map(Sample::id).collect();
            let bad = ids.contains(&Event::sample(1).id());
            let result = match count.fetch_add(1, Ordering::Relaxed) {
                4 => Err(SendError::retry("away")),
                _ if bad => Err(SendError::reject_all("bad")),
                _ => {
                    there.lock().unwrap().extend(ids);
                    Ok(())
                }
            };
            async { result }
        }));
        let error = sink.send(&batch(8)).await.unwrap_err();
        assert!(error.is_retry());
        let error = sink.send(&batch(8)).await.unwrap_err();
        assert_eq!(*error.kind(), SendErrorKind::Reject { items: Some(vec![1]) });
        let expected: Vec<_> = [0, 2, 3, 4, 5, 6, 7].map(|n| Event::sample(n).id()).into();
        assert_eq!(*delivered.lock().unwrap(), expected, "nothing is delivered twice");
    }

    #[tokio::test]
    async fn a_batch_that_is_too_large_is_delivered_in_parts() {
        let sink = Halve::new(sink_fn(|batch: Batch<Event>| async move {
            if batch.len() > 3 { Err(SendError::reject_all("too large")) } else { Ok(()) }
        }));
        sink.send(&batch(10)).await.unwrap();
    }
}
