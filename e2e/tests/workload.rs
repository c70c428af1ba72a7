//! The testkit's workload on a real API server: what the embedded one makes of it is what the real one does.

use anyhow::{Context as _, Result};
use e2e::{ControlPlane, Part, Settings};
use k8s_openapi::api::core::v1::{Event, Namespace};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
};
use kube_events_testkit::{ApiServer, EventTarget, Extent, Identity, Step, Workload};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const STEPS: usize = 1_000;

/// A cluster that is written to as controllers do.
struct Cluster(Client);

// === impl Cluster ===

impl Cluster {
    /// Makes the namespaces that these steps need and the cluster lacks.
    async fn prepare(&self, steps: impl Iterator<Item = Step>) -> Result<()> {
        let namespaces = Api::<Namespace>::all(self.0.clone());
        for name in steps.map(|step| step.event().namespace.clone()).collect::<BTreeSet<_>>() {
            if namespaces.get_opt(&name).await?.is_none() {
                let namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
                namespaces.create(&PostParams::default(), &namespace).await?;
            }
        }
        Ok(())
    }

    // Not `Api<Event>`: that writes times anew.
    fn events(&self, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.0.clone(), namespace, &ApiResource::erase::<Event>(&()))
    }

    async fn write(&self, step: &Step) -> Result<Identity> {
        let draft = step.event();
        let api = self.events(&draft.namespace);
        let written = match step {
            Step::Create(_) => {
                let event = serde_json::from_value(draft.to_json())?;
                api.create(&PostParams::default(), &event).await
            }
            Step::Update(_) => {
                let patch = Patch::Merge(draft.to_patch());
                api.patch(&draft.name, &PatchParams::default(), &patch).await
            }
        };
        let written = written.with_context(|| draft.to_json().to_string())?;
        Identity::of(&serde_json::to_value(written)?).context("an Event without an identity")
    }

    async fn held(&self) -> Result<Vec<Value>> {
        let request = http::Request::get("/api/v1/events").body(Vec::new())?;
        let mut list: Value = self.0.request(request).await?;
        serde_json::from_value(list["items"].take()).context("a list")
    }
}

impl EventTarget for Cluster {
    type Error = anyhow::Error;

    async fn apply(&self, steps: &[Step]) -> Result<Vec<Identity>> {
        let mut written = Vec::new();
        for step in steps {
            written.push(self.write(step).await?);
        }
        Ok(written)
    }
}

/// By name, without what each server decides for itself.
fn contents(events: Vec<Value>) -> BTreeMap<String, Value> {
    let content = |mut event: Value| {
        let metadata = event["metadata"].take();
        let fields = event.as_object_mut().expect("an Event is an object");
        for decided in ["metadata", "kind", "apiVersion"] {
            fields.remove(decided);
        }
        (format!("{}/{}", metadata["namespace"], metadata["name"]), event)
    };
    events.into_iter().map(content).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_leaves_the_same_events_on_both_servers() -> Result<()> {
    let Some(assets) = Part::ControlPlane.find() else { return Ok(()) };
    let control_plane = ControlPlane::start(&assets, Settings::default()).await?;
    let real = Cluster(control_plane.client().await?);
    let embedded = ApiServer::start().await?;
    let (workload, extent) = (Workload::seeded(1), Extent::Steps(STEPS));
    real.prepare(workload.clone().take(STEPS)).await?;
    let mut identities = BTreeSet::new();
    let written = |batch: &[Identity]| identities.extend(batch.to_vec());
    workload.clone().drive(&real, 100_000, extent, written).await?;
    assert_eq!(identities.len(), STEPS, "each step is a state of its own");
    let Ok(_) = workload.clone().drive(&embedded, 100_000, extent, |_| ()).await;

    let (mut held, expected) = (contents(real.held().await?), contents(embedded.events()));
    // The real server may have Events of its own.
    held.retain(|name, _| expected.contains_key(name));
    assert!(expected.values().any(|event| event["series"]["count"].is_u64()));
    assert_eq!(held, expected);
    control_plane.stop().await
}
