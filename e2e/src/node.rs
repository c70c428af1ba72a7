//! A node whose pods are processes: the scheduler and the kubelet of a test.

mod pod;
mod volume;

use crate::ControlPlane;
use anyhow::{Context as _, Result};
use k8s_openapi::api::{core::v1::Pod, discovery::v1::EndpointSlice};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::json;
use std::{
    collections::HashMap,
    fmt::Write as _,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};
use tokio::{task::JoinHandle, time::sleep};

use self::pod::Sandbox;

const NAME: &str = "node-0";

/// How often pods are looked at.
const PERIOD: Duration = Duration::from_millis(100);

/// Runs the pods of a [`ControlPlane`] as their specs say, until it is dropped.
///
/// Each pod gets a network namespace with an address, and a root of its own with its volumes, its service
/// account's token, its environment and its user; Services are found by their names. What is run is
/// not in the image but the program of that name: [`Node::start`] is told where it is. A container whose
/// image has none is taken for one that runs.
///
/// Only in a test that is [`isolated`](crate::isolated).
#[derive(Debug)]
pub struct Node {
    sync: JoinHandle<()>,
    logs: PathBuf,
}

/// What all pods need to know.
struct Host {
    client: Client,
    dir: PathBuf,
    api_server: (Ipv4Addr, u16),
    programs: fn(&str) -> Option<PathBuf>,
}

struct Pods {
    host: Arc<Host>,
    /// By uid.
    running: HashMap<String, Sandbox>,
    addresses: std::ops::Range<u32>,
    hosts: String,
}

// === impl Node ===

impl Node {
    /// Where processes of the node itself are reached by pods: give it to the API server.
    pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);

    /// A node in the folder `dir`. `programs` finds what an image stands for.
    ///
    /// # Errors
    /// When its network cannot be made, or the API server refuses it.
    pub async fn start(
        control_plane: &ControlPlane,
        dir: &Path,
        programs: fn(&str) -> Option<PathBuf>,
    ) -> Result<Self> {
        let client = control_plane.client().await?;
        let node = serde_json::from_value(json!({"metadata": {"name": NAME}}))?;
        Api::<k8s_openapi::api::core::v1::Node>::all(client.clone())
            .create(&PostParams::default(), &node)
            .await?;
        let host = Arc::new(Host {
            client,
            dir: dir.to_owned(),
            api_server: (Self::ADDRESS, control_plane.port()),
            programs,
        });
        let first = u32::from(Self::ADDRESS) + 0x100;
        let mut pods = Pods {
            host,
            running: HashMap::new(),
            addresses: first..first + 0xf000,
            hosts: String::new(),
        };
        let sync = tokio::spawn(async move {
            loop {
                if let Err(error) = pods.sync().await {
                    // The API server may be away for a while.
                    eprintln!("node: {error:#}");
                }
                sleep(PERIOD).await;
            }
        });
        Ok(Self { sync, logs: dir.to_owned() })
    }

    /// Makes the network of the node; the API server's address is there from then on.
    ///
    /// # Errors
    /// When the test is not isolated.
    pub fn network() -> Result<()> {
        run(&[
            // Names of network namespaces are files here, and other tests have theirs.
            "mkdir -p /run/netns && mount -t tmpfs netns /run/netns",
            "ip link add pods type bridge",
            &format!("ip addr add {}/16 dev pods", Self::ADDRESS),
            "ip link set pods up",
        ])
    }

    /// What pods whose name begins with `prefix` wrote to standard error.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn stderr(&self, prefix: &str) -> Result<String> {
        self.output(prefix, "stderr")
    }

    /// What pods whose name begins with `prefix` wrote to standard output.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn stdout(&self, prefix: &str) -> Result<String> {
        self.output(prefix, "stdout")
    }

    fn output(&self, prefix: &str, stream: &str) -> Result<String> {
        let mut text = String::new();
        for entry in fs::read_dir(&self.logs)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with(prefix) && name.ends_with(stream) {
                writeln!(text, "== {name}\n{}", fs::read_to_string(&path)?)?;
            }
        }
        Ok(text)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.sync.abort();
    }
}

