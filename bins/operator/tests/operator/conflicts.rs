//! What others have, and what the Go project's operator left.

use std::time::Duration;

use kube_events_testkit::{Fault, Verb};
use serde_json::{Value, json};

use crate::cluster::{Cluster, NAMESPACE, OPERATOR, exporter, ruler};

/// Longer than an object waits for what nobody tells of.
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn what_belongs_to_somebody_else_is_left_alone_and_told() {
    let cluster = Cluster::new().await;
    let theirs = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "exporter", "namespace": NAMESPACE}, "data": {"theirs": "1"},
    });
    let theirs = cluster.server.create(theirs).unwrap();
    cluster.create("Exporter", "exporter", &exporter());
    let _operator = cluster.started().await;
    assert_eq!(cluster.get("ConfigMap", "exporter"), theirs);
    assert_eq!(cluster.condition("Exporter", "exporter", "Degraded"), "NameConflict");
    let message = cluster.message("Exporter", "exporter", "Degraded");
    let expected = "ConfigMap logging/exporter belongs to somebody else, and is left alone";
    assert_eq!(message, expected);

    cluster.server.delete("ConfigMap", NAMESPACE, "exporter").unwrap();
    cluster.pass(MINUTE).await;
    assert!(cluster.get("ConfigMap", "exporter")["data"]["events-exporter.yaml"].is_string());
    assert_eq!(cluster.condition("Exporter", "exporter", "Degraded"), "!AsExpected");
}

/// Holds the operator's next write to a `ConfigMap` back, and waits until it is on its way.
async fn held_back(cluster: &Cluster, cause: impl AsyncFnOnce()) {
    let time = Duration::from_secs(5);
    let held = Fault::delay(time).client(OPERATOR).on(Verb::Patch).path("/configmaps/");
    let writes = || {
        let writes = cluster.writes();
        writes.iter().filter(|write| write.path.contains("/configmaps/")).count()
    };
    let before = writes();
    cluster.server.inject(held);
    cause().await;
    for _ in 0..60 {
        if writes() > before {
            return;
        }
        cluster.elapse(Duration::from_secs(1)).await;
    }
    panic!("nothing was written");
}

fn theirs() -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "exporter", "namespace": NAMESPACE}, "data": {"theirs": "1"},
    })
}

