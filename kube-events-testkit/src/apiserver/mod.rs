//! An embedded Kubernetes API server over real HTTP.

mod apply;
mod call;
mod direct;
mod discovery;
mod encode;
mod faults;
mod fields;
mod garbage;
mod list;
mod log;
mod managers;
mod object;
mod patch;
mod resource;
mod routes;
mod selectors;
mod server;
mod shape;
mod status;
mod storage;
mod table;
mod view;
mod watch;
mod write;

pub use call::Verb;
pub use faults::{Action, Fault, WatchFault};
pub use log::RequestRecord;
pub use resource::{Form, Resource};
pub use server::{ApiServer, Builder};
pub use status::Status;
pub use storage::Snapshot;

pub(crate) use object::{suffix, uuid};

use std::net::SocketAddr;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What the handle, the requests and the tasks of one server share.
#[derive(Debug)]
struct Shared {
    store: storage::Store,
    resources: Vec<Resource>,
    faults: faults::Faults,
    log: log::Log,
    breakage: tokio::sync::watch::Sender<watch::Breakage>,
    bookmark_interval: Duration,
    address: SocketAddr,
    /// The server is about to end, and watches with it.
    ending: CancellationToken,
}

impl Shared {
    /// The row of a storage's objects in their stored form.
    fn storage(&self, name: &str) -> &Resource {
        let mut rows = self.resources.iter().filter(|row| row.storage == name);
        rows.next().expect("every storage has a row")
    }
}
