//! The exporter, from an API server to what receivers got, while its configuration changes.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::{path::PathBuf, time::Duration};

use clap::Parser as _;
use kube_events_exporter::{Options, run};
use kube_events_testkit::{ApiServer, Receiver, Recorded, Reply};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// For how long anything may take on a machine that is busy with other tests.
const BOUND: Duration = Duration::from_secs(60);

/// A cluster, and a folder with the files of an exporter.
struct Fixture {
    server: ApiServer,
    folder: tempfile::TempDir,
}

struct Exporter {
    shutdown: CancellationToken,
    end: JoinHandle<anyhow::Result<()>>,
}

impl Fixture {
    async fn new() -> Self {
        let (server, folder) = (ApiServer::start().await.unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("kubeconfig"), server.kubeconfig()).unwrap();
        Self { server, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces the file as editors and the kubelet do, in one step.
    fn configure(&self, config: &Value) {
        std::fs::write(self.path("new"), config.to_string()).unwrap();
        std::fs::rename(self.path("new"), self.path("config.yaml")).unwrap();
    }

    fn options(&self) -> Options {
        let (config, kubeconfig) = (self.path("config.yaml"), self.path("kubeconfig"));
        Options::parse_from([
            "kube-events-exporter".as_ref(),
            "--listen=127.0.0.1:0".as_ref(),
            "--config.file".as_ref(),
            config.as_os_str(),
            "--kubeconfig".as_ref(),
            kubeconfig.as_os_str(),
        ])
    }

    fn start(&self) -> Exporter {
        let shutdown = CancellationToken::new();
        let end = tokio::spawn(run(self.options(), shutdown.clone()));
        Exporter { shutdown, end }
    }

    fn events(&self, names: &[&str]) {
        for name in names {
            let event = json!({
                "metadata": {"name": name, "namespace": "shop"},
                "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web"},
                "reason": "BackOff", "type": "Warning",
            });
            self.server.create_event(event).unwrap();
        }
    }
}

impl Exporter {
    async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(BOUND, self.end).await.unwrap().unwrap().unwrap();
    }
}

fn names(receiver: &Receiver) -> Vec<String> {
    names_in(&receiver.requests())
}

