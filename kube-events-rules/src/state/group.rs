//! One group of Events of one rule: what they amount to, and what was told of it.

use std::{collections::VecDeque, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use kube_events_core::{Alert, Item as _, Notification};

use super::{
    Times, Turn,
    fold::{Ended, Fact, Fire, Fold, Step, Told},
    window::{earlier, later},
};
use crate::{
    memory::Memory,
    room::{Room, Rooms},
    route::{Effects, Route, Routed},
    rule::{Identity, Kind, Rule},
};

/// A group. The facts of the last minute can still be put in order: `settled` is the state before
/// them, `current` the state after them.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) rule: Identity,
    pub(super) key: Box<str>,
    /// How far its rule reaches, and the namespace of what it is about: whose room it takes.
    pub(super) tenant: Arc<str>,
    settled: Fold,
    recent: VecDeque<Fact>,
    current: Fold,
    /// Since when there was no room for taking the recent facts in order.
    disordered: Option<Timestamp>,
    told: Told,
    /// The alert that receivers take for firing.
    firing: Option<Firing>,
    /// When something about it came last.
    last: Timestamp,
    /// Its place among those seen last, its next appointment, and its bytes.
    pub(super) seen: u64,
    pub(super) due: Timestamp,
    pub(super) size: usize,
}

/// An alert that receivers take for firing.
#[derive(Debug)]
struct Firing {
    alert: Alert,
    route: Route,
    /// When they have to be told again.
    again: Timestamp,
}

/// A rule with what it remembers.
#[derive(Clone, Copy)]
pub(super) struct Remembering<'a> {
    pub(super) rule: &'a Arc<Rule>,
    pub(super) memory: &'a Memory,
    /// Where texts are filled in.
    pub(super) rooms: &'a Rooms,
}

/// The most facts that can still be put in order. One that comes out of order has all of them taken anew.
const MAX_RECENT: usize = 256;

// === impl Group ===

impl Group {
    pub(super) fn new(rule: Identity, key: Box<str>, tenant: Arc<str>, now: Timestamp) -> Self {
        Self {
            rule,
            key,
            tenant,
            settled: Fold::default(),
            recent: VecDeque::new(),
            current: Fold::default(),
            disordered: None,
            told: Told::default(),
            firing: None,
            last: now,
            seen: 0,
            due: now,
            size: 0,
        }
    }

    /// Takes in a fact.
    pub(super) fn observe(&mut self, rule: Remembering<'_>, fact: Fact, times: &Times) {
        self.last = times.now;
        self.settle(rule, times);
        let place = self.recent.partition_point(|other| other.order(&fact).is_le());
        let is_last = place == self.recent.len();
        self.recent.insert(place, fact);
        let step = if is_last {
            self.current.step(rule, &self.recent[place])
        } else if self.may_refold(rule) {
            self.refold(rule, place)
        } else {
            self.disordered.get_or_insert(times.now);
            self.current.step(rule, &self.recent[place])
        };
        if times.counts && step == Step::Suppressed {
            rule.rule.count_suppressed();
        }
        if self.recent.len() > MAX_RECENT {
            self.settle_first(rule);
        }
    }

    /// Whether there is room for taking all recent facts anew.
    fn may_refold(&self, rule: Remembering<'_>) -> bool {
        let facts = self.recent.len();
        let cost = self.settled.cost(facts).max(self.current.cost(facts));
        rule.rooms.of(rule.rule, |room| room.look_again(cost))
    }

    /// Takes all recent facts anew, and says what became of one of them.
    fn refold(&mut self, rule: Remembering<'_>, place: usize) -> Step {
        self.disordered = None;
        self.current = self.settled.clone();
        let steps = self.recent.iter().map(|fact| self.current.step(rule, fact));
        steps
            .enumerate()
            .fold(Step::Done, |found, (at, step)| if at == place { step } else { found })
    }

    /// Settles the facts that nothing comes before any more, and what did not come.
    fn settle(&mut self, rule: Remembering<'_>, times: &Times) {
        let over = |fact: &Fact| later(fact.received, times.lateness) <= times.now;
        while self.recent.front().is_some_and(over) {
            self.settle_first(rule);
        }
        if let Some(since) = self.disordered {
            self.put_in_order(rule, later(since, times.lateness) <= times.now);
        }
        if self.current.certain(times.lateness).is_some_and(|certain| certain <= times.now) {
            while !self.recent.is_empty() {
                self.settle_first(rule);
            }
            self.settled.settle(rule.memory, times.now, times.lateness);
            self.current = self.settled.clone();
            self.disordered = None;
        }
        if self.recent.is_empty() {
            let certain = earlier(times.now, times.lateness);
            self.settled.expire(certain);
            self.current.expire(certain);
        }
    }

    /// Makes up for what there was no room for: at the latest when that is `overdue`, or when nothing is left to be put
    /// in order.
    fn put_in_order(&mut self, rule: Remembering<'_>, overdue: bool) {
        if self.recent.is_empty() {
            self.disordered = None;
            self.current = self.settled.clone();
        } else if self.may_refold(rule) || overdue {
            self.refold(rule, 0);
        }
    }

    fn settle_first(&mut self, rule: Remembering<'_>) {
        if let Some(fact) = self.recent.pop_front() {
            self.settled.step(rule, &fact);
        }
    }

