//! Search for the items that a destination refuses.

use std::{
    collections::HashMap,
    fmt,
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use kube_events_core::{Batch, Item, SendError, Sink, sink::SendErrorKind};

/// Wraps a sink that refuses a batch as a whole, and halves what is refused until the bad items
/// are alone: those are refused, by place, and all others delivered.
///
/// What became of each part is remembered until the search is over, so that sending the same batch
/// again goes on from there: a destination that is slow, or away in between, ends every search in
/// the end, and gets nothing twice.
pub(crate) struct Halve<S> {
    inner: S,
    progress: Mutex<Progress>,
}

/// What became of the parts of one batch, by their place in it.
#[derive(Default)]
struct Progress {
    whole: String,
    parts: HashMap<Range<usize>, Fate>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Accepted,
    /// As a whole; if it has more than one item, its halves may fare better.
    Refused,
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

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for what is not known yet of a part, and notes it.
    async fn fate<T>(
        &self,
        part: &Batch<T>,
        place: &Range<usize>,
        last: &mut Option<SendError>,
    ) -> Result<Fate, SendError>
    where
        T: Item,
        S: Sink<T>,
    {
        if let Some(fate) = self.lock().parts.get(place) {
            return Ok(*fate);
        }
        let fate = match self.inner.send(part).await {
            Ok(()) => Fate::Accepted,
            Err(error) if is_refusal(&error) => {
                *last = Some(error);
                Fate::Refused
            }
            Err(error) => return Err(error),
        };
        self.lock().parts.insert(place.clone(), fate);
        Ok(fate)
    }

    /// The places of refused items, after all others were accepted.
    async fn search<T>(
        &self,
        batch: &Batch<T>,
        last: &mut Option<SendError>,
    ) -> Result<Vec<usize>, SendError>
    where
        T: Item,
        S: Sink<T>,
    {
        let mut refused = Vec::new();
        // The part that is next is the last of the stack.
        let mut stack = vec![(batch.clone(), 0..batch.len())];
        while let Some((part, place)) = stack.pop() {
            if self.fate(&part, &place, last).await? == Fate::Accepted {
                continue;
            }
            match part.halves() {
                None => refused.push(place.start),
                Some((first, rest)) => {
                    let middle = place.start + first.len();
                    stack.push((rest, middle..place.end));
                    stack.push((first, place.start..middle));
                }
            }
        }
        Ok(refused)
    }
}

// === impl Progress ===

impl Progress {
    /// Of a batch that is refused as a whole.
    fn of(batch: &Batch<impl Item>) -> Self {
        let parts = HashMap::from([(0..batch.len(), Fate::Refused)]);
        Self { whole: batch.idempotency_key(), parts }
    }

    fn is_of(&self, batch: &Batch<impl Item>) -> bool {
        !self.parts.is_empty() && self.whole == batch.idempotency_key()
    }

    fn accepted(&self) -> Vec<usize> {
        let accepted = self.parts.iter().filter(|(_, fate)| **fate == Fate::Accepted);
        let mut places: Vec<_> = accepted.flat_map(|(place, _)| place.clone()).collect();
        places.sort_unstable();
        places
    }
}

fn is_refusal(error: &SendError) -> bool {
    matches!(error.kind(), SendErrorKind::Reject { items: None })
}

#[async_trait]
impl<T: Item, S: Sink<T>> Sink<T> for Halve<S> {
    async fn send(&self, batch: &Batch<T>) -> Result<(), SendError> {
        let mut last = None;
        if !self.lock().is_of(batch) {
            match self.inner.send(batch).await {
                Err(error) if is_refusal(&error) && batch.len() > 1 => last = Some(error),
                result => return result,
            }
            *self.lock() = Progress::of(batch);
        }
        let refused = match self.search(batch, &mut last).await {
            Ok(refused) => refused,
            Err(error) if error.is_retry() => {
                return Err(error.with_accepted(self.lock().accepted()));
            }
            // Some items by their places: whoever is inside has searched already.
            Err(error) => {
                *self.lock() = Progress::default();
                return Err(error);
            }
        };
        *self.lock() = Progress::default();
        if refused.is_empty() {
            return Ok(());
        }
        let some = SomeRefused { refused: refused.len(), len: batch.len(), source: last };
        Err(SendError::reject(refused, some))
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
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use kube_events_core::{Event, contract::Sample, sink::Timeout, sink_fn};

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
        assert_eq!(
            error.accepted(),
            [0],
            "of the whole, two halves of its beginning, and one item"
        );
        let error = sink.send(&batch(8)).await.unwrap_err();
        assert_eq!(*error.kind(), SendErrorKind::Reject { items: Some(vec![1]) });
        let expected: Vec<_> = [0, 2, 3, 4, 5, 6, 7].map(|n| Event::sample(n).id()).into();
        assert_eq!(*delivered.lock().unwrap(), expected, "nothing is delivered twice");
    }

    /// What a lane does with a destination that needs a second for each answer.
    #[tokio::test(start_paused = true)]
    async fn a_search_ends_though_there_is_little_time_for_each_try() {
        let requests = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&requests);
        let slow = sink_fn(move |batch: Batch<Event>| {
            count.fetch_add(1, Ordering::Relaxed);
            let bad = batch.iter().any(|event| event.id() == Event::sample(300).id());
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if bad { Err(SendError::reject_all("bad")) } else { Ok(()) }
            }
        });
        let sink = Timeout::new(Halve::new(slow), Duration::from_millis(2500));
        let batch = batch(512);
        let refused = loop {
            match sink.send(&batch).await.unwrap_err() {
                error if error.is_retry() => {}
                error => break error,
            }
        };
        assert_eq!(*refused.kind(), SendErrorKind::Reject { items: Some(vec![300]) });
        // Nine times two halves and the whole, and the request that each try broke off.
        assert!(requests.load(Ordering::Relaxed) < 2 * (9 * 2 + 1), "{requests:?}");
    }

    #[tokio::test]
    async fn items_without_an_identity_are_told_apart() {
        let event = |n: usize| {
            Event::decode(format!(r#"{{"message": "{n}"}}"#).as_bytes()).expect("an Event")
        };
        let delivered = Arc::new(Mutex::new(Vec::new()));
        let there = Arc::clone(&delivered);
        let sink = Halve::new(sink_fn(move |batch: Batch<Event>| {
            let texts: Vec<_> = batch.iter().map(|event| event.message().to_owned()).collect();
            let bad = texts.iter().any(|text| text == "3");
            if !bad {
                there.lock().unwrap().extend(texts);
            }
            async move { if bad { Err(SendError::reject_all("bad")) } else { Ok(()) } }
        }));
        let batch = Batch::new((0..16).map(event).collect::<Vec<_>>()).unwrap();
        let error = sink.send(&batch).await.unwrap_err();
        assert_eq!(*error.kind(), SendErrorKind::Reject { items: Some(vec![3]) });
        assert_eq!(delivered.lock().unwrap().len(), 15);
    }

    #[tokio::test]
    async fn a_batch_that_is_too_large_is_delivered_in_parts() {
        let sink = Halve::new(sink_fn(|batch: Batch<Event>| async move {
            if batch.len() > 3 { Err(SendError::reject_all("too large")) } else { Ok(()) }
        }));
        sink.send(&batch(10)).await.unwrap();
    }
}
