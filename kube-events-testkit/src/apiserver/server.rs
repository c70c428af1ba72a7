//! The handle that starts a server, looks into it and makes trouble for it.

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch::Sender};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::access::Access;
use super::call::Verb;
use super::faults::{Fault, Faults, WatchFault};
use super::log::{Log, RequestRecord};
use super::resource::{EVENTS, RESOURCES, Resource};
use super::routes::router;
use super::storage::{Snapshot, Store};
use super::watch::Breakage;
use crate::listener::{self, Listener};

/// Namespaces that every cluster has.
const FIRST_NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Settings of a server.
#[derive(Debug, Clone)]
pub struct Builder {
    resources: Vec<Resource>,
    later: HashSet<&'static str>,
    history: usize,
    event_ttl: Option<Duration>,
    bookmark_interval: Duration,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            resources: RESOURCES.to_vec(),
            later: HashSet::new(),
            history: 250_000,
            event_ttl: Some(Duration::from_secs(3600)),
            bookmark_interval: Duration::from_secs(60),
        }
    }
}

impl Builder {
    /// Adds a resource to those that every server knows.
    #[must_use]
    pub fn resource(mut self, resource: Resource) -> Self {
        self.resources.push(resource);
        self
    }

    /// Adds a resource that the server does not know before [`ApiServer::serve`] says so, as when a
    /// `CustomResourceDefinition` is installed into a running cluster.
    #[must_use]
    pub fn resource_later(mut self, resource: Resource) -> Self {
        self.later.insert(resource.kind);
        self.resource(resource)
    }

    /// How many changes of each resource can be watched again; 250,000 by default.
    #[must_use]
    pub fn history(mut self, changes: usize) -> Self {
        self.history = changes;
        self
    }

    /// How long Events live after their last write: one hour by default, `None` for ever.
    #[must_use]
    pub fn event_ttl(mut self, ttl: Option<Duration>) -> Self {
        self.event_ttl = ttl;
        self
    }

    /// How often watches of resources other than Events get a bookmark; every minute by default.
    #[must_use]
    pub fn bookmark_interval(mut self, interval: Duration) -> Self {
        self.bookmark_interval = interval;
        self
    }

    /// Starts a server on a free port of the loopback interface.
    ///
    /// # Errors
    /// The socket could not be bound.
    pub async fn start(self) -> io::Result<ApiServer> {
        let listener = listener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let shared = Arc::new(Shared {
            store: Store::new(&self.resources, self.history, self.event_ttl),
            resources: self.resources,
            later: std::sync::Mutex::new(self.later),
            access: Access::default(),
            faults: Faults::default(),
            log: Log::default(),
            breakage: Sender::new(Breakage::default()),
            bookmark_interval: self.bookmark_interval,
            address: listener.local_addr()?,
            ending: CancellationToken::new(),
        });
        let expiry = tokio::spawn(expire_events(Arc::clone(&shared)));
        let running = Listener::start(listener, router(&shared));
        let server = ApiServer { shared, listener: Mutex::new(Some(running)), expiry };
        for name in FIRST_NAMESPACES {
            server.create_namespace(name);
        }
        Ok(server)
    }
}

/// Deletes Events whose time to live is over, until it is aborted.
async fn expire_events(shared: Arc<Shared>) {
    let events = shared.storage(EVENTS);
    let mut bell = shared.store.bell(events);
    loop {
        let next = shared.store.expire(events, Instant::now());
        match next {
            Some(at) => tokio::time::sleep_until(at).await,
            None if bell.changed().await.is_err() => return,
            None => {}
        }
    }
}

/// A running API server. It and all its tasks end when the handle is dropped.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use kube_events_testkit::ApiServer;
/// use serde_json::json;
///
/// let server = ApiServer::start().await?;
/// server.create_event(json!({
///     "metadata": {"name": "web.1", "namespace": "default"},
///     "involvedObject": {"kind": "Pod", "namespace": "default", "name": "web"},
///     "reason": "Started", "message": "Started container web", "type": "Normal",
/// })).expect("the Event is complete");
/// assert_eq!(server.events().len(), 1);
/// println!("KUBECONFIG for {}:\n{}", server.url(), server.kubeconfig());
/// server.stop().await;
/// # Ok::<(), std::io::Error>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct ApiServer {
    pub(super) shared: Arc<Shared>,
    listener: Mutex<Option<Listener>>,
    expiry: JoinHandle<()>,
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.expiry.abort();
    }
}

impl ApiServer {
    /// Starts a server with the usual settings.
    ///
    /// # Errors
    /// The socket could not be bound.
    pub async fn start() -> io::Result<Self> {
        Self::builder().start().await
    }

