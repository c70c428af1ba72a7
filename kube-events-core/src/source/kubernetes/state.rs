//! The state machine: what happens next, and how.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hasher},
    mem,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use http_body_util::BodyExt;
use jiff::{SignedDuration, Timestamp};
use kube::client::Body;
use rand::Rng;
use tokio::{
    task::yield_now,
    time::{Instant, sleep, timeout_at},
};
use tracing::debug;

use super::{
    WatchOptions,
    api::{Failure, PATIENCE, Scope, broken, failed, malformed, silent},
    backoff::Backoff,
    clock::Clock,
    frame::Frame,
    overlap::Overlap,
    page::{Metadata, Page},
};
use crate::{
    Event, Gap, Item, ResourceVersion,
    event::Decoder,
    gap::GapReason,
    source::{
        Observed, SourceError, Start, Undecodable,
        lines::{Line, Lines, too_long},
    },
};

/// How much longer than asked a watch may take to end before it is taken for dead.
const GRACE: Duration = Duration::from_secs(15);
/// How much of a list is read in one go, if it has arrived.
const PIECE: usize = 64 << 10;

/// What happens next.
pub(super) enum State {
    /// Ask which version is current, to know what may be asked for.
    Probe(Purpose),
    /// Ask for the next page of a list.
    List(Listing),
    /// Give the items of a page as they arrive.
    Items(Listing, Box<Arriving<Page>>),
    /// Ask for what happens after the position.
    Watch,
    /// Give the lines of a watch as they arrive.
    Lines(Box<Arriving<Watching>>),
    /// Do nothing for a while, and then that.
    Wait(Duration, Box<State>),
}

/// Why the current version is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// To begin there.
    Begin,
    /// To go on from the position, if the server's history is still the one it belongs to.
    Resume,
    /// To list what is newer than the position, from which the server can no longer go on.
    Relist,
}

/// A list under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Listing {
    /// Only what is newer is given.
    since: Option<ResourceVersion>,
    /// The version of the first page and the time it was asked for: where to go on from in the end.
    base: Option<Position>,
    /// Where the next page begins.
    token: Option<String>,
    /// The snapshot of the first page has expired; what comes now is as of later.
    is_later: bool,
}

/// A body, and what reads it.
pub(super) struct Arriving<T> {
    body: Body,
    asked: (Instant, Timestamp),
    reader: T,
    /// How the body ended, if what came before that was given last.
    end: Option<Result<(), Failure>>,
}

/// The reader of a watch.
pub(super) struct Watching {
    lines: Lines,
    /// How long the server was asked to go on.
    duration: Duration,
    /// Something has come.
    is_alive: bool,
}

/// How far everything has been given, and when that was last known to be all.
#[derive(Clone, Debug)]
struct Position {
    version: ResourceVersion,
    time: Option<Timestamp>,
}

/// What is given to the consumer in one go.
pub(super) type Output = Vec<Result<Observed, SourceError>>;

/// The Events of one scope, step by step.
pub(super) struct Source {
    scope: Scope,
    decoder: Decoder,
    clock: Clock,
    watch_duration: Duration,
    event_ttl: Duration,
    max_line: usize,
    position: Option<Position>,
    /// Identities of what the page under way has given, for when it has to be asked for again.
    given: HashSet<u64>,
    overlap: Option<Overlap>,
    backoff: Backoff,
    output: Output,
}

// === impl State ===

impl State {
    fn after(self, wait: Duration) -> Self {
        Self::Wait(wait, Box::new(self))
    }
}

// === impl Listing ===

impl Listing {
    fn since(since: Option<ResourceVersion>) -> Self {
        Self { since, ..Self::default() }
    }

    fn wants(&self, event: &Event) -> bool {
        self.since.as_ref().is_none_or(|since| {
            ResourceVersion::compare(event.resource_version(), since.as_str()).is_gt()
        })
    }

    /// True for a state that is newer than the list's own version.
    fn is_ahead(&self, event: &Event) -> bool {
        self.is_later
            && self.base.as_ref().is_some_and(|base| {
                ResourceVersion::compare(event.resource_version(), base.version.as_str()).is_gt()
            })
    }
}

// === impl Arriving ===

impl<T> Arriving<T> {
    fn new(body: Body, asked: (Instant, Timestamp), reader: T) -> Self {
        Self { body, asked, reader, end: None }
    }

