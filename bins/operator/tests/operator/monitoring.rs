//! Kinds of the Prometheus operator, which a cluster has, or not, or gets later.

use std::time::Duration;

use kube_events_testkit::ApiServer;
use serde_json::json;

use crate::cluster::{Cluster, NAMESPACE, POD_MONITOR, PROMETHEUS_RULE, exporter};

#[tokio::test(start_paused = true)]
async fn monitors_heal_at_once() {
    let cluster = Cluster::new().await;
    cluster.create("Exporter", "exporter", &exporter());
    let _operator = cluster.started().await;
    let hand = json!({"spec": {"podMetricsEndpoints": []}});
    cluster.edit("monitoring.coreos.com/v1", "PodMonitor", "exporter", &hand).await;
    cluster.server.delete("PrometheusRule", NAMESPACE, "exporter").unwrap();
    cluster.quiet().await;
    let endpoints = &cluster.get("PodMonitor", "exporter")["spec"]["podMetricsEndpoints"];
    assert_eq!(endpoints[0]["path"], "/metrics");
    assert!(cluster.has("PrometheusRule", "exporter"));
}

#[tokio::test(start_paused = true)]
async fn kinds_that_come_later_are_used_and_watched() {
    let server = ApiServer::builder().resource_later(POD_MONITOR).resource_later(PROMETHEUS_RULE);
    let cluster = Cluster::of(server.start().await.unwrap());
    cluster.create("Exporter", "exporter", &exporter());
    let _operator = cluster.started().await;
    assert_eq!(cluster.condition("Exporter", "exporter", "Degraded"), "!AsExpected");
    cluster.server.serve("PodMonitor");
    cluster.server.serve("PrometheusRule");
    // Nobody tells of a new kind; it is asked for once a minute.
    cluster.pass(Duration::from_secs(70)).await;
    assert!(cluster.has("PodMonitor", "exporter") && cluster.has("PrometheusRule", "exporter"));
    cluster.server.delete("PodMonitor", NAMESPACE, "exporter").unwrap();
    cluster.quiet().await;
    assert!(cluster.has("PodMonitor", "exporter"));
}
