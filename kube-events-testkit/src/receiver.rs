//! An HTTP server that records what it is sent, and answers as it is told.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::Value;
use std::collections::VecDeque;
use std::fmt;
use std::future::pending;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::listener::{self, Connection, Listener};
use crate::oracle::Identity;

/// One request that arrived.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Its method.
    pub method: Method,
    /// Its path, without the query.
    pub path: String,
    /// Its query, empty if it had none.
    pub query: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, unpacked if it came as gzip.
    pub body: Bytes,
    /// The code that it was answered with; none if it got no answer.
    pub answered: Option<u16>,
}

impl Recorded {
    /// A header's value as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as JSON values: lines of them, or one array of them.
    ///
    /// # Errors
    /// A part of the body is not JSON.
    pub fn json(&self) -> serde_json::Result<Vec<Value>> {
        let values = serde_json::Deserializer::from_slice(&self.body).into_iter();
        let values: Vec<Value> = values.collect::<Result<_, _>>()?;
        match <[Value; 1]>::try_from(values) {
            Ok([Value::Array(items)]) => Ok(items),
            Ok([one]) => Ok(vec![one]),
            Err(many) => Ok(many),
        }
    }
}

/// How a request is answered.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    retry_after: Option<Duration>,
    delay: Duration,
    body: Bytes,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answer,
    Hang,
    Drop,
}

impl Reply {
    /// This status, with an empty body.
    pub fn status(status: u16) -> Self {
        let body = Bytes::new();
        Self { status, retry_after: None, delay: Duration::ZERO, body, fate: Fate::Answer }
    }

    /// No answer, ever; the connection stays open.
    pub fn hang() -> Self {
        Self { fate: Fate::Hang, ..Self::status(0) }
    }

    /// No answer; the connection is closed.
    pub fn drop_connection() -> Self {
        Self { fate: Fate::Drop, ..Self::status(0) }
    }

    /// With a `Retry-After` header, in whole seconds.
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Self {
        Self { retry_after: Some(after), ..self }
    }

    /// After a while.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// With a body.
    #[must_use]
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }

    fn code(&self) -> Option<u16> {
        (self.fate == Fate::Answer).then_some(self.status)
    }

    async fn send(self, close: Option<Connection>) -> Response {
        tokio::time::sleep(self.delay).await;
        if self.fate == Fate::Drop
            && let Some(Connection(close)) = close
        {
            close.cancel();
        }
        if self.fate != Fate::Answer {
            return pending().await;
        }
        let code = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (code, Body::from(self.body)).into_response();
        if let Some(after) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs()));
        }
        response
    }
}

type Handler = Box<dyn Fn(&Recorded) -> Reply + Send + Sync>;

struct Inner {
    records: Mutex<Vec<Recorded>>,
    replies: Mutex<VecDeque<Reply>>,
    usual: Mutex<Handler>,
    bell: watch::Sender<()>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Inner").field("replies", &self.replies).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A recording HTTP server on the loopback interface; it ends when it is dropped.
///
/// Every request is answered with the next of the replies that were queued by
/// [`reply`](Self::reply), then in the usual way: 200, unless
/// [`usually`](Self::usually) says otherwise.
#[derive(Debug)]
pub struct Receiver {
    inner: Arc<Inner>,
    address: SocketAddr,
    listener: tokio::sync::Mutex<Option<Listener>>,
}

impl Receiver {
    /// Starts a receiver on a free port.
    ///
    /// # Errors
    /// The socket could not be bound.
    pub async fn start() -> io::Result<Self> {
        let socket = listener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let address = socket.local_addr()?;
        let usual: Handler = Box::new(|_| Reply::status(200));
        let inner = Arc::new(Inner {
            records: Mutex::default(),
            replies: Mutex::default(),
            usual: Mutex::new(usual),
            bell: watch::Sender::new(()),
        });
        let running = Listener::start(socket, router(&inner));
        Ok(Self { inner, address, listener: tokio::sync::Mutex::new(Some(running)) })
    }

    /// Its address, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Queues an answer for one request.
    pub fn reply(&self, reply: Reply) {
        lock(&self.inner.replies).push_back(reply);
    }

