//! The active ruler, as the others see it.

use std::time::Duration;

use kube_events_core::{Batch, Event, SendError, Sink as _};
use kube_events_sinks::{
    ConfigError,
    http::HttpOptions,
    webhook::{Webhook, WebhookOptions},
};

/// The ruler in which rules with state remember.
#[derive(Debug)]
pub(crate) struct Peer {
    webhook: Webhook,
}

/// Where rulers take what others forward.
pub(crate) const PATH: &str = "/state";

/// For how long the active ruler is waited for: it answers after 20 s at the latest, and who waits for
/// this one does so for 30 s.
const PATIENCE: Duration = Duration::from_secs(25);

// === impl Peer ===

impl Peer {
    /// The ruler at this address, `IP:PORT`.
    ///
    /// # Errors
    /// If it is no address.
    pub(crate) fn new(address: &str) -> Result<Self, ConfigError> {
        let http = HttpOptions { timeout: PATIENCE, ..HttpOptions::default() };
        let options = WebhookOptions { http, ..WebhookOptions::default() };
        Ok(Self { webhook: Webhook::new(&format!("http://{address}{PATH}"), &options)? })
    }

    /// Has it take Events that rules with state hear of, once all that follows is delivered.
    ///
    /// # Errors
    /// If it did not.
    pub(crate) async fn forward(&self, events: &[Event]) -> Result<(), SendError> {
        match Batch::new(events) {
            Some(batch) => self.webhook.send(&batch).await,
            None => Ok(()),
        }
    }
}
