//! Connections, and the certificates that they are made with.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, Once, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use kube_events_core::{SendError, crd::sinks::TlsSettings, error::chain};
use reqwest::{
    Certificate, Identity,
    header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    redirect, retry,
};
use tracing::warn;

use super::{
    HttpOptions, Origin, Target, answer,
    auth::{Auth, Secrets},
    named,
};
use crate::ConfigError;

const USER_AGENT: &str = concat!("kube-events/", env!("CARGO_PKG_VERSION"));
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Sends bodies, under one set of options.
#[derive(Debug)]
pub(crate) struct Client {
    auth: Auth,
    tls: TlsSettings,
    https: bool,
    current: Mutex<Connections>,
}

/// Connections, and the state of the files that they were made from.
#[derive(Debug)]
struct Connections {
    files: Vec<FileState>,
    client: reqwest::Client,
}

type FileState = Option<(SystemTime, u64)>;

/// A file of TLS settings that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{field}: {reason}")]
pub(super) struct TlsError {
    pub(super) field: &'static str,
    pub(super) reason: String,
}

/// A request without an answer.
#[derive(Debug, thiserror::Error)]
#[error("no answer from {origin}")]
struct NoAnswer {
    origin: Origin,
    source: reqwest::Error,
}

// === impl Client ===

impl Client {
    /// A client for targets of which some speak https, or none.
    pub(crate) fn new(options: &HttpOptions, https: bool) -> Result<Self, ConfigError> {
        let auth = Auth::new(options)?;
        let tls = check(&options.tls, https)?;
        let files = state(&tls);
        let client = connect(&tls, https)
            .map_err(|error| ConfigError::new(format!("tls.{}", error.field), error.reason))?;
        let current = Mutex::new(Connections { files, client });
        Ok(Self { auth, tls, https, current })
    }

    /// Refuses a target that says who we are where the options say it too.
    pub(crate) fn check(&self, target: &Target) -> Result<(), ConfigError> {
        if self.auth.is_set() && target.authorization().is_some() {
            let reason = "names a user beside bearerTokenFile, basicAuth or headers.authorization";
            return Err(ConfigError::new("url", reason));
        }
        Ok(())
    }

    /// Posts one body and says what became of it.
    pub(crate) async fn post(
        &self,
        target: &Target,
        (body, gzip): (Bytes, bool),
        key: &str,
    ) -> Result<(), SendError> {
        let mut headers = self.auth.headers(target).await?;
        let secrets = Secrets::of(&headers, target.url());
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        headers.extend(HeaderValue::from_str(key).ok().map(|key| (IDEMPOTENCY_KEY, key)));
        if gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let response = self.send(target, headers, body).await?;
        answer::judge(target.origin(), response, &secrets).await
    }

    async fn send(
        &self,
        target: &Target,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<reqwest::Response, SendError> {
        let request = self.connections().post(target.url().clone()).headers(headers).body(body);
        request.send().await.map_err(|error| {
            let source = error.without_url();
            SendError::retry(NoAnswer { origin: target.origin().clone(), source })
        })
    }

    /// The connections, made anew if a certificate or key has changed. While the new ones cannot
    /// be used (one of two files is written, the other not yet), the old ones stay.
    fn connections(&self) -> reqwest::Client {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let files = state(&self.tls);
        if files != current.files {
            match connect(&self.tls, self.https) {
                Ok(client) => *current = Connections { files, client },
                Err(error) => warn!(%error, "the TLS files changed and cannot be used"),
            }
        }
        current.client.clone()
    }
}

fn check(tls: &TlsSettings, https: bool) -> Result<TlsSettings, ConfigError> {
    let at = |field: &str, reason: &str| Err(ConfigError::new(format!("tls.{field}"), reason));
    match tls {
        TlsSettings { cert_file: Some(_), key_file: None, .. } => {
            at("keyFile", "needed beside certFile")
        }
        TlsSettings { cert_file: None, key_file: Some(_), .. } => {
            at("certFile", "needed beside keyFile")
        }
        TlsSettings { server_name: Some(_), ca_file: None, .. } => {
            at("caFile", "needed beside serverName")
        }
        TlsSettings { insecure_skip_verify: true, server_name: Some(_), .. } => {
            at("serverName", "has no effect beside insecureSkipVerify")
        }
        // No https, so no file is ever read.
        _ if !https => Ok(TlsSettings::default()),
        _ => Ok(tls.clone()),
    }
}

/// When each of the files was written, and its length; `None` if it is not there.
fn state(tls: &TlsSettings) -> Vec<FileState> {
    let files = [&tls.ca_file, &tls.cert_file, &tls.key_file].into_iter().flatten();
    let state = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files.map(state).collect()
}

fn connect(tls: &TlsSettings, https: bool) -> Result<reqwest::Client, TlsError> {
    install_provider();
    let builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(redirect::Policy::none())
        // Zero tries, or each request would be copied for one that never comes.
        .retry(retry::never().max_retries_per_request(0))
        .referer(false)
        .no_gzip()
        .connect_timeout(Duration::from_secs(10))
        .tls_danger_accept_invalid_certs(tls.insecure_skip_verify);
    let builder = match (&tls.ca_file, &tls.server_name) {
        (Some(ca), Some(name)) => builder.tls_backend_preconfigured(named::config(tls, ca, name)?),
        (Some(ca), None) => identify(builder.tls_certs_only(authorities(ca)?), tls)?,
        // The system's authorities take megabytes, and an image made from nothing has none.
        (None, _) if !https => builder.tls_certs_only([]),
        (None, _) => identify(builder, tls)?,
    };
    builder.build().map_err(|error| TlsError { field: "caFile", reason: chain(&error) })
}

fn identify(
    builder: reqwest::ClientBuilder,
    tls: &TlsSettings,
) -> Result<reqwest::ClientBuilder, TlsError> {
    let (Some(certificate), Some(key)) = (&tls.cert_file, &tls.key_file) else {
        return Ok(builder);
    };
    let mut pem = read("certFile", certificate)?;
    pem.push(b'\n');
    pem.extend(read("keyFile", key)?);
    let identity = Identity::from_pem(&pem)
        .map_err(|error| TlsError { field: "certFile", reason: chain(&error) })?;
    Ok(builder.identity(identity))
}

fn authorities(path: &Path) -> Result<Vec<Certificate>, TlsError> {
    let at = |reason: String| TlsError { field: "caFile", reason };
    let certificates =
        Certificate::from_pem_bundle(&read("caFile", path)?).map_err(|error| at(chain(&error)))?;
    if certificates.is_empty() {
        return Err(at(format!("{} holds no certificate", path.display())));
    }
    Ok(certificates)
}

pub(super) fn read(field: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path)
        .map_err(|error| TlsError { field, reason: format!("{}: {error}", path.display()) })
}

/// Makes ring the provider of cryptography, unless the program has chosen another.
fn install_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Err: another thread was quicker.
            drop(rustls::crypto::ring::default_provider().install_default());
        }
    });
}
