//! The three requests: a probe, a page of a list, a watch.

use std::time::Duration;

use http::{HeaderValue, Response, header};
use http_body_util::{BodyExt, Collected, Limited};
use kube::{
    Client,
    client::Body,
    core::{
        Request, Status,
        params::{ListParams, WatchParams},
    },
};
use serde::Deserialize;
use tokio::time::timeout;

use super::{WatchOptions, page::Metadata};
use crate::{ResourceVersion, event, source::SourceError};

/// How long a probe may take.
const PROBE: Duration = Duration::from_secs(15);
/// How long the head of an answer may take, and each further piece of a list.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// Statuses are short; what is longer did not come from an API server.
const MAX_STATUS: usize = 64 << 10;

/// The Events of one namespace, or of all.
#[derive(Clone)]
pub(super) struct Scope {
    client: Client,
    request: Request,
    label_selector: Option<String>,
    field_selector: Option<String>,
    page_size: u32,
}

/// An answer that is not a success.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: SourceError,
    /// Where a list whose snapshot has expired goes on, as of now.
    pub(super) token: Option<String>,
    /// The version asked for is newer than any that the server has.
    is_ahead: bool,
}

// === impl Scope ===

impl Scope {
    pub(super) fn new(client: Client, namespace: Option<&str>, options: &WatchOptions) -> Self {
        Self {
            client,
            request: Request::new(path(options.api, namespace)),
            label_selector: options.label_selector.clone(),
            field_selector: options.field_selector.clone(),
            page_size: options.page_size.get(),
        }
    }

    /// The version that is current.
    ///
    /// It asks for one Event without selectors: with them, the server would read on until it finds
    /// one that matches.
    pub(super) async fn probe(&self) -> Result<ResourceVersion, Failure> {
        #[derive(Deserialize)]
        struct List {
            metadata: Metadata,
        }
        let params = ListParams::default().limit(1);
        let asked = async {
            let body = self.send("probe", self.request.list(&params)).await?;
            let body = body.collect().await.map_err(|error| broken("probe", error))?;
            serde_json::from_slice::<List>(&body.to_bytes())
                .map_err(|error| malformed("probe", error.to_string()))
        };
        let list = timeout(PROBE, asked).await.map_err(|_| silent("probe", PROBE))??;
        match list.metadata.resource_version {
            version if version.is_empty() => {
                Err(malformed("probe", "a list without a resourceVersion".into()))
            }
            version => Ok(version.into()),
        }
    }

    /// A page of a list.
    pub(super) async fn list(&self, token: Option<&str>) -> Result<Body, Failure> {
        let params = ListParams {
            label_selector: self.label_selector.clone(),
            field_selector: self.field_selector.clone(),
            limit: Some(self.page_size),
            continue_token: token.map(ToOwned::to_owned),
            ..ListParams::default()
        };
        self.send("list", self.request.list(&params)).await
    }

    /// What happens after `version`, for so many seconds.
    pub(super) async fn watch(
        &self,
        version: &ResourceVersion,
        seconds: u32,
    ) -> Result<Body, Failure> {
        let params = WatchParams {
            label_selector: self.label_selector.clone(),
            field_selector: self.field_selector.clone(),
            timeout: Some(seconds),
            bookmarks: true,
            ..WatchParams::default()
        };
        self.send("watch", self.request.watch(&params, version.as_str())).await
    }

    async fn send(
        &self,
        action: &'static str,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Body, Failure> {
        let mut request =
            request.map_err(|error| broken(action, kube::Error::BuildRequest(error)))?;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        // Since 1.37 watches may be compressed too, one member an Event, which costs both sides
        // more than it saves; and not every client reads more than the first member.
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let answer = timeout(PATIENCE, self.client.send(request.map(Body::from))).await;
        let answer = answer.map_err(|_| silent(action, PATIENCE))?;
        let answer = answer.map_err(|error| broken(action, error))?;
        if answer.status().is_success() {
            return Ok(answer.into_body());
        }
        Err(refused(action, answer).await)
    }
}

fn path(api: event::Api, namespace: Option<&str>) -> String {
    let root = match api {
        event::Api::CoreV1 => "/api/v1",
        event::Api::EventsV1 => "/apis/events.k8s.io/v1",
    };
    match namespace {
        Some(namespace) => format!("{root}/namespaces/{namespace}/events"),
        None => format!("{root}/events"),
    }
}

async fn refused(action: &'static str, answer: Response<Body>) -> Failure {
    let code = answer.status().as_u16();
    let retry_after = answer.headers().get(header::RETRY_AFTER);
    let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
    let body = timeout(PATIENCE, Limited::new(answer.into_body(), MAX_STATUS).collect()).await;
    let body = body.ok().and_then(Result::ok).map(Collected::to_bytes).unwrap_or_default();
    let mut status = serde_json::from_slice(&body).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(&body[..body.len().min(256)]);
        Status::failure(text.trim(), "")
    });
    status.code = code;
    let token = status.metadata.as_ref().and_then(|list| list.continue_.clone());
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    let is_ahead = causes.any(|cause| cause.reason == "ResourceVersionTooLarge");
    let mut failure = failed(action, status);
    failure.token = token.filter(|token| !token.is_empty());
    failure.is_ahead = is_ahead;
    if let (SourceError::Status { retry_after: known, .. }, Some(seconds)) =
        (&mut failure.error, retry_after)
    {
        *known = Some(Duration::from_secs(seconds));
    }
    failure
}

/// A failure that a `Status` tells.
pub(super) fn failed(action: &'static str, status: Status) -> Failure {
    let seconds = status.details.map_or(0, |details| details.retry_after_seconds);
    SourceError::Status {
        action,
        code: status.code,
        reason: status.reason,
        message: status.message,
        retry_after: (seconds > 0).then(|| Duration::from_secs(seconds.into())),
    }
    .into()
}

/// A connection that failed.
pub(super) fn broken(action: &'static str, error: kube::Error) -> Failure {
    let source = match error {
        kube::Error::Service(error) => error,
        kube::Error::HyperError(error) => error.into(),
        error => error.into(),
    };
    SourceError::Request { action, source }.into()
}

pub(super) fn silent(action: &'static str, after: Duration) -> Failure {
    SourceError::Silent { action, after }.into()
}

pub(super) fn malformed(action: &'static str, problem: String) -> Failure {
    SourceError::Malformed { action, problem }.into()
}

// === impl Failure ===

impl Failure {
    /// The version, or the snapshot, is no longer there.
    pub(super) fn is_expired(&self) -> bool {
        matches!(self.error, SourceError::Status { code: 410, .. })
    }

    /// The server will never understand the token of this page: its history was set back while the
    /// list was under way, or another version of it made the token. The answer is 504 with a cause
    /// then (`storage.NewTooLargeResourceVersionError`), or 400.
    pub(super) fn refuses_token(&self) -> bool {
        self.is_ahead || matches!(self.error, SourceError::Status { code: 400, .. })
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Self { error, token: None, is_ahead: false }
    }
}
