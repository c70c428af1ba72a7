//! Alertmanager, API v2.
//!
//! ```yaml
//! sinks:
//!   alertmanagers:
//!   - namespace: monitoring
//!     name: alertmanager-operated
//!     alertDuration: 5m
//!     maxAlertAge: 15m
//!   - lane: pager
//!     urls: [https://am-0.example:9093, https://am-1.example:9093]
//!     basicAuth: {username: events, passwordFile: /run/secrets/am/password}
//! ```
//!
//! Each entry is one Alertmanager, of one or more replicas: those that the
//! [`Endpoints`] of its Service name, or all `urls`. An alert is posted to every replica, and is
//! delivered when the first has accepted it: replicas of Alertmanager tell each other what they
//! have notified, but not what fires.
//!
//! # Replicas that are slow or away
//! A batch goes in pieces of at most 512 alerts, one after another. What one replica refuses others
//! have two seconds to take. Every replica has a queue of its own, with at most [`QUEUE_ALERTS`] alerts, and the latest of
//! those with equal labels. So a replica that hangs delays nobody, and one that comes back, or is
//! new, gets what still fires and nothing else.
//!
//! # When an alert ends
//! `endsAt` is the time of sending plus `alertDuration`, unless the alert says it. With
//! `maxAlertAge` an alert that started longer ago is not sent, and is counted as suppressed, so
//! that a first start does not page for the past hour.

mod endpoints;
mod firing;
mod max_age;
mod replica;
#[cfg(feature = "kubernetes")]
mod replicas_of_service;

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures::{Stream, StreamExt, future::join_all, stream::FuturesUnordered};
use jiff::Timestamp;
use kube_events_core::{
    Alert, Batch, SendError, Sink,
    crd::{
        defaults::ALERTMANAGER_TIMEOUT,
        sinks::{Compression, RulerAlertmanagerSink, Scheme},
    },
    sink::{SendErrorKind, Timeout},
};
use tokio::{
    sync::{Mutex, oneshot},
    time::{Instant, timeout_at},
};

#[cfg(feature = "kubernetes")]
pub(crate) use self::replicas_of_service::{BackendPort, ServiceReplicas};
pub use self::{
    endpoints::{Endpoints, EndpointsError, Urls},
    firing::QUEUE_ALERTS,
    max_age::MaxAge,
};
use self::{
    firing::{Firing, Queued},
    replica::{REQUEST_ALERTS, Replica, Verdict},
};
use crate::{
    ConfigError,
    encode::Encoding,
    halve::Halve,
    http::{Body, Client, HttpOptions, Post, Target},
};

/// One Alertmanager with all its replicas.
///
/// The requests to replicas are made by tasks of the sink; they end with [`Sink::close`], or when
/// the sink is dropped.
pub struct Alertmanager {
    endpoints: Box<dyn Endpoints>,
    client: Arc<Client>,
    encoding: Encoding,
    timeout: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By base URL.
    replicas: BTreeMap<String, Replica>,
    /// What replicas that are new have to hear.
    firing: Firing,
}

/// How alerts are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertmanagerOptions {
    /// How requests are sent. Default: each may take 10 s.
    pub http: HttpOptions,
    /// How long an alert fires after it was sent, if it does not say so. Default: 5 minutes.
    pub alert_duration: Duration,
}

/// For how long other replicas may still take an alert that one has refused.
const SECOND_OPINION: Duration = Duration::from_secs(2);

/// No replica took the alerts.
#[derive(Debug, thiserror::Error)]
#[error("no replica of Alertmanager accepted: {0}")]
struct Nobody(String);

/// Every replica that can be reached refuses some alerts.
#[derive(Debug, thiserror::Error)]
#[error("Alertmanager refuses: {0}")]
struct Refusal(String);

// === impl Alertmanager ===

impl Alertmanager {
    /// An Alertmanager with the replicas that these endpoints name.
    ///
    /// # Errors
    /// If an option cannot be used; the field is named as in a configuration.
    pub fn new(
        endpoints: impl Endpoints + 'static,
        options: &AlertmanagerOptions,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            client: Arc::new(Client::new(&options.http, endpoints.scheme() == Scheme::Https)?),
            endpoints: Box::new(endpoints),
            encoding: Encoding { alert_duration: options.alert_duration, ..Encoding::default() },
            timeout: options.http.timeout,
            state: Mutex::default(),
        })
    }

    /// Delivers alerts, no more at once than a replica takes in one request.
    async fn send_piece(&self, alerts: &[Alert]) -> Result<(), SendError> {
        let mut verdicts = self.queue(alerts).await?;
        let mut summary = Summary::default();
        while let Some(verdict) = summary.next_of(&mut verdicts).await {
            match verdict {
                Ok(Verdict::Accepted) => return Ok(()),
                Ok(verdict) => summary.add(verdict),
                Err(_) => summary.add(Verdict::failed("it is no replica any more")),
            }
        }
        summary.result(alerts)
    }

    /// Queues the alerts for every replica; each will say what became of them.
    async fn queue(
        &self,
        alerts: &[Alert],
    ) -> Result<FuturesUnordered<oneshot::Receiver<Verdict>>, SendError> {
        let urls = self.endpoints.urls().await.map_err(SendError::retry)?;
        let mut state = self.state.lock().await;
        self.adjust(&mut state, urls).map_err(SendError::retry)?;
        let alerts: Vec<_> = alerts.iter().map(|alert| self.queued(alert)).collect();
        state.firing.extend(alerts.iter().cloned());
        Ok(state.replicas.values().map(|replica| replica.queue(alerts.iter().cloned())).collect())
    }

    fn queued(&self, alert: &Alert) -> Queued {
        Queued::new(alert, &self.encoding, Timestamp::now())
    }

    /// Begins with replicas that are new, and ends with those that are gone.
    fn adjust(&self, state: &mut State, urls: Vec<String>) -> Result<(), ConfigError> {
        state.firing.forget_the_past(Timestamp::now());
        state.replicas.retain(|url, _| urls.contains(url));
        for url in urls {
            if !state.replicas.contains_key(&url) {
                let replica = self.start(&url, &state.firing)?;
                state.replicas.insert(url, replica);
            }
        }
        Ok(())
    }

    fn start(&self, url: &str, firing: &Firing) -> Result<Replica, ConfigError> {
        let target = Target::parse(&format!("{}/api/v2/alerts", url.trim_end_matches('/')))?;
        let origin = target.origin().to_string();
        let body = Body::new(self.encoding, Compression::None);
        let post = Post::new(Arc::clone(&self.client), target, body);
        let sink = Halve::new(Timeout::new(post, self.timeout));
        Ok(Replica::start(origin, sink, firing.clone()))
    }
}

