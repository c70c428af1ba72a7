//! What a sink promises, checked.

use std::{fmt, marker::PhantomData, ops::Range, pin::Pin};

use serde_json::Value;

use super::Sample;
use crate::{Batch, Sink, sink::SendErrorKind};

/// The promises of a sink, with what a test has to say about the sink and its destination `D`.
pub struct Contract<T, S, D> {
    start: Box<dyn Fn() -> Local<'static, (S, D)>>,
    arrived: Box<Arrived<D>>,
    refuse: Option<Box<Refuse<D>>>,
    failure: Option<Failure<D>>,
    item: PhantomData<fn() -> T>,
}

type Local<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;
type Arrived<D> = dyn for<'a> Fn(&'a D) -> Local<'a, Vec<Delivery>>;
type Refuse<D> = dyn Fn(&D, &str);

/// How a destination is broken and mended.
struct Failure<D> {
    start: Box<dyn Fn(&D)>,
    end: Box<dyn Fn(&D)>,
}

/// What reached a destination at one time.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The `Idempotency-Key` it came with, if such a destination is given one.
    pub key: Option<String>,
    /// The items in their JSON form, in order.
    pub items: Vec<Value>,
    /// True if the destination took them.
    pub accepted: bool,
}

/// A part of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clause {
    /// After `Ok` all items are there, in order.
    Order,
    /// Items that the destination refuses are named by place, and all others are there.
    Refusal,
    /// A failure can be retried, and then everything is there.
    Retry,
    /// Each delivery has a key: repeats of a batch the same, another batch another one. Checked
    /// where the destination is given keys and tells of a repeat.
    Key,
    /// After `close` everything is still there.
    Close,
}

/// Which parts of the contract were checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Parts that hold.
    pub checked: Vec<Clause>,
    /// Parts that cannot be checked with this destination.
    pub skipped: Vec<Clause>,
}

// === impl Contract ===

impl<T: Sample, S: Sink<T>, D: 'static> Contract<T, S, D> {
    /// `start` gives a sink and the empty destination it leads to; `arrived` tells what reached
    /// the destination, in order.
    pub fn new<F, A>(start: F, arrived: A) -> Self
    where
        F: AsyncFn() -> (S, D) + Clone + 'static,
        A: AsyncFn(&D) -> Vec<Delivery> + Clone + 'static,
    {
        Self {
            start: Box::new(move || {
                let start = start.clone();
                Box::pin(async move { start().await })
            }),
            arrived: Box::new(move |destination| {
                let arrived = arrived.clone();
                Box::pin(async move { arrived(destination).await })
            }),
            refuse: None,
            failure: None,
            item: PhantomData,
        }
    }

    /// `refuse` makes the destination refuse, from now on, whatever holds the item of this
    /// identity (see [`Sample::id`]).
    #[must_use]
    pub fn refusing(mut self, refuse: impl Fn(&D, &str) + 'static) -> Self {
        self.refuse = Some(Box::new(refuse));
        self
    }

    /// `start` makes every delivery fail in a way that can pass, and `end` mends that.
    #[must_use]
    pub fn failing(mut self, start: impl Fn(&D) + 'static, end: impl Fn(&D) + 'static) -> Self {
        self.failure = Some(Failure { start: Box::new(start), end: Box::new(end) });
        self
    }

    /// Checks everything that can be checked with this destination.
    ///
    /// # Panics
    /// If the sink breaks a promise.
    pub async fn run(&self) -> Report {
        let mut report = Report::default();
        self.order().await;
        report.add(Clause::Order, true);
        if let Some(refuse) = &self.refuse {
            self.refusal(refuse).await;
        }
        report.add(Clause::Refusal, self.refuse.is_some());
        let keys_checked = match &self.failure {
            Some(failure) => self.retry(failure).await,
            None => false,
        };
        report.add(Clause::Retry, self.failure.is_some());
        report.add(Clause::Key, keys_checked);
        self.close().await;
        report.add(Clause::Close, true);
        report
    }

    async fn order(&self) {
        let (sink, destination) = (self.start)().await;
        let mut sent = Vec::new();
        for range in [0..1, 1..8, 8..9, 9..73] {
            let batch = batch::<T>(range);
            sink.send(&batch).await.expect("a delivery to a destination that is well");
            sent.extend(ids(&batch));
            assert_eq!(self.there(&destination).await, sent, "all items are there, in order");
        }
    }

    async fn refusal(&self, refuse: &Refuse<D>) {
        for (len, refused) in
            [(1, &[0][..]), (7, &[0]), (7, &[3]), (7, &[6]), (8, &[2, 3]), (9, &[0, 4, 8])]
        {
            let (sink, destination) = (self.start)().await;
            let batch = batch::<T>(0..len);
            for &place in refused {
                refuse(&destination, &batch[place].id());
            }
            let error = sink.send(&batch).await.expect_err("an item is refused");
            assert_eq!(places(error.kind(), len), refused, "the refused items are named: {error}");
            let others = |(place, id)| (!refused.contains(&place)).then_some(id);
            let others: Vec<_> = ids(&batch).enumerate().filter_map(others).collect();
            assert_eq!(self.there(&destination).await, others, "all others are there");
        }
    }

    /// Gives what [`Self::same_keys`] gives.
    async fn retry(&self, failure: &Failure<D>) -> bool {
        let (sink, destination) = (self.start)().await;
        let first = batch::<T>(0..3);
        sink.send(&first).await.expect("a delivery to a destination that is well");
        (failure.start)(&destination);
        let batch = batch::<T>(3..10);
        for _ in 0..2 {
            let error = sink.send(&batch).await.expect_err("the destination fails");
            assert!(error.is_retry(), "a failure that can pass can be retried: {error:?}");
        }
        (failure.end)(&destination);
        sink.send(&batch).await.expect("a delivery to a destination that is well again");
        let sent: Vec<_> = ids(&first).chain(ids(&batch)).collect();
        assert_eq!(self.there(&destination).await, sent, "everything is there");
        self.same_keys(&destination, &first, &batch).await
    }

    /// True if there are keys, and a repeat that could have had another one.
    async fn same_keys(&self, destination: &D, first: &Batch<T>, batch: &Batch<T>) -> bool {
        let deliveries = (self.arrived)(destination).await;
        let with_key = deliveries.iter().filter(|delivery| delivery.key.is_some()).count();
        if with_key == 0 {
            return false;
        }
        assert_eq!(with_key, deliveries.len(), "each delivery has a key: {deliveries:?}");
        let keys = |of: &Batch<T>| -> Vec<_> {
            let found = deliveries.iter().filter(|delivery| delivery.ids::<T>().eq(ids(of)));
            found.map(|delivery| &delivery.key).collect()
        };
        let (first, repeats) = (keys(first), keys(batch));
        assert!(
            repeats.windows(2).all(|two| two[0] == two[1]),
            "repeats have one key: {repeats:?}"
        );
        assert!(first.iter().all(|key| !repeats.contains(key)), "another batch has another key");
        repeats.len() > 1
    }

    async fn close(&self) {
        let (sink, destination) = (self.start)().await;
        let batch = batch::<T>(0..5);
        sink.send(&batch).await.expect("a delivery to a destination that is well");
        sink.close().await.expect("an end without complaint");
        assert_eq!(self.there(&destination).await, ids(&batch).collect::<Vec<_>>());
    }

    async fn there(&self, destination: &D) -> Vec<String> {
        let deliveries = (self.arrived)(destination).await;
        let accepted = deliveries.iter().filter(|delivery| delivery.accepted);
        accepted.flat_map(Delivery::ids::<T>).collect()
    }
}

