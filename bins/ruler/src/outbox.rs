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
}

#[derive(Debug)]
struct Pending<T> {
    routed: Routed<T>,
    /// The Events that gave rise to it, by identity; none, if it was time.
    causes: Vec<u64>,
}

/// What is on its way.
#[derive(Debug, Default)]
pub(crate) struct Load {
    pub(crate) effects: Effects,
    numbers: Vec<u64>,
}

/// With so many notifications nothing more is taken in until some are delivered.
const MAX_NOTIFICATIONS: usize = 10_000;

// === impl Outbox ===

impl Outbox {
    pub(crate) fn is_full(&self) -> bool {
        self.notifications.len() >= MAX_NOTIFICATIONS
    }

    /// Adds what follows from an Event, or, without one, from time.
    pub(crate) fn add(&mut self, effects: Effects, cause: Option<u64>) {
        for routed in effects.notifications {
            self.next += 1;
            let pending = Pending { routed, causes: cause.into_iter().collect() };
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
            self.alerts.insert(self.next, Pending { routed, causes });
        }
    }

    /// What follows from these Events.
    pub(crate) fn of(&self, causes: &HashSet<u64>) -> Load {
        self.load(|of| of.iter().any(|cause| causes.contains(cause)))
    }

    /// Everything.
    pub(crate) fn all(&self) -> Load {
        self.load(|_| true)
    }

    fn load(&self, wanted: impl Fn(&[u64]) -> bool) -> Load {
        let mut load = Load::default();
        for (number, pending) in self.notifications.iter().filter(|(_, it)| wanted(&it.causes)) {
            load.numbers.push(*number);
            load.effects.notifications.push(pending.routed.clone());
        }
        for (number, pending) in self.alerts.iter().filter(|(_, it)| wanted(&it.causes)) {
            load.numbers.push(*number);
            load.effects.alerts.push(pending.routed.clone());
        }
        load
    }

    /// Every sink has it.
    pub(crate) fn delivered(&mut self, load: &Load) {
        for number in &load.numbers {
            self.notifications.remove(number);
            if let Some(Pending { routed, .. }) = self.alerts.remove(number) {
                self.by_labels.remove(&(routed.item.fingerprint(), routed.route));
            }
        }
    }
}
