//! WATCH: changes as lines of JSON, many in one chunk where many are there.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use http::header;
use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::watch::Receiver;
use tokio::time::Instant;

use super::Shared;
use super::call::Call;
use super::faults::WatchFault;
use super::list::{not_a_number, selector};
use super::selectors::Selector;
use super::status::Status;
use super::storage::{Change, Range, Stored, TooOld};
use super::view::View;

/// Size at which a chunk is sent although more lines are there.
const CHUNK: usize = 64 * 1024;
/// Changes taken from history at a time.
const BATCH: usize = 256;
/// Length of a watch whose client names none; the real server takes 30 to 60 minutes.
const TIMEOUT: Duration = Duration::from_secs(3600);

/// A fault for every running watch, numbered so that each watch sees it once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Breakage {
    pub(crate) number: u64,
    pub(crate) fault: Option<WatchFault>,
}

/// What a watch does next.
#[derive(Debug)]
enum Stage {
    /// Tells the objects that exist.
    Initial(std::vec::IntoIter<Arc<Stored>>),
    /// Tells changes as they come.
    Live,
    /// Tells one error, then ends.
    Failed(Status),
    /// Breaks the connection.
    Broken,
    /// Never tells anything again.
    Silent,
    /// Has ended.
    Done,
}

/// Bookmarks from time to time.
#[derive(Debug, Clone, Copy)]
struct Bookmarks {
    every: Duration,
    next: Instant,
}

/// One watcher.
struct Watch {
    shared: Arc<Shared>,
    view: View,
    range: Range,
    selector: Selector,
    stage: Stage,
    position: u64,
    /// Changes up to here were asked not to be told.
    after: u64,
    /// Revision for the bookmark that ends the initial objects, where one was asked for.
    initial_end: Option<u64>,
    bookmarks: Option<Bookmarks>,
    changes: VecDeque<Change>,
    bell: Receiver<()>,
    breakage: Receiver<Breakage>,
    /// Number of the last breakage that this watch is done with.
    broken: u64,
    fault: Option<(usize, WatchFault)>,
    deadline: Instant,
}

impl Shared {
    pub(crate) fn watch(
        self: &Arc<Self>,
        view: View,
        call: &Call,
        fault: Option<(usize, WatchFault)>,
    ) -> Result<Response, Status> {
        let mut watch = Watch::new(self, view, call, fault)?;
        watch.start(call)?;
        let body = stream::unfold(watch, |mut watch| async {
            let chunk = watch.next().await?;
            Some((chunk, watch))
        });
        let headers = [
            (header::CONTENT_TYPE, "application/json"),
            (header::CACHE_CONTROL, "no-cache, private"),
        ];
        Ok((headers, Body::from_stream(body)).into_response())
    }
}

impl Bookmarks {
    fn new(every: Duration) -> Self {
        Self { every, next: Instant::now() + every }
    }
}

impl Watch {
    fn new(
        shared: &Arc<Shared>,
        view: View,
        call: &Call,
        fault: Option<(usize, WatchFault)>,
    ) -> Result<Self, Status> {
        let timeout = call.param("timeoutSeconds").and_then(|text| text.parse().ok());
        let timeout = timeout.filter(|seconds| *seconds > 0).map_or(TIMEOUT, Duration::from_secs);
        let breakage = shared.breakage.subscribe();
        let broken = breakage.borrow().number;
        let bookmarks = view.resource.watch_cache && call.flag("allowWatchBookmarks");
        Ok(Self {
            range: Range::new(call.namespace.as_deref()),
            selector: selector(&view, call)?,
            stage: Stage::Live,
            position: 0,
            after: 0,
            initial_end: None,
            bookmarks: bookmarks.then(|| Bookmarks::new(shared.bookmark_interval)),
            changes: VecDeque::new(),
            bell: shared.store.bell(&view.resource),
            broken,
            breakage,
            fault,
            deadline: Instant::now() + timeout,
            shared: Arc::clone(shared),
            view,
        })
    }

    // === where to begin ===

    fn start(&mut self, call: &Call) -> Result<(), Status> {
        let text = call.param("resourceVersion").unwrap_or("0");
        let revision: u64 =
            text.parse().map_err(|_| Status::failure(500, "", not_a_number(text)))?;
        if call.query.contains_key("sendInitialEvents") {
            return self.start_streaming(call, revision);
        }
        if revision == 0 {
            self.start_initial();
        } else {
            self.start_after(revision);
        }
        Ok(())
    }

