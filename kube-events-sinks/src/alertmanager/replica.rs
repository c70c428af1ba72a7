//! One replica, and the alerts that wait for it.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use kube_events_core::{Alert, Batch, SendError, Sink, error::chain, sink::SendErrorKind};
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use super::firing::{Firing, Queued};

/// The most alerts in one request.
pub(super) const REQUEST_ALERTS: usize = 512;
/// The first and the longest wait of a replica that fails, if nothing new comes for it.
const WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// A replica with its queue and the task that empties it.
pub(super) struct Replica {
    shared: Arc<Shared>,
    task: AbortOnDropHandle<()>,
}

/// What a replica says to alerts that were queued together.
#[derive(Debug)]
pub(super) enum Verdict {
    Accepted,
    /// All were accepted but these.
    Refused {
        fingerprints: HashSet<u64>,
        reason: String,
    },
    /// It is tried again; whoever waits has to decide for himself.
    Failed {
        after: Option<Duration>,
        reason: String,
    },
}

struct Shared {
    origin: String,
    queue: Mutex<Queue>,
    bell: Notify,
}

#[derive(Default)]
struct Queue {
    firing: Firing,
    waiting: Vec<Waiting>,
    closed: bool,
}

/// Whoever queued alerts and waits for what becomes of them.
struct Waiting {
    fingerprints: HashSet<u64>,
    tell: oneshot::Sender<Verdict>,
}

/// What is sent at once, and who waits for it.
struct Load {
    alerts: Vec<Queued>,
    waiting: Vec<Waiting>,
    last: bool,
}

/// How a replica that failed is left alone.
#[derive(Clone, Copy)]
enum Rest {
    None,
    /// Until then, or until there is something new.
    Own {
        until: Instant,
        wait: Duration,
    },
    /// Until then, because it said so.
    Asked {
        until: Instant,
    },
}

// === impl Replica ===

impl Replica {
    /// Begins with `firing` in the queue.
    pub(super) fn start(origin: String, sink: impl Sink<Alert> + 'static, firing: Firing) -> Self {
        let queue = Mutex::new(Queue { firing, ..Queue::default() });
        let shared = Arc::new(Shared { origin, queue, bell: Notify::new() });
        let task = tokio::spawn(work(Arc::clone(&shared), sink));
        Self { shared, task: AbortOnDropHandle::new(task) }
    }

    /// Queues alerts; the answer comes when it was tried to send them.
    pub(super) fn queue(&self, alerts: impl Iterator<Item = Queued>) -> oneshot::Receiver<Verdict> {
        let (tell, verdict) = oneshot::channel();
        let mut fingerprints = HashSet::new();
        let alerts = alerts.inspect(|queued| {
            fingerprints.insert(queued.fingerprint);
        });
        let mut queue = self.shared.lock();
        let dropped = queue.firing.extend(alerts);
        if dropped > 0 {
            warn!(replica = self.shared.origin, dropped, "too many alerts wait for Alertmanager");
        }
        queue.waiting.retain(|waiting| !waiting.tell.is_closed());
        queue.waiting.push(Waiting { fingerprints, tell });
        drop(queue);
        self.shared.bell.notify_one();
        verdict
    }

    /// Tries once more to send what waits, for at most this time.
    pub(super) async fn close(mut self, limit: Duration) {
        self.shared.lock().closed = true;
        self.shared.bell.notify_one();
        if tokio::time::timeout(limit, &mut self.task).await.is_err() {
            warn!(replica = self.shared.origin, "left without the alerts that wait for it");
            self.task.abort();
        }
    }
}

async fn work(shared: Arc<Shared>, sink: impl Sink<Alert>) {
    let mut rest = Rest::None;
    while let Some(load) = shared.next(&mut rest).await {
        let last = load.last;
        rest = shared.deliver(load, &sink, rest).await;
        if last {
            break;
        }
    }
}

