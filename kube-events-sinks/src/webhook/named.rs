//! Services whose port is given by name.

use async_trait::async_trait;
use kube::Client;
use kube_events_core::{Batch, SendError, Sink};
use tokio::sync::OnceCell;

use super::{Webhook, WebhookOptions};
use crate::{ConfigError, encode::Encode, kubernetes, service::ServiceAddress};

/// A webhook whose port is looked up in its Service when it is first sent to.
pub(crate) struct NamedPort {
    client: Client,
    address: ServiceAddress,
    port: String,
    options: WebhookOptions,
    webhook: OnceCell<Webhook>,
}

// === impl NamedPort ===

impl NamedPort {
    /// # Errors
    /// As [`Webhook::new`].
    pub(crate) fn new(
        client: Client,
        address: ServiceAddress,
        port: &str,
        options: WebhookOptions,
    ) -> Result<Self, ConfigError> {
        // What is wrong with the options shows now, whatever the port will be.
        Webhook::new(&address.url(None), &options)?;
        Ok(Self { client, address, port: port.to_owned(), options, webhook: OnceCell::new() })
    }

    async fn find(&self) -> Result<Webhook, SendError> {
        let port = kubernetes::service_port(&self.client, &self.address, &self.port)
            .await
            .map_err(SendError::retry)?;
        Webhook::new(&self.address.url(Some(port)), &self.options).map_err(SendError::retry)
    }
}

#[async_trait]
impl<T: Encode> Sink<T> for NamedPort {
    async fn send(&self, batch: &Batch<T>) -> Result<(), SendError> {
        self.webhook.get_or_try_init(|| self.find()).await?.send(batch).await
    }
}
