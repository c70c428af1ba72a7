//! `kube-events upgrade` on a real API server that has what the Go project leaves, in the shape of its bundle, of its
//! chart and of what its operator makes.

use anyhow::{Context as _, Result, ensure};
use e2e::{ControlPlane, Part, Settings, until};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DynamicObject, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use kube_events_core::crd;
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    slice::from_ref,
    time::Duration,
};

const NAMESPACE: &str = "kubesphere-logging-system";
const GROUP: &str = "events.kubesphere.io";
const RBAC: &str = "rbac.authorization.k8s.io/v1";

struct Cluster {
    control_plane: ControlPlane,
    client: Client,
    cli: PathBuf,
}

// === impl Cluster ===

impl Cluster {
    /// With the custom resources and the namespaces; `None` when a part is missing.
    async fn find() -> Result<Option<Self>> {
        let Some(assets) = Part::ControlPlane.find() else { return Ok(None) };
        let Some(cli) = Part::Program("kube-events").find() else { return Ok(None) };
        let control_plane = ControlPlane::start(&assets, Settings::default()).await?;
        let client = control_plane.client().await?;
        control_plane.install(&crd::all()).await?;
        for name in [NAMESPACE, "shop"] {
            let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
            Api::all(client.clone()).create(&PostParams::default(), &namespace).await?;
        }
        Ok(Some(Self { control_plane, client, cli }))
    }

    fn api(&self, object: &DynamicObject) -> Result<Api<DynamicObject>> {
        let types = object.types.as_ref().context("no kind")?;
        let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(types)?);
        Ok(match object.namespace() {
            Some(namespace) => Api::namespaced_with(self.client.clone(), &namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        })
    }

    async fn create(&self, objects: &[Value]) -> Result<()> {
        for object in objects {
            let object: DynamicObject = serde_json::from_value(object.clone())?;
            let created = self.api(&object)?.create(&PostParams::default(), &object).await;
            created.with_context(|| object.name_any())?;
        }
        Ok(())
    }

    /// Ours, with so many pods that are ready.
    async fn install(&self, ready: u32) -> Result<()> {
        self.apply(&ours()).await?;
        let ours: DynamicObject = serde_json::from_value(ours())?;
        let status = Patch::Merge(
            json!({"status": {"replicas": 1, "readyReplicas": ready, "availableReplicas": ready}}),
        );
        let params = PatchParams::default();
        self.api(&ours)?.patch_status(&ours.name_any(), &params, &status).await?;
        Ok(())
    }

    async fn apply(&self, object: &Value) -> Result<()> {
        let object: DynamicObject = serde_json::from_value(object.clone())?;
        let params = PatchParams::apply("kubectl").force();
        self.api(&object)?.patch(&object.name_any(), &params, &Patch::Apply(&object)).await?;
        Ok(())
    }

    /// Of these objects, those that are there, as `KIND NAME`.
    async fn present(&self, objects: &[Value]) -> Result<Vec<String>> {
        let mut present = Vec::new();
        for object in objects {
            let object: DynamicObject = serde_json::from_value(object.clone())?;
            if self.api(&object)?.get_opt(&object.name_any()).await?.is_some() {
                present.push(title(&object));
            }
        }
        Ok(present)
    }

    /// The exit code and what is printed with `--json`.
    fn upgrade(&self, arguments: &[&str]) -> Result<(i32, Value)> {
        let output = self.upgrade_as(&self.control_plane.kubeconfig(), arguments)?;
        let said = String::from_utf8_lossy(&output.stderr);
        let report = serde_json::from_slice(&output.stdout).with_context(|| said.into_owned())?;
        Ok((output.status.code().context("killed")?, report))
    }

    fn upgrade_as(&self, kubeconfig: &Path, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(&self.cli);
        command.args(["upgrade", "--json"]).args(arguments).env("NO_PROXY", "127.0.0.1");
        Ok(command.arg("--kubeconfig").arg(kubeconfig).output()?)
    }

