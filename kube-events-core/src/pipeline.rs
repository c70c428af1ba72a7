//! From a source through the log to the lanes' sinks.

mod lane;
mod status;

use std::{fmt, pin::pin, sync::Arc, time::Duration};

use futures::{
    FutureExt as _, Stream, StreamExt as _,
    future::{Either, select},
    stream::{BoxStream, FuturesUnordered},
};
use jiff::Timestamp;
use tracing::{debug, warn};

use self::{lane::Lane, status::Shared};
pub use self::{
    lane::LaneOptions,
    status::{Handle, LaneReport, LaneStatus, Report},
};
pub use crate::log::LogOptions;
use crate::{
    Event, Sink,
    checkpoint::{Checkpoint, MemoryStore, Position, Store},
    gap::GapReason,
    log::Log,
    metrics::PipelineMetrics,
    source::{Observed, SourceError, Start},
};

type Observations = BoxStream<'static, Result<Observed, SourceError>>;
type Open = Arc<dyn Fn(Start) -> Observations + Send + Sync>;

/// Delivers what a source observes to sinks, each on a lane of its own.
///
/// Every lane reads the same bounded log at its own speed. A sink that fails is tried again until
/// it takes the batch or refuses it for good; meanwhile the other lanes go on. A lane that falls
/// off the log reads on from the source's history, if there is one ([`Pipeline::resumable`]), and
/// comes back when it has caught up; without a history the source waits for it, so that nothing is
/// lost.
///
/// ```
/// use kube_events_core::{Batch, Event, Pipeline, pipeline::LaneOptions, sink_fn, source};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let file: &[u8] = br#"{"metadata": {"uid": "a"}, "reason": "BackOff"}"#;
/// let sink = sink_fn(|batch: Batch<Event>| async move {
///     println!("{}", batch[0].reason());
///     Ok(())
/// });
/// let report = Pipeline::new(source::ndjson::events(file))
///     .lane("print", sink, LaneOptions::default())
///     .run(std::future::pending())
///     .await;
/// assert_eq!(report.lanes[0].delivered, 1);
/// # }
/// ```
pub struct Pipeline {
    source: Source,
    start: Start,
    lanes: Vec<Lane>,
    log: LogOptions,
    store: Arc<dyn Store>,
    checkpoint_interval: Duration,
    grace: Duration,
    metrics: PipelineMetrics,
    shared: Arc<Shared>,
}

/// How much of what is not an Event goes to the log, in bytes.
const EXCERPT: usize = 200;

enum Source {
    Once(Observations),
    Resumable(Open),
}

// === impl Pipeline ===

impl Pipeline {
    /// A pipeline of a source that can be read once, such as a file. It ends when the source does.
    pub fn new<S>(source: S) -> Self
    where
        S: Stream<Item = Result<Observed, SourceError>> + Send + 'static,
    {
        Self::of(Source::Once(source.boxed()), Start::Held)
    }

    /// A pipeline of a source that can be opened at any position, such as a cluster. `start` is
    /// where lanes begin that have no checkpoint.
    pub fn resumable<S, F>(start: Start, open: F) -> Self
    where
        S: Stream<Item = Result<Observed, SourceError>> + Send + 'static,
        F: Fn(Start) -> S + Send + Sync + 'static,
    {
        Self::of(Source::Resumable(Arc::new(move |start| open(start).boxed())), start)
    }

    fn of(source: Source, start: Start) -> Self {
        Self {
            source,
            start,
            lanes: Vec::new(),
            log: LogOptions::default(),
            store: Arc::new(MemoryStore::default()),
            checkpoint_interval: Duration::from_secs(3),
            grace: Duration::from_secs(20),
            metrics: PipelineMetrics::default(),
            shared: Arc::default(),
        }
    }

    /// Adds a lane. Its name is its identity in checkpoints, metrics and logs.
    #[must_use]
    pub fn lane(
        mut self,
        name: impl Into<String>,
        sink: impl Sink<Event> + 'static,
        options: LaneOptions,
    ) -> Self {
        let status = self.shared.add(name.into());
        self.lanes.push(Lane::new(self.lanes.len(), status, Box::new(sink), options));
        self
    }

    /// Keeps the lanes' positions here, every few seconds and at the end.
    #[must_use]
    pub fn checkpoint(mut self, store: impl Store + 'static) -> Self {
        self.store = Arc::new(store);
        self
    }

    /// How large the log may get.
    #[must_use]
    pub fn log(mut self, options: LogOptions) -> Self {
        self.log = options;
        self
    }

