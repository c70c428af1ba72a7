//! The very programs, as `cargo test` builds them, against the embedded API server.

#![allow(clippy::unwrap_used, reason = "it is how a test fails")]

use std::{
    env,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use kube_events_testkit::{ApiServer, Verb};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// For how long anything may take on a machine that is busy with other tests.
const BOUND: Duration = Duration::from_secs(60);

/// A running example. It ends when it is dropped.
struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// A cluster, and the kubeconfig that leads to it.
struct Cluster {
    server: ApiServer,
    folder: tempfile::TempDir,
}

// === impl Cluster ===

impl Cluster {
    async fn start() -> Self {
        let cluster = Self {
            server: ApiServer::start().await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
        };
        std::fs::write(cluster.kubeconfig(), cluster.server.kubeconfig()).unwrap();
        cluster
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    fn event(&self, pod: &str, reason: &str, count: u32) {
        let name = format!("{pod}.{}", reason.to_lowercase());
        let event = json!({
            "metadata": {"name": name, "namespace": "shop"},
            "involvedObject": {"kind": "Pod", "namespace": "shop", "name": pod},
            "reason": reason, "message": format!("this is {reason}"),
            "type": "Warning", "count": count,
        });
        self.server.create_event(event).unwrap();
    }

    fn run(&self, example: &str, arguments: &[&Path]) -> Program {
        let mut child = Command::new(executable(example))
            .args(arguments)
            .env("KUBECONFIG", self.kubeconfig())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Program { child, lines }
    }

    /// Waits until the Events are listed and a watch has begun.
    async fn watched(&self) {
        let watched = self.server.wait_for_requests(BOUND, |requests| {
            requests.iter().any(|request| request.verb == Verb::Watch)
        });
        watched.await.expect("a watch begins");
    }
}

/// The folder of the tests' executables is beside that of the examples.
fn executable(example: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap().join("examples");
    let path = folder.join(format!("{example}{}", env::consts::EXE_SUFFIX));
    assert!(path.exists(), "{}: `cargo test -p examples` builds it", path.display());
    path
}

// === impl Program ===

impl Program {
    async fn line(&mut self) -> String {
        let line = timeout(BOUND, self.lines.next_line()).await.expect("a line in time");
        line.unwrap().expect("the program goes on")
    }

    /// What a person does with Ctrl-C.
    async fn interrupt(mut self) -> ExitStatus {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-INT", &pid]).status().await.unwrap();
        assert!(sent.success());
        timeout(BOUND, self.child.wait()).await.expect("an end in time").unwrap()
    }
}

#[tokio::test]
async fn watch_prints_what_is_there_and_what_comes() {
    let cluster = Cluster::start().await;
    cluster.event("web-0", "BackOff", 1);
    let mut watch = cluster.run("watch", &[]);
    assert_eq!(watch.line().await, "BackOff this is BackOff");
    cluster.event("web-0", "Killing", 1);
    assert_eq!(watch.line().await, "Killing this is Killing");
}

#[tokio::test]
async fn a_sink_of_ones_own_gets_events() {
    let cluster = Cluster::start().await;
    cluster.event("web-0", "BackOff", 1);
    let mut table = cluster.run("custom_sink", &[]);
    assert_eq!(table.line().await, "shop\tPod\tweb-0\tBackOff");
}

#[tokio::test]
async fn a_controller_is_woken_by_what_its_rule_finds_only() {
    let cluster = Cluster::start().await;
    cluster.event("web-0", "BackOff", 2);
    let mut controller = cluster.run("controller", &[]);
    cluster.watched().await;
    cluster.event("web-1", "Killing", 5);
    cluster.event("web-2", "Unhealthy", 3);
    assert_eq!(controller.line().await, "reconcile Pod shop/web-2");
    let update = json!({
        "apiVersion": "v1", "kind": "Event", "count": 3,
        "metadata": {"name": "web-0.backoff", "namespace": "shop"},
    });
    cluster.server.update(update).unwrap();
    assert_eq!(controller.line().await, "reconcile Pod shop/web-0");
}

#[tokio::test]
async fn an_embedded_pipeline_goes_on_where_it_ended() {
    let cluster = Cluster::start().await;
    let folder = cluster.folder.path();
    cluster.event("web-0", "First", 1);
    let mut pipeline = cluster.run("embedded_pipeline", &[folder]);
    assert!(pipeline.line().await.contains("this is First"));
    cluster.watched().await;
    cluster.event("web-0", "Second", 1);
    assert!(pipeline.line().await.contains("this is Second"));
    assert!(pipeline.interrupt().await.success());

    cluster.event("web-0", "Third", 1);
    let mut pipeline = cluster.run("embedded_pipeline", &[folder]);
    let mut printed = Vec::new();
    while printed.last().is_none_or(|line: &String| !line.contains("this is Third")) {
        printed.push(pipeline.line().await);
    }
    // What was on its way when the program ended may come again; what was before it may not.
    assert!(!printed.iter().any(|line| line.contains("this is First")), "{printed:?}");
    assert!(pipeline.interrupt().await.success());
    let archive = std::fs::read_to_string(folder.join("events.json")).unwrap();
    for message in ["this is First", "this is Second", "this is Third"] {
        assert!(archive.contains(message), "{archive}");
    }
}
