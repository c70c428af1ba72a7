//! What the source said, in order, shared by all lanes.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use crate::{Event, Item, ResourceVersion};

/// A bounded ring of Events, written by one source and read by lanes, each at its own cursor.
///
/// What every lane has read is forgotten. When the ring is full, writing waits for the lane that
/// is furthest ahead; one that trails behind it is given [`GRACE`], and then cut off, if there is a
/// history that it can go to. Without a history nothing is cut off, and writing waits for all.
#[derive(Debug)]
pub(crate) struct Log {
    ring: Mutex<Ring>,
    /// Something came, or the end.
    written: Notify,
    /// A lane moved on.
    read: Notify,
}

/// How much of what the source said is held for lanes that have not read it yet.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// The most Events that it holds. Default 8,192.
    pub max_events: usize,
    /// The most bytes that they have together. Default 4 MiB.
    pub max_bytes: usize,
}

/// For how long, in all until it has caught up, a lane may hold up the others.
const GRACE: Duration = Duration::from_secs(2);

/// A place between Events: how many were written before it.
pub(crate) type Offset = u64;

/// What a lane finds at its cursor.
#[derive(Debug)]
pub(crate) enum Read {
    /// Events, and the place behind the last of them.
    Events(Vec<Event>, Offset),
    /// The lane was cut off.
    Cut,
    /// All is read, and nothing more will come.
    End,
}

#[derive(Debug)]
struct Ring {
    options: LogOptions,
    has_history: bool,
    events: VecDeque<Event>,
    bytes: usize,
    /// The place of the first Event that is held.
    first: Offset,
    /// Versions at or before which all was written before a place; the first is the last one that
    /// no lane's cursor is before.
    marks: VecDeque<(Offset, ResourceVersion)>,
    lanes: Vec<Cursor>,
    rewinds: u64,
    ended: bool,
}

#[derive(Clone, Copy, Debug)]
struct Cursor {
    at: Offset,
    /// What its sink has.
    acknowledged: Offset,
    attached: bool,
    grace: Duration,
}

// === impl LogOptions ===

impl Default for LogOptions {
    fn default() -> Self {
        Self { max_events: 8192, max_bytes: 4 << 20 }
    }
}

// === impl Log ===

impl Log {
    pub(crate) fn new(lanes: usize, options: LogOptions, has_history: bool) -> Self {
        let cursor = Cursor { at: 0, acknowledged: 0, attached: true, grace: GRACE };
        let ring = Ring {
            options,
            has_history,
            events: VecDeque::new(),
            bytes: 0,
            first: 0,
            marks: VecDeque::new(),
            lanes: vec![cursor; lanes],
            rewinds: 0,
            ended: false,
        };
        Self { ring: Mutex::new(ring), written: Notify::new(), read: Notify::new() }
    }

    /// Writes an Event, as soon as there is room for it.
    pub(crate) async fn write(&self, event: Event) {
        loop {
            let moved = self.read.notified();
            let patience = {
                let mut ring = self.lock();
                ring.make_room(&event);
                if ring.has_room(&event) {
                    ring.push(event);
                    break;
                }
                ring.patience()
            };
            let start = Instant::now();
            match patience {
                None => moved.await,
                Some(patience) if timeout_at(start + patience, moved).await.is_ok() => {}
                Some(_) => self.written.notify_waiters(),
            }
            if patience.is_some() {
                self.lock().waited(start.elapsed());
            }
        }
        self.written.notify_waiters();
    }

    /// Notes that everything up to this version has been written.
    pub(crate) fn mark(&self, version: ResourceVersion) {
        self.lock().mark(version);
        self.written.notify_waiters();
    }

    /// Versions went back: those that were noted before say nothing of what comes.
    pub(crate) fn rewind(&self) {
        let mut ring = self.lock();
        ring.marks.clear();
        ring.rewinds += 1;
    }

    /// How often versions went back.
    pub(crate) fn rewinds(&self) -> u64 {
        self.lock().rewinds
    }

