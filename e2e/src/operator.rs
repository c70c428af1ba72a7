//! The operator on a control plane, outside of its pod but with its own account's rights.

use crate::{ControlPlane, Part, Process, Settings, free_ports, until};
use anyhow::{Context as _, Result, ensure};
use kube::{Api, Client, Resource, core::NamespaceResourceScope};
use serde::de::DeserializeOwned;
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(30);

/// A control plane on which the bundle is installed, and the operator as a process.
pub struct Operator {
    // In the order in which they end.
    process: Process,
    control_plane: ControlPlane,
    client: Client,
    address: String,
    _dir: TempDir,
}

// === impl Operator ===

impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Operator").field(&self.process).finish()
    }
}

impl Operator {
    /// Where the bundle installs it.
    pub const NAMESPACE: &str = "kubesphere-logging-system";

    /// Installs the bundle on a new control plane and starts the operator; `None` when a part is missing.
    ///
    /// # Errors
    /// When a part does not start, or the bundle is refused.
    pub async fn find(settings: Settings) -> Result<Option<Self>> {
        let Some(assets) = Part::ControlPlane.find() else { return Ok(None) };
        let Some(kubectl) = Part::Kubernetes("kubectl").find() else { return Ok(None) };
        let Some(program) = Part::Program("kube-events-operator").find() else { return Ok(None) };
        let Some(cli) = Part::Program("kube-events").find() else { return Ok(None) };
        let control_plane = ControlPlane::start(&assets, settings).await?;
        install(&control_plane, &kubectl, &cli)?;
        let dir = tempfile::Builder::new().prefix("operator-").tempdir()?;
        let [port] = free_ports()?;
        let address = format!("127.0.0.1:{port}");
        let process = start(&control_plane, &program, &dir, &address).await?;
        let client = control_plane.client().await?;
        Ok(Some(Self { process, control_plane, client, address, _dir: dir }))
    }

    /// The control plane below.
    pub fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// A client with an administrator's rights.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A client with the rights of a user who is in no group but that of all who are known.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read.
    pub async fn client_as(&self, user: &str) -> Result<Client> {
        let mut config = self.control_plane.config().await?;
        config.auth_info.impersonate = Some(user.to_owned());
        Ok(Client::try_from(config)?)
    }

    /// The operator's process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The objects of a namespace, with an administrator's rights.
    pub fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client(), namespace)
    }

    /// What the operator tells of itself, in the text form of Prometheus.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn metrics(&self) -> Result<String> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let answer = http.get(format!("http://{}/metrics", self.address)).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }

    /// Waits until an object is as `wanted` says.
    ///
    /// # Errors
    /// When it is not within half a minute, with what it is and what the operator says.
    pub async fn is<K>(&self, api: &Api<K>, name: &str, wanted: impl Fn(&K) -> bool) -> Result<K>
    where
        K: Clone + std::fmt::Debug + DeserializeOwned,
    {
        let probe = async || Ok(api.get_opt(name).await?.filter(|object| wanted(object)));
        match until(name, LIMIT, probe).await {
            Ok(object) => Ok(object),
            Err(error) => {
                let found = api.get_opt(name).await?;
                Err(error.context(format!("{found:#?}\n{}", self.process.stderr()?)))
            }
        }
    }
}

/// As the book says, but that this build prints the bundle.
fn install(control_plane: &ControlPlane, kubectl: &Path, cli: &Path) -> Result<()> {
    let command =
        format!("{} bundle | {} apply --server-side -f -", cli.display(), kubectl.display());
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &command])
        .env("KUBECONFIG", control_plane.kubeconfig())
        .output()?;
    ensure!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

async fn start(
    control_plane: &ControlPlane,
    program: &PathBuf,
    dir: &TempDir,
    address: &str,
) -> Result<Process> {
    let token = control_plane.token_of(Operator::NAMESPACE, "kube-events-operator").await?;
    let kubeconfig = control_plane.kubeconfig_for("operator", &token)?;
    let mut command = Command::new(program);
    command
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .arg(format!("--listen={address}"))
        .env("POD_NAMESPACE", Operator::NAMESPACE);
    let mut process = Process::spawn("kube-events-operator", command, dir.path())?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let probe = http.get(format!("http://{address}/readyz"));
    process.ready(&probe, LIMIT).await.context("the operator")?;
    Ok(process)
}
