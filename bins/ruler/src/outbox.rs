//! What rules with state gave, until the sinks have it.

use std::collections::{BTreeMap, HashMap, HashSet};

use kube_events_core::{Alert, Notification};
use kube_events_rules::{Effects, Route, Routed};

/// Notifications and alerts that not every sink has taken yet. State gives each of them once; here they
/// stay until they are delivered, so that whoever sends the same Events again finds them.
///
/// Of alerts with the same labels the latest is kept, so they are no more than there are groups.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    notifications: BTreeMap<u64, Pending<Notification>>,
    alerts: BTreeMap<u64, Pending<Alert>>,
    by_labels: HashMap<(u64, Route), u64>,
    next: u64,
    /// How many there were before it.
    generation: u64,
}

#[derive(Debug)]
struct Pending<T> {
    routed: Routed<T>,
    /// The Events that gave rise to it, by identity; none, if it was time.
    causes: Vec<u64>,
    /// Whether it is of before the warm-up. Another ruler has delivered it then, unless somebody sends
    /// one of its causes again.
    held: bool,
}

/// What is on its way.
#[derive(Debug, Default)]
pub(crate) struct Load {
    pub(crate) effects: Effects,
    numbers: Vec<u64>,
    generation: u64,
}

/// With so many notifications nothing more is taken in until some are delivered.
const MAX_NOTIFICATIONS: usize = 10_000;

// === impl Outbox ===

impl Outbox {
    /// The same in the place of another one, of which something may be on its way still.
    pub(crate) fn in_place_of(self, other: &Self) -> Self {
        Self { generation: other.generation + 1, ..self }
    }

    pub(crate) fn is_full(&self) -> bool {
        let waiting = || self.notifications.values().filter(|it| !it.held).count();
        self.notifications.len() >= MAX_NOTIFICATIONS && waiting() >= MAX_NOTIFICATIONS
    }

    /// Adds what follows from an Event, or, without one, from time.
    pub(crate) fn add(&mut self, effects: Effects, cause: Option<u64>) {
        self.put(effects, cause, false);
    }

    /// Adds what followed from an Event of the past, which is delivered only if somebody sends that
    /// again.
    pub(crate) fn hold(&mut self, mut effects: Effects, cause: Option<u64>) {
        if cause.is_none() {
            effects.notifications.clear();
        }
        self.put(effects, cause, true);
        if self.notifications.len() > MAX_NOTIFICATIONS {
            self.notifications.pop_first();
        }
    }

    /// Forgets what is held back.
    pub(crate) fn forget_held(&mut self) {
        self.notifications.retain(|_, pending| !pending.held);
        self.alerts.retain(|_, pending| !pending.held);
        self.by_labels.retain(|_, number| self.alerts.contains_key(number));
    }

    fn put(&mut self, effects: Effects, cause: Option<u64>, held: bool) {
        for routed in effects.notifications {
            self.next += 1;
            let pending = Pending { routed, causes: cause.into_iter().collect(), held };
            self.notifications.insert(self.next, pending);
        }
        for mut routed in effects.alerts {
            let mut causes: Vec<_> = cause.into_iter().collect();
            self.next += 1;
            let labels = (routed.item.fingerprint(), routed.route.clone());
            let older = self.by_labels.insert(labels, self.next);
            if let Some(older) = older.and_then(|older| self.alerts.remove(&older)) {
                routed.again &= older.routed.again;
                causes.extend(older.causes);
            }
            self.alerts.insert(self.next, Pending { routed, causes, held });
        }
    }

    /// What follows from these Events, which somebody waits for.
    pub(crate) fn of(&mut self, causes: &HashSet<u64>) -> Load {
        let is_of = |of: &[u64]| of.iter().any(|cause| causes.contains(cause));
        let mut load = Load { generation: self.generation, ..Load::default() };
        for (number, pending) in self.notifications.iter_mut().filter(|(_, it)| is_of(&it.causes)) {
            load.numbers.push(*number);
            load.effects.notifications.push(pending.take());
        }
        for (number, pending) in self.alerts.iter_mut().filter(|(_, it)| is_of(&it.causes)) {
            load.numbers.push(*number);
            load.effects.alerts.push(pending.take());
        }
        load
    }

