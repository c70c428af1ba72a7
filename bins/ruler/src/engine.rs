//! Events in, notifications and alerts out.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::future::join_all;
use kube_events_core::{Alert, Batch, Event, Notification, SendError, Sink, metrics::RulerMetrics};
use kube_events_rules::RuleSet;
use kube_events_sinks::RulerLanes;
use tokio::sync::watch;

use crate::lane::{Delay, Lane, Payload};

/// Evaluates rules on Events and delivers what follows from them. Cheap to clone.
///
/// As a [`Sink`] of Events it can stand at the end of a pipeline, in place of an HTTP request to a
/// ruler.
#[derive(Clone, Debug)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    rules: watch::Receiver<Option<RuleSet>>,
    lanes: Mutex<Arc<Lanes>>,
    metrics: RulerMetrics,
}

#[derive(Debug, Default)]
struct Lanes {
    notifications: Vec<Lane<Notification>>,
    alerts: Vec<Lane<Alert>>,
}

/// What became of Events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The rules have not been read yet.
    #[error("the rules have not been read yet")]
    NoRules,
    /// A required sink did not take what follows from them.
    #[error("a sink did not take what follows from these Events; send them again")]
    Undelivered {
        /// When to send them again.
        after: Duration,
    },
}

// === impl Engine ===

impl Engine {
    /// An engine of these rules, without sinks; see [`Engine::replace_lanes`].
    pub fn new(rules: watch::Receiver<Option<RuleSet>>, metrics: RulerMetrics) -> Self {
        Self(Arc::new(Inner { rules, lanes: Mutex::default(), metrics }))
    }

    /// Delivers to these sinks from now on. What the sinks of before have under the same names is
    /// not sent again; they deliver what is queued for them, and are closed.
    pub async fn replace_lanes(&self, lanes: RulerLanes) {
        let metrics = &self.0.metrics;
        let before = self.lanes();
        let started = Lanes {
            notifications: start(lanes.notifications, metrics, &before.notifications),
            alerts: start(lanes.alerts, metrics, &before.alerts),
        };
        drop(before);
        close(self.swap(started)).await;
    }

    /// Delivers what is queued, and closes the sinks.
    pub async fn close(&self) {
        close(self.swap(Lanes::default())).await;
    }

    /// Evaluates the rules, and delivers what follows.
    ///
    /// # Errors
    /// If the rules are not known yet, or if a required sink has not taken everything that follows:
    /// then the same Events can be sent again, and only what is lacking is delivered.
    pub async fn process(&self, events: &[Event]) -> Result<(), Refusal> {
        let (notifications, alerts) = self.evaluate(events).ok_or(Refusal::NoRules)?;
        let lanes = self.lanes();
        let (notified, alerted) = futures::join!(
            submit(&lanes.notifications, &notifications),
            submit(&lanes.alerts, &alerts),
        );
        match notified.into_iter().chain(alerted).max() {
            None => Ok(()),
            Some(after) => Err(Refusal::Undelivered { after }),
        }
    }

    fn evaluate(&self, events: &[Event]) -> Option<(Vec<Notification>, Vec<Alert>)> {
        let rules = self.0.rules.borrow().clone()?;
        let start = Instant::now();
        let (mut notifications, mut alerts, mut undecided) = (Vec::new(), Vec::new(), 0);
        for event in events {
            let outcome = rules.evaluate(event);
            notifications.extend(outcome.notification());
            alerts.extend(outcome.alerts());
            undecided += outcome.undecided();
        }
        let (alerted, notified) = (alerts.len(), notifications.len());
        self.0.metrics.evaluated(alerted, notified, undecided, start.elapsed());
        Some((notifications, alerts))
    }

    fn lanes(&self) -> Arc<Lanes> {
        Arc::clone(&self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn swap(&self, lanes: Lanes) -> Arc<Lanes> {
        let mut current = self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut current, Arc::new(lanes))
    }
}

fn start<T: Payload>(
    lanes: Vec<kube_events_sinks::Lane<T>>,
    metrics: &RulerMetrics,
    before: &[Lane<T>],
) -> Vec<Lane<T>> {
    let start = |lane: kube_events_sinks::Lane<T>| {
        let same = before.iter().find(|old| old.name() == lane.name);
        Lane::start(lane, metrics, same)
    };
    lanes.into_iter().map(start).collect()
}

/// Gives the waits that sinks ask for; none if all have everything.
async fn submit<T: Payload>(lanes: &[Lane<T>], items: &[T]) -> Vec<Duration> {
    if items.is_empty() {
        return Vec::new();
    }
    let delivered = join_all(lanes.iter().map(|lane| lane.submit(items))).await;
    delivered.into_iter().filter_map(Result::err).map(|Delay(after)| after).collect()
}

/// Requests that are under way keep the sinks they began with; the last one out closes them.
async fn close(lanes: Arc<Lanes>) {
    let mut lanes = lanes;
    let lanes = loop {
        match Arc::try_unwrap(lanes) {
            Ok(lanes) => break lanes,
            Err(shared) => {
                lanes = shared;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    };
    join_all(lanes.notifications.into_iter().map(Lane::close)).await;
    join_all(lanes.alerts.into_iter().map(Lane::close)).await;
}

#[async_trait]
impl Sink<Event> for Engine {
    async fn send(&self, batch: &Batch<Event>) -> Result<(), SendError> {
        self.process(batch).await.map_err(|refusal| match refusal {
            Refusal::NoRules => SendError::retry(refusal),
            Refusal::Undelivered { after } => SendError::retry_after(after, refusal),
        })
    }

    async fn close(&self) -> Result<(), SendError> {
        Self::close(self).await;
        Ok(())
    }
}