    /// Queues one answer each.
    pub fn reply_statuses(&self, statuses: impl IntoIterator<Item = u16>) {
        statuses.into_iter().for_each(|status| self.reply(Reply::status(status)));
    }

    /// Answers requests for which nothing is queued.
    pub fn usually(&self, answer: impl Fn(&Recorded) -> Reply + Send + Sync + 'static) {
        *lock(&self.inner.usual) = Box::new(answer);
    }

    /// Usually answers 400 to bodies that contain `marker`, else 200.
    pub fn reject_bodies_with(&self, marker: &str) {
        let marker = marker.as_bytes().to_vec();
        self.usually(move |request| {
            let found = request.body.windows(marker.len()).any(|part| part == marker);
            Reply::status(if found { 400 } else { 200 })
        });
    }

    /// The requests so far, in the order of their arrival.
    pub fn requests(&self) -> Vec<Recorded> {
        lock(&self.inner.records).clone()
    }

    /// The JSON values of all requests that were answered with a 2xx, in order. Bodies that are
    /// not JSON are passed over.
    pub fn accepted(&self) -> Vec<Value> {
        let records = lock(&self.inner.records);
        let good = records.iter().filter(|r| r.answered.is_some_and(|code| code / 100 == 2));
        good.filter_map(|record| record.json().ok()).flatten().collect()
    }

    /// The identities of all accepted Events, in order.
    pub fn identities(&self) -> Vec<Identity> {
        self.accepted().iter().filter_map(Identity::of).collect()
    }

    /// Forgets the requests so far.
    pub fn clear(&self) {
        lock(&self.inner.records).clear();
    }

    /// Waits until the requests fulfil a condition; looks at every one that arrives.
    ///
    /// # Errors
    /// The time ran out; the requests as they are then.
    pub async fn wait_for(
        &self,
        timeout: Duration,
        condition: impl Fn(&[Recorded]) -> bool,
    ) -> Result<Vec<Recorded>, Vec<Recorded>> {
        let mut bell = self.inner.bell.subscribe();
        let deadline = Instant::now() + timeout;
        loop {
            bell.borrow_and_update();
            {
                let records = lock(&self.inner.records);
                if condition(&records) {
                    return Ok(records.clone());
                }
            }
            if tokio::time::timeout_at(deadline, bell.changed()).await.is_err() {
                return Err(self.requests());
            }
        }
    }

    /// Breaks all connections and stops listening.
    pub async fn go_down(&self) {
        if let Some(listener) = self.listener.lock().await.take() {
            listener.abort().await;
        }
    }

    /// Listens again, on the same port.
    ///
    /// # Errors
    /// The port was taken in between.
    pub async fn come_back(&self) -> io::Result<()> {
        let mut running = self.listener.lock().await;
        if running.is_none() {
            let socket = listener::bind(self.address).await?;
            *running = Some(Listener::start(socket, router(&self.inner)));
        }
        Ok(())
    }
}

fn router(inner: &Arc<Inner>) -> Router {
    Router::new().fallback(record).with_state(Arc::clone(inner))
}

async fn record(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let Ok(body) = unpack(&head.headers, body.to_bytes()) else {
        return (StatusCode::BAD_REQUEST, "the body is not gzip").into_response();
    };
    let mut recorded = Recorded {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or("").to_owned(),
        headers: head.headers,
        body,
        answered: None,
    };
    let queued = lock(&inner.replies).pop_front();
    let reply = queued.unwrap_or_else(|| lock(&inner.usual)(&recorded));
    recorded.answered = reply.code();
    lock(&inner.records).push(recorded);
    inner.bell.send_replace(());
    reply.send(head.extensions.get::<Connection>().cloned()).await
}

fn unpack(headers: &HeaderMap, body: Bytes) -> io::Result<Bytes> {
    if headers.get(header::CONTENT_ENCODING).is_none_or(|encoding| encoding != "gzip") {
        return Ok(body);
    }
    let mut out = Vec::new();
    MultiGzDecoder::new(&*body).read_to_end(&mut out)?;
    Ok(out.into())
}
