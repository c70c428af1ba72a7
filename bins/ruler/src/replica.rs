//! Of several rulers, the one in which rules with state remember.

use std::{convert::Infallible, future::pending, sync::Arc};

use anyhow::Context as _;
use futures::FutureExt as _;
use kube::Client;
use kube_events_core::crd::defaults::WARM_UP;
use kube_events_daemon::{Candidate, Readiness};
use kube_events_rules::RuleSet;
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::{LeaseOptions, Settings, engine::Engine, peer::Peer, warm_up::History};

/// A ruler, alone or one of several.
pub(crate) struct Replica {
    pub(crate) engine: Engine,
    pub(crate) history: History,
    pub(crate) rules: watch::Receiver<Option<RuleSet>>,
    pub(crate) settings: watch::Receiver<Arc<Settings>>,
    /// Whether the engine may begin, and why not.
    pub(crate) state: Readiness,
    /// The others', if there are any.
    pub(crate) candidate: Option<Candidate>,
}

/// The candidate that options ask for; it is reached at this port.
///
/// # Errors
/// If the others could not reach it.
pub(crate) fn candidate(
    options: &LeaseOptions,
    client: &Client,
    port: u16,
) -> anyhow::Result<Option<Candidate>> {
    let Some(name) = &options.name else { return Ok(None) };
    let address = options.address.context("--lease.name needs --lease.address, or POD_IP")?;
    let address = std::net::SocketAddr::new(address, port).to_string();
    let mut candidate = Candidate::new(client, client.default_namespace(), name).address(address);
    if let Some(duration) = options.duration {
        candidate = candidate.duration(duration);
    }
    if let Some(owner) = &options.owner {
        candidate = candidate.owner(owner.clone());
    }
    Ok(Some(candidate))
}

// === impl Replica ===

impl Replica {
    /// Has rules with state remember here whenever they should, with what happened before. Never ends.
    pub(crate) async fn run(&self) -> Infallible {
        self.state.not_ready("waiting for the rules");
        let Some(candidate) = &self.candidate else {
            self.take_over().await;
            return pending().await;
        };
        drop(self.rules.clone().wait_for(Option::is_some).await);
        loop {
            self.state_if_starting("waiting for the Lease");
            let lease = tokio::select! {
                lease = candidate.lead() => lease,
                never = self.stand_by(candidate) => match never {},
            };
            self.engine.prepare();
            let take_over = self.take_over().then(|()| pending::<Infallible>());
            let lost = tokio::select! {
                lost = candidate.hold(lease, |until| self.engine.hold_until(until)) => lost,
                never = take_over => match never {},
            };
            self.engine.stand_by(None);
            let Err(error) = lost;
            warn!(error = format!("{error:#}"), "rules with state remember here no longer");
        }
    }

    /// Lets another one remember at once.
    pub(crate) async fn end(&self) {
        let Some(candidate) = &self.candidate else { return };
        self.engine.stand_by(None);
        if let Err(error) = candidate.release().await {
            warn!(error = format!("{error:#}"), "the others have to wait for the Lease to expire");
        }
    }

    /// Sends to whoever leads what rules with state have to hear of.
    async fn stand_by(&self, candidate: &Candidate) -> Infallible {
        let mut leader = candidate.leader();
        loop {
            let address = leader.borrow_and_update().clone();
            let peer = address.as_deref().map(Peer::new).transpose();
            let peer = peer.unwrap_or_else(|error| {
                error!(?address, %error, "the active ruler cannot be reached there");
                None
            });
            if let Some(address) = &address {
                info!(address, "another ruler is the active one");
            }
            if peer.is_some() || !self.engine.is_starting() {
                self.engine.stand_by(peer.map(Arc::new));
                self.state.ready();
            }
            if leader.changed().await.is_err() {
                return pending().await;
            }
        }
    }

    /// Has rules with state remember here, with what happened before.
    async fn take_over(&self) {
        let asked = self.settings.borrow().config.warm_up.unwrap_or(WARM_UP);
        let tell = |events| {
            self.state_if_starting(format!("warming up, {events} Events read"));
        };
        self.engine.warm_up(asked.then_some(&self.history), tell).await;
        self.state.ready();
    }

    /// Who was ready once stays so: rules without state go on.
    fn state_if_starting(&self, why: impl std::fmt::Display) {
        if self.engine.is_starting() {
            self.state.not_ready(why);
        }
    }
}
