//! What changes by itself or by hand goes back.

use std::time::Duration;

use kube_events_testkit::{Fault, Status, Verb};
use serde_json::json;

use crate::cluster::{Cluster, KINDS, NAMESPACE, OPERATOR, exporter, ruler};

#[tokio::test(start_paused = true)]
async fn what_a_hand_changes_goes_back_and_what_it_adds_stays() {
    let cluster = Cluster::new().await;
    cluster.server.create_namespace("monitoring");
    cluster.create("Ruler", "ruler", &ruler());
    let _operator = cluster.started().await;
    let hand = json!({
        "metadata": {"annotations": {"by": "hand"}, "labels": {"app.kubernetes.io/name": "other"}},
        "spec": {"replicas": 7, "paused": true},
    });
    cluster.edit("apps/v1", "Deployment", "ruler", &hand).await;
    let hand = json!({"data": {"events-ruler.yaml": "sinks: {}", "theirs": "stays"}});
    cluster.edit("v1", "ConfigMap", "ruler", &hand).await;
    cluster.quiet().await;

    let deployment = cluster.get("Deployment", "ruler");
    assert_eq!(deployment["spec"]["replicas"], 2);
    assert_eq!(deployment["metadata"]["labels"]["app.kubernetes.io/name"], "events-ruler");
    assert_eq!(deployment["spec"]["paused"], true);
    assert_eq!(deployment["metadata"]["annotations"]["by"], "hand");
    let data = &cluster.get("ConfigMap", "ruler")["data"];
    assert!(data["events-ruler.yaml"].as_str().unwrap().contains("alertmanager"), "{data}");
    assert_eq!(data["theirs"], "stays");
}

#[tokio::test(start_paused = true)]
async fn what_a_hand_takes_from_its_owner_comes_back() {
    let cluster = Cluster::with_objects().await;
    let mut operator = Some(cluster.started().await);
    let before = cluster.state();
    for (without_labels, without_operator) in [(false, false), (true, false), (true, true)] {
        // One that runs knows what it has seen by heart.
        if let Some(operator) = operator.take_if(|_| without_operator) {
            operator.stop().await;
        }
        let mut orphans = 0;
        for kind in KINDS {
            for mut object in cluster.server.list(kind).unwrap() {
                let metadata = object["metadata"].as_object_mut().unwrap();
                orphans += usize::from(metadata.remove("ownerReferences").is_some());
                if without_labels {
                    metadata.remove("labels");
                }
                cluster.replace(&object).await;
            }
        }
        assert!(orphans > 10, "{orphans}");
        operator.get_or_insert_with(|| cluster.start());
        cluster.quiet().await;
        assert_eq!(cluster.state(), before, "without labels: {without_labels}");
    }
    cluster.server.delete("Ruler", NAMESPACE, "ruler").unwrap();
    cluster.quiet().await;
    assert!(!cluster.has("Deployment", "ruler"), "its owner has it again");
}

#[tokio::test(start_paused = true)]
async fn what_a_hand_replaces_as_a_whole_goes_back() {
    let cluster = Cluster::with_objects().await;
    let _operator = cluster.started().await;
    for (api_version, kind, body) in [
        ("v1", "ConfigMap", json!({"data": {"events-ruler.yaml": "sinks: {}"}})),
        ("v1", "ServiceAccount", json!({})),
        ("policy/v1", "PodDisruptionBudget", json!({"spec": {}})),
    ] {
        let before = cluster.get(kind, "ruler");
        let mut plain = json!({"apiVersion": api_version, "kind": kind});
        plain["metadata"] = json!({"name": "ruler", "namespace": NAMESPACE});
        plain.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        cluster.replace(&plain).await;
        assert!(cluster.get(kind, "ruler")["metadata"]["labels"].is_null());
        cluster.quiet().await;
        let after = cluster.get(kind, "ruler");
        for part in ["data", "spec"] {
            assert_eq!(after[part], before[part], "{kind}");
        }
        for part in ["labels", "ownerReferences", "uid"] {
            assert_eq!(after["metadata"][part], before["metadata"][part], "{kind}");
        }
        assert_eq!(cluster.condition("Ruler", "ruler", "Degraded"), "!AsExpected");
    }
}

/// The API server refuses two ports of one name, which is what ours beside the hand's would be.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_beside_ours_goes() {
    let cluster = Cluster::with_objects().await;
    let _operator = cluster.started().await;
    let before = cluster.get("Service", "ruler");
    let hand = json!({"metadata": {"annotations": {"by": "hand"}}, "spec": {"sessionAffinity": "ClientIP", "selector": null}});
    let refused =
        Fault::answer(Status::failure(422, "Invalid", "spec.ports[1].name: Duplicate value"));
    cluster
        .server
        .inject(refused.client(OPERATOR).on(Verb::Patch).path("/services/ruler").times(1));
    cluster.edit("v1", "Service", "ruler", &hand).await;
    cluster.quiet().await;
    let after = cluster.get("Service", "ruler");
    assert_eq!(after["spec"], before["spec"]);
    assert_eq!(after["metadata"]["annotations"]["by"], "hand", "only of the spec");
    assert_eq!(cluster.condition("Ruler", "ruler", "Degraded"), "!AsExpected");
}

