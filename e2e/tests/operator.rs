//! The operator, installed from its bundle, on a real API server.

use anyhow::{Context as _, Result, ensure};
use e2e::{Operator, Settings, until};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Namespace, Service},
    rbac::v1::ClusterRoleBinding,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use kube_events_core::crd::{Exporter, Rule, Ruler};
use serde_json::{Value, json};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);
const NAMESPACE: &str = Operator::NAMESPACE;

fn custom<K: serde::de::DeserializeOwned>(kind: &str, name: &str, spec: &Value) -> Result<K> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "events.kubesphere.io/v1alpha1", "kind": kind,
        "metadata": {"name": name}, "spec": spec,
    }))?)
}

fn condition<'a>(status: &'a Value, kind: &str) -> &'a Value {
    let conditions = status["conditions"].as_array();
    conditions.into_iter().flatten().find(|held| held["type"] == kind).unwrap_or(&Value::Null)
}

fn ruler() -> Value {
    json!({
        "image": "kubesphere/kube-events-ruler:latest",
        "replicas": 2,
        "resources": {},
        "sinks": {"alertmanager": {"namespace": "default", "name": "alertmanager"}},
    })
}

fn exporter() -> Value {
    json!({
        "image": "kubesphere/kube-events-exporter:latest",
        "resources": {},
        "sinks": {"stdout": {}, "webhooks": [{"service": {
            "namespace": NAMESPACE, "name": "events-ruler", "port": 8443, "path": "/events",
        }}]},
    })
}

/// The version and the kind of an object, and what a hand makes of it.
type Damage = (&'static str, &'static str, fn(&mut Value));

/// What a hand has put in the place of what the operator wrote, and no object can have beside it.
const DAMAGE: [Damage; 9] = [
    ("v1", "Service", |it| it["spec"]["ports"][0]["port"] = json!(8444)),
    ("policy/v1", "PodDisruptionBudget", |it| {
        it["spec"]["maxUnavailable"].take();
        it["spec"]["minAvailable"] = json!(1);
    }),
    ("apps/v1", "Deployment", |it| {
        container(it)["ports"][0]["containerPort"] = json!(8444);
    }),
    ("apps/v1", "Deployment", |it| {
        container(it)["livenessProbe"]["httpGet"].take();
        container(it)["livenessProbe"]["tcpSocket"] = json!({"port": 8443});
    }),
    ("apps/v1", "Deployment", |it| {
        let volume = &mut it["spec"]["template"]["spec"]["volumes"][0];
        *volume = json!({"name": volume["name"], "emptyDir": {}});
    }),
    // As `kubectl replace` does it with a manifest of somebody's own.
    ("v1", "Service", |it| {
        let (name, namespace) = (&it["metadata"]["name"], &it["metadata"]["namespace"]);
        let metadata = json!({"name": name, "namespace": namespace});
        let port = json!({"name": "http", "port": 80});
        let spec = json!({"clusterIP": "None", "selector": {"a": "b"}, "ports": [port]});
        *it = json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec});
    }),
    ("policy/v1", "PodDisruptionBudget", |it| {
        let held = &it["metadata"];
        let (name, version) = (&held["name"], &held["resourceVersion"]);
        let metadata = json!({"name": name, "namespace": NAMESPACE, "resourceVersion": version});
        let spec = json!({"minAvailable": 2, "selector": {"matchLabels": {"a": "b"}}});
        *it = json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec,
        });
    }),
    // And nobody knows any more who wrote what.
    ("v1", "Service", |it| {
        it["metadata"]["managedFields"] = json!([{}]);
        it["spec"]["ports"][0]["port"] = json!(9999);
    }),
    ("v1", "ConfigMap", |it| {
        it["data"]["events-ruler.yaml"] = json!("sinks: {}");
        it["immutable"] = json!(true);
    }),
];

fn container(deployment: &mut Value) -> &mut Value {
    &mut deployment["spec"]["template"]["spec"]["containers"][0]
}

