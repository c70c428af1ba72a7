//! The ruler as a program: from an API server and requests to what sinks got.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod cluster;
mod replicas;
mod warm_up;