    fn start_streaming(&mut self, call: &Call, revision: u64) -> Result<(), Status> {
        if call.param("resourceVersionMatch") != Some("NotOlderThan") {
            let what = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to \
                        NotOlderThan";
            let why = ("FieldValueForbidden", what);
            let field = "resourceVersionMatch";
            return Err(Status::invalid("meta.k8s.io", "ListOptions", "", field, why));
        }
        if !call.flag("sendInitialEvents") {
            self.start_after(revision);
            return Ok(());
        }
        let current = self.start_initial();
        if revision > current {
            return Err(Status::too_large(revision, current));
        }
        self.initial_end = call.flag("allowWatchBookmarks").then_some(current);
        Ok(())
    }

    fn start_initial(&mut self) -> u64 {
        let (objects, revision, position) =
            self.shared.store.current(&self.view.resource, &self.range);
        self.position = position;
        self.stage = Stage::Initial(objects.into_iter());
        revision
    }

    fn start_after(&mut self, revision: u64) {
        self.after = revision;
        match self.shared.store.position_after(&self.view.resource, revision) {
            Ok(position) => self.position = position,
            Err(too_old) => self.stage = Stage::Failed(self.expired(revision, too_old)),
        }
    }

    fn expired(&self, revision: u64, too_old: TooOld) -> Status {
        if self.view.resource.watch_cache {
            return Status::expired_cache(revision, too_old.floor);
        }
        Status::expired_watch()
    }