    /// Everything that is not held back.
    pub(crate) fn all(&self) -> Load {
        let mut load = Load { generation: self.generation, ..Load::default() };
        for (number, pending) in self.notifications.iter().filter(|(_, it)| !it.held) {
            load.numbers.push(*number);
            load.effects.notifications.push(pending.routed.clone());
        }
        for (number, pending) in self.alerts.iter().filter(|(_, it)| !it.held) {
            load.numbers.push(*number);
            load.effects.alerts.push(pending.routed.clone());
        }
        load
    }

    /// Every sink has it.
    pub(crate) fn delivered(&mut self, load: &Load) {
        if load.generation != self.generation {
            return;
        }
        for number in &load.numbers {
            self.notifications.remove(number);
            if let Some(Pending { routed, .. }) = self.alerts.remove(number) {
                self.by_labels.remove(&(routed.item.fingerprint(), routed.route));
            }
        }
    }
}

// === impl Pending ===

impl<T: Clone> Pending<T> {
    /// It is on its way, and no longer held back.
    fn take(&mut self) -> Routed<T> {
        self.held = false;
        self.routed.clone()
    }
}

#[cfg(test)]
mod tests {
    use kube_events_core::contract::Sample as _;

    use super::*;

    fn effects() -> Effects {
        let notification =
            Routed { item: Notification::sample(0), route: Route::default(), again: false };
        let alert = Routed { item: Alert::sample(0), route: Route::default(), again: false };
        Effects { notifications: vec![notification], alerts: vec![alert] }
    }

    #[test]
    fn what_is_held_back_waits_for_its_cause() {
        let (mut outbox, effects) = (Outbox::default(), effects());
        outbox.hold(effects.clone(), Some(1));
        outbox.hold(effects.clone(), None);
        assert!(outbox.all().effects.is_empty());
        assert!(outbox.of(&HashSet::from([2])).effects.is_empty());
        let load = outbox.of(&HashSet::from([1]));
        assert_eq!(load.effects, effects);
        assert_eq!(outbox.all().effects, effects, "until it is delivered");
        outbox.forget_held();
        outbox.delivered(&load);
        assert!(outbox.all().effects.is_empty());
    }

    #[test]
    fn what_is_held_back_for_too_long_is_forgotten() {
        let mut outbox = Outbox::default();
        outbox.hold(effects(), Some(1));
        outbox.forget_held();
        assert!(outbox.of(&HashSet::from([1])).effects.is_empty());
        assert!(outbox.by_labels.is_empty());
    }

    /// The alert that was held back is of before.
    #[test]
    fn an_alert_that_is_told_anew_takes_the_place_of_what_is_held_back() {
        let mut outbox = Outbox::default();
        outbox.hold(effects(), Some(1));
        let mut again = Effects { notifications: Vec::new(), ..effects() };
        again.alerts[0].again = true;
        outbox.add(again, None);
        let load = outbox.all();
        assert_eq!(load.effects.alerts.len(), 1);
        assert!(!load.effects.alerts[0].again, "nobody here has heard of it");
        outbox.delivered(&load);
        assert!(outbox.of(&HashSet::from([1])).effects.alerts.is_empty());
    }

    /// Both number what they hold from the beginning.
    #[test]
    fn what_was_on_its_way_from_another_outbox_is_not_taken_for_this_ones() {
        let mut before = Outbox::default();
        before.add(effects(), None);
        let load = before.all();
        let mut outbox = Outbox::default().in_place_of(&before);
        outbox.add(effects(), None);
        outbox.delivered(&load);
        assert!(!outbox.all().effects.is_empty());
    }

    #[test]
    fn what_is_held_back_takes_no_room() {
        let mut outbox = Outbox::default();
        let notifications = Effects { alerts: Vec::new(), ..effects() };
        for cause in 0..=MAX_NOTIFICATIONS {
            outbox.hold(notifications.clone(), u64::try_from(cause).ok());
        }
        assert!(!outbox.is_full());
        assert!(outbox.of(&HashSet::from([0])).effects.is_empty(), "the oldest leaves first");
        assert!(!outbox.of(&HashSet::from([1])).effects.is_empty());
        (0..MAX_NOTIFICATIONS).for_each(|_| outbox.add(notifications.clone(), None));
        assert!(outbox.is_full());
    }
}
