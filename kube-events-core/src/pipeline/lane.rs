//! One sink's way through the log.

use std::{
    collections::{HashSet, VecDeque},
    hash::{DefaultHasher, Hasher},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures::{
    FutureExt as _, StreamExt as _,
    future::{Either, select},
};
use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::{Observed, Open, status::LaneCell};
use crate::{
    Batch, Event, Item, ResourceVersion, SendError, Sink,
    checkpoint::Position,
    error::chain,
    gap::GapReason,
    log::{Log, Offset, Read},
    metrics::PipelineMetrics,
    sink::{Instrumented, Retry, RetryPolicy, Timeout},
    sink_fn,
    source::Start,
};

/// How a lane groups Events and treats its sink.
#[derive(Clone, Debug)]
pub struct LaneOptions {
    /// The most Events in a batch. Default 500.
    pub max_events: usize,
    /// The most bytes in a batch; a larger Event goes alone. Default 1 MiB.
    pub max_bytes: usize,
    /// The least time from one batch to the next, unless a full one is waiting: an Event that
    /// comes alone is sent at once, and those that follow within this time go together. Default
    /// 15 ms.
    pub linger: Duration,
    /// For how long one delivery may take before it is given up and tried again. Default 30 s.
    pub timeout: Duration,
    /// How often, and after which waits, a delivery is tried again. Default: until it succeeds.
    pub retry: RetryPolicy,
}

/// How many Events since its last mark a lane can tell apart after it fell off the log.
const IDENTITY_WINDOW: usize = 1 << 16;

/// The pause before a history that has ended is opened again.
const HISTORY_PAUSE: Duration = Duration::from_secs(1);

/// What all lanes of a pipeline share.
#[derive(Clone, Copy)]
pub(super) struct Shared<'a> {
    pub(super) log: &'a Log,
    pub(super) open: Option<&'a Open>,
    pub(super) metrics: &'a PipelineMetrics,
}

pub(super) struct Lane {
    name: String,
    /// Its place among the lanes of the log.
    index: usize,
    cell: Arc<LaneCell>,
    sink: Box<dyn Sink<Event>>,
    options: LaneOptions,
    /// What the sink already has, from before.
    skip: Skip,
    /// Identities of what the sink has beyond the last position, with their places in the log.
    beyond: VecDeque<(Offset, u64)>,
    /// How often versions have gone back so far.
    rewinds: u64,
}

#[derive(Default)]
struct Skip {
    through: Option<ResourceVersion>,
    before: Option<Timestamp>,
}

/// What a lane has read from a history.
#[derive(Default)]
struct Reading {
    /// Identities of what the sink had before, and the history has not told yet.
    had: HashSet<u64>,
    /// Identities of what the history told since the last mark.
    told: HashSet<u64>,
    /// Still to be delivered.
    events: Vec<Event>,
    /// The last mark; it counts once the Events are delivered.
    mark: Option<ResourceVersion>,
}

// === impl LaneOptions ===

impl Default for LaneOptions {
    fn default() -> Self {
        Self {
            max_events: 500,
            max_bytes: 1 << 20,
            linger: Duration::from_millis(15),
            timeout: Duration::from_secs(30),
            retry: RetryPolicy::default(),
        }
    }
}

// === impl Skip ===

impl Skip {
    fn has(&self, event: &Event) -> bool {
        let old = self.through.as_ref().is_some_and(|through| {
            ResourceVersion::compare(event.resource_version(), through.as_str()).is_le()
        });
        old || self.before.is_some_and(|start| event.when().is_some_and(|when| when < start))
    }
}

// === impl Reading ===

impl Reading {
    fn push(&mut self, event: Event) {
        let identity = identity(&event);
        let had = self.had.remove(&identity) || self.told.contains(&identity);
        if self.told.len() < IDENTITY_WINDOW {
            self.told.insert(identity);
        }
        if !had {
            self.events.push(event);
        }
    }

    fn mark(&mut self, version: ResourceVersion) {
        self.told.clear();
        self.mark = Some(version);
    }

    /// Identities of what the sink has beyond the last mark, all Events being delivered.
    fn beyond(self) -> impl Iterator<Item = u64> {
        self.had.into_iter().chain(self.told).take(IDENTITY_WINDOW)
    }
}

