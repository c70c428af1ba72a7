//! What may have been missed, and how it is told.

use std::fmt;

use jiff::Timestamp;

use crate::ResourceVersion;

/// A stretch of history in which Events may have come and gone unseen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Why nothing can be said about the stretch.
    pub reason: GapReason,
    /// The last version that was seen before it.
    pub from: Option<ResourceVersion>,
    /// The first version that was seen after it.
    pub to: Option<ResourceVersion>,
    /// When something was last seen before it.
    pub since: Option<Timestamp>,
    /// When it ended.
    pub until: Timestamp,
}

/// Why a gap cannot be excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GapReason {
    /// The API server's history did not reach back to the position, and since then more time has
    /// passed than Events are kept.
    Expired,
    /// The API server's versions went back: its store was restored from a backup.
    WentBack,
    /// A line of a watch or an item of a list could not be decoded.
    Undecodable,
    /// A lane fell behind what is kept for it.
    Overrun,
}

// === impl Gap ===

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = |version: &Option<ResourceVersion>| {
            version.as_ref().map_or_else(|| "the beginning".to_owned(), ToString::to_string)
        };
        write!(
            f,
            "Events between resourceVersion {} and {} may be missing: {}",
            version(&self.from),
            version(&self.to),
            self.reason
        )
    }
}

// === impl GapReason ===

impl GapReason {
    /// The word for metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::WentBack => "went_back",
            Self::Undecodable => "undecodable",
            Self::Overrun => "overrun",
        }
    }
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "the API server no longer has that part of its history",
            Self::WentBack => "the API server's resourceVersion went back",
            Self::Undecodable => "an Event could not be decoded",
            Self::Overrun => "a sink fell behind what is kept for it",
        })
    }
}
