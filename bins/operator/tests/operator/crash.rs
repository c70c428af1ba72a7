//! An operator that ends right after any of its writes, and the next one.

use std::collections::BTreeMap;

use kube_events_testkit::{Fault, Verb};
use serde_json::json;

use crate::cluster::{Cluster, OPERATOR, Operator, State, assert_same, exporter, ruler};

/// How often what was asked for: `Create Deployment`, `Delete RoleBinding`.
type Counts = BTreeMap<String, usize>;

/// What a run came to.
#[derive(Debug)]
struct End {
    state: State,
    counts: Counts,
}

/// Objects come, change and go, with an operator that ends after `crash` writes.
async fn run(crash: Option<usize>) -> (End, usize) {
    let cluster = Cluster::new().await;
    for namespace in ["monitoring", "shop", "payments"] {
        cluster.server.create_namespace(namespace);
    }
    if let Some(writes) = crash {
        cluster.server.inject(Fault::die().client(OPERATOR).on_writes().skip(writes - 1));
    }
    cluster.create("Exporter", "exporter", &exporter());
    cluster.create("Ruler", "ruler", &ruler());
    cluster.create("Ruler", "brief", &json!({"sinks": {"stdout": {"type": "alert"}}}));
    let mut operator = done(&cluster, cluster.start()).await;

    let mut narrow = exporter();
    narrow["namespaces"] = json!(["shop", "payments"]);
    narrow["networkPolicy"] = json!({});
    cluster.respecify("Exporter", "exporter", &narrow).await;
    operator = done(&cluster, operator).await;
    let single = json!({"replicas": 1, "sinks": {"stdout": {"type": "alert"}}});
    cluster.respecify("Ruler", "ruler", &single).await;
    operator = done(&cluster, operator).await;
    cluster.server.delete("Ruler", crate::cluster::NAMESPACE, "brief").unwrap();
    operator = done(&cluster, operator).await;
    let end = End { state: cluster.state(), counts: counts(&cluster) };
    let writes = cluster.writes().len();
    operator.stop().await;
    (end, writes)
}

/// Waits until all is done, by another operator if this one ends.
async fn done(cluster: &Cluster, operator: Operator) -> Operator {
    tokio::select! {
        biased;
        () = cluster.server.wait_for_death() => {}
        () = cluster.quiet() => return operator,
    }
    operator.kill().await;
    cluster.server.clear_faults();
    cluster.started().await
}

/// Creations and deletions of children that came about.
fn counts(cluster: &Cluster) -> Counts {
    let mut counts = Counts::new();
    for write in cluster.writes() {
        let created = write.status() == Some(201);
        let deleted = write.verb == Verb::Delete && write.status() == Some(200);
        if (created || deleted) && !write.path.contains("/events.k8s.io/") {
            let what = if created { "create" } else { "delete" };
            *counts.entry(format!("{what} {}", write.path)).or_default() += 1;
        }
    }
    counts
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_ends_after_any_write_is_gone_on_for() {
    let (undisturbed, writes) = run(None).await;
    assert!(writes > 40, "{writes}");
    assert!(undisturbed.counts.values().all(|count| *count == 1), "{:#?}", undisturbed.counts);
    for crash in 1..=writes {
        let (end, _) = run(Some(crash)).await;
        let when = format!("ended after {crash} of {writes} writes");
        assert_same(&end.state, &undisturbed.state, &when);
        assert_eq!(end.counts, undisturbed.counts, "{when}");
    }
}
