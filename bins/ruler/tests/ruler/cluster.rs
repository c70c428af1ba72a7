//! A cluster with Rules and Events, and rulers that start and stop.

use std::{path::PathBuf, time::Duration};

use clap::Parser as _;
use jiff::{SignedDuration, Timestamp};
use kube_events_ruler::{Options, run};
use kube_events_testkit::{ApiServer, Receiver};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// For how long anything may take on a machine that is busy with other tests.
const BOUND: Duration = Duration::from_secs(60);

/// How often a ruler is asked whether it is ready yet.
const ASK: Duration = Duration::from_millis(20);

pub(crate) struct Cluster {
    pub(crate) server: ApiServer,
    /// What all rulers send.
    pub(crate) sent: Receiver,
    folder: tempfile::TempDir,
}

/// A running ruler. It ends when this is dropped.
pub(crate) struct Ruler {
    pub(crate) port: u16,
    shutdown: CancellationToken,
    end: JoinHandle<anyhow::Result<()>>,
}

// === impl Cluster ===

impl Cluster {
    /// A cluster with one rule about Events of the reason `BackOff`.
    pub(crate) async fn new(kind: &str, settings: &Value) -> Self {
        let server = ApiServer::builder().start().await.unwrap();
        server.create_namespace("shop");
        let mut rule = json!({
            "name": "Trouble", "type": kind, "enable": true, "condition": "reason=\"BackOff\"",
        });
        rule.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let folder = tempfile::tempdir().unwrap();
        let cluster = Self { server, sent: Receiver::start().await.unwrap(), folder };
        cluster.rules("rules", &[rule]);
        cluster.configure(kind, true);
        cluster
    }

    /// A Rule object with these rules.
    pub(crate) fn rules(&self, name: &str, rules: &[Value]) {
        let object = json!({
            "apiVersion": "events.kubesphere.io/v1alpha1", "kind": "Rule",
            "metadata": {"name": name, "namespace": "shop"}, "spec": {"rules": rules},
        });
        self.server.create(object).unwrap();
    }

    pub(crate) fn configure(&self, kind: &str, warm_up: bool) {
        let config = json!({
            "warmUp": warm_up,
            "sinks": {"webhooks": [{"type": kind, "url": self.sent.url()}]},
        });
        std::fs::write(self.path("config.yaml"), config.to_string()).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Something happened to a pod, so many seconds ago; the Event as a source gives it.
    pub(crate) fn event(&self, name: &str, reason: &str, ago: i64) -> Value {
        let at = Timestamp::now() - SignedDuration::from_secs(ago);
        let event = json!({
            "metadata": {"name": name, "namespace": "shop"},
            "involvedObject": {"kind": "Pod", "name": "web-0", "namespace": "shop"},
            "reason": reason, "count": 1, "firstTimestamp": at, "lastTimestamp": at,
        });
        self.server.create_event(event).unwrap()
    }

    /// Starts a ruler, and waits until it listens.
    pub(crate) async fn start(&self, flags: &[&str]) -> Ruler {
        self.start_as("ruler", flags).await
    }

    /// The same as a user of its own.
    pub(crate) async fn start_as(&self, user: &str, flags: &[&str]) -> Ruler {
        std::fs::write(self.path(user), self.server.kubeconfig_of(user)).unwrap();
        // Nobody else is given the port so soon after.
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let (config, kubeconfig) = (self.path("config.yaml"), self.path(user));
        let own = [
            "kube-events-ruler".to_owned(),
            format!("--listen=127.0.0.1:{port}"),
            format!("--config.file={}", config.display()),
            format!("--kubeconfig={}", kubeconfig.display()),
        ];
        let flags = flags.iter().map(|flag| (*flag).to_owned());
        let options = Options::parse_from(own.into_iter().chain(flags));
        let shutdown = CancellationToken::new();
        let end = tokio::spawn(run(options, shutdown.clone()));
        let ruler = Ruler { port, shutdown, end };
        ruler.until("/healthz", |status, _| status == 200).await;
        ruler
    }

    /// Starts a ruler, and waits until it is ready.
    pub(crate) async fn ready(&self, flags: &[&str]) -> Ruler {
        let ruler = self.start(flags).await;
        ruler.until("/readyz", |status, _| status == 200).await;
        ruler
    }
}

// === impl Ruler ===

impl Ruler {
    /// Asks until the answer is as wanted.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(u16, &str) -> bool) {
        let mut last = None;
        let asking = async {
            loop {
                if let Ok((status, body)) = request(self.port, "GET", path, "").await {
                    if wanted(status, &body) {
                        return;
                    }
                    last = Some((status, body));
                }
                tokio::time::sleep(ASK).await;
            }
        };
        let waited = tokio::time::timeout(BOUND, asking).await;
        waited.unwrap_or_else(|_| panic!("{path}: {last:?}, {}", self.end.is_finished()));
    }

    /// Sends it Events; the status and the text of the answer.
    pub(crate) async fn post(&self, events: &[&Value]) -> (u16, String) {
        let lines: Vec<_> = events.iter().map(ToString::to_string).collect();
        let body = lines.join("\n");
        request(self.port, "POST", "/events", &body).await.unwrap()
    }

    /// Sends it Events until it takes them.
    pub(crate) async fn deliver(&self, events: &[&Value]) {
        let delivering = async {
            while self.post(events).await.0 != 200 {
                tokio::time::sleep(ASK).await;
            }
        };
        tokio::time::timeout(BOUND, delivering).await.unwrap();
    }

    /// The value of a series.
    pub(crate) async fn metric(&self, series: &str) -> Option<f64> {
        let (_, text) = request(self.port, "GET", "/metrics", "").await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map(|value| value.parse().unwrap())
    }

    /// Stops it as the kubelet does.
    pub(crate) async fn stop(mut self) {
        self.shutdown.cancel();
        tokio::time::timeout(BOUND, &mut self.end).await.unwrap().unwrap().unwrap();
    }
}

impl Drop for Ruler {
    fn drop(&mut self) {
        self.end.abort();
    }
}

/// One request on a connection of its own.
async fn request(port: u16, verb: &str, path: &str, body: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let head = format!("{verb} {path} HTTP/1.1\r\nhost: ruler\r\nconnection: close\r\n");
    let length = format!("content-length: {}\r\n\r\n", body.len());
    stream.write_all((head + &length + body).as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.unwrap_or(0), body.to_owned()))
}