// === impl Pods ===

impl Pods {
    /// Brings processes to where the pods of the API server are, one step for each.
    async fn sync(&mut self) -> Result<()> {
        let params = ListParams::default().match_any();
        let pods = Api::<Pod>::all(self.host.client.clone()).list(&params).await?;
        let uids: Vec<_> = pods.iter().filter_map(ResourceExt::uid).collect();
        // A process is killed with its value.
        self.running.retain(|uid, _| uids.contains(uid));
        for pod in &pods {
            if let Err(error) = self.step(pod).await {
                eprintln!("node: pod {}: {error:#}", pod.name_any());
            }
        }
        self.name_services().await
    }

    async fn step(&mut self, pod: &Pod) -> Result<()> {
        let namespace = pod.namespace().context("no namespace")?;
        let api = Api::<Pod>::namespaced(self.host.client.clone(), &namespace);
        let uid = pod.uid().context("no uid")?;
        let spec = pod.spec.as_ref().context("no spec")?;
        if pod.metadata.deletion_timestamp.is_some() {
            let ended = match self.running.get(&uid) {
                Some(sandbox) => sandbox.ends()?,
                None => true,
            };
            if ended {
                self.running.remove(&uid);
                api.delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await?;
            }
            return Ok(());
        }
        if spec.node_name.is_none() {
            return bind(&self.host.client, &namespace, &pod.name_any()).await;
        }
        if let Some(sandbox) = self.running.get_mut(&uid) {
            return sandbox.keep(&self.host, pod).await;
        }
        let address = Ipv4Addr::from(self.addresses.next().context("no address is left")?);
        let sandbox = Sandbox::start(&self.host, pod, address, &self.hosts).await?;
        self.running.insert(uid, sandbox);
        Ok(())
    }

    /// Cluster DNS as a file: the addresses that are ready, of every Service.
    async fn name_services(&mut self) -> Result<()> {
        let api = Api::<EndpointSlice>::all(self.host.client.clone());
        let slices = api.list(&ListParams::default().match_any()).await?;
        let hosts = hosts(&slices.items);
        if hosts != self.hosts {
            for sandbox in self.running.values() {
                sandbox.write_hosts(&hosts)?;
            }
            self.hosts = hosts;
        }
        Ok(())
    }
}

fn hosts(slices: &[EndpointSlice]) -> String {
    let mut text = String::from("127.0.0.1 localhost\n");
    for slice in slices {
        let Some(service) = slice.labels().get("kubernetes.io/service-name") else { continue };
        let namespace = slice.namespace().unwrap_or_default();
        let ready = slice.endpoints.iter().flatten().filter(|endpoint| {
            endpoint.conditions.as_ref().is_none_or(|conditions| conditions.ready != Some(false))
        });
        for address in ready.flat_map(|endpoint| &endpoint.addresses) {
            let name = format!("{service}.{namespace}.svc");
            writeln!(text, "{address} {name} {name}.cluster.local").expect("a String takes all");
        }
    }
    text
}

async fn bind(client: &Client, namespace: &str, pod: &str) -> Result<()> {
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding",
        "metadata": {"name": pod, "namespace": namespace},
        "target": {"apiVersion": "v1", "kind": "Node", "name": NAME},
    });
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/binding");
    let request = http::Request::post(path).body(serde_json::to_vec(&binding)?)?;
    client.request_text(request).await?;
    Ok(())
}

/// Runs commands of the shell, one after another.
fn run(commands: &[&str]) -> Result<()> {
    for command in commands {
        let output = Command::new("sh").args(["-ec", command]).output()?;
        let error = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "{command}: {error}");
    }
    Ok(())
}