// === impl Lane ===

impl Lane {
    pub(super) fn new(
        index: usize,
        cell: Arc<LaneCell>,
        sink: Box<dyn Sink<Event>>,
        options: LaneOptions,
    ) -> Self {
        let name = cell.lock().public.name.clone();
        let (skip, beyond) = (Skip::default(), VecDeque::new());
        Self { name, index, cell, sink, options, skip, beyond, rewinds: 0 }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.skip.through.is_none()
    }

    /// Goes on after this position.
    pub(super) fn resume(&mut self, position: Position) {
        self.skip.through = Some(position.resource_version.clone());
        self.cell.lock().public.position = Some(position);
    }

    /// Leaves out what happened before.
    pub(super) fn skip_before(&mut self, time: Timestamp) {
        self.skip.before = Some(time);
    }

    /// Delivers what stands in the log, until its end.
    pub(super) async fn run(&mut self, source: Shared<'_>) {
        let sink = std::mem::replace(&mut self.sink, Box::new(sink_fn(closed)));
        let sink = Timeout::new(sink, self.options.timeout);
        let sink = Instrumented::new(sink, source.metrics.sink(&self.name));
        let cell = Arc::clone(&self.cell);
        let sink = Retry::new(sink, self.options.retry.clone())
            .on_retry(move |error, delay| cell.failed(error, delay));
        let mut not_before = Instant::now();
        loop {
            self.gather(&source, not_before).await;
            let (max_events, max_bytes) = (self.options.max_events, self.options.max_bytes);
            match source.log.read(self.index, max_events, max_bytes) {
                Some(Read::Events(events, end)) => {
                    not_before = Instant::now() + self.options.linger;
                    self.deliver_from_log(&sink, events, end, &source).await;
                }
                Some(Read::Cut) => self.catch_up(&sink, &source).await,
                Some(Read::End) => {
                    self.reached(source.log.acknowledge_read(self.index));
                    break;
                }
                None => {}
            }
        }
        if let Err(error) = sink.close().await {
            warn!(lane = self.name, error = chain(&error), "the sink did not close cleanly");
        }
    }

    /// Waits until there is a batch to send, or something else to do than to wait.
    async fn gather(&mut self, source: &Shared<'_>, not_before: Instant) {
        loop {
            let changed = source.log.changed();
            match source.log.waiting(self.index) {
                Some((0, false)) => {
                    self.reached(source.log.acknowledge_read(self.index));
                    changed.await;
                }
                // What comes meanwhile needs no waking: the batch is the larger for it.
                Some((events, false)) if events < self.options.max_events => {
                    sleep_until(not_before).await;
                    return;
                }
                _ => return,
            }
        }
    }

    async fn deliver_from_log(
        &mut self,
        sink: &dyn Sink<Event>,
        events: Vec<Event>,
        end: Offset,
        source: &Shared<'_>,
    ) {
        self.follow_rewinds(source.log.rewinds());
        if source.open.is_some() {
            let start = end - events.len() as Offset;
            self.beyond.extend((start..).zip(events.iter().map(identity)));
            let surplus = self.beyond.len().saturating_sub(IDENTITY_WINDOW);
            self.beyond.drain(..surplus);
        }
        self.deliver(sink, events.into_iter().filter(|event| !self.skip.has(event)).collect())
            .await;
        self.cell.lock().acknowledged = end;
        self.reached(source.log.acknowledge(self.index, end));
    }

    /// Forgets the position once versions went back: what comes now is newer, not older.
    fn follow_rewinds(&mut self, rewinds: u64) {
        if std::mem::replace(&mut self.rewinds, rewinds) != rewinds {
            self.forget_position();
        }
    }

    fn forget_position(&mut self) {
        self.skip.through = None;
        self.cell.lock().public.position = None;
    }

    async fn deliver(&self, sink: &dyn Sink<Event>, events: Vec<Event>) {
        let Some(batch) = Batch::new(events) else { return };
        let result = sink.send(&batch).await;
        let mut status = self.cell.lock();
        status.public.failing = None;
        let rejected = match &result {
            Ok(()) => 0,
            Err(error) if error.is_retry() => batch.len(),
            Err(error) => error.rejected(batch.len()),
        };
        status.public.delivered += (batch.len() - rejected) as u64;
        status.public.rejected += rejected as u64;
        if let Err(error) = result {
            let error = chain(&error);
            warn!(lane = self.name, events = rejected, error, "refused by the sink; given up");
            status.public.last_error = Some(error);
        }
    }