// === impl Shared ===

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is something to send and the replica may be tried. `None` is the end.
    async fn next(&self, rest: &mut Rest) -> Option<Load> {
        loop {
            {
                let mut queue = self.lock();
                queue.firing.forget_the_past(Timestamp::now());
                if queue.closed && queue.firing.is_empty() {
                    return None;
                }
                if queue.may_go(rest) {
                    return Some(queue.load());
                }
            }
            match *rest {
                Rest::None => self.bell.notified().await,
                Rest::Own { until, .. } | Rest::Asked { until } => {
                    tokio::select! {
                        () = self.bell.notified() => {}
                        () = tokio::time::sleep_until(until) => {}
                    }
                }
            }
        }
    }

    async fn deliver(&self, load: Load, sink: &impl Sink<Alert>, rest: Rest) -> Rest {
        let Load { mut alerts, waiting, .. } = load;
        let (mut refused, mut reason) = (HashSet::new(), String::new());
        while !alerts.is_empty() {
            let part = &alerts[..alerts.len().min(REQUEST_ALERTS)];
            let batch = part.iter().map(|queued| queued.alert.clone()).collect::<Vec<_>>();
            let batch = Batch::new(batch).expect("a part of what is not empty");
            match sink.send(&batch).await {
                Ok(()) => {}
                Err(error) if error.is_retry() => {
                    return self.fail(alerts, waiting, &error, rest);
                }
                Err(error) => {
                    reason = chain(&error);
                    warn!(replica = self.origin, error = reason, "alerts refused");
                    refused.extend(refusals(&error, part));
                }
            }
            alerts.drain(..batch.len());
        }
        for waiting in waiting {
            let fingerprints: HashSet<_> =
                refused.intersection(&waiting.fingerprints).copied().collect();
            waiting.hears(if fingerprints.is_empty() {
                Verdict::Accepted
            } else {
                Verdict::Refused { fingerprints, reason: reason.clone() }
            });
        }
        Rest::None
    }

    fn fail(
        &self,
        alerts: Vec<Queued>,
        waiting: Vec<Waiting>,
        error: &SendError,
        rest: Rest,
    ) -> Rest {
        self.lock().firing.put_back(alerts);
        let reason = chain(error);
        warn!(replica = self.origin, error = reason, "alerts not delivered to a replica");
        let after = match error.kind() {
            SendErrorKind::Retry { after } => *after,
            SendErrorKind::Reject { .. } => None,
        };
        for waiting in waiting {
            waiting.hears(Verdict::Failed { after, reason: reason.clone() });
        }
        rest.after_failure(after)
    }
}

// === impl Waiting ===

impl Waiting {
    /// Whoever asked may be gone.
    fn hears(self, verdict: Verdict) {
        drop(self.tell.send(verdict));
    }
}

fn refusals(error: &SendError, part: &[Queued]) -> Vec<u64> {
    let places = match error.kind() {
        SendErrorKind::Reject { items: Some(items) } => items.clone(),
        _ => (0..part.len()).collect(),
    };
    places.into_iter().filter_map(|place| Some(part.get(place)?.fingerprint)).collect()
}

// === impl Queue ===

impl Queue {
    fn may_go(&mut self, rest: &mut Rest) -> bool {
        let now = Instant::now();
        let rested = match *rest {
            Rest::Own { until, .. } => now >= until || !self.waiting.is_empty(),
            Rest::Asked { until } if now < until => {
                self.fail(Some(until - now), "it asked to be left alone");
                false
            }
            Rest::None | Rest::Asked { .. } => true,
        };
        self.closed || (rested && !(self.firing.is_empty() && self.waiting.is_empty()))
    }

    /// All that is to be sent. Who waits for an alert that is no longer among it, because others
    /// pressed it out or it was over before its turn came, has to send it again.
    fn load(&mut self) -> Load {
        let alerts = self.firing.take();
        let there: HashSet<_> = alerts.iter().map(|queued| queued.fingerprint).collect();
        let (waiting, lost): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|waiting| waiting.fingerprints.is_subset(&there));
        for waiting in lost {
            waiting.hears(Verdict::failed("it waited for too long"));
        }
        Load { alerts, waiting, last: self.closed }
    }

    fn fail(&mut self, after: Option<Duration>, reason: &str) {
        for waiting in self.waiting.drain(..) {
            waiting.hears(Verdict::Failed { after, reason: reason.to_owned() });
        }
    }
}

// === impl Rest ===