    /// Lets time pass, and tells what is new.
    pub(super) fn advance(&mut self, rule: Remembering<'_>, times: &Times, effects: &mut Effects) {
        self.settle(rule, times);
        if times.counts {
            rule.rule.count_fired(self.told.missing(&self.current));
        }
        match rule.rule.kind() {
            Kind::Notification => self.notify(rule, effects),
            _ if rule.memory.lasts() => self.tell_alert(rule, times, effects),
            _ => {
                for fire in self.current.untold(&self.told) {
                    effects.alerts.push(Routed::new(fire.alert(rule), fire.route.clone()));
                }
            }
        }
        self.told.all(&self.current);
        // What fired in the right order may not have been told yet.
        if self.disordered.is_none() {
            self.settled.forget_fires();
        }
        self.current.forget_fires();
        self.due = self.appointment(rule.memory, times);
        self.size = self.bytes();
    }

    fn notify(&self, rule: Remembering<'_>, effects: &mut Effects) {
        for fire in self.current.untold(&self.told) {
            let because = fire.because.clone();
            let matched = |room: &Room| rule.rule.as_matched(&fire.event, because, room);
            let matched = rule.rooms.of(rule.rule, matched);
            let notification = Notification { event: fire.event.clone(), rules: vec![matched] };
            effects.notifications.push(Routed::new(notification, fire.route.clone()));
        }
    }

    fn tell_alert(&mut self, rule: Remembering<'_>, times: &Times, effects: &mut Effects) {
        let episode = self.current.episode.as_ref().filter(|episode| episode.until > times.now);
        let Some(episode) = episode else {
            self.tell_end(rule, times, effects);
            return;
        };
        let fire = &episode.fire;
        let known = self.firing.as_ref();
        let known = known.filter(|firing| {
            firing.alert.starts_at == fire.at && firing.alert.key == fire.event.key()
        });
        let again = known.is_some();
        if known.is_some_and(|firing| firing.again > times.now) {
            return;
        }
        let (mut alert, route) = match known {
            Some(firing) => (firing.alert.clone(), firing.route.clone()),
            None => (fire.alert(rule), fire.route.clone()),
        };
        alert.ends_at = Some(later(times.now, times.refresh * 4));
        alert.news = alert.ends_at;
        effects.alerts.push(Routed { item: alert.clone(), route: route.clone(), again });
        self.firing = Some(Firing { alert, route, again: later(times.now, times.refresh) });
    }

    fn tell_end(&mut self, rule: Remembering<'_>, times: &Times, effects: &mut Effects) {
        let over = self.current.episode.as_ref().map(|it| Ended { at: it.until, resolved: false });
        let ended = over.or(self.current.ended);
        if let Some(firing) = self.firing.take() {
            let at = ended.map_or(times.now, |ended| ended.at.min(times.now));
            effects.alerts.push(firing.end(at));
        } else if ended.is_some_and(|ended| !ended.resolved) {
            // It was over before it was heard of, and nobody knows whether it is well again.
            let untold = self.current.untold(&self.told);
            let last = untold.last();
            effects.alerts.extend(last.map(|it| Routed::new(it.alert(rule), it.route.clone())));
        }
    }

    /// Ends its alert: the group is about to be forgotten.
    pub(super) fn end(&mut self, now: Timestamp, effects: &mut Effects) {
        effects.alerts.extend(self.firing.take().map(|firing| firing.end(now)));
    }

    pub(super) fn turn(&self, id: u64) -> Turn {
        (self.is_firing(), self.seen, id)
    }

    pub(super) fn is_firing(&self) -> bool {
        self.firing.is_some()
    }

    /// Whether nothing that it remembers can matter any more.
    pub(super) fn is_over(&self, memory: &Memory, times: &Times) -> bool {
        self.recent.is_empty()
            && self.firing.is_none()
            && (self.current.is_blank()
                || !self.current.is_open() && self.idle(memory) <= times.now)
    }

    fn idle(&self, memory: &Memory) -> Timestamp {
        later(self.last, memory.horizon())
    }

    /// When it has to be looked at next.
    fn appointment(&self, memory: &Memory, times: &Times) -> Timestamp {
        let settled = self.recent.front().map(|fact| later(fact.received, times.lateness));
        let again = self.firing.as_ref().map(|firing| firing.again);
        let until = self.current.episode.as_ref().map(|it| match self.firing {
            Some(_) => it.until,
            None => later(it.until, times.lateness),
        });
        let certain = self.current.certain(times.lateness);
        let ahead = |due: &Timestamp| *due > times.now;
        let first = [settled, again, until, certain].into_iter().flatten().filter(ahead).min();
        // Whatever the reason, it is never looked at twice in the same moment.
        let soonest = later(times.now, SignedDuration::from_millis(1));
        first.unwrap_or_else(|| self.idle(memory)).max(soonest)
    }

    fn bytes(&self) -> usize {
        let alert = self.firing.as_ref().map_or(0, |firing| firing.alert.size());
        let facts = self.recent.iter().map(Fact::size).sum::<usize>();
        size_of::<Self>()
            + self.key.len()
            + self.settled.size()
            + self.current.size()
            + facts
            + alert
            + self.told.size()
    }
}

// === impl Firing ===

impl Firing {
    fn end(self, at: Timestamp) -> Routed<Alert> {
        let Self { mut alert, route, .. } = self;
        alert.ends_at = Some(at.max(alert.starts_at));
        alert.news = alert.ends_at;
        Routed::new(alert, route)
    }
}

// === impl Fire ===

impl Fire {
    fn alert(&self, Remembering { rule, memory, rooms }: Remembering<'_>) -> Alert {
        let because = self.because.as_deref();
        rooms.of(rule, |room| rule.group_alert(memory, &self.event, self.at, because, room))
    }
}
