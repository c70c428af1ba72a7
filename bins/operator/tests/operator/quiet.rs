//! A cluster in which nothing changes sees no writes.

use std::time::Duration;

use kube_events_testkit::{Verb, WatchFault};
use serde_json::json;

use crate::cluster::Cluster;

#[tokio::test(start_paused = true)]
async fn a_steady_cluster_sees_no_writes() {
    let cluster = Cluster::with_objects().await;
    cluster.create(
        "Rule",
        "rule",
        &json!({"rules": [
            {"name": "A", "type": "alert", "enable": true, "condition": "count > 3"},
        ]}),
    );
    let operator = cluster.started().await;
    cluster.ready("ruler", 2).await;
    assert_eq!(cluster.condition("Rule", "rule", "Programmed"), "Programmed");
    cluster.server.clear_requests();
    // Every object is looked at again after ten minutes.
    cluster.elapse(Duration::from_secs(3600)).await;
    let looks = cluster.server.requests();
    let looks = looks.iter().filter(|it| it.verb == Verb::Get && it.path.contains("/deployments/"));
    assert!(looks.count() >= 10, "it looked again");
    assert_eq!(cluster.writes().len(), 0, "{:#?}", cluster.writes());

    // Watches that begin anew, and an operator that does.
    cluster.server.break_watches(WatchFault::Abort);
    cluster.server.compact();
    cluster.quiet().await;
    operator.stop().await;
    let _operator = cluster.started().await;
    assert_eq!(
        cluster.writes().iter().filter(|it| it.verb != Verb::Delete).count(),
        0,
        "{:#?}",
        cluster.writes()
    );
}
