//! One sink of a ruler, and the queue before it.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hasher},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use kube_events_core::{
    Alert, Batch, Item, Notification, Sink,
    error::chain,
    metrics::{RulerMetrics, SinkMetrics},
    sink::{Instrumented, Retry, RetryPolicy, SendErrorKind, Timeout},
};
use kube_events_sinks::Lane as Configured;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tracing::{debug, warn};

use crate::window::Window;

/// What a ruler sends.
pub trait Payload: Item {
    /// False if nothing tells it from another one, because its Event came without a uid.
    fn has_identity(&self) -> bool;
}

/// A sink with a worker of its own.
///
/// Whoever submits items to a required lane learns what became of them; items that other senders
/// submitted meanwhile go along in the same batch. An optional lane takes what fits into its queue.
#[derive(Debug)]
pub(crate) struct Lane<T> {
    name: String,
    required: bool,
    refresh: bool,
    queue: mpsc::Sender<Submission<T>>,
    /// Bytes of what waits for an optional sink.
    waiting: Arc<AtomicUsize>,
    queued: Queued,
    window: Arc<Mutex<Window>>,
    worker: JoinHandle<()>,
    metrics: RulerMetrics,
}

/// Identities of what waits for an optional sink: it is offered again until each required one has it.
type Queued = Arc<Mutex<HashSet<u64>>>;

/// Items for a sink, and who waits for them.
#[derive(Debug)]
struct Submission<T> {
    items: Vec<T>,
    done: Option<oneshot::Sender<Delivered>>,
}

/// What became of items: taken, or to be sent again, and when.
pub(crate) type Delivered = Result<(), Delay>;

/// When the same items can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delay(pub(crate) Duration);

/// Submissions that wait for a required sink; as many requests are read at once.
const QUEUE: usize = 64;

/// Submissions that wait for an optional sink, and their bytes; what does not fit is lost, and counted.
const OPTIONAL_QUEUE: usize = 1024;
const OPTIONAL_BYTES: usize = 16 << 20;

/// The most items in a batch.
const MAX_BATCH: usize = 500;

/// How many items a sink is known to have.
const WINDOW: usize = 1 << 17;

/// For how long a sender is kept waiting; an exporter waits for 30 s. A delivery that takes longer goes on,
/// and who sends the same again finds it done.
const PATIENCE: Duration = Duration::from_secs(20);

/// When to come again, where a sink does not say.
const DELAY: Duration = Duration::from_secs(1);

// === impl Payload ===

impl Payload for Notification {
    fn has_identity(&self) -> bool {
        !self.event.uid().is_empty()
    }
}

impl Payload for Alert {
    fn has_identity(&self) -> bool {
        // What says when it ends is told apart by that.
        !self.key.uid.is_empty() || self.news.is_some()
    }
}

// === impl Lane ===

