//! What the API server refuses by itself when the bundle is installed: schemas, CEL and policies.

use anyhow::{Context as _, Result, ensure};
use e2e::{Operator, Settings, until};
use k8s_openapi::api::{
    core::v1::Namespace,
    rbac::v1::{ClusterRole, Role, RoleBinding},
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{
        ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams,
    },
};
use serde_json::{Value, json};
use std::time::Duration;

/// How long the API server may take for a change of rights or of policies.
const LIMIT: Duration = Duration::from_secs(20);

const NAMESPACE: &str = Operator::NAMESPACE;

/// Creates an object, but for keeping it.
async fn offer(client: &Client, object: &Value) -> Result<DynamicObject, kube::Error> {
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let offered = serde_json::from_value(object.clone()).map_err(kube::Error::SerdeError)?;
    api(client, object).create(&params, &offered).await
}

fn api(client: &Client, object: &Value) -> Api<DynamicObject> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let kind = GroupVersionKind::gvk("events.kubesphere.io", "v1alpha1", kind);
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or(NAMESPACE);
    Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk(&kind))
}

fn object(kind: &str, namespace: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "events.kubesphere.io/v1alpha1", "kind": kind,
        "metadata": {"name": "offered", "namespace": namespace}, "spec": spec,
    })
}

fn exporter(spec: &Value) -> Value {
    object("Exporter", NAMESPACE, spec)
}

fn rule(condition: &str) -> Value {
    json!({"name": "A", "type": "alert", "enable": true, "condition": condition})
}

fn scoped(namespace: &str, labels: &Value) -> Value {
    let mut object = object("Rule", namespace, &json!({"rules": [rule("count > 1")]}));
    object["metadata"]["labels"] = labels.clone();
    object
}

/// Objects, and what the API server says of them; nothing where it takes them.
fn offers() -> Vec<(Value, &'static str)> {
    let webhook = |webhook: Value| exporter(&json!({"sinks": {"webhooks": [webhook]}}));
    let ruler = |sinks: Value| object("Ruler", NAMESPACE, &json!({ "sinks": sinks }));
    let rules = |rules: Vec<Value>| object("Rule", "shop", &json!({ "rules": rules }));
    let mut long_name = exporter(&json!({}));
    long_name["metadata"]["name"] = json!("x".repeat(64));
    let service = json!({"namespace": "n", "name": "s"});
    let url = "https://hook.example";
    let secret = json!({"secretKeyRef": {"name": "s", "key": "k"}});
    let scope = "kubesphere.io/rule-scope";
    let many = |count: usize| (0..count).map(|n| json!(format!("n{n}"))).collect::<Vec<_>>();
    vec![
        (webhook(json!({"url": url})), ""),
        (webhook(json!({"service": service})), ""),
        (webhook(json!({})), "exactly one of url and service"),
        (webhook(json!({"url": url, "service": service})), "exactly one of url and service"),
        (webhook(json!({"url": url, "bearerToken": secret})), ""),
        (webhook(json!({"url": url, "bearerToken": "secret"})), "bearerToken"),
        (
            webhook(json!({"url": url, "bearerToken": {"value": "secret"}})),
            "spec.sinks.webhooks[0].bearerToken.secretKeyRef: Required",
        ),
        (ruler(json!({"alertmanager": {"namespace": "n", "name": "a"}})), ""),
        (ruler(json!({"stdout": {"type": "pigeon"}})), "spec.sinks.stdout.type"),
        (exporter(&json!({"startFrom": "then"})), "spec.startFrom"),
        (long_name, "63 characters"),
        (exporter(&json!({"namespaces": many(3)})), ""),
        (exporter(&json!({"namespaces": many(100)})), ""),
        (exporter(&json!({"namespaces": many(101)})), "must have at most 100 items"),
        (exporter(&json!({"namespaces": ["A b"]})), "spec.namespaces[0]"),
        (rules(vec![rule("count > 1"); 500]), ""),
        (rules(vec![rule("count > 1"); 501]), "must have at most 500 items"),
        (rules(vec![rule(&" ".repeat(16_385))]), "may not be more than 16384 bytes"),
        (rules(vec![json!({"condition": "count > 1"})]), ""),
        (scoped("shop", &json!({})), ""),
        (scoped("shop", &json!({scope: "namespace"})), ""),
        (scoped("shop", &json!({scope: "cluster"})), "belongs in the namespace kubesphere-logging"),
        (scoped("shop", &json!({scope: ""})), "there is no scope ''"),
        (scoped(NAMESPACE, &json!({scope: "cluster"})), ""),
        (
            scoped(NAMESPACE, &json!({scope: "workspace"})),
            "needs the label kubesphere.io/workspace",
        ),
        (scoped(NAMESPACE, &json!({scope: "workspace", "kubesphere.io/workspace": "w"})), ""),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_refused_and_says_why() -> Result<()> {
    let Some(cluster) = Operator::find(Settings::default()).await? else { return Ok(()) };
    let client = cluster.client();
    create::<Namespace>(&Api::all(client.clone()), &json!({"metadata": {"name": "shop"}})).await?;
    for (object, refusal) in offers() {
        match (offer(&client, &object).await, refusal) {
            (Ok(_), "") => {}
            (Ok(_), refusal) => anyhow::bail!("{object} was taken, without {refusal}"),
            (Err(error), "") => anyhow::bail!("{object} was refused: {error}"),
            (Err(error), refusal) => ensure!(error.to_string().contains(refusal), "{error}"),
        }
    }
    reach(&cluster).await?;
    a_rule_from_before_can_be_changed_but_for_its_scope(&cluster).await
}

/// Whoever may write Exporters exports no more than they may see.
async fn reach(cluster: &Operator) -> Result<()> {
    let client = cluster.client();
    let writer = json!({
        "metadata": {"name": "writer"},
        "rules": [{
            "apiGroups": ["events.kubesphere.io"], "resources": ["exporters", "rulers"], "verbs": ["*"],
        }],
    });
    create::<ClusterRole>(&Api::all(client.clone()), &writer).await?;
    let bind = |name: &str, kind: &str| {
        json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "bob"}],
        })
    };
    create::<RoleBinding>(&cluster.api("shop"), &bind("writer", "ClusterRole")).await?;
    let bob = cluster.client_as("bob").await?;
    let take = async |namespaces: Value| {
        offer(&bob, &object("Exporter", "shop", &json!({ "namespaces": namespaces }))).await
    };
    ensure!(take(json!(["shop"])).await.is_err(), "bob sees no Events yet");
    for namespace in ["shop", "default"] {
        let reader = json!({
            "metadata": {"name": "reader"},
            "rules": [{"apiGroups": [""], "resources": ["events"], "verbs": ["list"]}],
        });
        create::<Role>(&cluster.api(namespace), &reader).await?;
        create::<RoleBinding>(&cluster.api(namespace), &bind("reader", "Role")).await?;
    }
    let allowed = async || Ok(take(json!(["shop", "default"])).await.is_ok().then_some(()));
    until("the rights are known", LIMIT, allowed).await?;
    for (namespaces, refusal) in [
        (json!([]), "in all namespaces, or in those that spec.namespaces names"),
        (json!(["shop", "default", "kube-system"]), "not so in spec.namespaces[2]"),
        (json!((0..25).map(|n| format!("n{n}")).collect::<Vec<_>>()), "24 at most"),
    ] {
        let refused = take(namespaces).await.err().context("bob exports what he may not see")?;
        ensure!(refused.to_string().contains(refusal), "{refused}");
    }
    let ruler = object("Ruler", "shop", &json!({}));
    let refused = offer(&bob, &ruler).await.err().context("bob sees all Rules")?.to_string();
    ensure!(refused.contains("allowed to list Events and Rules"), "{refused}");
    Ok(())
}