    /// What has arrived, or the next to arrive, `most` bytes or a little more; `None` at the end.
    async fn next(
        &mut self,
        until: Instant,
        most: usize,
        action: &'static str,
    ) -> Result<Option<Bytes>, Failure> {
        if let Some(end) = self.end.take() {
            return end.map(|()| None);
        }
        let mut gathered = BytesMut::new();
        loop {
            let waited = if gathered.is_empty() {
                timeout_at(until, self.body.frame()).await.ok()
            } else {
                self.body.frame().now_or_never()
            };
            match waited {
                None if gathered.is_empty() => return Err(silent(action, self.asked.0.elapsed())),
                None => break,
                Some(None) => self.end = Some(Ok(())),
                Some(Some(Err(error))) => self.end = Some(Err(broken(action, error))),
                Some(Some(Ok(frame))) => {
                    if let Ok(bytes) = frame.into_data() {
                        gathered.extend_from_slice(&bytes);
                    }
                }
            }
            if gathered.len() >= most || self.end.is_some() {
                break;
            }
            // The connection's task hands over one chunk, of two kilobytes or so, at a time. Once it
            // had its turn the next one is here, if there is one.
            yield_now().await;
        }
        match self.end.take_if(|_| gathered.is_empty()) {
            Some(end) => end.map(|()| None),
            None => Ok(Some(gathered.freeze())),
        }
    }
}

// === impl Source ===

impl Source {
    pub(super) fn new(scope: Scope, options: &WatchOptions) -> (Self, State) {
        let (position, state) = match options.start.clone() {
            Start::Now => (None, State::Probe(Purpose::Begin)),
            Start::After { resource_version: version, time } if !version.is_empty() => {
                (Some(Position { version, time }), State::Probe(Purpose::Resume))
            }
            Start::Held | Start::After { .. } => (None, State::List(Listing::default())),
        };
        let decoder = Decoder::new(options.api);
        let source = Self {
            scope,
            decoder: match &options.cluster {
                Some(name) => decoder.cluster(name),
                None => decoder,
            },
            clock: Clock::start(),
            watch_duration: options.watch_duration,
            event_ttl: options.event_ttl,
            max_line: options.max_line,
            position,
            given: HashSet::new(),
            overlap: None,
            backoff: Backoff::default(),
            output: Vec::new(),
        };
        (source, state)
    }

    /// Steps until there is something to give.
    pub(super) async fn next(&mut self, mut state: State) -> (Output, State) {
        loop {
            state = self.step(state).await;
            if !self.output.is_empty() {
                return (mem::take(&mut self.output), state);
            }
        }
    }

    async fn step(&mut self, state: State) -> State {
        match state {
            State::Probe(purpose) => self.probe(purpose).await,
            State::List(listing) => self.list(listing).await,
            State::Items(listing, page) => self.items(listing, page).await,
            State::Watch => self.watch().await,
            State::Lines(watch) => self.lines(watch).await,
            State::Wait(wait, next) => {
                sleep(wait).await;
                *next
            }
        }
    }

    async fn probe(&mut self, purpose: Purpose) -> State {
        let current = match self.scope.probe().await {
            Ok(current) => current,
            Err(failure) => return self.fail(failure, State::Probe(purpose)),
        };
        if self.went_back(&current) {
            return self.begin_anew(current);
        }
        let position = self.position.as_ref().map(|position| position.version.clone());
        match (purpose, position) {
            (Purpose::Resume, Some(_)) => State::Watch,
            (Purpose::Relist, Some(version)) => {
                self.tell_if_expired(current);
                State::List(Listing::since(Some(version)))
            }
            (_, _) => {
                let time = Some(self.clock.now());
                self.reach(Position { version: current, time });
                State::Watch
            }
        }
    }

    async fn list(&mut self, mut listing: Listing) -> State {
        let asked = (Instant::now(), self.clock.now());
        match self.scope.list(listing.token.as_deref()).await {
            Ok(body) => {
                let page = Arriving::new(body, asked, Page::new(self.max_line));
                State::Items(listing, Box::new(page))
            }
            Err(Failure { token: Some(token), error, .. }) if listing.token.is_some() => {
                debug!(%error, "the list's snapshot has expired; the rest is listed as of now");
                listing.token = Some(token);
                listing.is_later = true;
                State::List(listing).after(self.backoff.next())
            }
            Err(failure)
                if failure.is_expired() || listing.token.is_some() && failure.refuses_token() =>
            {
                let anew = Listing::since(listing.since);
                self.fail(failure, State::List(anew))
            }
            Err(failure) => self.fail(failure, State::List(listing)),
        }
    }

