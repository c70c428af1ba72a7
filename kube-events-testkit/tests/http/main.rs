//! The embedded server and the receivers, seen over HTTP.

mod client;
mod facts;
mod faults;
mod kube_client;
mod receivers;
