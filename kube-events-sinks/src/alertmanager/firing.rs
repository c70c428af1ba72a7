//! Alerts that still matter.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use kube_events_core::Alert;

use crate::encode::Encoding;

/// How many alerts are held for a replica that does not take them. Those that have waited longest
/// go first.
pub const QUEUE_ALERTS: usize = 4096;

/// An alert that is to be sent.
#[derive(Clone, Debug)]
pub(super) struct Queued {
    pub(super) fingerprint: u64,
    pub(super) alert: Alert,
    /// When nobody needs to hear of it any more.
    until: Timestamp,
}

/// Alerts in order of their first arrival: the latest of those with equal labels, within bounds.
#[derive(Clone, Debug, Default)]
pub(super) struct Firing {
    alerts: BTreeMap<u64, Queued>,
    places: HashMap<u64, u64>,
    next: u64,
}

// === impl Queued ===

impl Queued {
    /// Sets when the alert ends, which all replicas have to hear alike.
    pub(super) fn new(alert: &Alert, encoding: &Encoding, now: Timestamp) -> Self {
        let mut alert = alert.clone();
        let end = encoding.end_of(&alert, now);
        alert.ends_at = Some(end);
        // That an alert is over has to be heard as long as a replica may take it for firing.
        let heard = SignedDuration::try_from(encoding.alert_duration).unwrap_or_default();
        let until = end.max(now.checked_add(heard).unwrap_or(Timestamp::MAX));
        Self { fingerprint: alert.fingerprint(), alert, until }
    }
}

// === impl Firing ===

impl Firing {
    pub(super) fn is_empty(&self) -> bool {
        self.alerts.is_empty()
    }

    pub(super) fn forget_the_past(&mut self, now: Timestamp) {
        self.alerts.retain(|_, queued| queued.until > now);
        self.places.retain(|_, place| self.alerts.contains_key(place));
    }

    /// Adds alerts, and says how many had to go for them.
    pub(super) fn extend(&mut self, alerts: impl IntoIterator<Item = Queued>) -> usize {
        for queued in alerts {
            let place = *self.places.entry(queued.fingerprint).or_insert(self.next);
            self.next = self.next.max(place + 1);
            self.alerts.insert(place, queued);
        }
        let surplus = self.alerts.len().saturating_sub(QUEUE_ALERTS);
        for _ in 0..surplus {
            if let Some((_, queued)) = self.alerts.pop_first() {
                self.places.remove(&queued.fingerprint);
            }
        }
        surplus
    }

    /// All alerts, in order; none is left.
    pub(super) fn take(&mut self) -> Vec<Queued> {
        self.places.clear();
        std::mem::take(&mut self.alerts).into_values().collect()
    }

    /// Puts alerts that were taken back in front, but those of which there is a later state.
    pub(super) fn put_back(&mut self, alerts: Vec<Queued>) {
        let mut later = std::mem::take(self);
        let old = alerts.into_iter().filter(|old| !later.places.contains_key(&old.fingerprint));
        self.extend(old.collect::<Vec<_>>());
        self.extend(later.take());
    }
}

#[cfg(test)]
mod tests {
    use kube_events_core::contract::Sample;

    use super::*;

    fn queued(n: usize, start: i64) -> Queued {
        let now = Timestamp::from_second(start).unwrap();
        let mut alert = Alert::sample(n);
        alert.starts_at = now;
        Queued::new(&alert, &Encoding::default(), now)
    }

    fn states(firing: &mut Firing) -> Vec<(String, i64)> {
        let state = |queued: Queued| (queued.alert.id(), queued.alert.starts_at.as_second());
        firing.take().into_iter().map(state).collect()
    }

    #[test]
    fn the_latest_of_alerts_with_equal_labels_counts() {
        let mut firing = Firing::default();
        firing.extend([queued(1, 10), queued(2, 10), queued(1, 20)]);
        assert_eq!(states(&mut firing), [("sample1".into(), 20), ("sample2".into(), 10)]);
        assert!(firing.is_empty());
    }

    #[test]
    fn what_comes_back_does_not_replace_what_is_newer() {
        let mut firing = Firing::default();
        firing.extend([queued(2, 20), queued(3, 20)]);
        firing.put_back(vec![queued(1, 10), queued(2, 10)]);
        assert_eq!(
            states(&mut firing),
            [("sample1".into(), 10), ("sample2".into(), 20), ("sample3".into(), 20)]
        );
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let mut firing = Firing::default();
        firing.extend([queued(1, 0), queued(2, 100)]);
        firing.forget_the_past(Timestamp::from_second(300).unwrap());
        firing.extend([queued(1, 310)]);
        assert_eq!(states(&mut firing), [("sample2".into(), 100), ("sample1".into(), 310)]);
    }

    #[test]
    fn there_is_a_bound_and_the_oldest_go() {
        let mut firing = Firing::default();
        assert_eq!(firing.extend((0..QUEUE_ALERTS).map(|n| queued(n, 0))), 0);
        assert_eq!(firing.extend([queued(QUEUE_ALERTS, 0), queued(1, 5)]), 1);
        let states = states(&mut firing);
        assert_eq!((states.len(), &states[0]), (QUEUE_ALERTS, &("sample1".into(), 5)));
    }
}
