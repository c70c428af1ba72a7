//! What the texts of alerts and notifications may take.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
};

use crate::{rule::Rule, scope::Scope};

/// Bytes of texts that the rules of one tenant may fill in for one Event, or in one step of time.
const MOST: usize = 1 << 20;

/// A text that cannot be filled in takes as much: it has to be tried.
const FAILED: usize = 8 << 10;

/// The room that is left for texts.
#[derive(Debug)]
pub(crate) struct Room(Cell<usize>);

/// Room for the rules of each scope, for one Event or one step of time.
#[derive(Debug, Default)]
pub(crate) struct Rooms(RefCell<HashMap<Scope, Room>>);

// === impl Room ===

impl Room {
    pub(crate) fn left(&self) -> usize {
        self.0.get()
    }

    /// Takes what a text has taken; without one it could not be filled in.
    pub(crate) fn take(&self, text: Option<&str>) {
        let taken = text.map_or(FAILED, str::len);
        self.0.set(self.0.get().saturating_sub(taken));
    }
}

// === impl Rooms ===

impl Rooms {
    /// Fills in texts of a rule. Those of the cluster's have as much room as they like.
    pub(crate) fn of<T>(&self, rule: &Rule, fill_in: impl FnOnce(&Room) -> T) -> T {
        if *rule.scope() == Scope::Cluster {
            return fill_in(&Room(Cell::new(usize::MAX)));
        }
        let mut rooms = self.0.borrow_mut();
        if !rooms.contains_key(rule.scope()) {
            rooms.insert(rule.scope().clone(), Room(Cell::new(MOST)));
        }
        fill_in(&rooms[rule.scope()])
    }
}
