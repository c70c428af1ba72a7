//! HTTP endpoints: one POST a batch.
//!
//! ```yaml
//! sinks:
//!   webhooks:
//!   - name: archive
//!     url: https://archive.example/events
//!     headers: {x-tenant: shop}
//!     bearerTokenFile: /run/secrets/archive/token
//!     tls: {caFile: /etc/archive/ca.pem}
//!     timeout: 10s
//!     compression: gzip
//!   - service: {namespace: kube-events, name: ruler, port: 8443, path: /events}
//! ```
//!
//! Events and notifications are sent one a line, alerts as an array; see [`encode`](crate::encode).
//! Every request has `content-type: application/json` and an `Idempotency-Key`, which a repeat has
//! again. What an answer means: [`http`](crate::http).

#[cfg(feature = "kubernetes")]
mod named;

use std::sync::Arc;

use async_trait::async_trait;
use kube_events_core::{
    Batch, SendError, Sink,
    crd::sinks::{Compression, WebhookSink},
    sink::Timeout,
};

#[cfg(feature = "kubernetes")]
pub(crate) use self::named::NamedPort;
use crate::{
    ConfigError,
    encode::{Encode, Encoding},
    halve::Halve,
    http::{Body, Client, HttpOptions, Post, Target},
};

/// An HTTP endpoint.
///
/// ```no_run
/// use kube_events_core::{Batch, Event, Sink};
/// use kube_events_sinks::webhook::{Webhook, WebhookOptions};
///
/// # async fn f(batch: Batch<Event>) -> Result<(), Box<dyn std::error::Error>> {
/// let webhook = Webhook::new("https://archive.example/events", &WebhookOptions::default())?;
/// webhook.send(&batch).await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Webhook(Halve<Timeout<Post>>);

/// What a webhook is sent, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookOptions {
    /// How requests are sent.
    pub http: HttpOptions,
    /// How bodies are compressed. Default: not at all.
    pub compression: Compression,
    /// The shape of what is sent.
    pub encoding: Encoding,
}

// === impl Webhook ===

impl Webhook {
    /// A webhook at this URL.
    ///
    /// # Errors
    /// If the URL or an option cannot be used; the field is named as in a configuration.
    pub fn new(url: &str, options: &WebhookOptions) -> Result<Self, ConfigError> {
        let target = Target::parse(url)?;
        let client = Client::new(&options.http, target.is_https())?;
        client.check(&target)?;
        let body = Body::new(options.encoding, options.compression);
        let post = Post::new(Arc::new(client), target, body);
        Ok(Self(Halve::new(Timeout::new(post, options.http.timeout))))
    }
}

#[async_trait]
impl<T: Encode> Sink<T> for Webhook {
    async fn send(&self, batch: &Batch<T>) -> Result<(), SendError> {
        self.0.send(batch).await
    }
}

// === impl WebhookOptions ===

impl From<&WebhookSink> for WebhookOptions {
    fn from(sink: &WebhookSink) -> Self {
        Self {
            http: HttpOptions {
                headers: sink.headers.clone(),
                bearer_token_file: sink.bearer_token_file.clone(),
                basic_auth: sink.basic_auth.clone(),
                tls: sink.tls.clone().unwrap_or_default(),
                timeout: sink.timeout.unwrap_or(HttpOptions::default().timeout),
            },
            compression: sink.compression,
            encoding: Encoding { format: sink.format, ..Encoding::default() },
        }
    }
}
