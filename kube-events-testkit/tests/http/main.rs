//! The embedded server and the receivers, seen over HTTP.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod apply;
mod client;
mod cluster;
mod facts;
mod faults;
mod kube_client;
mod receivers;
#[path = "../suite/mod.rs"]
mod suite;
