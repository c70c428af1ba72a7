//! What the Events of one group amount to, taken in order.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, VecDeque},
};

use jiff::{SignedDuration, Timestamp};
use kube_events_core::{Event, Item as _, ResourceVersion};

use super::{
    group::Remembering,
    identity,
    window::{Run, Window, earlier, later},
};
use crate::{memory::Memory, route::Route, rule::Role};

/// An Event that a rule has to hear of.
#[derive(Clone, Debug)]
pub(super) struct Fact {
    /// When it happened, but not after it was received.
    pub(super) at: Timestamp,
    pub(super) received: Timestamp,
    pub(super) role: Role,
    pub(super) identity: u64,
    pub(super) event: Event,
    pub(super) route: Route,
}

/// The state of a group after some facts.
#[derive(Clone, Debug, Default)]
pub(super) struct Fold {
    /// The time of the latest fact.
    now: Option<Timestamp>,
    window: Window,
    /// How often each Event object had happened, when it was seen last.
    seen: BTreeMap<u64, Seen>,
    /// Events that something is expected after.
    waiting: Vec<Waiting>,
    /// When that came last.
    answered: Option<Timestamp>,
    pub(super) episode: Option<Episode>,
    /// How the last episode ended.
    pub(super) ended: Option<Ended>,
    last_fire: Option<Timestamp>,
    /// How often the rule has fired; the last of it is in `recent`.
    pub(super) fires: u64,
    recent: VecDeque<Fire>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    count: u64,
    at: Timestamp,
    uid: u64,
}

#[derive(Clone, Debug)]
struct Waiting {
    trigger: Fact,
    due: Timestamp,
    /// When it came after all, too late.
    late: Option<Timestamp>,
}

/// A time in which an alert fires.
#[derive(Clone, Debug)]
pub(super) struct Episode {
    pub(super) fire: Fire,
    /// When it ends if nothing more happens.
    pub(super) until: Timestamp,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) at: Timestamp,
    /// Whether an Event ended it, and not time.
    pub(super) resolved: bool,
}

/// That a rule fired, and why.
#[derive(Clone, Debug)]
pub(super) struct Fire {
    pub(super) at: Timestamp,
    pub(super) event: Event,
    pub(super) route: Route,
    pub(super) because: Option<String>,
}

/// What became of a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Done,
    /// The rule would have fired, but the group is quiet.
    Suppressed,
}

/// The Event objects, and the most Events that wait, which a group tells apart.
const MAX_SEEN: usize = 1024;
const MAX_WAITING: usize = 64;

/// How many Event objects are forgotten at once.
const SEEN_AT_ONCE: usize = 256;

/// What a step costs beside the occurrences, as many of them.
const COST_OF_A_STEP: usize = 64;

/// The most occurrences that an Event is taken for, which is more than any API server has room for.
const MAX_OCCURRENCES: u64 = 1 << 32;

/// The most fires that can be told at once.
const MAX_RECENT: usize = 64;

/// What was told of fires.
#[derive(Debug, Default)]
pub(super) struct Told {
    fires: u64,
    /// The last Events.
    events: VecDeque<u64>,
}

// === impl Told ===

impl Told {
    fn knows(&self, fire: &Fire) -> bool {
        self.events.contains(&identity(&fire.event))
    }

    /// All that there is was told.
    pub(super) fn all(&mut self, fold: &Fold) {
        self.fires = fold.fires;
        for fire in &fold.recent {
            if !self.knows(fire) {
                self.events.push_back(identity(&fire.event));
            }
        }
        self.events.drain(..self.events.len().saturating_sub(MAX_RECENT));
    }

    /// How many there are more than were told.
    pub(super) fn missing(&self, fold: &Fold) -> u64 {
        fold.fires.saturating_sub(self.fires)
    }

    pub(super) fn size(&self) -> usize {
        self.events.len() * size_of::<u64>()
    }
}

// === impl Fact ===

impl Fact {
    /// The order in which things happened; within a second, that in which they were written: a kubelet
    /// has times in whole seconds, a scheduler in microseconds.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        let (version, others) = (self.event.resource_version(), other.event.resource_version());
        self.at
            .as_second()
            .cmp(&other.at.as_second())
            .then_with(|| ResourceVersion::compare(version, others))
            .then_with(|| self.at.cmp(&other.at))
            .then_with(|| (self.identity, self.role).cmp(&(other.identity, other.role)))
    }

    pub(super) fn size(&self) -> usize {
        size_of::<Self>() + self.event.size()
    }
}

// === impl Fold ===

impl Fold {
    /// Takes in a fact that happened after all others, or came too late to be put in order.
    pub(super) fn step(&mut self, rule: Remembering<'_>, fact: &Fact) -> Step {
        let now = self.now.map_or(fact.at, |now| now.max(fact.at));
        self.now = Some(now);
        self.expire(now);
        match fact.role {
            Role::Match if self.is_over_since(fact) => {
                self.news(fact);
                Step::Done
            }
            Role::Match => self.matched(rule, fact, now),
            Role::Expected => self.expected(fact),
            Role::Resolve => {
                self.resolve(fact, now);
                Step::Done
            }
        }
    }