    /// Settings to start a server with.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Its address, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.shared.address)
    }

    /// A kubeconfig file that leads to it.
    pub fn kubeconfig(&self) -> String {
        self.kubeconfig_with("{}")
    }

    /// The same as a user, by whom [requests](RequestRecord::user) and [faults](Fault::user) are told
    /// apart; all may do the same.
    pub fn kubeconfig_of(&self, user: &str) -> String {
        self.kubeconfig_with(&format!("{{token: {user}}}"))
    }

    fn kubeconfig_with(&self, credentials: &str) -> String {
        let url = self.url();
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: testkit\n\
             clusters:\n- name: testkit\n  cluster:\n    server: {url}\n\
             contexts:\n- name: testkit\n  context:\n    cluster: testkit\n    user: testkit\n\
             users:\n- name: testkit\n  user: {credentials}\n"
        )
    }

    /// Makes a kind known that was added by [`Builder::resource_later`].
    pub fn serve(&self, kind: &str) {
        self.shared.later().remove(kind);
    }

    /// Ends watches and requests in order, then the server.
    pub async fn stop(self) {
        self.shared.ending.cancel();
        if let Some(listener) = self.listener.lock().await.take() {
            listener.stop().await;
        }
    }
}

/// # Trouble
impl ApiServer {
    /// Puts a fault in force; faults that concern the same request strike one after the other.
    pub fn inject(&self, fault: Fault) {
        self.shared.faults.add(fault);
    }

    /// Takes back the faults that have not struck, and lets clients come back that
    /// [died](Fault::die).
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }

    /// Waits until a client has [died](Fault::die).
    pub async fn wait_for_death(&self) {
        self.shared.faults.wait_for_death().await;
    }

    /// Does this to every running watch. [`WatchFault::Truncate`] strikes at each one's next line.
    pub fn break_watches(&self, fault: WatchFault) {
        self.shared.breakage.send_modify(|breakage| {
            breakage.number += 1;
            breakage.fault = Some(fault);
        });
    }

    /// Ends every running watch in order, as their timeout would.
    pub fn drop_watches(&self) {
        self.break_watches(WatchFault::Close);
    }

    /// Forgets all history up to now: older resourceVersions and `continue` tokens get a 410.
    pub fn compact(&self) {
        self.shared.store.compact();
    }

    /// Copies all objects, history and the revision counter.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.store.snapshot()
    }

    /// Goes back to a snapshot, as when etcd is restored from a backup: resourceVersions jump
    /// back and are given out again. Running watches break.
    pub fn restore(&self, snapshot: &Snapshot) {
        self.shared.store.restore(snapshot);
        self.break_watches(WatchFault::Abort);
    }

    /// Undoes every change after a resourceVersion, as a restore of a backup of that time does.
    /// Running watches break.
    ///
    /// # Errors
    /// The history does not reach back that far; the oldest resourceVersion that it does.
    pub fn rewind(&self, resource_version: u64) -> Result<(), u64> {
        self.shared.store.rewind(resource_version).map_err(|too_old| too_old.floor)?;
        self.break_watches(WatchFault::Abort);
        Ok(())
    }

    /// Breaks all connections and stops listening; the state is kept.
    pub async fn go_down(&self) {
        if let Some(listener) = self.listener.lock().await.take() {
            listener.abort().await;
        }
    }

    /// Listens again, on the same port.
    ///
    /// # Errors
    /// The port was taken in between.
    pub async fn come_back(&self) -> io::Result<()> {
        let mut running = self.listener.lock().await;
        if running.is_none() {
            let socket = listener::bind(self.shared.address).await?;
            *running = Some(Listener::start(socket, router(&self.shared)));
        }
        Ok(())
    }

    /// Goes down and comes back at once.
    ///
    /// # Errors
    /// The port was taken in between.
    pub async fn restart(&self) -> io::Result<()> {
        self.go_down().await;
        self.come_back().await
    }
}

/// # Requests
impl ApiServer {
    /// The last requests, oldest first; at most 10,000.
    pub fn requests(&self) -> Vec<Arc<RequestRecord>> {
        self.shared.log.last()
    }

    /// How many requests of a kind there were.
    pub fn count(&self, verb: Verb) -> u64 {
        self.shared.log.count(verb)
    }

    /// Forgets the requests and their counts.
    pub fn clear_requests(&self) {
        self.shared.log.clear();
    }

    /// Waits until the requests fulfil a condition; looks at every request and every answer.
    ///
    /// # Errors
    /// The time ran out; the requests as they are then.
    pub async fn wait_for_requests(
        &self,
        timeout: Duration,
        condition: impl Fn(&[Arc<RequestRecord>]) -> bool,
    ) -> Result<Vec<Arc<RequestRecord>>, Vec<Arc<RequestRecord>>> {
        let mut bell = self.shared.log.bell();
        let deadline = Instant::now() + timeout;
        loop {
            bell.borrow_and_update();
            let requests = self.requests();
            if condition(&requests) {
                return Ok(requests);
            }
            if tokio::time::timeout_at(deadline, bell.changed()).await.is_err() {
                return Err(requests);
            }
        }
    }
}
