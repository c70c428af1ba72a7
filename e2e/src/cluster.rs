//! A whole cluster, as a person with `kubectl` sees it.

use crate::{Alertmanager, ControlPlane, Node, Part, Settings, install_crypto, until};
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{Api, api::PostParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::{
    env,
    ffi::OsString,
    io::Write as _,
    iter,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// How long a command may find the cluster not ready yet.
const LIMIT: Duration = Duration::from_secs(60);

/// Where the samples look for an Alertmanager.
const MONITORING: &str = "kubesphere-monitoring-system";
const ALERTMANAGER: &str = "alertmanager-operated";

/// A control plane with its controllers, a [`Node`] that runs this project's images, and an Alertmanager
/// behind a Service, where the samples expect one.
#[derive(Debug)]
pub struct Cluster {
    // In the order in which they end.
    node: Node,
    alertmanager: Alertmanager,
    control_plane: ControlPlane,
    path: OsString,
    dir: TempDir,
}

// === impl Cluster ===

impl Cluster {
    /// A new cluster; `None` when a part is missing. Only in a test that is [`isolated`](crate::isolated).
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn find() -> Result<Option<Self>> {
        let Some(assets) = Part::ControlPlane.find() else { return Ok(None) };
        let Some(alertmanager) = Part::Alertmanager.find() else { return Ok(None) };
        for name in ["kube-controller-manager", "kubectl"] {
            let Some(_) = Part::Kubernetes(name).find() else { return Ok(None) };
        }
        for name in PROGRAMS {
            let Some(_) = Part::Program(name).find() else { return Ok(None) };
        }
        let Some(cli) = Part::Program("kube-events").find() else { return Ok(None) };
        install_crypto();
        Node::network()?;
        let settings = Settings { address: Node::ADDRESS, ..Settings::default() };
        let mut control_plane = ControlPlane::start(&assets, settings).await?;
        control_plane.start_controllers().await?;
        let dir = tempfile::Builder::new().prefix("node-").tempdir()?;
        let node = Node::start(&control_plane, dir.path(), program).await?;
        let alertmanager = Alertmanager::start_at(&alertmanager, Node::ADDRESS).await?;
        let path = env::var_os("PATH").unwrap_or_default();
        let mut this = Self { node, alertmanager, control_plane, path, dir };
        this.add_command(&assets.join("kubectl"))?;
        this.add_command(&cli)?;
        this.announce_alertmanager().await?;
        Ok(Some(this))
    }

    /// Lets commands of the shell call a program by its name.
    ///
    /// # Errors
    /// When its folder has no place in `PATH`.
    pub fn add_command(&mut self, program: &Path) -> Result<()> {
        let folder = program.parent().context("no folder")?.to_owned();
        let folders = env::split_paths(&self.path);
        self.path = env::join_paths(iter::once(folder).chain(folders))?;
        Ok(())
    }

    /// The API server and its controllers.
    pub fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// The Alertmanager.
    pub fn alertmanager(&self) -> &Alertmanager {
        &self.alertmanager
    }

    /// Where the pods run.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Runs a command of the shell as an administrator types it in the folder of this repository; gives
    /// what it prints.
    ///
    /// # Errors
    /// When it fails, with what it says.
    pub fn shell(&self, command: &str) -> Result<String> {
        self.shell_with(command, "")
    }

    /// The same with `input` on its standard input.
    ///
    /// # Errors
    /// When it fails, with what it says.
    pub fn shell_with(&self, command: &str, input: &str) -> Result<String> {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no repository")?;
        self.run(repository, command, input)
    }

    /// The same in another folder.
    ///
    /// # Errors
    /// When it fails, with what it says.
    pub fn shell_in(&self, folder: &Path, command: &str) -> Result<String> {
        self.run(folder, command, "")
    }

    fn run(&self, folder: &Path, command: &str, input: &str) -> Result<String> {
        let mut child = Command::new("bash")
            .args(["-euo", "pipefail", "-c", command])
            .current_dir(folder)
            .env("PATH", &self.path)
            .env("HOME", self.dir.path())
            .env("KUBECONFIG", self.control_plane.kubeconfig())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        // Dropped at the end of the statement, so that the command sees the end.
        child.stdin.take().context("no stdin")?.write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{command}\n{said}");
        Ok(String::from_utf8(output.stdout)?)
    }

    /// `kubectl apply` of one object.
    ///
    /// # Errors
    /// When it is refused, with what kubectl says.
    pub fn apply(&self, object: &Value) -> Result<String> {
        self.shell_with("kubectl apply -f -", &object.to_string())
    }

    /// Waits until a command prints what `wanted` accepts, and gives it.
    ///
    /// # Errors
    /// When it does not, with what it printed last and what our pods say.
    pub async fn prints(&self, command: &str, wanted: impl Fn(&str) -> bool) -> Result<String> {
        let mut last = String::new();
        let probe = async || {
            last = self.shell(command).unwrap_or_else(|error| format!("{error:#}"));
            Ok(wanted(&last).then(|| last.clone()))
        };
        match until(command, LIMIT, probe).await {
            Ok(printed) => Ok(printed),
            Err(error) => Err(error.context(format!("{last}\n{}", self.node.stderr("")?))),
        }
    }

    /// Every object that outlives its cause, one `KIND NAMESPACE NAME` a line. Leases of Kubernetes' own
    /// programs come and go.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub fn objects(&self) -> Result<Vec<String>> {
        let kinds = "kubectl api-resources --verbs=list -o name | grep -vE '^events(\\.|$)' | \
            paste -sd,";
        let columns = "custom-columns=K:.kind,S:.metadata.namespace,N:.metadata.name";
        let listed = format!("kubectl get $({kinds}) -A --no-headers -o {columns}");
        let listed = self.shell(&listed)?;
        let mut lines: Vec<_> = listed
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .filter(|line| !line.starts_with("Lease kube-"))
            .collect();
        lines.sort_unstable();
        Ok(lines)
    }

    /// A Service without a selector, and the endpoint that a kubelet would have told.
    async fn announce_alertmanager(&self) -> Result<()> {
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": MONITORING},
        }))?;
        let port = self.alertmanager.port();
        self.create::<Service>(&json!({
            "metadata": {"name": ALERTMANAGER},
            "spec": {"clusterIP": "None", "ports": [{"name": "web", "port": port}]},
        }))
        .await?;
        self.create::<EndpointSlice>(&json!({
            "metadata": {
                "name": ALERTMANAGER, "labels": {"kubernetes.io/service-name": ALERTMANAGER},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [Node::ADDRESS], "conditions": {"ready": true}}],
            "ports": [{"name": "web", "port": port, "protocol": "TCP"}],
        }))
        .await
    }

    async fn create<K>(&self, object: &Value) -> Result<()>
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
        K: Clone + std::fmt::Debug + DeserializeOwned + serde::Serialize,
    {
        let object: K = serde_json::from_value(object.clone())?;
        let api = Api::<K>::namespaced(self.control_plane.client().await?, MONITORING);
        api.create(&PostParams::default(), &object).await?;
        Ok(())
    }

    /// Stops all of it.
    ///
    /// # Errors
    /// When a part does not end in time.
    pub async fn stop(self) -> Result<()> {
        drop(self.node);
        self.alertmanager.stop().await?;
        self.control_plane.stop().await
    }
}

/// The programs that pods run.
const PROGRAMS: [&str; 3] = ["kube-events-exporter", "kube-events-ruler", "kube-events-operator"];

/// What an image of ours stands for, `kube-events/exporter:v1` of any registry; and an exporter or ruler of the Go project,
/// which understand the same configuration.
fn program(image: &str) -> Option<PathBuf> {
    let (owner, rest) = image.rsplit_once('/')?;
    let name = rest.split([':', '@']).next()?;
    let name = match owner.rsplit('/').next()? {
        "kube-events" => format!("kube-events-{name}"),
        "kubesphere" if name != "kube-events-operator" => name.to_owned(),
        _ => return None,
    };
    PROGRAMS.into_iter().find(|program| *program == name).and_then(|it| Part::Program(it).find())
}
