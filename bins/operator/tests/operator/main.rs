//! The operator, in this process, on the embedded API server.
//!
//! Time is tokio's and stands still: it goes on only when nobody has anything left to do, so that
//! minutes pass at once, and a test that waits for quiet knows that all is done.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod cluster;
mod conflicts;
mod crash;
mod deletion;
mod edits;
mod election;
mod healing;
mod monitoring;
mod quiet;
mod reconcile;