/// What the operator asks for is refused by itself, and not for what a hand has put beside it.
#[tokio::test(start_paused = true)]
async fn a_spec_that_is_refused_costs_nobody_what_is_theirs() {
    let cluster = Cluster::with_objects().await;
    let _operator = cluster.started().await;
    let hand = json!({"spec": {"sessionAffinity": "ClientIP", "selector": null}});
    let refusal = || Fault::answer(Status::failure(422, "Invalid", "spec: no")).client(OPERATOR);
    cluster.server.inject(refusal().on(Verb::Patch).path("/services/").times(2));
    cluster.edit("v1", "Service", "ruler", &hand).await;
    cluster.pass(Duration::from_secs(60)).await;
    let requests = cluster.server.requests();
    assert!(requests.iter().any(|it| it.query.contains("dryRun=All")));
    let after = cluster.get("Service", "ruler");
    assert_eq!(after["spec"]["sessionAffinity"], "ClientIP", "it stays as theirs");
    assert!(!after["spec"]["selector"].is_null(), "and what is ours comes back");
}

#[tokio::test(start_paused = true)]
async fn what_is_immutable_by_now_is_made_anew() {
    let cluster = Cluster::with_objects().await;
    let _operator = cluster.started().await;
    let before = cluster.get("ConfigMap", "ruler");
    let hand = json!({"immutable": true, "data": {"events-ruler.yaml": "sinks: {}"}});
    cluster.edit("v1", "ConfigMap", "ruler", &hand).await;
    cluster.quiet().await;
    let after = cluster.get("ConfigMap", "ruler");
    assert_eq!(after["data"], before["data"]);
    assert!(after["immutable"].is_null() && after["metadata"]["uid"] != before["metadata"]["uid"]);
}

#[tokio::test(start_paused = true)]
async fn what_has_another_controller_by_now_is_theirs() {
    let cluster = Cluster::with_objects().await;
    let _operator = cluster.started().await;
    let metadata = json!({"name": "boss", "namespace": NAMESPACE});
    let boss = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata});
    let uid = &cluster.server.create(boss).unwrap()["metadata"]["uid"];
    let mut config = cluster.get("ConfigMap", "ruler");
    let owner = json!({"apiVersion": "v1", "kind": "ServiceAccount", "name": "boss", "uid": uid, "controller": true});
    config["metadata"]["ownerReferences"] = json!([owner]);
    config["data"] = json!({"theirs": "1"});
    cluster.replace(&config).await;
    cluster.quiet().await;
    assert_eq!(cluster.get("ConfigMap", "ruler")["data"], json!({"theirs": "1"}));
    assert_eq!(cluster.condition("Ruler", "ruler", "Degraded"), "NameConflict");
}