    /// Says of an Exporter what the new operator says when it has taken it over.
    async fn take_over(&self, exporter: &Value) -> Result<()> {
        let exporter: DynamicObject = serde_json::from_value(exporter.clone())?;
        let status = json!({"status": {"conditions": [{
            "type": "Degraded", "status": "False", "reason": "AsExpected", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]}});
        let params = PatchParams::default();
        let patch = Patch::Merge(status);
        self.api(&exporter)?.patch_status(&exporter.name_any(), &params, &patch).await?;
        Ok(())
    }
}

fn title(object: &DynamicObject) -> String {
    let kind = object.types.as_ref().map(|types| types.kind.as_str()).unwrap_or_default();
    format!("{kind} {}", object.name_any())
}

/// The objects of a report in a state, as `KIND NAME`.
fn in_state(report: &Value, state: &str) -> Vec<String> {
    let objects = report.as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    objects
        .filter(|object| object["state"] == state)
        .map(|object| format!("{} {}", text(&object["kind"]), text(&object["name"])))
        .collect()
}

fn own(name: &str) -> Value {
    json!({"name": name, "namespace": NAMESPACE})
}

fn deployment(name: &str, arguments: &Value, volumes: &Value) -> Value {
    let labels = json!({"app": name});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": own(name),
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [{"name": "events-operator", "image": "i", "args": arguments}],
                    "volumes": volumes,
                },
            },
        },
    })
}

/// The Go project's operator.
fn former(prefix: &str) -> Value {
    deployment(
        &format!("{prefix}-operator"),
        &json!(["--config-reloader-image=jimmidyson/configmap-reload:v0.3.0"]),
        &json!([{"name": "cert", "secret": {"secretName": format!("{prefix}-admission")}}]),
    )
}

/// Ours.
fn ours() -> Value {
    let mut ours = deployment("kube-events-operator", &json!([]), &json!([]));
    ours["metadata"]["labels"] = json!({"app.kubernetes.io/part-of": "kube-events"});
    ours
}

/// What the chart puts on everything.
fn chart() -> Value {
    json!({"helm.sh/chart": "kube-events-0.4.2", "app.kubernetes.io/managed-by": "Helm"})
}

fn exporter(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "events.kubesphere.io/v1alpha1", "kind": "Exporter",
        "metadata": {"name": name, "namespace": namespace}, "spec": {"sinks": {"stdout": {}}},
    })
}

/// What the webhooks need, and the webhooks themselves.
fn admission(prefix: &str) -> Result<Vec<Value>> {
    let name = format!("{prefix}-admission");
    let webhook = |kind: &str, does: &str| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
            "metadata": {"name": format!("{name}-{does}")},
            "webhooks": [{
                "name": "rule.kb.io",
                "failurePolicy": "Fail", "sideEffects": "None",
                "admissionReviewVersions": ["v1beta1"],
                "clientConfig": {"service": {
                    "name": name, "namespace": NAMESPACE,
                    "path": format!("/{does}-events-kubesphere-io-v1alpha1-rule"),
                }},
                "rules": [{
                    "apiGroups": [GROUP], "apiVersions": ["v1alpha1"], "resources": ["rules"],
                    "operations": ["CREATE", "UPDATE"],
                }],
            }],
        })
    };
    let certificate = rcgen::generate_simple_self_signed([format!("{name}.{NAMESPACE}.svc")])?;
    Ok(vec![
        webhook("MutatingWebhookConfiguration", "mutate"),
        webhook("ValidatingWebhookConfiguration", "validate"),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": own(&name),
            "spec": {
                "ports": [{"port": 443, "targetPort": 9443}],
                "selector": {"app": format!("{prefix}-operator")},
            },
        }),
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": own(&name),
            "stringData": {"tls.crt": certificate.cert.pem(), "tls.key": ""},
        }),
    ])
}

/// A role and its binding to an account.
fn rights(name: &str, labels: &Value, rules: &Value, account: (&str, &str)) -> Vec<Value> {
    let metadata = json!({"name": name, "labels": labels});
    vec![
        json!({"apiVersion": RBAC, "kind": "ClusterRole", "metadata": metadata, "rules": rules}),
        json!({
            "apiVersion": RBAC, "kind": "ClusterRoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "namespace": account.0, "name": account.1}],
        }),
    ]
}

