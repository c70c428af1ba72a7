//! The program itself, as README.md calls it, with servers that live in the test.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::{
    process::{ExitStatus, Stdio},
    time::Duration,
};

use kube_events_testkit::{AlertmanagerReceiver, ApiServer, Receiver, Verb};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// For how long anything may take on a machine that is busy with other tests.
const BOUND: Duration = Duration::from_secs(60);

fn kube_events() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kube-events"));
    command.kill_on_drop(true).stdin(Stdio::null());
    command
}

/// What a process manager does.
async fn terminate(child: &mut Child) -> ExitStatus {
    let pid = child.id().expect("it runs").to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    timeout(BOUND, child.wait()).await.expect("an end in time").unwrap()
}

#[tokio::test]
async fn the_demo_loses_nothing_and_says_so() {
    let output = kube_events().args(["demo", "--for", "1s", "--json"]).output();
    let output = timeout(BOUND, output).await.expect("an end in time").unwrap();
    assert!(output.status.success(), "{output:?}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |key: &str| summary[key].as_f64().unwrap_or_else(|| panic!("{key}: {summary}"));
    assert!(number("created") >= 250.0, "{summary}");
    assert_eq!(summary["delivered"], summary["created"]);
    assert_eq!((&summary["missing"], &summary["duplicates"]), (&json!(0), &json!(0)));
    assert!(number("alerts") > 0.0 && number("notifications") > 0.0, "{summary}");
    assert!(number("events_per_second") > 0.0);
}

#[tokio::test]
async fn run_brings_events_and_alerts_of_the_current_cluster_by_the_usual_rules() {
    let cluster = ApiServer::start().await.unwrap();
    let alertmanager = AlertmanagerReceiver::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [kubeconfig, rules] = ["kubeconfig", "rules.yaml"].map(|name| folder.path().join(name));
    std::fs::write(&kubeconfig, cluster.kubeconfig()).unwrap();
    let defaults = kube_events().args(["rules", "defaults"]).output().await.unwrap();
    std::fs::write(&rules, defaults.stdout).unwrap();

    let mut run = kube_events()
        .env("KUBECONFIG", &kubeconfig)
        .args(["run", "--sink", "stdout", "--sink"])
        .arg(format!("alertmanager={}", alertmanager.url()))
        .arg("--rules")
        .arg(&rules)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
    let event = json!({
        "metadata": {"name": "web-0.1", "namespace": "shop"},
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web-0",
                           "fieldPath": "spec.containers{web}"},
        "reason": "BackOff", "message": "Back-off restarting", "type": "Warning", "count": 5,
    });
    cluster.create_event(event).unwrap();

    let line = timeout(BOUND, lines.next_line()).await.expect("a line in time").unwrap().unwrap();
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&event["reason"], &event["count"]), (&json!("BackOff"), &json!(5)));
    let told = alertmanager.receiver().wait_for(BOUND, |requests| !requests.is_empty()).await;
    told.expect("an alert in time");
    let alerts = alertmanager.alerts();
    assert_eq!(alerts[0]["labels"]["pod"], "web-0", "{alerts:?}");
    assert!(terminate(&mut run).await.success());
}

#[tokio::test]
async fn run_follows_the_rules_of_the_cluster() {
    let cluster = ApiServer::start().await.unwrap();
    let notified = Receiver::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, cluster.kubeconfig()).unwrap();
    let create = |object| cluster.create(object).unwrap();
    create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}));
    create(json!({
        "apiVersion": "events.kubesphere.io/v1alpha1", "kind": "Rule",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"rules": [{"name": "Killed", "type": "notification", "enable": true,
                            "condition": "reason = \"Killing\""}]},
    }));
    for reason in ["Killing", "Pulled"] {
        let event = json!({
            "metadata": {"name": reason.to_lowercase(), "namespace": "shop"}, "reason": reason,
            "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web-0"},
        });
        cluster.create_event(event).unwrap();
    }

    let mut run = kube_events()
        .args(["run", "--kubeconfig"])
        .arg(&kubeconfig)
        .args(["--sink", &format!("notifications={}", notified.url())])
        .spawn()
        .unwrap();
    let told = notified.wait_for(BOUND, |requests| !requests.is_empty()).await;
    told.expect("a notification in time");
    assert!(terminate(&mut run).await.success());
    let reasons: Vec<_> = notified.accepted().iter().map(|it| it["reason"].clone()).collect();
    assert_eq!(reasons, ["Killing"]);
}

#[tokio::test]
async fn run_counts_what_happened_before() {
    let cluster = ApiServer::start().await.unwrap();
    let notified = Receiver::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [kubeconfig, rules, config] =
        ["kubeconfig", "rules.yaml", "config.yaml"].map(|name| folder.path().join(name));
    std::fs::write(&kubeconfig, cluster.kubeconfig()).unwrap();
    let rule = json!({
        "apiVersion": "events.kubesphere.io/v1alpha1", "kind": "Rule",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"rules": [{
            "name": "Often", "type": "notification", "enable": true,
            "condition": "reason = \"Killing\"", "threshold": {"count": 3, "within": "10m"},
        }]},
    });
    std::fs::write(&rules, rule.to_string()).unwrap();
    let sink = json!({"type": "notification", "url": notified.url()});
    let both = json!({
        "exporter": {"startFrom": "now", "sinks": {}}, "ruler": {"sinks": {"webhooks": [sink]}},
    });
    std::fs::write(&config, both.to_string()).unwrap();
    let kill = |name: &str| {
        let event = json!({
            "metadata": {"name": name, "namespace": "shop"}, "reason": "Killing", "count": 1,
            "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web-0"},
        });
        cluster.create_event(event).unwrap()
    };
    drop((kill("first"), kill("second")));

    let mut run = kube_events()
        .args(["run", "--kubeconfig"])
        .arg(&kubeconfig)
        .arg("--rules")
        .arg(&rules)
        .arg("--config.file")
        .arg(&config)
        .spawn()
        .unwrap();
    let watched = cluster.wait_for_requests(BOUND, |requests| {
        requests.iter().any(|request| request.verb == Verb::Watch)
    });
    watched.await.expect("a watch in time");
    drop(kill("third"));
    let told = notified.wait_for(BOUND, |requests| !requests.is_empty()).await;
    told.expect("a notification in time");
    assert!(terminate(&mut run).await.success());
    let [told] = notified.accepted().try_into().unwrap();
    assert_eq!(told["metadata"]["name"], "third");
    assert_eq!(told["rules"][0]["because"], "3 occurrences in 10m");
}