#[async_trait]
impl Sink<Alert> for Alertmanager {
    async fn send(&self, batch: &Batch<Alert>) -> Result<(), SendError> {
        let (mut refused, mut last) = (Vec::new(), None);
        for (number, piece) in batch.chunks(REQUEST_ALERTS).enumerate() {
            let begin = number * REQUEST_ALERTS;
            match self.send_piece(piece).await {
                Ok(()) => {}
                Err(error) if error.is_retry() => {
                    let accepted = (0..begin).filter(|place| !refused.contains(place)).collect();
                    return Err(error.with_accepted(accepted));
                }
                Err(error) => {
                    refused.extend(places(&error, piece.len()).into_iter().map(|at| begin + at));
                    last = Some(error);
                }
            }
        }
        match last {
            None => Ok(()),
            Some(error) => Err(SendError::reject(refused, error)),
        }
    }

    async fn close(&self) -> Result<(), SendError> {
        let replicas = std::mem::take(&mut self.state.lock().await.replicas);
        join_all(replicas.into_values().map(|replica| replica.close(self.timeout))).await;
        Ok(())
    }
}

impl fmt::Debug for Alertmanager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alertmanager").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// The places that an error refuses in a batch of this length.
fn places(error: &SendError, len: usize) -> Vec<usize> {
    match error.kind() {
        SendErrorKind::Reject { items: Some(items) } => items.clone(),
        _ => (0..len).collect(),
    }
}

/// What replicas say, none of which accepted everything.
#[derive(Default)]
struct Summary {
    /// What everyone refuses who looked at it; the reason is that of the last.
    refused: Option<(HashSet<u64>, String)>,
    /// Until then others may still take what one refuses.
    until: Option<Instant>,
    failures: Vec<(Option<Duration>, String)>,
}

// === impl Summary ===

impl Summary {
    /// The next verdict. Once somebody has refused, whoever hangs is not waited for any more.
    async fn next_of<V: Stream + Unpin>(&self, verdicts: &mut V) -> Option<V::Item> {
        match self.until {
            None => verdicts.next().await,
            Some(until) => timeout_at(until, verdicts.next()).await.ok().flatten(),
        }
    }

    fn add(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Accepted => {}
            Verdict::Refused { mut fingerprints, reason } => {
                if let Some((others, _)) = &self.refused {
                    fingerprints.retain(|fingerprint| others.contains(fingerprint));
                }
                self.refused = Some((fingerprints, reason));
                self.until.get_or_insert(Instant::now() + SECOND_OPINION);
            }
            Verdict::Failed { after, reason } => self.failures.push((after, reason)),
        }
    }

    fn result(self, alerts: &[Alert]) -> Result<(), SendError> {
        if let Some((fingerprints, reason)) = self.refused {
            let refused = |(place, alert): (usize, &Alert)| {
                fingerprints.contains(&alert.fingerprint()).then_some(place)
            };
            let places: Vec<_> = alerts.iter().enumerate().filter_map(refused).collect();
            // None: what one replica refused another took.
            if places.is_empty() {
                return Ok(());
            }
            return Err(SendError::reject(places, Refusal(reason)));
        }
        let (waits, reasons): (Vec<_>, Vec<_>) = self.failures.into_iter().unzip();
        let nobody = Nobody(match reasons.as_slice() {
            [] => "there is none".to_owned(),
            reasons => reasons.join("; "),
        });
        // Any replica that named no time may be well at once.
        let waits: Option<Vec<_>> = waits.into_iter().collect();
        Err(match waits.unwrap_or_default().into_iter().min() {
            Some(after) => SendError::retry_after(after, nobody),
            None => SendError::retry(nobody),
        })
    }
}

// === impl AlertmanagerOptions ===

impl Default for AlertmanagerOptions {
    fn default() -> Self {
        Self {
            http: HttpOptions { timeout: ALERTMANAGER_TIMEOUT, ..HttpOptions::default() },
            alert_duration: Encoding::default().alert_duration,
        }
    }
}

impl From<&RulerAlertmanagerSink> for AlertmanagerOptions {
    fn from(sink: &RulerAlertmanagerSink) -> Self {
        let default = Self::default();
        Self {
            http: HttpOptions {
                headers: sink.headers.clone(),
                bearer_token_file: sink.bearer_token_file.clone(),
                basic_auth: sink.basic_auth.clone(),
                tls: sink.tls.clone().unwrap_or_default(),
                timeout: sink.timeout.unwrap_or(default.http.timeout),
            },
            alert_duration: sink.alert_duration.unwrap_or(default.alert_duration),
        }
    }
}
