//! What the rules of one tenant may take for one Event, or in one step of time.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
};

use crate::{rule::Rule, scope::Scope};

/// Bytes of texts that are filled in.
const TEXTS: usize = 1 << 20;

/// A text that cannot be filled in takes as much: it has to be tried.
const FAILED: usize = 8 << 10;

/// Occurrences that are looked at again, because an Event came late or to know when an alert is over. They
/// take about half a millisecond.
const OCCURRENCES: usize = 1 << 17;

/// The room that is left for a tenant.
#[derive(Debug)]
pub(crate) struct Room {
    texts: Cell<usize>,
    occurrences: Cell<usize>,
}

/// How much more the rules of the cluster may take for one Event: they are few and well meant, but the Event may not
/// be. In a step of time they have as much as they like.
const CLUSTER: usize = 16;

/// Room for the rules of each scope.
#[derive(Debug)]
pub(crate) struct Rooms {
    scopes: RefCell<HashMap<Scope, Room>>,
    of_the_cluster: Room,
}

// === impl Room ===

impl Room {
    const fn new(texts: usize, occurrences: usize) -> Self {
        Self { texts: Cell::new(texts), occurrences: Cell::new(occurrences) }
    }

    /// Bytes that are left for texts.
    pub(crate) fn left(&self) -> usize {
        self.texts.get()
    }

    /// Takes what a text has taken; without one it could not be filled in.
    pub(crate) fn take(&self, text: Option<&str>) {
        let taken = text.map_or(FAILED, str::len);
        self.texts.set(self.texts.get().saturating_sub(taken));
    }

    /// Takes the room for looking at so many occurrences again; false if it is not there.
    pub(crate) fn look_again(&self, occurrences: usize) -> bool {
        let left = self.occurrences.get().checked_sub(occurrences);
        self.occurrences.set(left.unwrap_or(self.occurrences.get()));
        left.is_some()
    }
}

// === impl Rooms ===

impl Rooms {
    pub(crate) fn for_an_event() -> Self {
        Self::new(Room::new(TEXTS * CLUSTER, OCCURRENCES * CLUSTER))
    }

    pub(crate) fn for_a_step() -> Self {
        Self::new(Room::new(usize::MAX, usize::MAX))
    }

    fn new(of_the_cluster: Room) -> Self {
        Self { scopes: RefCell::default(), of_the_cluster }
    }

    /// Does something in the room that is left for a rule.
    pub(crate) fn of<T>(&self, rule: &Rule, within: impl FnOnce(&Room) -> T) -> T {
        if *rule.scope() == Scope::Cluster {
            return within(&self.of_the_cluster);
        }
        let mut rooms = self.scopes.borrow_mut();
        if !rooms.contains_key(rule.scope()) {
            rooms.insert(rule.scope().clone(), Room::new(TEXTS, OCCURRENCES));
        }
        within(&rooms[rule.scope()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_takes_nothing() {
        let room = Room::new(TEXTS, OCCURRENCES);
        assert!(room.look_again(OCCURRENCES - 1));
        assert!(!room.look_again(2));
        assert!(room.look_again(1));
        assert!(!room.look_again(1));
        assert_eq!(room.left(), TEXTS);
    }
}
