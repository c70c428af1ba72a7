//! An API server whose answers are written down beforehand, in virtual time.
#![allow(clippy::unwrap_used, reason = "it is how a test fails")]

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use kube::{Client, client::Body};
use kube_events_core::source::Observed;
use tokio::time::{Instant, sleep};

/// A piece of the body of an answer.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Text(Vec<u8>),
    /// Silence until the time that the request asks for is over.
    Patience,
    /// Nothing comes any more, nor does it end.
    Hang,
    /// The connection breaks.
    Break,
}

/// An answer to a request.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    status: u16,
    retry_after: Option<u64>,
    body: Vec<Piece>,
}

/// The answers to come, and the requests that were made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    requests: Arc<Mutex<Vec<(Duration, String)>>>,
}

// === impl Answer ===

impl Answer {
    pub(crate) fn new(body: impl IntoIterator<Item = Piece>) -> Self {
        Self { status: 200, retry_after: None, body: body.into_iter().collect() }
    }

    /// A page of a list.
    pub(crate) fn page(version: &str, token: &str, items: &[String]) -> Self {
        Self::new([Piece::Text(page(version, token, items).into())])
    }

    /// The answer to a probe.
    pub(crate) fn probe(version: &str) -> Self {
        Self::page(version, "", &[])
    }

    /// A watch that gives these lines and goes on in silence for as long as it was asked to.
    pub(crate) fn watch(lines: &[String]) -> Self {
        Self::new([Piece::Text(lines.concat().into()), Piece::Patience])
    }

    /// No answer at all.
    pub(crate) fn silence() -> Self {
        Self { status: 0, ..Self::new([]) }
    }

    pub(crate) fn failure(status: u16, metadata: &str) -> Self {
        let body = status_object(status, metadata).into_bytes();
        Self { status, ..Self::new([Piece::Text(body)]) }
    }

    /// A failure with a cause of this reason.
    pub(crate) fn cause(mut self, reason: &str) -> Self {
        let Some(Piece::Text(text)) = self.body.first_mut() else { panic!("no failure") };
        let details =
            format!(r#","details":{{"causes":[{{"reason":"{reason}","message":"no"}}]}}}}"#);
        text.pop();
        text.extend(details.into_bytes());
        self
    }

    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

// === impl Script ===

impl Script {
    pub(crate) fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let this = Self::default();
        this.answers.lock().unwrap().extend(answers);
        this
    }

    /// A client of this server; where no answer is left, there is none.
    pub(crate) fn client(&self) -> Client {
        let (script, start) = (self.clone(), Instant::now());
        let service = tower::service_fn(move |request: Request<Body>| {
            let uri = request.uri().to_string();
            let patience = patience(&uri);
            script.requests.lock().unwrap().push((start.elapsed(), uri));
            answer(script.answers.lock().unwrap().pop_front(), patience)
        });
        Client::new(service, "default")
    }

    /// The requests so far: path and query.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().iter().map(|(_, uri)| uri.clone()).collect()
    }

    /// When they were made.
    pub(crate) fn times(&self) -> Vec<Duration> {
        self.requests.lock().unwrap().iter().map(|(time, _)| *time).collect()
    }

    /// The times between them.
    pub(crate) fn waits(&self) -> Vec<Duration> {
        self.times().windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect()
    }

    /// What the requests were: `probe`, `list`, `list TOKEN` or `watch VERSION`.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.requests().iter().map(|uri| call(uri)).collect()
    }
}

fn call(uri: &str) -> String {
    let query: Vec<_> = uri.split_once('?').map_or("", |(_, query)| query).split('&').collect();
    let value = |name: &str| query.iter().find_map(|pair| pair.strip_prefix(name));
    match (value("resourceVersion="), value("continue="), value("limit=")) {
        (Some(version), _, _) => format!("watch {version}"),
        (_, Some(token), _) => format!("list {token}"),
        (_, _, Some("1")) => "probe".to_owned(),
        _ => "list".to_owned(),
    }
}

fn patience(uri: &str) -> Duration {
    let seconds = uri.split(['?', '&']).find_map(|pair| pair.strip_prefix("timeoutSeconds="));
    Duration::from_secs(seconds.map_or(0, |seconds| seconds.parse().unwrap()))
}

async fn answer(
    answer: Option<Answer>,
    patience: Duration,
) -> Result<Response<http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>>, Infallible>
{
    let Some(answer) = answer.filter(|answer| answer.status != 0) else {
        return std::future::pending().await;
    };
    let frames = stream::iter(answer.body).filter_map(move |piece| async move {
        match piece {
            Piece::Text(text) => Some(Ok(http_body::Frame::data(Bytes::from(text)))),
            Piece::Break => Some(Err(std::io::Error::other("the connection broke"))),
            Piece::Hang => std::future::pending().await,
            Piece::Patience => {
                sleep(patience).await;
                None
            }
        }
    });
    let mut response = Response::builder().status(answer.status);
    if let Some(seconds) = answer.retry_after {
        response = response.header("retry-after", seconds);
    }
    Ok(response.body(StreamBody::new(frames).boxed_unsync()).unwrap())
}

/// An Event of this name, which is its uid too, at this version.
pub(crate) fn event(name: &str, version: u64) -> String {
    format!(
        r#"{{"metadata":{{"name":"{name}","uid":"{name}","resourceVersion":"{version}"}},"reason":"Tested"}}"#
    )
}

pub(crate) fn line(type_: &str, object: &str) -> String {
    format!("{{\"type\":\"{type_}\",\"object\":{object}}}\n")
}

pub(crate) fn added(name: &str, version: u64) -> String {
    line("ADDED", &event(name, version))
}

/// An `ERROR` frame that says 410.
pub(crate) fn expired() -> String {
    line("ERROR", &status_object(410, ""))
}

pub(crate) fn page(version: &str, token: &str, items: &[String]) -> String {
    let items = items.join(",");
    format!(
        r#"{{"kind":"EventList","apiVersion":"v1","metadata":{{"resourceVersion":"{version}","continue":"{token}"}},"items":[{items}]}}"#
    )
}

fn status_object(code: u16, metadata: &str) -> String {
    format!(
        r#"{{"kind":"Status","apiVersion":"v1","metadata":{{{metadata}}},"status":"Failure","message":"no","reason":"Because","code":{code}}}"#
    )
}

/// What was observed, as short text: `a@7`, `progress 7`, `gap Expired 5..9`, `error: …`.
pub(crate) fn told<E: std::fmt::Display>(observed: &Result<Observed, E>) -> String {
    match observed {
        Ok(Observed::Event(event)) => format!("{}@{}", event.name(), event.resource_version()),
        Ok(Observed::Progress(version)) => format!("progress {version}"),
        Ok(Observed::Gap(gap)) => {
            let version =
                |version: &Option<_>| version.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("gap {:?} {}..{}", gap.reason, version(&gap.from), version(&gap.to))
        }
        Ok(Observed::Undecodable(bad)) => {
            format!("undecodable {}", String::from_utf8_lossy(&bad.bytes))
        }
        Ok(other) => format!("{other:?}"),
        Err(error) => format!("error: {error}"),
    }
}
