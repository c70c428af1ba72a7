//! Many Events, quickly, with an account of what was created.

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Namespace};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
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
pub struct Workload {
    client: Client,
    namespaces: Arc<[String]>,
    parallel: usize,
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
    /// `count`
    pub count: i32,
}

// === impl Workload ===

impl fmt::Debug for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespaces, parallel, .. } = self;
        let mut workload = f.debug_struct("Workload");
        workload.field("namespaces", namespaces).field("parallel", parallel).finish_non_exhaustive()
    }
}

impl Workload {
    /// A workload in `namespaces`, which are made, with up to `parallel` requests under way.
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
        Ok(Self { client, namespaces, parallel })
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
        let api = Api::<Event>::namespaced(self.client.clone(), namespace);
        let event = event(namespace, n)?;
        let name = event.metadata.name.as_deref().unwrap_or_default();
        let params = PostParams::default();
        persistently(|| async {
            match api.create(&params, &event).await {
                // An earlier try was stored and its answer lost.
                Err(error) if is(&error, 409) => api.get(name).await,
                answer => answer,
            }
        })
        .await
        .and_then(|stored| created(&stored))
    }

    async fn repeat_one(self, event: Created) -> Result<Created> {
        let api = Api::<Event>::namespaced(self.client.clone(), &event.namespace);
        let patch = Patch::Merge(json!({
            "count": event.count + 1,
            "lastTimestamp": seconds(Timestamp::now()),
        }));
        let params = PatchParams::default();
        persistently(|| api.patch(&event.name, &params, &patch))
            .await
            .and_then(|stored| created(&stored))
    }
}

/// Tries again while the failure is the connection's or the server says "later".
async fn persistently<F>(request: impl Fn() -> F) -> Result<Event>
where
    F: Future<Output = kube::Result<Event>>,
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

fn created(event: &Event) -> Result<Created> {
    let metadata = event.metadata.clone();
    Ok(Created {
        namespace: metadata.namespace.context("no namespace")?,
        name: metadata.name.context("no name")?,
        uid: metadata.uid.context("no uid")?,
        resource_version: metadata.resource_version.context("no resourceVersion")?,
        count: event.count.unwrap_or(1),
    })
}

fn event(namespace: &str, n: usize) -> Result<Event> {
    let (reason, type_, message) = CAUSES[n % CAUSES.len()];
    let pod = format!("web-{:08x}-{:05x}", n / 50, n / 5);
    let now = seconds(Timestamp::now());
    let event = json!({
        "metadata": {"name": format!("{pod}.{n:016x}"), "namespace": namespace},
        "involvedObject": {
            "kind": "Pod", "apiVersion": "v1", "namespace": namespace, "name": pod,
            "uid": format!("00000000-0000-4000-8000-{:012x}", n / 5),
            "resourceVersion": "1", "fieldPath": "spec.containers{app}",
        },
        "reason": reason, "type": type_, "message": format!("{message} ({pod})"),
        "firstTimestamp": now, "lastTimestamp": now, "count": 1,
        "source": {"component": "kubelet", "host": format!("node-{}", n % 3)},
        "reportingComponent": "kubelet", "reportingInstance": format!("node-{}", n % 3),
    });
    Ok(serde_json::from_value(event)?)
}

/// RFC 3339 without fractions, as `metav1.Time` is written.
fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