async fn a_rule_from_before_can_be_changed_but_for_its_scope(cluster: &Operator) -> Result<()> {
    let client = cluster.client();
    let policy = ApiResource::from_gvk(&GroupVersionKind::gvk(
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingAdmissionPolicyBinding",
    ));
    let bindings = Api::<DynamicObject>::all_with(client.clone(), &policy);
    let mut binding = bindings.get("kube-events-rule-scope").await?;
    bindings.delete(&binding.name_any(), &DeleteParams::default()).await?;
    let scope = "kubesphere.io/rule-scope";
    let misplaced = scoped("shop", &json!({scope: "cluster"}));
    let rules = api(&client, &misplaced);
    let (creation, misplaced) = (PostParams::default(), serde_json::from_value(misplaced)?);
    let taken = async || Ok(rules.create(&creation, &misplaced).await.is_ok().then_some(()));
    until("the policy is out of force", LIMIT, taken).await?;
    binding.metadata.resource_version = None;
    bindings.create(&PostParams::default(), &binding).await?;

    let params = PatchParams::default();
    let asking = PatchParams { dry_run: true, ..PatchParams::default() };
    let refused = async || {
        let patch = json!({"metadata": {"labels": {scope: "workspace"}}});
        Ok(rules.patch("offered", &asking, &Patch::Merge(patch)).await.err())
    };
    let refused = until("the policy is in force again", LIMIT, refused).await?.to_string();
    ensure!(refused.contains("belongs in the namespace"), "{refused}");
    let patch = json!({"metadata": {"labels": {"team": "sre"}}, "spec": {"rules": []}});
    rules.patch("offered", &params, &Patch::Merge(patch)).await?;
    let patch = json!({"metadata": {"labels": {scope: null}}});
    rules.patch("offered", &params, &Patch::Merge(patch)).await.map(drop)?;
    Ok(())
}

async fn create<K>(api: &Api<K>, object: &Value) -> Result<()>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug,
    K: serde::de::DeserializeOwned + serde::Serialize,
{
    api.create(&PostParams::default(), &serde_json::from_value(object.clone())?).await?;
    Ok(())
}