    /// Nothing more will be written.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.written.notify_waiters();
    }

    /// What stands at the lane's cursor, at once, if anything does; moves the cursor.
    pub(crate) fn read(&self, lane: usize, max_events: usize, max_bytes: usize) -> Option<Read> {
        let read = self.lock().read(lane, max_events, max_bytes);
        if matches!(read, Some(Read::Events(..))) {
            self.read.notify_waiters();
        }
        read
    }

    /// Waits until something was written, marked or ended after this was called.
    pub(crate) fn changed(&self) -> impl Future<Output = ()> {
        self.written.notified()
    }

    /// How many Events the lane has still to read, and whether no more will come; `None` if it was
    /// cut off.
    pub(crate) fn waiting(&self, lane: usize) -> Option<(usize, bool)> {
        let ring = self.lock();
        let cursor = ring.lanes[lane];
        cursor.attached.then(|| (ring.held_from(cursor.at), ring.ended))
    }

    /// Notes that the lane's sink has everything before `offset`; gives the version that this
    /// reaches, and the place it was written at.
    pub(crate) fn acknowledge(
        &self,
        lane: usize,
        offset: Offset,
    ) -> Option<(Offset, ResourceVersion)> {
        let mut ring = self.lock();
        ring.lanes[lane].acknowledged = offset;
        ring.mark_at(offset).cloned()
    }

    /// Notes that the lane's sink has all that was read.
    pub(crate) fn acknowledge_read(&self, lane: usize) -> Option<(Offset, ResourceVersion)> {
        let read = self.lock().lanes[lane].at;
        self.acknowledge(lane, read)
    }

    /// Waits until nothing more will be written.
    pub(crate) async fn ended(&self) {
        loop {
            let changed = self.changed();
            if self.lock().ended {
                return;
            }
            changed.await;
        }
    }

    /// Takes a lane back that has everything up to `version`, if the ring reaches back there; gives
    /// the place where it goes on.
    pub(crate) fn rejoin(&self, lane: usize, version: &ResourceVersion) -> Option<Offset> {
        self.lock().rejoin(lane, version)
    }

    /// The bytes that are held.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Ring ===

impl Ring {
    fn end(&self) -> Offset {
        self.first + self.events.len() as Offset
    }

    fn held_from(&self, at: Offset) -> usize {
        usize::try_from(self.end().saturating_sub(at)).unwrap_or(usize::MAX)
    }

    /// One Event always fits, however large it is.
    fn has_room(&self, event: &Event) -> bool {
        self.events.is_empty()
            || (self.events.len() < self.options.max_events
                && self.bytes + event.size() <= self.options.max_bytes)
    }

    /// Forgets what is held only for lanes that are away.
    fn make_room(&mut self, event: &Event) {
        let needed = self.attached().map(|lane| lane.at).min().unwrap_or(self.end());
        while !self.has_room(event) && self.first < needed {
            self.drop_before(self.first + 1);
        }
    }

    fn push(&mut self, event: Event) {
        self.bytes += event.size();
        self.events.push_back(event);
    }

    fn mark(&mut self, version: ResourceVersion) {
        let end = self.end();
        match self.marks.back_mut() {
            Some((at, last)) if *at == end => *last = version,
            _ => self.marks.push_back((end, version)),
        }
        self.forget();
    }

    fn attached(&self) -> impl Iterator<Item = &Cursor> {
        self.lanes.iter().filter(|lane| lane.attached)
    }

    /// The lanes that hold up the others: none, if the one furthest ahead stands there too.
    fn trailing(&mut self) -> impl Iterator<Item = &mut Cursor> {
        let (first, has_history) = (self.first, self.has_history);
        let ahead = self.attached().map(|lane| lane.at).max().unwrap_or(first);
        self.lanes
            .iter_mut()
            .filter(move |lane| has_history && lane.attached && lane.at == first && ahead > first)
    }

    /// How long to wait for room: without an end if there is no lane to be cut off.
    fn patience(&mut self) -> Option<Duration> {
        self.trailing().map(|lane| lane.grace).min()
    }

    fn waited(&mut self, time: Duration) {
        for lane in self.trailing() {
            lane.grace = lane.grace.saturating_sub(time);
            lane.attached = !lane.grace.is_zero();
        }
    }

    fn read(&mut self, lane: usize, max_events: usize, max_bytes: usize) -> Option<Read> {
        let end = self.end();
        let cursor = self.lanes[lane];
        if !cursor.attached {
            return Some(if self.ended { Read::End } else { Read::Cut });
        }
        if cursor.at == end {
            return self.ended.then_some(Read::End);
        }
        let skip = usize::try_from(cursor.at - self.first).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let events: Vec<Event> = self
            .events
            .iter()
            .skip(skip)
            .take(max_events)
            .take_while(|event| {
                let first = bytes == 0;
                bytes += event.size();
                first || bytes <= max_bytes
            })
            .cloned()
            .collect();
        let at = cursor.at + events.len() as Offset;
        self.lanes[lane].at = at;
        if at == end {
            self.lanes[lane].grace = GRACE;
        }
        self.forget();
        Some(Read::Events(events, at))
    }

    /// While a lane is away, what the others have read is kept, for it to come back to.
    fn forget(&mut self) {
        if self.lanes.iter().all(|lane| lane.attached) {
            let needed = self.lanes.iter().map(|lane| lane.at).min().unwrap_or(self.end());
            self.drop_before(needed);
        }
        self.forget_marks();
    }

    fn drop_before(&mut self, offset: Offset) {
        while self.first < offset {
            let Some(event) = self.events.pop_front() else { break };
            self.bytes -= event.size();
            self.first += 1;
        }
    }