impl<T: Payload> Lane<T> {
    /// Starts the sink's worker. What the sink of `before` has is not sent to it again.
    pub(crate) fn start(
        configured: Configured<T>,
        metrics: &RulerMetrics,
        before: Option<&Self>,
    ) -> Self {
        let Configured { name, required, timeout, refresh, sink } = configured;
        let window = before.map_or_else(
            || Arc::new(Mutex::new(Window::new(WINDOW))),
            |lane| Arc::clone(&lane.window),
        );
        let (queue, submissions) = mpsc::channel(if required { QUEUE } else { OPTIONAL_QUEUE });
        let sink = Timeout::new(sink, timeout);
        let sink = wrap(&name, required, sink, metrics.sink(&name));
        let (waiting, queued) = (Arc::<AtomicUsize>::default(), Queued::default());
        let worker = Worker {
            name: name.clone(),
            sink,
            submissions,
            waiting: Arc::clone(&waiting),
            queued: Arc::clone(&queued),
            window: Arc::clone(&window),
        };
        let worker = tokio::spawn(worker.run());
        let metrics = metrics.clone();
        Self { name, required, refresh, queue, waiting, queued, window, worker, metrics }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it has to be told again of what fires on.
    pub(crate) fn refreshes(&self) -> bool {
        self.refresh
    }

    /// Delivers items; to an optional sink later, or never.
    pub(crate) async fn submit(&self, items: &[T]) -> Delivered {
        let items = unknown(&self.window, items.iter().cloned());
        if items.is_empty() {
            return Ok(());
        }
        if !self.required {
            self.offer(items);
            return Ok(());
        }
        let delivered = async {
            let (done, delivered) = oneshot::channel();
            let submission = Submission { items, done: Some(done) };
            self.queue.send(submission).await.map_err(|_| Delay(DELAY))?;
            delivered.await.unwrap_or(Err(Delay(DELAY)))
        };
        timeout(PATIENCE, delivered).await.unwrap_or(Err(Delay(DELAY)))
    }

    /// Queues what there is room for, and is not in the queue.
    fn offer(&self, mut items: Vec<T>) {
        let mut known = lock(&self.queued);
        items.retain(|item| !item.has_identity() || !known.contains(&identity(item)));
        let asked = items.len();
        let mut bytes = self.waiting.load(Ordering::Relaxed);
        let room = items.iter().take_while(|item| {
            bytes += item.size();
            bytes <= OPTIONAL_BYTES
        });
        let fit = room.count();
        items.truncate(fit);
        let size = size(&items);
        self.waiting.fetch_add(size, Ordering::Relaxed);
        let identities: Vec<_> = items.iter().map(identity).collect();
        let queued = fit > 0 && self.queue.try_send(Submission { items, done: None }).is_ok();
        if queued {
            known.extend(identities);
        } else {
            self.waiting.fetch_sub(size, Ordering::Relaxed);
        }
        drop(known);
        let lost = if queued { asked - fit } else { asked };
        if lost > 0 {
            self.metrics.lost(&self.name, lost);
            debug!(lane = self.name, items = lost, "the queue is full; lost");
        }
    }

    /// Delivers what is queued, and closes the sink.
    pub(crate) async fn close(self) {
        let Self { name, queue, worker, .. } = self;
        drop(queue);
        if let Err(error) = worker.await {
            warn!(lane = name, %error, "the sink's worker failed");
        }
    }
}

/// An optional sink's queue is patient, a required one's sender is.
fn wrap<T: Payload>(
    name: &str,
    required: bool,
    sink: Timeout<Box<dyn Sink<T>>>,
    metrics: SinkMetrics,
) -> Box<dyn Sink<T>> {
    let sink = Instrumented::new(sink, metrics);
    if required {
        return Box::new(sink);
    }
    let lane = name.to_owned();
    Box::new(Retry::new(sink, RetryPolicy::default()).on_retry(move |error, delay| {
        debug!(lane, error = chain(error), retry_in = ?delay, "not delivered");
    }))
}

struct Worker<T> {
    name: String,
    sink: Box<dyn Sink<T>>,
    submissions: mpsc::Receiver<Submission<T>>,
    waiting: Arc<AtomicUsize>,
    queued: Queued,
    window: Arc<Mutex<Window>>,
}

impl<T: Payload> Worker<T> {
    async fn run(mut self) {
        while let Some(first) = self.submissions.recv().await {
            let (mut items, mut waiting) = (first.items, vec![first.done]);
            while items.len() < MAX_BATCH {
                let Ok(next) = self.submissions.try_recv() else { break };
                items.extend(next.items);
                waiting.push(next.done);
            }
            let optional = waiting.iter().all(Option::is_none);
            let size = if optional { size(&items) } else { 0 };
            let identities: Vec<_> = items.iter().filter(|_| optional).map(identity).collect();
            let delivered = self.deliver(items).await;
            self.waiting.fetch_sub(size, Ordering::Relaxed);
            if optional {
                let mut queued = lock(&self.queued);
                for identity in &identities {
                    queued.remove(identity);
                }
            }
            for done in waiting.into_iter().flatten() {
                // Whoever hung up will ask again, and the window answers.
                done.send(delivered).ok();
            }
        }
        if let Err(error) = self.sink.close().await {
            warn!(lane = self.name, error = chain(&error), "the sink did not close cleanly");
        }
    }

