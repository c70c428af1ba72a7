//! Objects and namespaces that go.

use std::{sync::Arc, time::Duration};

use kube_events_testkit::RequestRecord;
use serde_json::json;

use crate::cluster::{Cluster, NAMESPACE, exporter, ruler};

#[tokio::test(start_paused = true)]
async fn an_object_that_goes_takes_its_children_and_its_bindings_along() {
    let cluster = Cluster::new().await;
    cluster.server.create_namespace("monitoring");
    cluster.create("Exporter", "exporter", &exporter());
    let _operator = cluster.started().await;
    let before = cluster.state();
    cluster.create("Ruler", "ruler", &ruler());
    cluster.quiet().await;
    cluster.server.delete("Ruler", NAMESPACE, "ruler").unwrap();
    cluster.quiet().await;
    assert_eq!(cluster.state(), before);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_goes_while_nobody_looks_leaves_nothing() {
    let cluster = Cluster::new().await;
    cluster.create("Exporter", "exporter", &exporter());
    cluster.started().await.stop().await;
    cluster.server.delete("Exporter", NAMESPACE, "exporter").unwrap();
    assert!(!cluster.places().is_empty(), "its bindings");
    let _operator = cluster.started().await;
    assert_eq!(cluster.places(), Vec::<String>::new());
}

/// Deleted right after each of the writes that make its children.
#[tokio::test(start_paused = true)]
async fn an_object_that_goes_mid_way_leaves_nothing() {
    let mut all = 1;
    let mut writes = 1;
    while writes <= all {
        let cluster = Cluster::new().await;
        cluster.create("Exporter", "exporter", &exporter());
        let _operator = cluster.start();
        let enough = |requests: &[Arc<RequestRecord>]| {
            let done = requests.iter().filter(|it| it.is_write() && it.status().is_some());
            done.count() >= writes
        };
        let patience = Duration::from_secs(30);
        if cluster.server.wait_for_requests(patience, enough).await.is_ok() {
            cluster.server.delete("Exporter", NAMESPACE, "exporter").unwrap();
            cluster.quiet().await;
            assert_eq!(cluster.places(), Vec::<String>::new(), "after {writes} writes");
            all = writes + 1;
        }
        writes += 1;
    }
    assert!(all > 8, "it was deleted after the last write already");
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_ends_takes_everything_with_it() {
    let cluster = Cluster::with_objects().await;
    let _operator = cluster.started().await;
    let held = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "finalizers": ["a.b/c"]},
    });
    cluster.server.update(held).unwrap();
    cluster.server.delete("Namespace", "", NAMESPACE).unwrap();
    cluster.quiet().await;
    assert_eq!(cluster.places(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_ends_elsewhere_is_told_and_nothing_else_waits_for_it() {
    let cluster = Cluster::new().await;
    let shop = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "shop", "finalizers": ["a.b/c"]},
    });
    cluster.server.create(shop).unwrap();
    cluster.server.delete("Namespace", "", "shop").unwrap();
    cluster.create(
        "Exporter",
        "exporter",
        &json!({"namespaces": ["shop"], "sinks": {"stdout": {}}}),
    );
    let _operator = cluster.started().await;
    assert_eq!(cluster.condition("Exporter", "exporter", "Degraded"), "NoNamespace");
    let message = cluster.message("Exporter", "exporter", "Degraded");
    assert!(message.contains("it is being terminated"), "{message}");
    assert!(cluster.has("Deployment", "exporter"));
    let told = cluster.server.resource_version();
    cluster.pass(Duration::from_secs(600)).await;
    assert_eq!(cluster.server.resource_version(), told, "once is enough");

    let released = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "finalizers": null},
    });
    cluster.server.update(released).unwrap();
    cluster.server.create_namespace("shop");
    cluster.pass(Duration::from_secs(60)).await;
    assert_eq!(cluster.condition("Exporter", "exporter", "Degraded"), "!AsExpected");
    let binding = "kube-events-exporter:exporter:logging:exporter";
    assert!(cluster.server.get("RoleBinding", "shop", binding).is_ok());
}