    /// Keeps the last mark at or before every place that may still be asked for.
    fn forget_marks(&mut self) {
        let asked = self.attached().map(|lane| lane.acknowledged).min().unwrap_or(self.end());
        let needed = asked.min(self.first);
        while self.marks.get(1).is_some_and(|(at, _)| *at <= needed) {
            self.marks.pop_front();
        }
    }

    fn mark_at(&self, offset: Offset) -> Option<&(Offset, ResourceVersion)> {
        self.marks.iter().rev().find(|(at, _)| *at <= offset)
    }

    fn rejoin(&mut self, lane: usize, version: &ResourceVersion) -> Option<Offset> {
        let known = self.marks.iter().rev().find(|(_, mark)| mark <= version);
        let at = known.map(|(at, _)| *at).filter(|at| *at >= self.first)?;
        self.lanes[lane] = Cursor { at, acknowledged: at, attached: true, grace: GRACE };
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn event(n: usize) -> Event {
        let text = format!(r#"{{"metadata":{{"uid":"{n}","resourceVersion":"{n}"}}}}"#);
        Event::decode(text.as_bytes()).unwrap()
    }

    fn log(lanes: usize, max_events: usize, has_history: bool) -> Arc<Log> {
        let options = LogOptions { max_events, ..LogOptions::default() };
        Arc::new(Log::new(lanes, options, has_history))
    }

    fn uids(read: Option<Read>) -> Vec<String> {
        match read {
            Some(Read::Events(events, _)) => events.iter().map(|e| e.uid().to_owned()).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn each_lane_reads_everything_in_order() {
        let log = log(2, 10, false);
        for n in 0..4 {
            log.write(event(n)).await;
        }
        assert_eq!(uids(log.read(0, 3, usize::MAX)), ["0", "1", "2"]);
        assert_eq!(uids(log.read(0, 3, usize::MAX)), ["3"]);
        assert_eq!(uids(log.read(1, 9, usize::MAX)), ["0", "1", "2", "3"]);
        assert!(log.read(1, 9, usize::MAX).is_none());
        assert_eq!(log.bytes(), 0, "what all have read is forgotten");
        log.end();
        assert!(matches!(log.read(1, 9, usize::MAX), Some(Read::End)));
    }

    #[tokio::test]
    async fn a_batch_has_at_least_one_event_however_large() {
        let log = log(1, 10, false);
        log.write(event(0)).await;
        log.write(event(1)).await;
        assert_eq!(uids(log.read(0, 9, 1)), ["0"]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_history_the_source_waits_for_the_slowest() {
        let log = log(2, 1, false);
        log.write(event(0)).await;
        log.read(0, 9, usize::MAX);
        let writer = Arc::clone(&log);
        let write = tokio::spawn(async move { writer.write(event(1)).await });
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(!write.is_finished());
        assert_eq!(uids(log.read(1, 9, usize::MAX)), ["0"]);
        write.await.unwrap();
        assert_eq!(uids(log.read(1, 9, usize::MAX)), ["1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn with_history_a_lane_that_trails_is_cut_off_and_comes_back() {
        let log = log(2, 2, true);
        let start = Instant::now();
        for n in 1..=4 {
            log.write(event(n)).await;
            log.mark(n.to_string().into());
            log.read(0, 9, usize::MAX);
        }
        assert_eq!(start.elapsed(), GRACE, "the others wait once for no longer than the grace");
        assert!(matches!(log.read(1, 9, usize::MAX), Some(Read::Cut)));
        assert_eq!(log.rejoin(1, &"1".into()), None, "2 is no longer held");
        assert_eq!(log.rejoin(1, &"3".into()), Some(3));
        assert_eq!(uids(log.read(1, 9, usize::MAX)), ["4"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lane_that_is_alone_is_never_cut_off() {
        let log = log(1, 1, true);
        log.write(event(0)).await;
        let writer = Arc::clone(&log);
        let write = tokio::spawn(async move { writer.write(event(1)).await });
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(!write.is_finished());
        assert_eq!(uids(log.read(0, 9, usize::MAX)), ["0"]);
        write.await.unwrap();
    }

    #[tokio::test]
    async fn an_acknowledgement_reaches_the_last_mark_before_it() {
        let log = log(1, 10, false);
        log.write(event(1)).await;
        log.mark("1".into());
        log.write(event(2)).await;
        log.write(event(3)).await;
        log.mark("3".into());
        let Some(Read::Events(_, place)) = log.read(0, 2, usize::MAX) else { panic!() };
        assert_eq!(log.acknowledge(0, place), Some((1, "1".into())));
        let Some(Read::Events(_, place)) = log.read(0, 2, usize::MAX) else { panic!() };
        assert_eq!(log.acknowledge(0, place), Some((3, "3".into())));
    }
}