    async fn items(&mut self, mut listing: Listing, mut page: Box<Arriving<Page>>) -> State {
        let read = match page.next(Instant::now() + PATIENCE, PIECE, "list").await {
            Err(failure) => Err(failure),
            Ok(Some(chunk)) => {
                let (reader, decoder) = (&mut page.reader, self.decoder.clone());
                match reader.push(&chunk, &decoder, |item| self.give_listed(&listing, item)) {
                    Ok(()) => return State::Items(listing, page),
                    Err(problem) => Err(malformed("list", problem)),
                }
            }
            Ok(None) => page.reader.finish().map_err(|problem| malformed("list", problem)),
        };
        match read {
            Ok(metadata) => self.turn(&mut listing, metadata, page.asked.1),
            Err(failure) => self.fail(failure, State::List(listing)),
        }
    }

    fn give_listed(&mut self, listing: &Listing, item: Result<Event, Undecodable>) {
        match item {
            Ok(event) => {
                let covered = self.overlap.as_ref().is_some_and(|overlap| overlap.covers(&event));
                if covered || !listing.wants(&event) || !self.given.insert(identity(&event)) {
                    return;
                }
                if listing.is_ahead(&event) {
                    self.overlap.get_or_insert_default().note(&event);
                }
                self.give(Observed::Event(event));
            }
            Err(undecodable) => self.give(Observed::Undecodable(undecodable)),
        }
    }

    /// Turns the page.
    fn turn(&mut self, listing: &mut Listing, metadata: Metadata, asked: Timestamp) -> State {
        self.given.clear();
        self.backoff.reset();
        let version = ResourceVersion::from(metadata.resource_version);
        if let Some(overlap) = &mut self.overlap {
            overlap.extend(version.clone());
        }
        let base = Position { version, time: Some(asked) };
        let base = listing.base.get_or_insert(base);
        if metadata.token.is_empty() {
            let base = base.clone();
            if listing.since.is_some() && self.went_back(&base.version) {
                return self.begin_anew(base.version);
            }
            self.reach(base);
            return State::Watch;
        }
        listing.token = Some(metadata.token);
        State::List(mem::take(listing))
    }

    async fn watch(&mut self) -> State {
        let Some(position) = &self.position else { return State::List(Listing::default()) };
        let seconds = spread(self.watch_duration);
        let asked = (Instant::now(), self.clock.now());
        match self.scope.watch(&position.version, seconds).await {
            Ok(body) => {
                let watching = Watching {
                    lines: Lines::new(self.max_line),
                    duration: Duration::from_secs(seconds.into()),
                    is_alive: false,
                };
                State::Lines(Box::new(Arriving::new(body, asked, watching)))
            }
            Err(failure) => self.lose(failure),
        }
    }

    async fn lines(&mut self, mut watch: Box<Arriving<Watching>>) -> State {
        let until = watch.asked.0 + watch.reader.duration + GRACE;
        // What comes from a watch comes alone.
        match watch.next(until, 1, "watch").await {
            Ok(Some(chunk)) => {
                watch.reader.lines.push(&chunk);
                match self.read(&mut watch.reader) {
                    Ok(()) => State::Lines(watch),
                    Err(failure) => self.lose(failure),
                }
            }
            Ok(None) => self.renew(&watch),
            Err(failure) => self.lose(failure),
        }
    }

    /// Gives what the complete lines say.
    fn read(&mut self, watch: &mut Watching) -> Result<(), Failure> {
        let mut last = None;
        let mut result = Ok(());
        while let Some(line) = watch.lines.next() {
            match self.read_line(line) {
                Ok(version) => last = version.or(last),
                Err(failure) => {
                    result = Err(failure);
                    break;
                }
            }
        }
        if let Some(version) = last {
            watch.is_alive = true;
            self.backoff.reset();
            let time = Some(self.clock.now());
            self.reach(Position { version, time });
        }
        result
    }

    /// Gives what a line says; the version that it brings the watch to.
    fn read_line(&mut self, line: Line) -> Result<Option<ResourceVersion>, Failure> {
        let (bytes, error) = match line {
            Line::TooLong(start) => (start, too_long(self.max_line)),
            Line::Whole(line) if line.trim_ascii().is_empty() => return Ok(None),
            Line::Whole(line) => match Frame::decode(&self.decoder, &line) {
                Ok(frame) => return self.read_frame(frame),
                Err(error) => (line, error),
            },
        };
        // The line may share its memory with a whole chunk.
        let bytes = Bytes::copy_from_slice(&bytes);
        self.give(Observed::Undecodable(Undecodable { bytes, line: None, error }));
        Ok(None)
    }