impl<T, S, D> fmt::Debug for Contract<T, S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contract").finish_non_exhaustive()
    }
}

// === impl Report ===

impl Report {
    fn add(&mut self, clause: Clause, checked: bool) {
        let clauses = if checked { &mut self.checked } else { &mut self.skipped };
        clauses.push(clause);
    }
}

fn batch<T: Sample>(range: Range<usize>) -> Batch<T> {
    Batch::new(range.map(T::sample).collect::<Vec<_>>()).expect("a range that is not empty")
}

fn ids<T: Sample>(batch: &Batch<T>) -> impl Iterator<Item = String> {
    batch.iter().map(T::id)
}

fn places(kind: &SendErrorKind, len: usize) -> Vec<usize> {
    match kind {
        SendErrorKind::Retry { .. } => panic!("a refused item must not be retried"),
        SendErrorKind::Reject { items: Some(items) } => items.clone(),
        SendErrorKind::Reject { items: None } => (0..len).collect(),
    }
}

// === impl Delivery ===

impl Delivery {
    /// Items that a destination without keys took.
    pub fn accepted(items: Vec<Value>) -> Self {
        Self { key: None, items, accepted: true }
    }

    fn ids<T: Sample>(&self) -> impl Iterator<Item = String> {
        self.items.iter().map(|item| T::found_in(item).unwrap_or_else(|| panic!("in {item}")))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    };

    use super::*;
    use crate::{Event, SendError, sink_fn};

    /// Takes everything, or fails and tells of what it did not take.
    #[derive(Clone, Default)]
    struct Destination {
        deliveries: Arc<Mutex<Vec<Delivery>>>,
        fails: Arc<AtomicBool>,
    }

    impl Destination {
        fn take(&self, key: Option<String>, batch: &Batch<Event>) -> Result<(), SendError> {
            let accepted = !self.fails.load(Ordering::Relaxed);
            let items = batch.iter().map(|event| event.value().clone()).collect();
            self.deliveries.lock().unwrap().push(Delivery { key, items, accepted });
            accepted.then_some(()).ok_or_else(|| SendError::retry("it fails"))
        }
    }

    /// Runs the suite on a sink whose keys are made of the batch and of how much came before it.
    async fn run(key: fn(&Batch<Event>, usize) -> Option<String>) -> Report {
        let start = async move || {
            let destination = Destination::default();
            let there = destination.clone();
            let sink = sink_fn(move |batch: Batch<Event>| {
                let before = there.deliveries.lock().unwrap().len();
                std::future::ready(there.take(key(&batch, before), &batch))
            });
            (sink, destination)
        };
        Contract::new(start, async |there: &Destination| there.deliveries.lock().unwrap().clone())
            .failing(
                |there| there.fails.store(true, Ordering::Relaxed),
                |there| there.fails.store(false, Ordering::Relaxed),
            )
            .run()
            .await
    }

    #[tokio::test]
    async fn keys_are_checked_where_there_are_any() {
        let report = run(|batch, _| Some(batch.idempotency_key())).await;
        assert_eq!(report.skipped, [Clause::Refusal]);
        let report = run(|_, _| None).await;
        assert_eq!(report.skipped, [Clause::Refusal, Clause::Key]);
    }

    #[tokio::test]
    #[should_panic(expected = "repeats have one key")]
    async fn a_repeat_with_a_key_of_its_own_breaks_the_contract() {
        run(|_, before| Some(before.to_string())).await;
    }

    #[tokio::test]
    #[should_panic(expected = "each delivery has a key")]
    async fn a_repeat_without_a_key_breaks_the_contract() {
        run(|batch, before| (before < 2).then(|| batch.idempotency_key())).await;
    }

    #[tokio::test]
    #[should_panic(expected = "another batch has another key")]
    async fn one_key_for_all_breaks_the_contract() {
        run(|_, _| Some("key".into())).await;
    }
}