/// What the Go project's operator made for an Exporter.
fn rights_of_exporter(namespace: &str, name: &str) -> Vec<Value> {
    let labels = json!({"events-exporter": name, "events-exporter-ns": namespace});
    let rules =
        json!([{"apiGroups": [""], "resources": ["events"], "verbs": ["get", "list", "watch"]}]);
    rights(&format!("{namespace}-{name}"), &labels, &rules, (namespace, name))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_bundle_left_goes_when_ours_has_its_place() -> Result<()> {
    let Some(cluster) = Cluster::find().await? else { return Ok(()) };
    let mut left = admission("kube-events")?;
    let archive = rights_of_exporter("shop", "archive");
    left.extend(archive.clone());
    left.extend(rights_of_exporter("gone", "archive"));
    cluster.create(&left).await?;
    cluster.apply(&former("kube-events")).await?;
    let exporter = exporter("shop", "archive");
    cluster.create(from_ref(&exporter)).await?;
    let there = cluster.present(&left).await?;
    ensure!(there.len() == left.len(), "{there:?}");

    // Its operator would make again what is deleted.
    let (code, report) = cluster.upgrade(&[])?;
    ensure!(code == 1 && in_state(&report, "waits").len() == left.len() + 1, "{report:#}");
    ensure!(report[0]["reason"] == "apply the new operator over it first", "{report:#}");

    // The exporter's pods need their rights until ours has given them its own.
    cluster.install(1).await?;
    let (code, report) = cluster.upgrade(&["--dry-run"])?;
    ensure!(code == 1, "{report:#}");
    let waiting = ["ClusterRoleBinding shop-archive", "ClusterRole shop-archive"];
    ensure!(in_state(&report, "waits") == waiting, "{report:#}");
    // What it said before somebody went back to the Go project does not count.
    cluster.take_over(&exporter).await?;
    let (_, report) = cluster.upgrade(&["--dry-run"])?;
    ensure!(in_state(&report, "waits") == waiting, "{report:#}");
    let mut binding =
        rights("kube-events-exporter", &json!({}), &json!([]), ("shop", "archive")).remove(1);
    binding["metadata"]["name"] = json!("kube-events-exporter:exporter:shop:archive");
    cluster.create(&[binding]).await?;
    let (code, report) = cluster.upgrade(&["--dry-run"])?;
    ensure!(code == 0 && in_state(&report, "to delete").len() == left.len(), "{report:#}");
    ensure!(cluster.present(&left).await? == there, "a dry run deleted something");

    let (code, report) = cluster.upgrade(&[])?;
    ensure!(code == 0 && in_state(&report, "deleted").len() == left.len(), "{report:#}");
    let still = cluster.present(&left).await?;
    ensure!(still.is_empty(), "{still:?}");
    ensure!(cluster.present(&[exporter]).await?.len() == 1);

    let (code, report) = cluster.upgrade(&[])?;
    ensure!(code == 0 && report == json!([]), "{report:#}");
    cluster.control_plane.stop().await
}

/// As the installer of `KubeSphere` calls it. Ours does not have its place, so its operator goes, too.
#[tokio::test(flavor = "multi_thread")]
async fn an_installation_of_another_name_goes_with_its_operator() -> Result<()> {
    let Some(cluster) = Cluster::find().await? else { return Ok(()) };
    let rules = json!([{
        "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"],
        "verbs": ["create", "update"],
    }]);
    let name = "ks-events-operator";
    let mut left = vec![former("ks-events")];
    left.extend(admission("ks-events")?);
    left.push(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": own(name)}));
    left.extend(rights(name, &json!({}), &rules, (NAMESPACE, name)));
    for object in &mut left {
        object["metadata"]["labels"] = chart();
    }
    cluster.create(&left).await?;

    let (code, report) = cluster.upgrade(&[])?;
    ensure!(code == 1 && in_state(&report, "waits").len() == left.len(), "{report:#}");
    ensure!(report[0]["reason"] == "install the new operator first", "{report:#}");

    // Its image cannot be pulled, for example.
    cluster.install(0).await?;
    let (code, report) = cluster.upgrade(&[])?;
    ensure!(code == 1 && in_state(&report, "waits").len() == left.len(), "{report:#}");
    ensure!(report[0]["reason"] == "no pod of the new operator is ready: see why", "{report:#}");

    cluster.install(1).await?;
    let (code, report) = cluster.upgrade(&[])?;
    let went = in_state(&report, "deleted");
    ensure!(code == 0 && went.len() == left.len(), "{report:#}");
    ensure!(went[0] == "Deployment ks-events-operator", "{went:?}");
    let still = cluster.present(&left).await?;
    ensure!(still.is_empty(), "{still:?}");
    ensure!(cluster.present(&[ours()]).await?.len() == 1);
    cluster.control_plane.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_the_go_projects_stays() -> Result<()> {
    let Some(cluster) = Cluster::find().await? else { return Ok(()) };
    let mut theirs = admission("kube-events")?;
    for webhooks in &mut theirs[..2] {
        webhooks["webhooks"][0]["clientConfig"]["service"]["path"] = json!("/policy");
    }
    theirs[2]["spec"]["selector"]["app"] = json!("policy");
    theirs[3]["stringData"] = json!({"password": "secret"});
    let mut changed = rights_of_exporter("shop", "archive");
    changed[0]["rules"][0]["resources"] = json!(["events", "secrets"]);
    changed[1]["subjects"][0]["name"] = json!("somebody");
    theirs.extend(changed);
    // Its role would go if nobody else had it.
    let mut lent = rights_of_exporter("shop", "lent");
    lent[1]["metadata"]["name"] = json!("auditors");
    theirs.extend(lent);
    let mut reused = rights_of_exporter("shop", "reused");
    reused[1]["kind"] = json!("RoleBinding");
    reused[1]["metadata"] = json!({"name": "auditors", "namespace": "shop"});
    theirs.extend(reused);
    // The new operator's pods would not start again without it.
    let mut mounted = admission("ks-events")?.remove(3);
    mounted["metadata"]["labels"] = chart();
    theirs.push(mounted);
    // As the chart names them, but of another chart.
    theirs.extend(admission("policy")?.into_iter().skip(2));
    let router = json!({"helm.sh/chart": "kube-events-router-1.0.0"});
    for mut object in admission("router")?.into_iter().skip(2) {
        object["metadata"]["labels"] = router.clone();
        theirs.push(object);
    }
    // A pod without a Deployment mounts it.
    let mut held = admission("held")?.remove(3);
    held["metadata"]["labels"] = chart();
    theirs.push(held);
    theirs.push(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": own("default")}));
    theirs.push(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": own("debug"),
        "spec": {
            "containers": [{"name": "debug", "image": "i"}],
            "volumes": [{"name": "cert", "secret": {"secretName": "held-admission"}}],
        },
    }));
    let volume = json!([{"name": "cert", "secret": {"secretName": "ks-events-admission"}}]);
    let mut ours = ours();
    ours["spec"]["template"]["spec"]["volumes"] = volume;
    theirs.push(ours);
    cluster.create(&theirs).await?;

    let (code, report) = cluster.upgrade(&[])?;
    ensure!(cluster.present(&theirs).await?.len() == theirs.len(), "{report:#}");
    let kept = [
        "MutatingWebhookConfiguration kube-events-admission-mutate",
        "ValidatingWebhookConfiguration kube-events-admission-validate",
        "Service kube-events-admission",
        "Secret kube-events-admission",
        "ClusterRoleBinding shop-archive",
        "ClusterRole shop-archive",
        "ClusterRole shop-lent",
        "ClusterRole shop-reused",
    ];
    ensure!(in_state(&report, "kept") == kept, "{report:#}");
    let waiting = in_state(&report, "waits");
    let mounted = ["Secret held-admission", "Secret ks-events-admission"];
    ensure!(code == 1 && waiting == mounted, "{report:#}");
    cluster.control_plane.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_missing_is_told() -> Result<()> {
    let Some(cluster) = Cluster::find().await? else { return Ok(()) };
    let left = admission("kube-events")?;
    cluster.create(&left).await?;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": own("reader")});
    cluster.create(&[account]).await?;
    let token = cluster.control_plane.token_of(NAMESPACE, "reader").await?;
    let kubeconfig = cluster.control_plane.kubeconfig_for("reader", &token)?;

    let output = cluster.upgrade_as(&kubeconfig, &[])?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(2) && output.stdout.is_empty(), "{said}");
    ensure!(said.contains("the cluster cannot be asked: deployments.apps is forbidden"), "{said}");

    let all = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["list"]}]);
    cluster.create(&rights("reader", &json!({}), &all, (NAMESPACE, "reader"))).await?;
    // Rights count a moment after they are given. A dry run tells what is missing.
    let sees = async || {
        let output = cluster.upgrade_as(&kubeconfig, &["--dry-run"])?;
        Ok((output.status.code() == Some(1)).then_some(output))
    };
    let dry = until("the reader sees everything", Duration::from_secs(30), sees).await?;
    for output in [dry, cluster.upgrade_as(&kubeconfig, &[])?] {
        let report: Value = serde_json::from_slice(&output.stdout)?;
        let failed = in_state(&report, "failed");
        ensure!(output.status.code() == Some(1) && failed.len() == left.len(), "{report:#}");
        let reason = report[0]["reason"].as_str().unwrap_or_default();
        ensure!(reason.contains("cannot delete resource"), "{reason}");
    }
    ensure!(cluster.present(&left).await?.len() == left.len());
    cluster.control_plane.stop().await
}