/// Whoever may make objects may make large ones that look like children.
#[tokio::test(start_paused = true)]
async fn few_objects_are_listed_at_a_time() {
    let cluster = Cluster::with_objects().await;
    let _operator = cluster.started().await;
    let requests = cluster.server.requests();
    let lists: Vec<_> = requests.iter().filter(|it| it.verb == Verb::List).collect();
    assert!(lists.len() > 20, "{}", lists.len());
    for list in lists.iter().filter(|it| !it.path.ends_with("/namespaces")) {
        assert!(list.query.contains("limit=5"), "{list:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_is_deleted_comes_back() {
    let cluster = Cluster::with_objects().await;
    let _operator = cluster.started().await;
    let before = cluster.state();
    for kind in KINDS {
        for object in cluster.server.list(kind).unwrap() {
            let text = |key: &str| object["metadata"][key].as_str().unwrap_or("").to_owned();
            cluster.server.delete(kind, &text("namespace"), &text("name")).unwrap();
        }
    }
    cluster.quiet().await;
    assert_eq!(cluster.state(), before);
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_missing_is_told_and_used_when_it_comes() {
    let cluster = Cluster::new().await;
    cluster.server.deny("patch", "apps", "deployments");
    cluster.create("Exporter", "exporter", &exporter());
    let _operator = cluster.started().await;
    assert_eq!(cluster.condition("Exporter", "exporter", "Degraded"), "MissingRights");
    let message = cluster.message("Exporter", "exporter", "Degraded");
    assert!(message.contains("cannot patch resource \"deployments\""), "{message}");
    assert!(!message.contains("code: 403"), "{message}");
    assert!(cluster.has("ConfigMap", "exporter"), "what may be written is written");
    let asked = || {
        let requests = cluster.server.requests();
        requests.iter().filter(|it| it.path.ends_with("/selfsubjectaccessreviews")).count()
    };
    cluster.server.clear_requests();
    cluster.server.allow_everything();
    cluster.pass(Duration::from_secs(60)).await;
    assert!(cluster.has("Deployment", "exporter"));
    assert_eq!(cluster.condition("Exporter", "exporter", "Degraded"), "!AsExpected");
    let once = asked();
    assert!(once > 0, "it is asked again while something is missing");
    cluster.pass(Duration::from_secs(600)).await;
    assert_eq!(asked(), once, "and no longer");
}

#[tokio::test(start_paused = true)]
async fn a_right_to_look_that_is_missing_is_told() {
    let cluster = Cluster::new().await;
    cluster.create("Exporter", "exporter", &exporter());
    let _operator = cluster.started().await;
    cluster.ready("exporter", 1).await;
    cluster.server.deny("get", "apps", "deployments");
    cluster.edit_object(&json!({"metadata": {"labels": {"look": "again"}}})).await;
    cluster.quiet().await;
    let is = |condition: &str| cluster.condition("Exporter", "exporter", condition);
    assert_eq!([is("Degraded"), is("Available")], ["MissingRights", "?NotSeen"]);
    let message = cluster.message("Exporter", "exporter", "Degraded");
    assert!(message.contains("cannot get resource \"deployments\""), "{message}");
    cluster.server.allow_everything();
    cluster.pass(Duration::from_secs(60)).await;
    assert_eq!([is("Degraded"), is("Available")], ["!AsExpected", "PodsReady"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_api_server_refuses_is_tried_every_half_minute() {
    let cluster = Cluster::new().await;
    let status = Status::failure(422, "Invalid", "spec: no".to_owned());
    let fault = Fault::answer(status).on(Verb::Patch).path("/deployments/exporter");
    cluster.server.inject(fault.always());
    cluster.create("Exporter", "exporter", &exporter());
    let _operator = cluster.started().await;
    assert_eq!(cluster.condition("Exporter", "exporter", "Degraded"), "Refused");
    cluster.server.clear_requests();
    cluster.elapse(Duration::from_secs(600)).await;
    let tried = cluster.writes().iter().filter(|it| it.path.ends_with("/exporter")).count();
    assert!((15..=25).contains(&tried), "{tried}");
    cluster.server.clear_faults();
    cluster.elapse(Duration::from_secs(60)).await;
    assert_eq!(cluster.condition("Exporter", "exporter", "Degraded"), "!AsExpected");
}

#[tokio::test(start_paused = true)]
async fn an_error_in_other_words_each_time_is_written_once_and_tried_in_peace() {
    let cluster = Cluster::new().await;
    for port in 0..100 {
        let status = Status::failure(500, "InternalError", format!("10.0.0.5:{port}: reset"));
        let fault = Fault::answer(status).on(Verb::Patch).path("/deployments/exporter");
        cluster.server.inject(fault);
    }
    cluster.create("Exporter", "exporter", &exporter());
    let _operator = cluster.start();
    cluster.elapse(Duration::from_secs(60)).await;
    assert_eq!(cluster.condition("Exporter", "exporter", "Degraded"), "ApiServer");
    assert_eq!(cluster.condition("Exporter", "exporter", "Progressing"), "!Blocked");
    let writes = cluster.writes();
    let count = |end: &str| writes.iter().filter(|it| it.path.ends_with(end)).count();
    assert_eq!(count("/exporters/exporter/status"), 1);
    assert!(count("/deployments/exporter") <= 15, "{}", count("/deployments/exporter"));
}

#[tokio::test(start_paused = true)]
async fn a_binding_to_another_role_is_made_anew() {
    let cluster = Cluster::new().await;
    cluster.create("Exporter", "exporter", &exporter());
    let operator = cluster.started().await;
    let before = cluster.state();
    operator.stop().await;
    let name = "kube-events-exporter:exporter:logging:exporter";
    let mut binding = cluster.server.get("ClusterRoleBinding", "", name).unwrap();
    cluster.server.delete("ClusterRoleBinding", "", name).unwrap();
    binding["roleRef"]["name"] = "cluster-admin".into();
    let metadata = binding["metadata"].as_object_mut().unwrap();
    metadata.retain(|key, _| ["name", "labels", "annotations"].contains(&key.as_str()));
    cluster.server.create(binding).unwrap();
    let _operator = cluster.started().await;
    assert_eq!(cluster.state(), before);
    assert!(cluster.server.get("Exporter", NAMESPACE, "exporter").is_ok());
}