    fn read_frame(&mut self, frame: Frame) -> Result<Option<ResourceVersion>, Failure> {
        let version = match frame {
            Frame::Event(event) => {
                let version = ResourceVersion::from(event.resource_version());
                if !self.is_repeat(&event) {
                    self.give(Observed::Event(event));
                }
                version
            }
            Frame::Passed(version) => version,
            Frame::Failed(status) => return Err(failed("watch", *status)),
            Frame::Unknown(type_) => {
                let problem = format!("a frame of the unknown type {type_:?}");
                self.output.push(Err(malformed("watch", problem).error));
                return Ok(None);
            }
        };
        Ok((!version.is_empty()).then_some(version))
    }

    fn is_repeat(&mut self, event: &Event) -> bool {
        let Some(overlap) = &self.overlap else { return false };
        if overlap.is_behind(event.resource_version()) {
            self.overlap = None;
            return false;
        }
        overlap.covers(event)
    }

    /// The watch ended in order. What it had of an incomplete line is not an Event.
    fn renew(&mut self, watch: &Arriving<Watching>) -> State {
        let lasted = watch.asked.0.elapsed();
        if lasted + Duration::from_secs(1) < watch.reader.duration {
            let asked = watch.reader.duration.as_secs();
            let problem =
                format!("the watch ended after {}s instead of {asked}s", lasted.as_secs());
            return self.lose(malformed("watch", problem));
        }
        self.backoff.reset();
        let now = self.clock.now();
        if let Some(position) = self.position.take() {
            self.reach(Position { time: Some(now), ..position });
        }
        // Silence may mean that the server's versions are behind the position.
        if watch.reader.is_alive { State::Watch } else { State::Probe(Purpose::Resume) }
    }

    /// The watch failed, or was refused.
    fn lose(&mut self, failure: Failure) -> State {
        if failure.is_expired() {
            debug!(error = %failure.error, "the position has expired; what is newer is listed");
            return State::Probe(Purpose::Relist).after(self.backoff.next());
        }
        self.fail(failure, State::Probe(Purpose::Resume))
    }

    fn fail(&mut self, failure: Failure, retry: State) -> State {
        let wait = self.backoff.after(&failure.error);
        self.output.push(Err(failure.error));
        retry.after(wait)
    }

    fn give(&mut self, observed: Observed) {
        self.output.push(Ok(observed));
    }

    fn reach(&mut self, position: Position) {
        self.give(Observed::Progress(position.version.clone()));
        self.position = Some(position);
    }

    /// True if the server's version is older than what was seen of it.
    fn went_back(&self, current: &ResourceVersion) -> bool {
        self.position.as_ref().is_some_and(|Position { version, .. }| {
            version.is_decimal() && current.is_decimal() && current < version
        })
    }

    /// Lists everything, as what was seen belongs to another history.
    fn begin_anew(&mut self, current: ResourceVersion) -> State {
        self.tell_gap(GapReason::WentBack, current);
        self.position = None;
        self.overlap = None;
        State::List(Listing::default())
    }

    /// What was created and has expired since the position can be told by nobody.
    fn tell_if_expired(&mut self, current: ResourceVersion) {
        let now = self.clock.now();
        let ttl = SignedDuration::try_from(self.event_ttl).unwrap_or(SignedDuration::MAX);
        let time = self.position.as_ref().and_then(|position| position.time);
        if time.is_none_or(|time| now.duration_since(time) > ttl) {
            self.tell_gap(GapReason::Expired, current);
        }
    }

    fn tell_gap(&mut self, reason: GapReason, current: ResourceVersion) {
        let position = self.position.as_ref();
        let gap = Gap {
            reason,
            from: position.map(|position| position.version.clone()),
            to: Some(current),
            since: position.and_then(|position| position.time),
            until: self.clock.now(),
        };
        self.give(Observed::Gap(gap));
    }
}

/// Up to a sixth more or less, so that the watches of many do not end together; in seconds.
fn spread(duration: Duration) -> u32 {
    let factor = rand::rng().random_range(5.0 / 6.0..7.0 / 6.0);
    let seconds = duration.mul_f64(factor).as_secs().clamp(1, 290);
    u32::try_from(seconds).expect("it is clamped")
}

fn identity(event: &Event) -> u64 {
    let mut hasher = DefaultHasher::new();
    event.identify(&mut hasher);
    hasher.finish()
}
