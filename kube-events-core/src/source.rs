//! Where Events come from.
//!
//! A source is a function that returns a stream of [`Observed`]; there is no trait, so a test or
//! an embedder passes `stream::iter(…)` as well.
//!
//! | source | reads |
//! |---|---|
//! | [`kubernetes::events`] | an API server, by list and watch, for as long as it is polled |
//! | [`ndjson::events`] | one Event a line from any `AsyncRead`, to its end |

#[cfg(feature = "kubernetes")]
pub mod kubernetes;
mod lines;
pub mod ndjson;

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use crate::{Event, Gap, ResourceVersion, event::DecodeError};

/// The longest line, or item of a list, that is decoded by default: 8 MiB.
///
/// An API server takes objects of up to 3 MiB and etcd of up to 1.5 MiB.
pub const MAX_LINE: usize = 8 << 20;

/// What a source gives, in order.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Observed {
    /// A state of an Event, created or changed.
    Event(Event),
    /// Events may have come and gone unseen here.
    Gap(Gap),
    /// Everything up to this version has been given before this item.
    ///
    /// A source may say the same version again, which tells that it is still true now.
    Progress(ResourceVersion),
    /// Bytes that stand where an Event should; what comes before and after them is given.
    Undecodable(Undecodable),
}

/// Bytes that are not an Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecodable {
    /// The line, or the item of a list, as it arrived; only its beginning if it is too long.
    pub bytes: Bytes,
    /// The number of the line in the input, from 1, where lines are counted.
    pub line: Option<u64>,
    /// What is wrong with it, and where.
    pub error: DecodeError,
}

/// Where a source that has a history begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With what happens from now on.
    Now,
    /// With everything that is still held.
    #[default]
    Held,
    /// With what is newer than a position that was reached before.
    After {
        /// Everything up to this version was seen.
        resource_version: ResourceVersion,
        /// When that was; without it, a gap cannot be excluded once the history has expired.
        time: Option<Timestamp>,
    },
}

/// What went wrong with a source.
///
/// The Kubernetes source goes on by itself after any of them; they are given to be logged and
/// counted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The request did not get an answer.
    #[error("{action} Events")]
    Request {
        /// What was tried: `list`, `watch` or `probe`.
        action: &'static str,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The API server answered with a failure.
    #[error("{action} Events: the API server answered {code} {reason}: {message}")]
    Status {
        /// What was tried: `list`, `watch` or `probe`.
        action: &'static str,
        /// The HTTP status, or the code in an `ERROR` frame.
        code: u16,
        /// `Status.reason`, such as `Forbidden`.
        reason: String,
        /// `Status.message`, or the beginning of the body.
        message: String,
        /// When the server wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// Nothing came for longer than an answer may take: the connection is taken for dead.
    #[error("{action} Events: no answer within {}s", after.as_secs())]
    Silent {
        /// What was tried: `list`, `watch` or `probe`.
        action: &'static str,
        /// How long was waited.
        after: Duration,
    },
    /// The answer is not what the API promises.
    #[error("{action} Events: {problem}")]
    Malformed {
        /// What was tried: `list`, `watch` or `probe`.
        action: &'static str,
        /// What is wrong with the answer.
        problem: String,
    },
    /// The input could not be read.
    #[error("read Events")]
    Read(#[from] std::io::Error),
}

// === impl SourceError ===

impl SourceError {
    /// True for 401, 403 and 404: someone has to grant a right or correct a setting.
    ///
    /// An API server that is starting gives them for some seconds, too.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Status { code: 401 | 403 | 404, .. })
    }
}
