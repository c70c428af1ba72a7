//! What a sink already has.

use std::collections::{HashSet, VecDeque};

/// Identities of the items that a sink took last; the oldest is forgotten first.
#[derive(Debug)]
pub(crate) struct Window {
    known: HashSet<u64>,
    order: VecDeque<u64>,
    limit: usize,
}

// === impl Window ===

impl Window {
    pub(crate) fn new(limit: usize) -> Self {
        Self { known: HashSet::new(), order: VecDeque::new(), limit }
    }

    pub(crate) fn contains(&self, identity: u64) -> bool {
        self.known.contains(&identity)
    }

    pub(crate) fn insert(&mut self, identity: u64) {
        if !self.known.insert(identity) {
            return;
        }
        self.order.push_back(identity);
        if self.order.len() > self.limit {
            let oldest = self.order.pop_front();
            oldest.map(|oldest| self.known.remove(&oldest));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut window = Window::new(2);
        for identity in [1, 2, 2, 1, 3] {
            window.insert(identity);
        }
        assert_eq!([1, 2, 3].map(|identity| window.contains(identity)), [false, true, true]);
    }
}
