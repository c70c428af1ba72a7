//! Which sinks something goes to.

use std::{collections::BTreeSet, sync::Arc};

use kube_events_core::{Alert, Notification};

/// The sinks that something goes to, by their names: all, unless rules of the type `route` name some.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Route(Option<Arc<[String]>>);

/// Something to deliver, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed<T> {
    /// What is delivered.
    pub item: T,
    /// Where it goes.
    pub route: Route,
    /// True of an alert that was told before and is told again, so that nobody takes it for over.
    pub again: bool,
}

/// What follows from Events, or from nothing having happened for a while.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Notifications, in the order in which they came about.
    pub notifications: Vec<Routed<Notification>>,
    /// Alerts, likewise. One with an `ends_at` that has passed is over.
    pub alerts: Vec<Routed<Alert>>,
}

// === impl Route ===

impl Route {
    /// To these sinks only; to all, if there is no name.
    pub(crate) fn to<'a>(names: impl Iterator<Item = &'a String>) -> Self {
        let names: BTreeSet<_> = names.cloned().collect();
        Self((!names.is_empty()).then(|| names.into_iter().collect()))
    }

    /// The names, in order; `None` stands for all sinks.
    pub fn names(&self) -> Option<&[String]> {
        self.0.as_deref()
    }
}

// === impl Routed ===

impl<T> Routed<T> {
    pub(crate) fn new(item: T, route: Route) -> Self {
        Self { item, route, again: false }
    }
}

// === impl Effects ===

impl Effects {
    /// True if nothing is to be delivered.
    pub fn is_empty(&self) -> bool {
        self.notifications.is_empty() && self.alerts.is_empty()
    }

    /// Adds what `other` holds, after what is there.
    pub fn extend(&mut self, other: Self) {
        self.notifications.extend(other.notifications);
        self.alerts.extend(other.alerts);
    }
}
