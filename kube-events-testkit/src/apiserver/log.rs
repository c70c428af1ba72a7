//! The requests that arrived.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

use super::call::Verb;

/// Requests that are kept; older ones count but can't be read any more.
const KEPT: usize = 10_000;

/// One request.
#[derive(Debug)]
pub struct RequestRecord {
    /// What it asked for.
    pub verb: Verb,
    /// Its method.
    pub method: http::Method,
    /// Its path, without the query.
    pub path: String,
    /// Its query, empty if it had none.
    pub query: String,
    /// Its `User-Agent`.
    pub user_agent: String,
    /// Its user, empty if it came without a token: a token is the name of its user here.
    pub user: String,
    status: AtomicU16,
}

impl RequestRecord {
    pub(crate) fn new(verb: Verb, request: &axum::extract::Request) -> Self {
        Self {
            verb,
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or("").to_owned(),
            user_agent: user_agent(request).to_owned(),
            user: user(request).to_owned(),
            status: AtomicU16::new(0),
        }
    }

    /// Whether it asked for a change.
    pub fn is_write(&self) -> bool {
        self.verb.is_write()
    }

    /// The answer's code, once there is one.
    pub fn status(&self) -> Option<u16> {
        Some(self.status.load(Ordering::Acquire)).filter(|status| *status > 0)
    }
}

/// How a request's client calls itself.
pub(crate) fn user_agent(request: &axum::extract::Request) -> &str {
    header(request, &http::header::USER_AGENT)
}

/// Whose token a request has.
pub(crate) fn user(request: &axum::extract::Request) -> &str {
    header(request, &http::header::AUTHORIZATION).strip_prefix("Bearer ").unwrap_or("")
}

fn header<'a>(request: &'a axum::extract::Request, name: &http::HeaderName) -> &'a str {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

#[derive(Debug, Default)]
struct Records {
    last: VecDeque<Arc<RequestRecord>>,
    counts: HashMap<Verb, u64>,
}

/// The last requests, and how many there were of each kind.
#[derive(Debug)]
pub(crate) struct Log {
    records: Mutex<Records>,
    bell: watch::Sender<()>,
}

impl Default for Log {
    fn default() -> Self {
        Self { records: Mutex::default(), bell: watch::Sender::new(()) }
    }
}

impl Log {
    pub(crate) fn begin(&self, record: RequestRecord) -> Arc<RequestRecord> {
        let record = Arc::new(record);
        let mut records = self.lock();
        *records.counts.entry(record.verb).or_default() += 1;
        records.last.push_back(Arc::clone(&record));
        if records.last.len() > KEPT {
            records.last.pop_front();
        }
        drop(records);
        self.bell.send_replace(());
        record
    }

    pub(crate) fn end(&self, record: &RequestRecord, status: u16) {
        record.status.store(status, Ordering::Release);
        self.bell.send_replace(());
    }

    pub(crate) fn last(&self) -> Vec<Arc<RequestRecord>> {
        self.lock().last.iter().cloned().collect()
    }

    pub(crate) fn count(&self, verb: Verb) -> u64 {
        self.lock().counts.get(&verb).copied().unwrap_or(0)
    }

    pub(crate) fn clear(&self) {
        *self.lock() = Records::default();
    }

    pub(crate) fn bell(&self) -> watch::Receiver<()> {
        self.bell.subscribe()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