async fn what_cannot_be_beside_ours_goes(cluster: &Operator) -> Result<()> {
    for (place, (version, kind, damage)) in DAMAGE.into_iter().enumerate() {
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let api = Api::<DynamicObject>::namespaced_with(cluster.client(), NAMESPACE, &kind);
        let read = async || anyhow::Ok(serde_json::to_value(api.get("events-ruler").await?)?);
        let before = read().await?;
        let hand = PostParams { field_manager: Some("hand".to_owned()), ..PostParams::default() };
        // Whoever else writes its status comes in between at times.
        let damaged = async || {
            let mut damaged = read().await?;
            damage(&mut damaged);
            let damaged = serde_json::from_value(damaged)?;
            match api.replace("events-ruler", &hand, &damaged).await {
                Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
                written => Ok(Some(written.map(drop)?)),
            }
        };
        until(&format!("damage {place} is done"), LIMIT, damaged).await?;
        let healed = async || {
            let now = read().await?;
            let is_healed = now["spec"] == before["spec"]
                && now["data"] == before["data"]
                && now["metadata"]["ownerReferences"] == before["metadata"]["ownerReferences"];
            Ok(is_healed.then_some(()))
        };
        until(&format!("damage {place}, of a {}, has gone", kind.kind), LIMIT, healed).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_become_workloads_that_heal_and_go() -> Result<()> {
    let Some(cluster) = Operator::find(Settings::default()).await? else { return Ok(()) };
    let exporters = cluster.api::<Exporter>(NAMESPACE);
    let rulers = cluster.api::<Ruler>(NAMESPACE);
    let params = PostParams::default();
    exporters.create(&params, &custom("Exporter", "events-exporter", &exporter())?).await?;
    rulers.create(&params, &custom("Ruler", "events-ruler", &ruler())?).await?;

    let deployments = cluster.api::<Deployment>(NAMESPACE);
    let made = cluster.is(&deployments, "events-exporter", |_| true).await?;
    let spec = serde_json::to_value(&made.spec)?;
    let container = &spec["template"]["spec"]["containers"][0];
    ensure!(
        container["image"].as_str().is_some_and(|image| image.starts_with("kube-events/exporter:"))
    );
    cluster.is(&deployments, "events-ruler", |ruler| ruler.spec.replicas == Some(2)).await?;
    cluster.is(&cluster.api::<Service>(NAMESPACE), "events-ruler", |_| true).await?;
    let bindings = Api::<ClusterRoleBinding>::all(cluster.client());
    let binding = format!("kube-events-exporter:exporter:{NAMESPACE}:events-exporter");
    cluster.is(&bindings, &binding, |_| true).await?;
    let told = cluster
        .is(&exporters, "events-exporter", |exporter| {
            let status = serde_json::to_value(&exporter.status).unwrap_or_default();
            condition(&status, "ImageReplaced")["status"] == "True"
                && condition(&status, "Degraded")["status"] == "False"
        })
        .await?;
    ensure!(told.status.is_some_and(|status| status.observed_generation == Some(1)));

    // What a hand changed goes back; what it added stays.
    let hand = json!({
        "metadata": {"annotations": {"by": "hand"}},
        "spec": {"replicas": 7},
    });
    let params =
        PatchParams { field_manager: Some("kubectl-edit".into()), ..PatchParams::default() };
    deployments.patch("events-ruler", &params, &Patch::Merge(hand)).await?;
    let healed = cluster.is(&deployments, "events-ruler", |it| it.spec.replicas == Some(2)).await?;
    ensure!(healed.annotations().get("by").is_some_and(|by| by == "hand"));
    let services = cluster.api::<Service>(NAMESPACE);
    let hand = json!({"spec": {"selector": {"nobody": "has-it"}}});
    services.patch("events-ruler", &params, &Patch::Merge(hand)).await?;
    let selects = |service: &Service| service.spec.clone().and_then(|spec| spec.selector);
    cluster
        .is(&services, "events-ruler", |it| {
            selects(it).is_some_and(|selector| !selector.contains_key("nobody"))
        })
        .await?;
    what_cannot_be_beside_ours_goes(&cluster).await?;
    let configs = cluster.api::<ConfigMap>(NAMESPACE);
    configs.delete("events-exporter", &DeleteParams::default()).await?;
    cluster.is(&configs, "events-exporter", |_| true).await?;

    // A configuration that cannot work changes nothing but the status.
    let wrong =
        json!({"spec": {"sinks": {"webhooks": [{"url": "http://nowhere:port", "service": null}]}}});
    exporters.patch("events-exporter", &PatchParams::default(), &Patch::Merge(wrong)).await?;
    cluster
        .is(&exporters, "events-exporter", |exporter| {
            let status = serde_json::to_value(&exporter.status).unwrap_or_default();
            condition(&status, "Degraded")["reason"] == "InvalidConfig"
        })
        .await?;
    let config = configs.get("events-exporter").await?.data.unwrap_or_default();
    ensure!(config["events-exporter.yaml"].contains("events-ruler"), "{config:?}");

    // Positions in a file allow only one exporter at a time.
    let right = json!({"spec": {
        "checkpoint": {"file": "/data/c"},
        "sinks": {"webhooks": null, "stdout": {}},
        "volumes": [{"name": "data", "emptyDir": {}}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }});
    exporters.patch("events-exporter", &PatchParams::default(), &Patch::Merge(right)).await?;
    let recreate = |it: &Deployment| {
        let strategy = it.spec.strategy.as_ref();
        strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate")
    };
    cluster.is(&deployments, "events-exporter", recreate).await?;

    // There is no garbage collector here; bindings are the operator's own to delete.
    exporters.delete("events-exporter", &DeleteParams::default()).await?;
    let gone = async || Ok(bindings.get_opt(&binding).await?.is_none().then_some(()));
    until("the exporter's binding is gone", LIMIT, gone).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_judged_at_once() -> Result<()> {
    let Some(cluster) = Operator::find(Settings::default()).await? else { return Ok(()) };
    let shop: Namespace = serde_json::from_value(json!({"metadata": {"name": "shop"}}))?;
    Api::all(cluster.client()).create(&PostParams::default(), &shop).await?;
    let rule = |labels: &Value, condition: &str| -> Result<Rule> {
        Ok(serde_json::from_value(json!({
            "apiVersion": "events.kubesphere.io/v1alpha1", "kind": "Rule",
            "metadata": {"name": "r", "labels": labels},
            "spec": {"rules": [
                {"name": "A", "type": "alert", "enable": true, "condition": condition},
            ]},
        }))?)
    };
    let rules = cluster.api::<Rule>("shop");
    let params = PostParams::default();

    let cluster_wide = rule(&json!({"kubesphere.io/rule-scope": "cluster"}), "count > 1")?;
    let refusal = rules.create(&params, &cluster_wide).await.err().context("it was taken")?;
    ensure!(refusal.to_string().contains(&format!("kubectl apply -n {NAMESPACE}")), "{refusal}");
    cluster.api::<Rule>(NAMESPACE).create(&params, &cluster_wide).await?;
    let lost = rule(&json!({"kubesphere.io/rule-scope": "workspace"}), "count > 1")?;
    let refusal = cluster.api::<Rule>(NAMESPACE).create(&params, &lost).await.err();
    let refusal = refusal.context("it was taken")?;
    ensure!(refusal.to_string().contains("kubesphere.io/workspace"), "{refusal}");

    rules.create(&params, &rule(&json!({}), "reason = \"BackOff\" And count > 3")?).await?;
    let judged = cluster
        .is(&rules, "r", |rule| {
            let status = serde_json::to_value(&rule.status).unwrap_or_default();
            condition(&status, "Accepted")["status"] == "False"
        })
        .await?;
    let status = serde_json::to_value(&judged.status)?;
    let message = condition(&status, "Accepted")["message"].as_str().unwrap_or_default();
    ensure!(message.starts_with("rule A: error: expected "), "{message}");
    ensure!(message.contains('^') && message.contains("And"), "{message}");
    ensure!(condition(&status, "Programmed")["reason"] == "NoRuler", "{status}");

    cluster
        .api::<Ruler>(NAMESPACE)
        .create(&params, &custom("Ruler", "events-ruler", &ruler())?)
        .await?;
    let good = json!({"spec": {"rules": [
        {"name": "A", "type": "alert", "enable": true, "condition": "count > 3"},
    ]}});
    rules.patch("r", &PatchParams::default(), &Patch::Merge(good)).await?;
    let programmed = |reason: &'static str| {
        move |rule: &Rule| {
            let status = serde_json::to_value(&rule.status).unwrap_or_default();
            condition(&status, "Programmed")["reason"] == reason
        }
    };
    cluster.is(&rules, "r", programmed("NoRulerReady")).await?;
    // No kubelet is here to make its pods ready.
    let deployments = cluster.api::<Deployment>(NAMESPACE);
    let made = async || Ok(deployments.get_opt("events-ruler").await?.map(drop));
    e2e::until("the Deployment is there", Duration::from_secs(30), made).await?;
    let ready = json!({"status": {"replicas": 2, "readyReplicas": 1}});
    deployments.patch_status("events-ruler", &PatchParams::default(), &Patch::Merge(ready)).await?;
    cluster.is(&rules, "r", programmed("Programmed")).await?;
    Ok(())
}

/// What the Go project's operator leaves in a cluster: written by update, with a reloader beside the
/// exporter, a finalizer that nobody takes off, and webhooks that nobody answers.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_go_operator_left_is_taken_over() -> Result<()> {
    let Some(cluster) = Operator::find(Settings::default()).await? else { return Ok(()) };
    let params =
        PostParams { field_manager: Some("kube-events-operator".into()), ..PostParams::default() };
    let exporters = cluster.api::<Exporter>(NAMESPACE);
    let deployments = cluster.api::<Deployment>(NAMESPACE);

    // A wrong configuration holds the operator off while the past is written.
    let mut exporter: Exporter = custom(
        "Exporter",
        "events-exporter",
        &json!({"sinks": {"webhooks": [{"url": "http://nowhere:port"}]}}),
    )?;
    exporter.metadata.finalizers = Some(vec!["exporters.finalizer.events.kubesphere.io".into()]);
    let exporter_uid = exporters.create(&params, &exporter).await?.uid().context("no uid")?;
    let labels = json!({"events-exporter": "events-exporter", "app": "events-exporter"});
    let former: Deployment = serde_json::from_value(json!({
        "metadata": {
            "name": "events-exporter",
            "labels": {"events-exporter": "events-exporter"},
            "ownerReferences": [{
                "apiVersion": "events.kubesphere.io/v1alpha1", "kind": "Exporter",
                "name": "events-exporter", "uid": exporter_uid, "controller": true,
            }],
        },
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": "events-exporter",
                    "containers": [
                        {"name": "events-exporter", "image": "kubesphere/kube-events-exporter:v0.6.0"},
                        {"name": "config-reloader", "image": "jimmidyson/configmap-reload:v0.3.0"},
                    ],
                },
            },
        },
    }))?;
    let before = deployments.create(&params, &former).await?;

    exporters
        .patch(
            "events-exporter",
            &PatchParams::default(),
            &Patch::Merge(json!({"spec": self::exporter()})),
        )
        .await?;
    let taken = cluster
        .is(&deployments, "events-exporter", |deployment| {
            let pod = deployment.spec.template.spec.as_ref();
            pod.is_some_and(|pod| pod.containers.iter().all(|it| it.name == "events-exporter"))
        })
        .await?;
    ensure!(taken.uid() == before.uid(), "it was replaced, and its pods with it");
    ensure!(taken.spec.selector == before.spec.selector);
    let managers: Vec<_> =
        taken.managed_fields().iter().map(|entry| entry.manager.clone()).collect();
    ensure!(managers == [Some("kube-events-operator".to_owned())], "{managers:?}");
    let stripped = |exporter: &Exporter| exporter.finalizers().is_empty();
    cluster.is(&exporters, "events-exporter", stripped).await?;
    Ok(())
}
