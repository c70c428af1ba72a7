//! An embedded Kubernetes API server over real HTTP.

mod access;
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

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What the handle, the requests and the tasks of one server share.
#[derive(Debug)]
struct Shared {
    store: storage::Store,
    resources: Vec<Resource>,
    /// Kinds that are not known yet.
    later: Mutex<HashSet<&'static str>>,
    access: access::Access,
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

    /// The resources that are known now.
    fn served(&self) -> Vec<Resource> {
        let later = self.later();
        self.resources.iter().filter(|row| !later.contains(row.kind)).copied().collect()
    }

    fn later(&self) -> MutexGuard<'_, HashSet<&'static str>> {
        self.later.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