    async fn deliver(&self, items: Vec<T>) -> Delivered {
        let mut fresh = HashSet::new();
        let items = unknown(&self.window, items.into_iter());
        let items: Vec<T> = items
            .into_iter()
            .filter(|item| !item.has_identity() || fresh.insert(identity(item)))
            .collect();
        for items in items.chunks(MAX_BATCH) {
            let Some(batch) = Batch::new(items) else { continue };
            if let Err(error) = self.sink.send(&batch).await {
                warn!(lane = self.name, error = chain(&error), "not delivered");
                if let SendErrorKind::Retry { after } = error.kind() {
                    let accepted = error.accepted().iter().filter_map(|place| batch.get(*place));
                    self.remember(accepted);
                    return Err(Delay(after.unwrap_or(DELAY)));
                }
            }
            self.remember(batch.iter());
        }
        Ok(())
    }

    fn remember<'a>(&self, items: impl Iterator<Item = &'a T>) {
        let mut window = lock(&self.window);
        items.filter(|item| item.has_identity()).for_each(|item| window.insert(identity(item)));
    }
}

fn size<T: Item>(items: &[T]) -> usize {
    items.iter().map(Item::size).sum()
}

fn unknown<T: Payload>(window: &Mutex<Window>, items: impl Iterator<Item = T>) -> Vec<T> {
    let window = lock(window);
    items.filter(|item| !item.has_identity() || !window.contains(identity(item))).collect()
}

pub(crate) fn identity(item: &impl Item) -> u64 {
    let mut hasher = DefaultHasher::new();
    item.identify(&mut hasher);
    hasher.finish()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use kube_events_core::{contract::Sample as _, sink_fn};
    use prometheus_client::registry::Registry;

    use super::*;

    /// A lane whose sink never answers, and how many items it has lost.
    fn hanging() -> (Lane<Notification>, impl Fn() -> usize) {
        let mut registry = Registry::default();
        let metrics = RulerMetrics::register(&mut registry);
        let hangs = sink_fn(|_: Batch<Notification>| std::future::pending());
        let configured = Configured {
            name: "slow".to_owned(),
            required: false,
            timeout: Duration::from_secs(3600),
            refresh: false,
            sink: Box::new(hangs),
        };
        let lost = move || {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            let mut lines = text.lines();
            let lost = "kube_events_ruler_lost_total{lane=\"slow\"} ";
            lines.find_map(|line| line.strip_prefix(lost)?.parse().ok()).unwrap_or(0)
        };
        (Lane::start(configured, &metrics, None), lost)
    }

    /// However large what each sender sends is.
    #[tokio::test]
    async fn what_waits_for_an_optional_sink_is_bounded_in_bytes() {
        let (lane, lost) = hanging();
        let items = |round: usize| -> Vec<_> {
            (round * 1000..(round + 1) * 1000).map(Notification::sample).collect()
        };
        let rounds = 2 * OPTIONAL_BYTES / size(&items(0)) + 2;
        for round in 0..rounds {
            lane.submit(&items(round)).await.unwrap();
        }
        assert!(lane.waiting.load(Ordering::Relaxed) <= OPTIONAL_BYTES);
        assert!(lost() >= rounds * 1000 / 3, "{} of {}", lost(), rounds * 1000);
    }

    #[tokio::test]
    async fn what_waits_for_an_optional_sink_waits_once() {
        let (lane, lost) = hanging();
        let items: Vec<_> = (0..1000).map(Notification::sample).collect();
        for _ in 0..2 * OPTIONAL_BYTES / size(&items) {
            lane.submit(&items).await.unwrap();
        }
        assert_eq!((lane.waiting.load(Ordering::Relaxed), lost()), (size(&items), 0));
    }
}
