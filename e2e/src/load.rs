//! Many Events, quickly, with an account of what was created.
//!
//! They are much alike, and as many as asked for; the variety of a cluster is `Workload` of the testkit.

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        core::v1::{Event, Namespace},
        events::v1::Event as EventV1,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

/// How long one request is tried again while the API server is away.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(100);

/// The causes of the Events, in turn: reason, type, message.
const CAUSES: [(&str, &str, &str); 5] = [
    ("BackOff", "Warning", "Back-off restarting failed container app in pod"),
    ("Unhealthy", "Warning", "Readiness probe failed: HTTP probe failed with statuscode: 503"),
    ("FailedScheduling", "Warning", "0/3 nodes are available: 3 Insufficient cpu."),
    (
        "Pulled",
        "Normal",
        "Container image \"registry.example/app:1.4.2\" already present on machine",
    ),
    ("Started", "Normal", "Started container app"),
];

/// Creates Events about pods, as kubelets and schedulers would.
#[derive(Clone)]
pub struct Load {
    client: Client,
    namespaces: Arc<[String]>,
    parallel: usize,
    both_apis: bool,
}

/// One state of one Event, as the API server has stored it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Created {
    /// `metadata.namespace`
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
    /// `metadata.uid`
    pub uid: String,
    /// `metadata.resourceVersion`
    pub resource_version: String,
    /// `count`, or the `count` of its series
    pub count: i32,
    /// Whether it was created through `events.k8s.io/v1`, and so has a series
    pub has_series: bool,
}

/// What both APIs' Events have in common.
trait Stored:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + fmt::Debug
    + Serialize
    + DeserializeOwned
{
    const HAS_SERIES: bool;

    fn count(&self) -> Option<i32>;
}

// === impl Load ===

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespaces, parallel, .. } = self;
        let mut load = f.debug_struct("Load");
        load.field("namespaces", namespaces).field("parallel", parallel).finish_non_exhaustive()
    }
}

impl Load {
    /// A load in `namespaces`, which are made, with up to `parallel` requests under way.
    ///
    /// # Errors
    /// When a namespace cannot be made.
    pub async fn new(client: Client, namespaces: &[&str], parallel: usize) -> Result<Self> {
        let api = Api::<Namespace>::all(client.clone());
        for name in namespaces.iter().copied().collect::<BTreeSet<_>>() {
            let namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
            if let Err(error) = api.create(&PostParams::default(), &namespace).await {
                anyhow::ensure!(is(&error, 409), "namespace {name}: {error}");
            }
        }
        let namespaces = namespaces.iter().map(ToString::to_string).collect();
        Ok(Self { client, namespaces, parallel, both_apis: false })
    }

    /// Creates every third Event through `events.k8s.io/v1`, as newer controllers do.
    #[must_use]
    pub fn through_both_apis(self) -> Self {
        Self { both_apis: true, ..self }
    }

    /// Creates the Events `first..first + count`, spread over the namespaces, as fast as the server takes them.
    ///
    /// Requests that fail because the server is away are made again, so a restart loses none.
    ///
    /// # Errors
    /// When the server refuses one, or stays away for two minutes.
    pub async fn create(&self, first: usize, count: usize) -> Result<Vec<Created>> {
        stream::iter(first..first + count)
            .map(|n| self.clone().create_one(n))
            .buffer_unordered(self.parallel)
            .try_collect()
            .await
    }

    /// Creates as [`create`](Self::create) does, but evenly, `per_second`.
    ///
    /// # Errors
    /// As for `create`.
    pub async fn create_evenly(
        &self,
        first: usize,
        count: usize,
        per_second: u32,
    ) -> Result<Vec<Created>> {
        let mut ticks = interval(Duration::from_secs(1) / per_second);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let paced = stream::unfold(ticks, |mut ticks| async move {
            ticks.tick().await;
            Some(((), ticks))
        });
        Box::pin(paced)
            .zip(stream::iter(first..first + count))
            .map(|((), n)| self.clone().create_one(n))
            .buffer_unordered(self.parallel)
            .try_collect()
            .await
    }

    /// Lets each of `events` happen once more: its `count` grows by one and its `lastTimestamp` is now.
    ///
    /// # Errors
    /// As for [`create`](Self::create).
    pub async fn repeat(&self, events: &[Created]) -> Result<Vec<Created>> {
        stream::iter(events.to_vec())
            .map(|event| self.clone().repeat_one(event))
            .buffer_unordered(self.parallel)
            .try_collect()
            .await
    }

    async fn create_one(self, n: usize) -> Result<Created> {
        let namespace = &self.namespaces[n % self.namespaces.len()];
        if self.both_apis && n % 3 == 2 {
            self.store(namespace, &event_v1(namespace, n)?).await
        } else {
            self.store(namespace, &event(namespace, n)?).await
        }
    }