    /// Whether the fact comes too late: what came after it has ended the alert.
    fn is_over_since(&self, fact: &Fact) -> bool {
        self.ended.is_some_and(|ended| ended.resolved && precedes(fact.at, ended.at))
    }

    /// Ends what ends by time.
    pub(super) fn expire(&mut self, now: Timestamp) {
        if let Some(at) = self.episode.as_ref().map(|it| it.until).filter(|until| *until <= now) {
            self.end(Ended { at, resolved: false });
        }
    }

    fn end(&mut self, ended: Ended) {
        self.episode = None;
        self.ended = Some(ended);
    }

    fn resolve(&mut self, fact: &Fact, now: Timestamp) {
        if self.episode.as_ref().is_some_and(|episode| !precedes(fact.at, episode.fire.at)) {
            self.end(Ended { at: now, resolved: true });
            self.window.clear();
        }
    }

    fn expected(&mut self, fact: &Fact) -> Step {
        self.answered = self.answered.max(Some(fact.at));
        self.waiting.retain_mut(|waiting| {
            if fact.at > waiting.due {
                waiting.late.get_or_insert(fact.at);
            }
            precedes(fact.at, waiting.trigger.at) || fact.at > waiting.due
        });
        // It came after all.
        if self.episode.as_ref().is_some_and(|episode| fact.at >= episode.fire.at) {
            self.end(Ended { at: fact.at, resolved: true });
        }
        Step::Done
    }

    fn matched(&mut self, rule: Remembering<'_>, fact: &Fact, now: Timestamp) -> Step {
        let memory = rule.memory;
        if memory.absence.is_some() {
            self.wait(memory, fact);
            return Step::Done;
        }
        let Some(threshold) = memory.threshold else {
            let until = memory.lasts().then(|| later(now, memory.hold()));
            return self.fire(memory, fact, now, until, None);
        };
        let Some(run) = self.news(fact) else { return Step::Done };
        let begin = earlier(now, threshold.within);
        self.window.forget(begin);
        if run.end > begin {
            self.window.add(run);
        }
        let count = self.window.count(begin, now);
        if count < threshold.count {
            return Step::Done;
        }
        let until = if memory.resolves {
            later(now, memory.hold())
        } else {
            let may_look = |runs| rule.rooms.of(rule.rule, |room| room.look_again(runs));
            let below = self.window.below(threshold.count, threshold.within, now, may_look);
            later(below, memory.keep_firing_for.unwrap_or(SignedDuration::ZERO))
        };
        self.fire(memory, fact, now, Some(until), Some(threshold.because(count)))
    }

    /// What it costs at most to take in so many facts from here, in occurrences that are looked at.
    pub(super) fn cost(&self, facts: usize) -> usize {
        facts * (self.window.len() + COST_OF_A_STEP) + self.seen.len()
    }

    /// What the Event tells that was not known yet: nothing, if it was repeated.
    fn news(&mut self, fact: &Fact) -> Option<Run> {
        let event = &fact.event;
        let count = event.occurrences().min(MAX_OCCURRENCES);
        // Without a name and a uid every Event is one of its own.
        let object = match (event.name(), event.uid()) {
            ("", "") => fact.identity,
            ("", uid) => super::hash(uid),
            (name, _) => super::hash(&(event.namespace(), name)),
        };
        let uid = super::hash(event.uid());
        let before = self.seen.get(&object).copied();
        // Whoever counts on when an Event has expired makes it anew, with all that was counted and one more. Another one
        // that has its name begins later, or counts no more.
        let before = before.filter(|before| {
            let begins_later = event.since().is_some_and(|since| since > before.at);
            let counts_no_more = count <= before.count && fact.at >= before.at;
            before.uid == uid || !begins_later && !counts_no_more
        });
        if before.is_some_and(|before| count <= before.count) {
            return None;
        }
        if !self.seen.contains_key(&object) && self.seen.len() >= MAX_SEEN + SEEN_AT_ONCE {
            self.forget_oldest();
        }
        self.seen.insert(object, Seen { count, at: fact.at, uid });
        let (after, count) = match before {
            Some(before) => (before.at.min(fact.at), count - before.count),
            None => (before_first(event, fact.at, count), count),
        };
        Some(Run { after, end: fact.at, count })
    }

    /// Forgets the Event objects that were seen the longest time ago: many at once, as it takes a look at all.
    fn forget_oldest(&mut self) {
        let mut seen: Vec<_> = self.seen.iter().map(|(object, seen)| (seen.at, *object)).collect();
        let (oldest, ..) = seen.select_nth_unstable(SEEN_AT_ONCE);
        for (_, object) in oldest {
            self.seen.remove(object);
        }
    }