    /// For how long lanes may go on when the source has ended or been shut down. Default 20 s.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Counts into these metrics.
    #[must_use]
    pub fn metrics(mut self, metrics: PipelineMetrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Tells how the lanes are while the pipeline runs, and afterwards.
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.shared))
    }

    /// Runs until the source ends or `shutdown` is ready, then lets the lanes deliver what was
    /// read, for as long as the grace period lasts, and writes the checkpoint.
    ///
    /// # Cancellation
    /// Dropping the future ends everything at once; what was delivered since the last checkpoint
    /// will be delivered again.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Report {
        let Self { source, start, mut lanes, store, metrics, shared, .. } = self;
        let checkpoint = store.load().await.unwrap_or_else(|error| {
            warn!(error = &error as &dyn std::error::Error, "the checkpoint is lost");
            Checkpoint::default()
        });
        let start = resume(&start, &checkpoint, &mut lanes);
        let (source, open) = match source {
            Source::Once(source) => (source, None),
            Source::Resumable(open) => (open(start), Some(open)),
        };
        let log = Log::new(lanes.len(), self.log, open.is_some());
        let fed = tokio::sync::Notify::new();
        let feed = async {
            select(pin!(pump(source, &log, &metrics, &shared)), pin!(shutdown)).await;
            log.end();
            fed.notify_one();
        };
        let common = lane::Shared { log: &log, open: open.as_ref(), metrics: &metrics };
        // Each is polled only when it was woken itself: a lane's POST is of no concern to the source.
        let work: FuturesUnordered<_> =
            lanes.iter_mut().map(|lane| Either::Left(lane.run(common))).collect();
        work.push(Either::Right(feed));
        let out_of_grace = fed.notified().then(|()| tokio::time::sleep(self.grace));
        let tick = tick(self.checkpoint_interval, &*store, &shared, &metrics);
        tokio::select! {
            () = work.collect() => {}
            () = out_of_grace => warn!("the grace period is over; what is pending stays"),
            () = tick => {}
        }
        save(&*store, &shared.positions()).await;
        shared.report()
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lanes: Vec<&str> = self.lanes.iter().map(Lane::name).collect();
        f.debug_struct("Pipeline")
            .field("start", &self.start)
            .field("lanes", &lanes)
            .finish_non_exhaustive()
    }
}

/// Gives each lane its position, and says where the source must begin to serve them all.
fn resume(start: &Start, checkpoint: &Checkpoint, lanes: &mut [Lane]) -> Start {
    let now = Timestamp::now();
    let mut oldest: Option<&Position> = None;
    let mut fresh = lanes.is_empty();
    for lane in &mut *lanes {
        match checkpoint.lanes.get(lane.name()) {
            Some(position) => {
                lane.resume(position.clone());
                if oldest.is_none_or(|old| position.resource_version < old.resource_version) {
                    oldest = Some(position);
                }
            }
            None => fresh = true,
        }
    }
    match oldest {
        None => start.clone(),
        Some(_) if fresh && matches!(start, Start::Held) => Start::Held,
        Some(position) => {
            for lane in lanes.iter_mut().filter(|lane| lane.is_fresh()) {
                lane.skip_before(now);
            }
            Start::After {
                resource_version: position.resource_version.clone(),
                time: Some(position.time),
            }
        }
    }
}

async fn pump(mut source: Observations, log: &Log, metrics: &PipelineMetrics, shared: &Shared) {
    while let Some(observed) = source.next().await {
        match observed {
            Ok(Observed::Event(event)) => {
                metrics.received();
                log.write(event).await;
                shared.written();
            }
            Ok(Observed::Progress(version)) => {
                shared.source_progressed(&version);
                metrics.ring(log.bytes());
                log.mark(version);
            }
            Ok(Observed::Gap(gap)) => {
                metrics.gap(gap.reason);
                if gap.reason == GapReason::WentBack {
                    log.rewind();
                }
                warn!(reason = gap.reason.as_str(), "{gap}");
            }
            Ok(Observed::Undecodable(line)) => {
                metrics.undecodable();
                let excerpt = &line.bytes[..line.bytes.len().min(EXCERPT)];
                let excerpt = String::from_utf8_lossy(excerpt);
                warn!(error = %line.error, line = line.line, %excerpt, "not an Event; left out");
            }
            Err(error) => {
                metrics.source_error();
                warn!(error = &error as &dyn std::error::Error, "the source failed; it goes on");
                shared.source_failed(&error);
            }
        }
    }
}

/// Saves the positions and tells the figures, every few seconds.
async fn tick(interval: Duration, store: &dyn Store, shared: &Shared, metrics: &PipelineMetrics) {
    let mut last = Checkpoint::default();
    loop {
        tokio::time::sleep(interval).await;
        for lane in shared.lanes() {
            metrics.lag(&lane.name, lane.lag);
        }
        let checkpoint = shared.positions();
        if checkpoint != last {
            save(store, &checkpoint).await;
            last = checkpoint;
        }
    }
}

async fn save(store: &dyn Store, checkpoint: &Checkpoint) {
    if checkpoint.lanes.is_empty() {
        return;
    }
    match store.save(checkpoint).await {
        Ok(()) => debug!("checkpoint saved"),
        Err(error) => {
            warn!(error = &error as &dyn std::error::Error, "the checkpoint is not saved");
        }
    }
}