    async fn store<K: Stored>(&self, namespace: &str, event: &K) -> Result<Created> {
        let api = Api::<K>::namespaced(self.client.clone(), namespace);
        let name = event.meta().name.as_deref().unwrap_or_default();
        let params = PostParams::default();
        persistently(|| async {
            match api.create(&params, event).await {
                // An earlier try was stored and its answer lost.
                Err(error) if is(&error, 409) => api.get(name).await,
                answer => answer,
            }
        })
        .await
        .and_then(|stored| created(&stored))
    }

    async fn repeat_one(self, event: Created) -> Result<Created> {
        let count = event.count + 1;
        if event.has_series {
            let series = json!({"count": count, "lastObservedTime": micros(Timestamp::now())});
            self.patch::<EventV1>(&event, json!({"series": series})).await
        } else {
            let last = seconds(Timestamp::now());
            self.patch::<Event>(&event, json!({"count": count, "lastTimestamp": last})).await
        }
    }

    async fn patch<K: Stored>(&self, event: &Created, change: Value) -> Result<Created> {
        let api = Api::<K>::namespaced(self.client.clone(), &event.namespace);
        let (params, patch) = (PatchParams::default(), Patch::Merge(change));
        // Made again after its answer was lost, it changes nothing.
        persistently(|| api.patch(&event.name, &params, &patch))
            .await
            .and_then(|stored| created(&stored))
    }
}

impl Stored for Event {
    const HAS_SERIES: bool = false;

    fn count(&self) -> Option<i32> {
        self.count
    }
}

impl Stored for EventV1 {
    const HAS_SERIES: bool = true;

    fn count(&self) -> Option<i32> {
        Some(self.series.as_ref()?.count)
    }
}

/// Tries again while the failure is the connection's or the server says "later".
async fn persistently<T, F>(request: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = kube::Result<T>>,
{
    let end = Instant::now() + PATIENCE;
    loop {
        match request().await {
            Ok(event) => return Ok(event),
            Err(error) if refused(&error) || Instant::now() > end => return Err(error.into()),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// 401 and 403 pass by themselves: a starting API server answers so until its own setup is complete.
fn refused(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => !matches!(status.code, 401 | 403 | 429 | 500..),
        _ => false,
    }
}

fn is(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}

fn created<K: Stored>(event: &K) -> Result<Created> {
    let metadata: ObjectMeta = event.meta().clone();
    Ok(Created {
        namespace: metadata.namespace.context("no namespace")?,
        name: metadata.name.context("no name")?,
        uid: metadata.uid.context("no uid")?,
        resource_version: metadata.resource_version.context("no resourceVersion")?,
        count: event.count().unwrap_or(1),
        has_series: K::HAS_SERIES,
    })
}

fn event(namespace: &str, n: usize) -> Result<Event> {
    let (reason, type_, message) = CAUSES[n % CAUSES.len()];
    let pod = pod(n);
    let now = seconds(Timestamp::now());
    let event = json!({
        "metadata": {"name": format!("{pod}.{n:016x}"), "namespace": namespace},
        "involvedObject": object(namespace, &pod, n),
        "reason": reason, "type": type_, "message": format!("{message} ({pod})"),
        "firstTimestamp": now, "lastTimestamp": now, "count": 1,
        "source": {"component": "kubelet", "host": node(n)},
        "reportingComponent": "kubelet", "reportingInstance": node(n),
    });
    Ok(serde_json::from_value(event)?)
}

fn event_v1(namespace: &str, n: usize) -> Result<EventV1> {
    let (reason, type_, message) = CAUSES[n % CAUSES.len()];
    let pod = pod(n);
    let event = json!({
        "metadata": {"name": format!("{pod}.{n:016x}"), "namespace": namespace},
        "regarding": object(namespace, &pod, n),
        "reason": reason, "type": type_, "note": format!("{message} ({pod})"),
        "action": "Running", "eventTime": micros(Timestamp::now()),
        "reportingController": "kubelet", "reportingInstance": node(n),
    });
    Ok(serde_json::from_value(event)?)
}

fn pod(n: usize) -> String {
    format!("web-{:08x}-{:05x}", n / 50, n / 5)
}

fn node(n: usize) -> String {
    format!("node-{}", n % 3)
}

fn object(namespace: &str, pod: &str, n: usize) -> Value {
    json!({
        "kind": "Pod", "apiVersion": "v1", "namespace": namespace, "name": pod,
        "uid": format!("00000000-0000-4000-8000-{:012x}", n / 5),
        "resourceVersion": "1", "fieldPath": "spec.containers{app}",
    })
}

/// RFC 3339 without fractions, as `metav1.Time` is written.
fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// RFC 3339 with six digits, as `metav1.MicroTime` is written.
fn micros(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}
