//! How a pipeline is doing, for those who look at it from outside.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use tracing::{debug, warn};

use crate::{
    ResourceVersion, SendError,
    checkpoint::{Checkpoint, Position},
    error::chain,
    source::SourceError,
};

/// Tells how a pipeline's lanes are. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Shared>);

/// How one lane is.
#[derive(Clone, Debug, Default)]
pub struct LaneStatus {
    /// The lane's name.
    pub name: String,
    /// Everything up to here was acknowledged by its sink.
    pub position: Option<Position>,
    /// Events that are read from the source and not yet acknowledged.
    pub lag: u64,
    /// Events that its sink has accepted.
    pub delivered: u64,
    /// Events that its sink has refused for good.
    pub rejected: u64,
    /// Deliveries that were tried again since the pipeline began.
    pub retries: u64,
    /// Why the sink does not take the batch that is being tried; `None` when it does.
    pub failing: Option<String>,
    /// The last thing that went wrong, also if it went right since.
    pub last_error: Option<String>,
    /// True while it reads from the source's history, because it fell off the log.
    pub behind: bool,
}

/// What a pipeline did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// By lane, in the order in which they were added.
    pub lanes: Vec<LaneReport>,
}

/// What one lane did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaneReport {
    /// The lane's name.
    pub name: String,
    /// Events that its sink accepted.
    pub delivered: u64,
    /// Events that its sink refused for good.
    pub rejected: u64,
    /// Events that were read and not delivered when the grace period was over.
    pub pending: u64,
}

/// Written by the pipeline, read by handles.
#[derive(Debug, Default)]
pub(super) struct Shared {
    lanes: Mutex<Vec<Arc<LaneCell>>>,
    /// How many Events were written to the log.
    written: AtomicU64,
    source: Mutex<SourceStatus>,
}

#[derive(Debug, Default)]
struct SourceStatus {
    progress: Option<ResourceVersion>,
    seen: Option<Timestamp>,
    failing: Option<String>,
}

/// One lane's status.
#[derive(Debug, Default)]
pub(super) struct LaneCell(Mutex<LaneState>);

#[derive(Debug, Default)]
pub(super) struct LaneState {
    pub(super) public: LaneStatus,
    /// How much of what was written to the log its sink has.
    pub(super) acknowledged: u64,
}

// === impl Handle ===

impl Handle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// How each lane is, in the order in which they were added.
    pub fn lanes(&self) -> Vec<LaneStatus> {
        self.0.lanes()
    }

    /// How far the source has come; `None` before the first position.
    pub fn source_progress(&self) -> Option<ResourceVersion> {
        lock(&self.0.source).progress.clone()
    }

    /// When the source last made progress.
    pub fn source_seen(&self) -> Option<Timestamp> {
        lock(&self.0.source).seen
    }

    /// Why the source gives nothing at the moment; `None` while all is well.
    pub fn source_failing(&self) -> Option<String> {
        lock(&self.0.source).failing.clone()
    }
}

// === impl Shared ===

impl Shared {
    pub(super) fn add(&self, name: String) -> Arc<LaneCell> {
        let public = LaneStatus { name, ..LaneStatus::default() };
        let cell = Arc::new(LaneCell(Mutex::new(LaneState { public, acknowledged: 0 })));
        lock(&self.lanes).push(Arc::clone(&cell));
        cell
    }

    pub(super) fn lanes(&self) -> Vec<LaneStatus> {
        let written = self.written.load(Ordering::Relaxed);
        let status = |lane: &Arc<LaneCell>| {
            let state = lane.lock();
            let lag = written.saturating_sub(state.acknowledged);
            LaneStatus { lag, ..state.public.clone() }
        };
        lock(&self.lanes).iter().map(status).collect()
    }

    pub(super) fn written(&self) {
        self.written.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn source_progressed(&self, version: &ResourceVersion) {
        let mut source = lock(&self.source);
        source.progress = Some(version.clone());
        source.seen = Some(Timestamp::now());
        source.failing = None;
    }

    pub(super) fn source_failed(&self, error: &SourceError) {
        lock(&self.source).failing = Some(chain(error));
    }

    pub(super) fn positions(&self) -> Checkpoint {
        let lanes = self.lanes().into_iter().filter_map(|lane| Some((lane.name, lane.position?)));
        Checkpoint { lanes: lanes.collect() }
    }

    pub(super) fn report(&self) -> Report {
        let lanes = self.lanes().into_iter().map(|lane| {
            let LaneStatus { name, delivered, rejected, lag, .. } = lane;
            LaneReport { name, delivered, rejected, pending: lag }
        });
        Report { lanes: lanes.collect() }
    }
}

// === impl LaneCell ===

impl LaneCell {
    pub(super) fn lock(&self) -> MutexGuard<'_, LaneState> {
        lock(&self.0)
    }

    /// Notes a delivery that will be tried again.
    pub(super) fn failed(&self, error: &SendError, delay: Duration) {
        let mut state = self.lock();
        let (lane, text) = (state.public.name.clone(), chain(error));
        // A sink that stays down is told once, not at every try.
        if state.public.failing.is_none() {
            warn!(lane, error = text, retry_in = ?delay, "not delivered; tried until it is");
        } else {
            debug!(lane, error = text, retry_in = ?delay, "not delivered");
        }
        state.public.retries += 1;
        state.public.failing = Some(text.clone());
        state.public.last_error = Some(text);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