/// Of the Events that were accepted, in order.
fn names_in(requests: &[Recorded]) -> Vec<String> {
    let accepted = requests.iter().filter(|request| request.answered == Some(200));
    let events = accepted.flat_map(|request| request.json().unwrap());
    events.map(|event| event["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

/// Waits for as many Events as are expected, or for nothing more to come.
async fn until(receiver: &Receiver, expected: &[&str]) {
    let enough = |requests: &[Recorded]| names_in(requests).len() >= expected.len();
    let (Ok(requests) | Err(requests)) = receiver.wait_for(BOUND, enough).await;
    assert_eq!(names_in(&requests), expected);
}

fn webhook(receiver: &Receiver) -> Value {
    json!({"sinks": {"webhooks": [{"name": "hook", "url": receiver.url()}]}})
}

#[tokio::test]
async fn a_sink_by_the_same_name_goes_on_where_the_old_one_stopped() {
    let (old, new) = (Receiver::start().await.unwrap(), Receiver::start().await.unwrap());
    let fixture = Fixture::new().await;
    fixture.configure(&webhook(&old));
    fixture.events(&["a", "b"]);
    let exporter = fixture.start();
    until(&old, &["a", "b"]).await;
    fixture.configure(&webhook(&new));
    // Each is delivered by whichever configuration is in force by then.
    let mut sent = 0;
    let taken_over = async {
        while names(&new).is_empty() {
            sent += 1;
            let name = format!("c{sent}");
            fixture.events(&[&name]);
            let there = |requests: &[Recorded]| names_in(requests).contains(&name);
            let arrived = tokio::select! {
                arrived = old.wait_for(BOUND, there) => arrived,
                arrived = new.wait_for(BOUND, there) => arrived,
            };
            assert!(arrived.is_ok(), "{name} came to neither");
        }
    };
    let taken_over = tokio::time::timeout(BOUND, taken_over).await;
    assert!(taken_over.is_ok(), "the new configuration never came into force");
    exporter.stop().await;
    let all: Vec<_> = names(&old).into_iter().chain(names(&new)).collect();
    let expected = ["a".to_owned(), "b".to_owned()].into_iter();
    assert_eq!(all, expected.chain((1..=sent).map(|n| format!("c{n}"))).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_sink_that_is_down_while_the_configuration_changes_lacks_nothing() {
    let receiver = Receiver::start().await.unwrap();
    receiver.usually(|_| Reply::status(503));
    let fixture = Fixture::new().await;
    fixture.configure(&webhook(&receiver));
    fixture.events(&["a", "b"]);
    let exporter = fixture.start();
    receiver.wait_for(BOUND, |requests| !requests.is_empty()).await.unwrap();
    let mut config = webhook(&receiver);
    config["cluster"] = "west".into();
    fixture.configure(&config);
    fixture.events(&["c"]);
    receiver.usually(|_| Reply::status(200));
    until(&receiver, &["a", "b", "c"]).await;
    exporter.stop().await;
    assert_eq!(names(&receiver), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_bad_configuration_never_replaces_a_good_one() {
    let receiver = Receiver::start().await.unwrap();
    let fixture = Fixture::new().await;
    let good = webhook(&receiver);
    fixture.configure(&good);
    let exporter = fixture.start();
    fixture.events(&["first"]);
    until(&receiver, &["first"]).await;
    let mut expected = vec!["first"];
    for (name, key, value) in [
        ("selector", "labelSelector", json!("!!=a")),
        ("field", "fieldSelector", json!("no.such.field=a")),
        ("folder", "checkpoint", json!({"file": "/no/such/folder/checkpoint"})),
        ("key", "sink", json!({})),
        (
            "token",
            "sinks",
            json!({"webhooks": [{"url": receiver.url(), "bearerTokenFile": "/no/such/token"}]}),
        ),
        ("archive", "sinks", json!({"files": [{"path": "/no/such/folder/events.json"}]})),
    ] {
        let mut bad = good.clone();
        bad[key] = value;
        fixture.configure(&bad);
        fixture.events(&[name]);
        expected.push(name);
        until(&receiver, &expected).await;
    }
    exporter.stop().await;
}

#[tokio::test]
async fn a_restart_goes_on_from_the_checkpoint() {
    let receiver = Receiver::start().await.unwrap();
    let fixture = Fixture::new().await;
    let mut config = webhook(&receiver);
    config["checkpoint"] = json!({"file": fixture.path("checkpoint")});
    fixture.configure(&config);
    fixture.events(&["a", "b"]);
    let exporter = fixture.start();
    until(&receiver, &["a", "b"]).await;
    exporter.stop().await;
    fixture.events(&["c"]);
    let exporter = fixture.start();
    until(&receiver, &["a", "b", "c"]).await;
    exporter.stop().await;
    assert_eq!(names(&receiver), ["a", "b", "c"]);
}

#[tokio::test]
async fn what_cannot_be_used_is_told_at_the_start() {
    let fixture = Fixture::new().await;
    for (config, expected) in [
        (json!({"sink": {}}), "did you mean `sinks`?"),
        (json!({"labelSelector": "!!=a"}), "labelSelector: "),
        (json!({"fieldSelector": "nofield"}), "fieldSelector: "),
        (
            json!({"checkpoint": {"file": "/no/such/c"}}),
            "checkpoint.file: there is no folder /no/such",
        ),
        (json!({"sinks": {"webhooks": [{"url": "http://"}]}}), "sinks.webhooks[0].url"),
    ] {
        fixture.configure(&config);
        let end = run(fixture.options(), CancellationToken::new());
        let error = tokio::time::timeout(BOUND, end).await.unwrap().unwrap_err();
        assert!(format!("{error:#}").contains(expected), "{error:#}");
    }
    std::fs::remove_file(fixture.path("kubeconfig")).unwrap();
    fixture.configure(&json!({"sink": {}}));
    let error = run(fixture.options(), CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().contains("unknown field"), "before the kubeconfig's: {error:#}");
}
