//! What a list has given beyond its own version.

use std::collections::HashMap;

use crate::{Event, ResourceVersion};

/// States that the rest of a list gave as of later than its beginning.
///
/// When a list's snapshot expires between two pages, the API server lists the rest as of now. What
/// changed in the first part meanwhile is seen by a watch from the first version, which repeats
/// what the rest has shown already; this knows which states those are.
#[derive(Debug, Default)]
pub(super) struct Overlap {
    until: ResourceVersion,
    newest: HashMap<Box<str>, ResourceVersion>,
}

// === impl Overlap ===

impl Overlap {
    /// A part of the list was as of this version.
    pub(super) fn extend(&mut self, until: ResourceVersion) {
        if self.until < until {
            self.until = until;
        }
    }

    /// The list has given this state.
    pub(super) fn note(&mut self, event: &Event) {
        self.newest.insert(event.uid().into(), event.resource_version().into());
    }

    /// True if the list has given this state or a newer one of the same Event.
    pub(super) fn covers(&self, event: &Event) -> bool {
        self.newest.get(event.uid()).is_some_and(|newest| {
            ResourceVersion::compare(event.resource_version(), newest.as_str()).is_le()
        })
    }

    /// True if a watch at this version has left it behind.
    pub(super) fn is_behind(&self, version: &str) -> bool {
        ResourceVersion::compare(version, self.until.as_str()).is_gt()
    }
}