impl Rest {
    fn after_failure(self, asked: Option<Duration>) -> Self {
        let (shortest, longest) = WAITS;
        if let Some(after) = asked {
            return Self::Asked { until: Instant::now() + after.min(longest) };
        }
        let wait = match self {
            Self::Own { wait, .. } => (wait * 2).min(longest),
            _ => shortest,
        };
        Self::Own { until: Instant::now() + wait, wait }
    }
}

// === impl Verdict ===

impl Verdict {
    pub(super) fn failed(reason: &str) -> Self {
        Self::Failed { after: None, reason: reason.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use kube_events_core::{contract::Sample, sink_fn};

    use super::*;
    use crate::encode::Encoding;

    type Sent = Arc<Mutex<Vec<Vec<String>>>>;

    fn queued(n: usize) -> Queued {
        Queued::new(&Alert::sample(n), &Encoding::default(), Timestamp::now())
    }

    /// A replica that answers as it is told, and then well.
    fn replica(answers: Vec<SendError>) -> (Replica, Sent) {
        let sent = Sent::default();
        let there = Arc::clone(&sent);
        let answers = Mutex::new(answers.into_iter());
        let sink = sink_fn(move |batch: Batch<Alert>| {
            there.lock().unwrap().push(batch.iter().map(Alert::id).collect());
            let answer = answers.lock().unwrap().next().map_or(Ok(()), Err);
            async { answer }
        });
        (Replica::start("http://am".into(), sink, Firing::default()), sent)
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_is_tried_again_without_being_asked() {
        let (replica, sent) = replica(vec![SendError::retry("away"), SendError::retry("away")]);
        let verdict = replica.queue([queued(1), queued(2)].into_iter()).await.unwrap();
        assert!(matches!(verdict, Verdict::Failed { after: None, .. }), "{verdict:?}");
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(*sent.lock().unwrap(), vec![["sample1", "sample2"]; 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_replica_that_asks_for_it_is_left_alone() {
        let asked = SendError::retry_after(Duration::from_secs(20), "busy");
        let (replica, sent) = replica(vec![asked]);
        let start = Instant::now();
        replica.queue([queued(1)].into_iter()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        let verdict = replica.queue([queued(2)].into_iter()).await.unwrap();
        let Verdict::Failed { after: Some(after), .. } = verdict else { panic!("{verdict:?}") };
        assert_eq!((after, start.elapsed()), (Duration::from_secs(15), Duration::from_secs(5)));
        assert_eq!(sent.lock().unwrap().len(), 1);
        tokio::time::sleep(Duration::from_secs(16)).await;
        assert_eq!(sent.lock().unwrap()[1], ["sample1", "sample2"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_brings_what_still_waits() {
        let (replica, sent) = replica(vec![SendError::retry("away")]);
        replica.queue([queued(1)].into_iter()).await.unwrap();
        replica.close(Duration::from_secs(10)).await;
        assert_eq!(*sent.lock().unwrap(), [["sample1"], ["sample1"]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_replica_that_hangs_does_not_hold_up_the_end() {
        let sink = sink_fn(|_: Batch<Alert>| std::future::pending());
        let replica = Replica::start("http://am".into(), sink, Firing::default());
        let verdict = replica.queue([queued(1)].into_iter());
        let start = Instant::now();
        replica.close(Duration::from_secs(10)).await;
        assert_eq!(start.elapsed(), Duration::from_secs(10));
        verdict.await.unwrap_err();
    }

    /// Its sender sends it again, with a new end.
    #[tokio::test]
    async fn what_is_over_before_its_turn_is_not_taken_for_delivered() {
        let (replica, sent) = replica(Vec::new());
        let past = Timestamp::now() - Duration::from_secs(3600);
        let mut alert = Alert::sample(1);
        alert.ends_at = Some(past);
        let over = Queued::new(&alert, &Encoding::default(), past);
        let verdict = replica.queue([over].into_iter()).await.unwrap();
        assert!(matches!(verdict, Verdict::Failed { .. }), "{verdict:?}");
        assert!(sent.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_is_named() {
        let (replica, _) = replica(vec![SendError::reject(vec![1], "bad")]);
        let verdict = replica.queue([queued(1), queued(2)].into_iter()).await.unwrap();
        let Verdict::Refused { fingerprints, .. } = verdict else { panic!("{verdict:?}") };
        assert_eq!(fingerprints, HashSet::from([Alert::sample(2).fingerprint()]));
    }
}
