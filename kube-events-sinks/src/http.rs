//! Requests that sinks send: TLS, who we say we are, and what an answer means.
//!
//! | answer | meaning |
//! |---|---|
//! | 2xx | accepted |
//! | 400, 413, 422 | refused: the batch is halved until the bad item is alone, and that one is refused for good |
//! | any other | can succeed later: not before `Retry-After`, if the answer has one; callers wait 30 s at most |
//! | none, within the timeout | can succeed later |
//!
//! Redirects are not followed: a POST that is sent elsewhere is a mistake in a configuration.
//! Proxies are taken from `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`. Files with secrets and
//! certificates are looked at before each request, so they may change while a program runs.

mod answer;
mod auth;
mod connector;
mod named;
mod post;
mod target;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use kube_events_core::crd::{
    defaults::WEBHOOK_TIMEOUT,
    sinks::{BasicAuth, TlsSettings},
};

pub(crate) use self::{
    connector::Client,
    post::{Body, Post},
    target::{Origin, Target},
};

/// How requests are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpOptions {
    /// Headers that every request carries.
    pub headers: BTreeMap<String, String>,
    /// The file that holds the bearer token.
    pub bearer_token_file: Option<PathBuf>,
    /// The user and password of HTTP basic authentication.
    pub basic_auth: Option<BasicAuth>,
    /// How https is spoken.
    pub tls: TlsSettings,
    /// The longest time that a request may take. Default: 30 s; to Alertmanager 10 s.
    pub timeout: Duration,
}

// === impl HttpOptions ===

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            headers: BTreeMap::new(),
            bearer_token_file: None,
            basic_auth: None,
            tls: TlsSettings::default(),
            timeout: WEBHOOK_TIMEOUT,
        }
    }
}