    /// Everything up to this version is delivered, and whatever was written before this place.
    fn reached(&mut self, mark: Option<(Offset, ResourceVersion)>) {
        let Some((offset, resource_version)) = mark else { return };
        let keep = self.beyond.partition_point(|(at, _)| *at < offset);
        self.beyond.drain(..keep);
        let mut status = self.cell.lock();
        let position = &mut status.public.position;
        if position.as_ref().is_none_or(|old| old.resource_version <= resource_version) {
            *position = Some(Position { resource_version, time: Timestamp::now() });
        }
    }

    /// Delivers from the source's history until the log holds what comes next, or it ends.
    async fn catch_up(&mut self, sink: &dyn Sink<Event>, source: &Shared<'_>) {
        let Some(open) = source.open else { return };
        let position = self.cell.lock().public.position.clone();
        info!(lane = self.name, ?position, "the lane fell behind and reads on from history");
        self.cell.lock().public.behind = true;
        let start = position.map_or(Start::Held, |position| Start::After {
            resource_version: position.resource_version,
            time: Some(position.time),
        });
        let had = self.beyond.drain(..).map(|(_, identity)| identity).collect();
        let mut reading = Reading { had, ..Reading::default() };
        let mut history = open(start);
        loop {
            let next = if let Some(next) = history.next().now_or_never() {
                next
            } else {
                if self.caught_up(&mut reading, sink, source).await {
                    return;
                }
                match select(history.next(), pin!(source.log.ended())).await {
                    Either::Left((next, _)) => next,
                    Either::Right(_) => break,
                }
            };
            match next {
                Some(Ok(Observed::Event(event))) => {
                    if !self.skip.has(&event) {
                        reading.push(event);
                    }
                }
                Some(Ok(Observed::Progress(version))) => reading.mark(version),
                Some(Ok(Observed::Gap(gap))) => {
                    source.metrics.gap(gap.reason);
                    warn!(lane = self.name, reason = gap.reason.as_str(), "{gap}");
                    if gap.reason == GapReason::WentBack {
                        self.deliver(sink, std::mem::take(&mut reading.events)).await;
                        reading = Reading::default();
                        self.forget_position();
                        self.rewinds = source.log.rewinds();
                    }
                }
                // The lanes that were not behind have told of it.
                Some(Ok(Observed::Undecodable(_))) => {}
                Some(Err(error)) => {
                    let error = chain(&error);
                    warn!(lane = self.name, error, "the history failed; it goes on");
                }
                None => {
                    if self.caught_up(&mut reading, sink, source).await {
                        return;
                    }
                    tokio::time::sleep(HISTORY_PAUSE).await;
                    break;
                }
            }
            if reading.events.len() >= self.options.max_events {
                self.deliver(sink, std::mem::take(&mut reading.events)).await;
            }
        }
        self.beyond.extend(reading.beyond().map(|identity| (0, identity)));
    }

    /// Delivers what was read from history; tells whether the lane is back in the log.
    async fn caught_up(
        &mut self,
        reading: &mut Reading,
        sink: &dyn Sink<Event>,
        source: &Shared<'_>,
    ) -> bool {
        self.deliver(sink, std::mem::take(&mut reading.events)).await;
        let Some(version) = reading.mark.take() else { return false };
        let rejoined = source.log.rejoin(self.index, &version);
        self.skip.through = Some(version.clone());
        self.reached(Some((0, version)));
        if let Some(at) = rejoined {
            let mut status = self.cell.lock();
            status.acknowledged = at;
            status.public.behind = false;
            info!(lane = self.name, "the lane has caught up");
        }
        rejoined.is_some()
    }
}

fn identity(event: &Event) -> u64 {
    let mut hasher = DefaultHasher::new();
    event.identify(&mut hasher);
    hasher.finish()
}

/// What a lane holds when its sink is in use; nothing can reach it.
async fn closed(_: Batch<Event>) -> Result<(), SendError> {
    Err(SendError::reject_all("the lane has ended"))
}