    fn wait(&mut self, memory: &Memory, fact: &Fact) {
        let Some(absence) = &memory.absence else { return };
        // What it was told of already goes on.
        if let Some(episode) = &mut self.episode {
            episode.until = episode.until.max(later(fact.at, memory.hold()));
        }
        let answered = self.answered.is_some_and(|answered| !precedes(answered, fact.at));
        let open = self.waiting.iter().any(|waiting| fact.at <= waiting.due);
        if !answered && !open && self.episode.is_none() && self.waiting.len() < MAX_WAITING {
            let due = later(fact.at, absence.within);
            self.waiting.push(Waiting { trigger: fact.clone(), due, late: None });
        }
    }

    /// When the next absence is certain: what was expected may come late, and so may be on its way.
    pub(super) fn certain(&self, lateness: SignedDuration) -> Option<Timestamp> {
        let certain = |it: &Waiting| later(it.due.max(it.trigger.received), lateness);
        self.waiting.iter().map(certain).min()
    }

    /// Fires for what did not come.
    pub(super) fn settle(&mut self, memory: &Memory, now: Timestamp, lateness: SignedDuration) {
        let (certain, open): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|it| later(it.due.max(it.trigger.received), lateness) <= now);
        self.waiting = open;
        for Waiting { trigger, due, late } in certain {
            let because = memory.absence.as_ref().map(crate::memory::Absence::because);
            self.expire(due);
            let until = (!memory.notifies).then(|| later(due, memory.hold()));
            self.fire(memory, &trigger, due, until, because);
            if let Some(at) = late {
                self.end(Ended { at, resolved: true });
            }
        }
    }

    fn fire(
        &mut self,
        memory: &Memory,
        fact: &Fact,
        at: Timestamp,
        until: Option<Timestamp>,
        because: Option<String>,
    ) -> Step {
        let quiet = match (memory.repeat_interval, self.last_fire) {
            (Some(interval), Some(last)) => at < later(last, interval),
            _ => false,
        };
        if let (Some(episode), Some(until)) = (&mut self.episode, until) {
            episode.until = episode.until.max(until);
            if !memory.notifies || memory.repeat_interval.is_none() {
                return Step::Done;
            }
            if quiet {
                return Step::Suppressed;
            }
        } else if quiet {
            return Step::Suppressed;
        }
        let Fact { event, route, .. } = fact.clone();
        let fire = Fire { at, event, route, because };
        if let (None, Some(until)) = (&self.episode, until) {
            self.episode = Some(Episode { fire: fire.clone(), until });
        }
        self.last_fire = Some(at);
        self.fires += 1;
        self.recent.push_back(fire);
        if self.recent.len() > MAX_RECENT {
            self.recent.pop_front();
        }
        Step::Done
    }

    /// The fires of which nobody knows. A late Event may put another one in the place of one that was told, make
    /// one of two, or one more before them: so what tells is how many there are more than were told, and which of
    /// them are new.
    pub(super) fn untold(&self, told: &Told) -> Vec<&Fire> {
        let more = usize::try_from(self.fires.saturating_sub(told.fires)).unwrap_or(usize::MAX);
        let mut new: Vec<_> = self.recent.iter().filter(|fire| !told.knows(fire)).collect();
        new.drain(..new.len().saturating_sub(more));
        new
    }

    /// Forgets what fired: all of it was told.
    pub(super) fn forget_fires(&mut self) {
        self.recent.clear();
    }

    /// Whether nothing in it can matter to what comes.
    pub(super) fn is_blank(&self) -> bool {
        self.seen.is_empty()
            && self.waiting.is_empty()
            && self.episode.is_none()
            && self.last_fire.is_none()
    }

    /// Whether it has to be kept, however long nothing happens.
    pub(super) fn is_open(&self) -> bool {
        self.episode.is_some() || !self.waiting.is_empty()
    }

    pub(super) fn size(&self) -> usize {
        let events = self.waiting.iter().map(|waiting| waiting.trigger.size());
        let fires = self.recent.iter().chain(self.episode.as_ref().map(|it| &it.fire));
        size_of::<Self>()
            + self.window.len() * size_of::<Run>()
            + self.seen.len() * 2 * size_of::<(u64, Seen)>()
            + events.sum::<usize>()
            + fires.map(|fire| size_of::<Fire>() + fire.event.size()).sum::<usize>()
    }
}

/// Whether one time is before another. Of a time in whole seconds it is not known when within its second it
/// is, and what happens in one second may have happened in either order.
fn precedes(time: Timestamp, other: Timestamp) -> bool {
    let is_whole = |time: Timestamp| time.subsec_nanosecond() == 0;
    if is_whole(time) || is_whole(other) {
        return time.as_second() < other.as_second();
    }
    time < other
}

/// The time after which the occurrences of an Event that is seen for the first time are spread evenly,
/// the first of them at its `firstTimestamp`.
fn before_first(event: &Event, last: Timestamp, count: u64) -> Timestamp {
    let first = event.since().map_or(last, |first| first.min(last));
    let gaps = i128::from(count.max(2) - 1);
    let step = (last.as_nanosecond() - first.as_nanosecond()) / gaps;
    Timestamp::from_nanosecond(first.as_nanosecond() - step).unwrap_or(first)
}