    // === what comes next ===

    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            if matches!(self.stage, Stage::Initial(_) | Stage::Live) {
                self.check();
            }
            match &mut self.stage {
                Stage::Initial(_) => {
                    if let Some(chunk) = self.initial_chunk() {
                        return Some(Ok(chunk));
                    }
                }
                Stage::Live => {
                    if let Some(chunk) = self.live_chunk() {
                        return Some(Ok(chunk));
                    }
                    if let Some(chunk) = self.wait().await {
                        return Some(Ok(chunk));
                    }
                }
                Stage::Failed(status) => {
                    let line = line("ERROR", |out| out.extend_from_slice(&status.to_bytes()));
                    self.stage = Stage::Done;
                    return Some(Ok(line.into()));
                }
                Stage::Broken => {
                    flush().await;
                    self.stage = Stage::Done;
                    return Some(Err(io::ErrorKind::ConnectionReset.into()));
                }
                Stage::Silent => pending().await,
                Stage::Done => return None,
            }
        }
    }

    fn initial_chunk(&mut self) -> Option<Bytes> {
        let mut out = Vec::with_capacity(CHUNK);
        while out.len() < CHUNK {
            let Stage::Initial(objects) = &mut self.stage else { break };
            match objects.next() {
                Some(object) if self.selector.matches(&object.body) => {
                    self.tell(&mut out, "ADDED", &object);
                }
                Some(_) => {}
                None => {
                    if let Some(revision) = self.initial_end {
                        self.bookmark(&mut out, revision, true);
                    }
                    self.stage = Stage::Live;
                }
            }
        }
        (!out.is_empty()).then(|| out.into())
    }

    fn live_chunk(&mut self) -> Option<Bytes> {
        let mut out = Vec::new();
        while out.len() < CHUNK && matches!(self.stage, Stage::Live) {
            let Some(change) = self.next_change() else { break };
            self.tell_change(&mut out, &change);
        }
        (!out.is_empty()).then(|| out.into())
    }

    fn next_change(&mut self) -> Option<Change> {
        if self.changes.is_empty() {
            // Seen before reading, so that a change between the two rings again.
            self.bell.borrow_and_update();
            match self.shared.store.changes(&self.view.resource, self.position, BATCH) {
                Ok(changes) => self.changes = changes.into(),
                Err(too_old) => self.stage = Stage::Failed(self.expired(self.after, too_old)),
            }
        }
        let change = self.changes.pop_front()?;
        self.position += 1;
        Some(change)
    }

    /// Waits for changes, faults, the time of a bookmark or the end.
    async fn wait(&mut self) -> Option<Bytes> {
        if !matches!(self.stage, Stage::Live) {
            return None;
        }
        if let Some((_, fault)) =
            self.fault.take_if(|(left, fault)| *left == 0 && !fault.needs_line())
        {
            let mut out = Vec::new();
            self.strike(&mut out, fault);
            return (!out.is_empty()).then(|| out.into());
        }
        let next = self.bookmarks.map_or(self.deadline, |bookmarks| bookmarks.next);
        tokio::select! {
            _ = self.bell.changed() => None,
            _ = self.breakage.changed() => None,
            () = self.shared.ending.cancelled() => None,
            () = tokio::time::sleep_until(self.deadline) => None,
            () = tokio::time::sleep_until(next), if self.bookmarks.is_some() => {
                Some(self.periodic_bookmark())
            }
        }
    }

    fn periodic_bookmark(&mut self) -> Bytes {
        self.bookmarks = self.bookmarks.map(|bookmarks| Bookmarks::new(bookmarks.every));
        let mut out = Vec::new();
        self.bookmark(&mut out, self.shared.store.revision(), false);
        out.into()
    }

    /// Looks for what ends or breaks a watch, also one that is never idle.
    fn check(&mut self) {
        if Instant::now() >= self.deadline || self.shared.ending.is_cancelled() {
            self.stage = Stage::Done;
        }
        let breakage = self.breakage.borrow_and_update().clone();
        if breakage.number > self.broken {
            self.broken = breakage.number;
            self.fault = breakage.fault.map(|fault| (0, fault));
        }
    }

    // === lines ===

    fn tell_change(&mut self, out: &mut Vec<u8>, change: &Change) {
        if change.revision <= self.after || !self.range.holds(&change.object.key) {
            return;
        }
        let fits = |stored: &Arc<Stored>| self.selector.matches(&stored.body);
        let before = change.previous.as_ref().is_some_and(fits);
        let after = !change.deleted && fits(&change.object);
        match (before, after) {
            (false, true) => self.tell(out, "ADDED", &change.object),
            (true, true) => self.tell(out, "MODIFIED", &change.object),
            (true, false) if change.deleted => self.tell(out, "DELETED", &change.object),
            (true, false) => self.tell_left(out, change),
            (false, false) => {}
        }
    }

    /// An object that no longer fits the selector is told as it last did.
    fn tell_left(&mut self, out: &mut Vec<u8>, change: &Change) {
        if let Some(previous) = &change.previous {
            self.tell(out, "DELETED", &previous.at(change.revision));
        }
    }

    fn tell(&mut self, out: &mut Vec<u8>, kind: &str, stored: &Stored) {
        if !matches!(self.stage, Stage::Initial(_) | Stage::Live) {
            return;
        }
        let start = out.len();
        write_line(out, kind, |out| self.view.object(out, stored));
        self.strike_if_due(out, start);
    }

    fn bookmark(&mut self, out: &mut Vec<u8>, revision: u64, initial_end: bool) {
        let object = self.view.bookmark(revision, initial_end);
        write_line(out, "BOOKMARK", |out| out.extend_from_slice(&object));
    }

    /// Counts a line that was just written, and does what is due at it.
    fn strike_if_due(&mut self, out: &mut Vec<u8>, start: usize) {
        let Some((left, fault)) = self.fault.take() else { return };
        if left > 0 {
            self.fault = Some((left - 1, fault));
            return;
        }
        let line = out.split_off(start);
        if matches!(fault, WatchFault::Truncate) {
            out.extend_from_slice(&line[..line.len() / 2]);
            self.stage = Stage::Broken;
            return;
        }
        self.strike(out, fault);
        if matches!(self.stage, Stage::Initial(_) | Stage::Live) {
            out.extend_from_slice(&line);
        }
    }

    fn strike(&mut self, out: &mut Vec<u8>, fault: WatchFault) {
        self.stage = match fault {
            WatchFault::Close => Stage::Done,
            WatchFault::Abort | WatchFault::Truncate => Stage::Broken,
            WatchFault::Error(status) => Stage::Failed(status),
            WatchFault::Silence => Stage::Silent,
            WatchFault::Garbage(bytes) => {
                out.extend_from_slice(&bytes);
                out.push(b'\n');
                return;
            }
        };
    }
}

impl WatchFault {
    fn needs_line(&self) -> bool {
        matches!(self, Self::Truncate)
    }
}

fn line(kind: &str, object: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write_line(&mut out, kind, object);
    out
}

fn write_line(out: &mut Vec<u8>, kind: &str, object: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"object\":");
    object(out);
    out.extend_from_slice(b"}\n");
}

/// Gives the connection a turn to send what it holds before it is broken.
async fn flush() {
    let mut turns = 2;
    poll_fn(|context| {
        if turns == 0 {
            return Poll::Ready(());
        }
        turns -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