#[tokio::test(start_paused = true)]
async fn what_somebody_makes_between_look_and_write_is_left_alone() {
    let cluster = Cluster::new().await;
    cluster.create("Exporter", "exporter", &exporter());
    let operator = cluster.start();
    held_back(&cluster, async || {}).await;
    let made = cluster.server.create(theirs()).unwrap();
    cluster.quiet().await;
    assert_eq!(cluster.get("ConfigMap", "exporter"), made);
    assert_eq!(cluster.condition("Exporter", "exporter", "Degraded"), "NameConflict");
    operator.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_somebody_replaces_between_look_and_write_is_left_alone() {
    let cluster = Cluster::new().await;
    cluster.create("Exporter", "exporter", &exporter());
    let operator = cluster.started().await;
    held_back(&cluster, async || {
        cluster.edit("v1", "ConfigMap", "exporter", &json!({"data": null})).await;
    })
    .await;
    cluster.server.delete("ConfigMap", NAMESPACE, "exporter").unwrap();
    let made = cluster.server.create(theirs()).unwrap();
    cluster.quiet().await;
    assert_eq!(cluster.get("ConfigMap", "exporter"), made);
    assert_eq!(cluster.condition("Exporter", "exporter", "Degraded"), "NameConflict");
    operator.stop().await;
}

#[tokio::test(start_paused = true)]
async fn of_two_objects_of_one_name_the_older_has_the_children() {
    let cluster = Cluster::new().await;
    cluster.server.create_namespace("monitoring");
    let created = |kind: &str, at: &str, spec: &Value| {
        let metadata = json!({
            "name": "events", "namespace": NAMESPACE, "uid": kind, "creationTimestamp": at,
        });
        let object = json!({
            "apiVersion": "events.kubesphere.io/v1alpha1", "kind": kind,
            "metadata": metadata, "spec": spec,
        });
        cluster.server.create(object).unwrap();
    };
    created("Ruler", "2026-01-01T00:00:00Z", &ruler());
    created("Exporter", "2026-01-02T00:00:00Z", &exporter());
    let _operator = cluster.started().await;
    let owner =
        || cluster.get("Deployment", "events")["metadata"]["ownerReferences"][0]["kind"].clone();
    assert_eq!(owner(), "Ruler");
    assert_eq!(cluster.condition("Ruler", "events", "Degraded"), "!AsExpected");
    assert_eq!(cluster.condition("Exporter", "events", "Degraded"), "NameConflict");
    let state = cluster.state();
    cluster.pass(60 * MINUTE).await;
    assert_eq!(cluster.state(), state, "they do not fight");

    cluster.server.delete("Ruler", NAMESPACE, "events").unwrap();
    cluster.pass(MINUTE).await;
    assert_eq!(owner(), "Exporter");
    assert_eq!(cluster.condition("Exporter", "events", "Degraded"), "!AsExpected");
}

#[tokio::test(start_paused = true)]
async fn an_older_object_that_is_seen_later_gets_the_children() {
    let cluster = Cluster::new().await;
    cluster.server.create_namespace("monitoring");
    let created = |kind: &str| {
        let object = json!({
            "apiVersion": "events.kubesphere.io/v1alpha1", "kind": kind,
            "metadata": {
                "name": "events", "namespace": NAMESPACE, "uid": kind,
                "creationTimestamp": "2026-01-01T00:00:00Z",
            },
            "spec": if kind == "Ruler" { ruler() } else { exporter() },
        });
        cluster.server.create(object).unwrap();
    };
    created("Ruler");
    let _operator = cluster.started().await;
    assert!(cluster.has("Service", "events"));
    cluster.server.deny("delete", "", "services");
    created("Exporter");
    cluster.pass(MINUTE).await;
    assert_eq!(cluster.condition("Exporter", "events", "Degraded"), "MissingRights");
    assert!(cluster.has("Service", "events"));
    let owner =
        || cluster.get("Deployment", "events")["metadata"]["ownerReferences"][0]["kind"].clone();
    assert_eq!(owner(), "Exporter", "one refusal keeps nothing else from its owner");
    cluster.server.allow_everything();
    cluster.pass(MINUTE).await;
    assert_told(&cluster, "Deleted Service events of the younger Ruler events");
    assert_eq!(owner(), "Exporter");
    assert_eq!(cluster.condition("Exporter", "events", "Degraded"), "!AsExpected");
    assert_eq!(cluster.condition("Ruler", "events", "Degraded"), "NameConflict");
    assert!(!cluster.has("Service", "events"));
    let bindings = cluster.server.list("ClusterRoleBinding").unwrap();
    let names: Vec<_> = bindings.iter().map(|it| it["metadata"]["name"].clone()).collect();
    assert_eq!(names, ["kube-events-exporter:exporter:logging:events"]);
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_binding_is_somebody_elses() {
    let cluster = Cluster::new().await;
    cluster.create("Exporter", "exporter", &exporter());
    let _operator = cluster.started().await;
    let name = "kube-events-exporter:exporter:logging:exporter";
    let mut copy = cluster.server.get("ClusterRoleBinding", "", name).unwrap();
    let labels = copy["metadata"]["labels"].clone();
    copy["metadata"] = json!({"name": "auditors", "labels": labels});
    cluster.server.create(copy).unwrap();
    cluster.quiet().await;
    assert!(cluster.server.get("ClusterRoleBinding", "", "auditors").is_ok());
}

/// As the Go project's operator leaves it: written by update, with a reloader beside the exporter,
/// and a finalizer that nobody takes off.
async fn former(cluster: &Cluster) -> Value {
    let metadata = json!({
        "name": "exporter", "namespace": NAMESPACE, "uid": "uid-of-Exporter-exporter",
        "finalizers": ["exporters.finalizer.events.kubesphere.io", "somebody.else/finalizer"],
    });
    let object = json!({
        "apiVersion": "events.kubesphere.io/v1alpha1", "kind": "Exporter",
        "metadata": metadata, "spec": exporter(),
    });
    cluster.server.create(object).unwrap();
    let owner = json!({
        "apiVersion": "events.kubesphere.io/v1alpha1", "kind": "Exporter", "controller": true,
        "name": "exporter", "uid": "uid-of-Exporter-exporter",
    });
    let labels = json!({"events-exporter": "exporter", "app": "exporter"});
    let containers = json!([
        {"name": "events-exporter", "image": "kubesphere/kube-events-exporter:v0.6.0"},
        {"name": "config-reloader", "image": "jimmidyson/configmap-reload:v0.3.0"},
    ]);
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": containers}});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "exporter", "ownerReferences": [owner]},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    });
    cluster.create_as("kube-events-operator", &deployment).await
}

/// There is an Event that says so, in the operator's name.
#[track_caller]
fn assert_told(cluster: &Cluster, what: &str) {
    let events = cluster.server.list("Event").unwrap();
    let told = |event: &&Value| {
        ["note", "message"]
            .iter()
            .any(|key| event[key].as_str().is_some_and(|it| it.contains(what)))
    };
    let event = events.iter().find(told).unwrap_or_else(|| panic!("{what}: {events:#?}"));
    let controllers = [&event["reportingController"], &event["reportingComponent"]];
    assert!(controllers.contains(&&json!("events.kubesphere.io/operator")), "{event:#}");
}

#[tokio::test(start_paused = true)]
async fn a_namespace_with_an_operator_of_its_own_is_left_to_it() {
    let cluster = Cluster::with_objects().await;
    let rule = json!({"name": "A", "type": "alert", "enable": true, "condition": "count > 3"});
    cluster.create("Rule", "rule", &json!({"rules": [rule]}));
    let _everywhere = cluster.started().await;
    let of = |kind: &str| cluster.server.list(kind).unwrap().len();
    let bound = || {
        let name = "kube-events-exporter:exporter:logging:exporter";
        let binding = cluster.server.get("RoleBinding", NAMESPACE, name);
        binding.map(|binding| binding["roleRef"]["kind"].clone()).unwrap_or_default()
    };
    let is_accepted = || cluster.condition("Rule", "rule", "Accepted");
    let before = cluster.places();
    assert_eq!((of("ClusterRoleBinding"), is_accepted()), (2, "Accepted".to_owned()));

    cluster
        .server
        .create(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": OPERATOR, "namespace": NAMESPACE},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": OPERATOR,
            },
        }))
        .unwrap();
    let its_own = cluster.start_namespaced();
    cluster.quiet().await;
    assert_eq!(bound(), "Role");
    assert_eq!((of("ClusterRoleBinding"), is_accepted()), (0, "!InvalidScope".to_owned()));
    let elsewhere = cluster.places().into_iter().find(|place| place.contains("monitoring/"));
    assert_eq!(elsewhere, None);

    its_own.stop().await;
    cluster.server.delete("RoleBinding", NAMESPACE, OPERATOR).unwrap();
    cluster.quiet().await;
    assert_eq!((cluster.places(), is_accepted()), (before, "Accepted".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_namespaced_operator_tells_what_is_out_of_its_reach() {
    let cluster = Cluster::new().await;
    let narrowed = || cluster.condition("Exporter", "exporter", "Narrowed");
    cluster.create("Exporter", "exporter", &json!({"namespaces": ["shop", NAMESPACE, "bank"]}));
    let _operator = cluster.start_namespaced();
    cluster.quiet().await;
    assert_eq!(narrowed(), "NamespacedInstall");
    let message = cluster.message("Exporter", "exporter", "Narrowed");
    assert!(message.contains("Events of shop, bank are not exported"), "{message}");
    cluster.respecify("Exporter", "exporter", &json!({"namespaces": [NAMESPACE]})).await;
    cluster.quiet().await;
    assert_eq!(narrowed(), "");
}

#[tokio::test(start_paused = true)]
async fn what_the_go_operator_left_is_taken_over() {
    let cluster = Cluster::new().await;
    let before = former(&cluster).await;
    let _operator = cluster.started().await;
    assert_told(&cluster, "took off the Go project's exporters.finalizer.events.kubesphere.io");
    assert_told(&cluster, "Deployment exporter");
    let finalizers = &cluster.get("Exporter", "exporter")["metadata"]["finalizers"];
    assert_eq!(finalizers, &json!(["somebody.else/finalizer"]));
    let deployment = cluster.get("Deployment", "exporter");
    assert_eq!(deployment["metadata"]["uid"], before["metadata"]["uid"]);
    let containers = deployment["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1, "{containers:?}");
    let managers = deployment["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!((managers.len(), &managers[0]["operation"]), (1, &json!("Apply")));
}

#[tokio::test(start_paused = true)]
async fn the_go_operators_finalizer_holds_no_deletion_up() {
    let cluster = Cluster::new().await;
    former(&cluster).await;
    cluster
        .edit_object(
            &json!({"metadata": {"finalizers": ["exporters.finalizer.events.kubesphere.io"]}}),
        )
        .await;
    cluster.server.delete("Exporter", NAMESPACE, "exporter").unwrap();
    assert!(cluster.has("Exporter", "exporter"), "it is held");
    let _operator = cluster.started().await;
    assert!(!cluster.has("Exporter", "exporter"));
    assert_eq!(cluster.places(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn the_go_operators_webhooks_go_by_name() {
    let cluster = Cluster::new().await;
    let webhooks = |kind: &str, name: &str| {
        let object = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
            "metadata": {"name": name},
        });
        cluster.server.create(object).unwrap();
    };
    cluster.server.create_namespace("kubesphere-logging-system");
    webhooks("MutatingWebhookConfiguration", "kube-events-admission-mutate");
    webhooks("ValidatingWebhookConfiguration", "kube-events-admission-validate");
    webhooks("ValidatingWebhookConfiguration", "somebody-elses");
    let _operator = cluster.started().await;
    for webhook in ["kube-events-admission-mutate", "kube-events-admission-validate"] {
        assert_told(&cluster, webhook);
    }
    assert!(cluster.server.list("MutatingWebhookConfiguration").unwrap().is_empty());
    let left = cluster.server.list("ValidatingWebhookConfiguration").unwrap();
    assert_eq!((left.len(), &left[0]["metadata"]["name"]), (1, &json!("somebody-elses")));
}
