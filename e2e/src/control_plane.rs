//! etcd and kube-apiserver: everything of Kubernetes that this project talks to; and, where a test asks
//! for them, the controllers that make pods of Deployments.

use crate::{
    port::free_ports,
    process::Process,
    tls::{Identity, install_crypto, signing_keys},
    wait::until,
};
use anyhow::{Context as _, Result};
use k8s_openapi::{
    api::{authentication::v1::TokenRequest, core::v1::ServiceAccount},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use std::{
    env, fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};
use tempfile::TempDir;

const TOKEN: &str = "e2e-admin-token";
/// Generous, as builds may share the machine; some four seconds are usual.
const START: Duration = Duration::from_secs(120);
/// Longer than the minute that kube-apiserver gives to requests under way.
const STOP: Duration = Duration::from_secs(90);

/// A control plane of one etcd and one kube-apiserver, with an administrator's kubeconfig.
///
/// Its folder is removed in the end, except when the test panics or `KUBE_EVENTS_E2E_KEEP` is set: then
/// the logs of both programs are there to be read.
#[derive(Debug)]
pub struct ControlPlane {
    // In the order in which they must end: an API server without etcd does not stop.
    controllers: Option<Process>,
    api_server: Option<Process>,
    etcd: Process,
    assets: PathBuf,
    settings: Settings,
    ports: Ports,
    dir: TempDir,
}

/// What a test may want to be different.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the API server is reached; etcd stays on 127.0.0.1.
    pub address: Ipv4Addr,
    /// How long an Event is kept (`--event-ttl`).
    pub event_ttl: Duration,
    /// How often etcd's history is cut off (`--etcd-compaction-interval`); zero: never.
    pub compaction: Duration,
    /// Switches off the limits on requests in flight, for loading many Events quickly.
    pub unlimited: bool,
    /// Further flags of kube-apiserver.
    pub flags: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
struct Ports {
    etcd: u16,
    peers: u16,
    api_server: u16,
}

// === impl Settings ===

/// What kube-apiserver does without flags.
impl Default for Settings {
    fn default() -> Self {
        Self {
            address: Ipv4Addr::LOCALHOST,
            event_ttl: Duration::from_secs(3600),
            compaction: Duration::from_secs(300),
            unlimited: false,
            flags: Vec::new(),
        }
    }
}

// === impl ControlPlane ===

impl ControlPlane {
    /// Starts both programs from the folder `assets` ([`Part::ControlPlane`](crate::Part)) and waits for `/readyz`.
    ///
    /// # Errors
    /// When one of them does not start, with the end of its log.
    pub async fn start(assets: &Path, settings: Settings) -> Result<Self> {
        install_crypto();
        let dir = tempfile::Builder::new().prefix("control-plane-").tempdir()?;
        let [etcd, peers, api_server] = free_ports()?;
        let ports = Ports { etcd, peers, api_server };
        write_identities(dir.path(), settings.address)?;
        let etcd = start_etcd(assets, dir.path(), ports).await?;
        let assets = assets.to_owned();
        let mut this =
            Self { controllers: None, api_server: None, etcd, assets, settings, ports, dir };
        this.kubeconfig_for("kubeconfig", TOKEN)?;
        this.start_api_server().await?;
        Ok(this)
    }

    /// The path of a kubeconfig whose user may do everything.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join("kubeconfig")
    }

    /// The kubeconfig as the kube crate reads it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn config(&self) -> Result<Config> {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig())?;
        Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
    }

    /// A client with the administrator's rights.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read.
    pub async fn client(&self) -> Result<Client> {
        Ok(Client::try_from(self.config().await?)?)
    }

    /// The API server's address, `https://127.0.0.1:PORT`: the same before and after a restart.
    pub fn url(&self) -> String {
        format!("https://{}:{}", self.settings.address, self.ports.api_server)
    }

    /// The port of [`url`](Self::url).
    pub fn port(&self) -> u16 {
        self.ports.api_server
    }

    /// The administrator's bearer token.
    pub fn token(&self) -> &str {
        TOKEN
    }

    /// The certificate authority that [`url`](Self::url) is checked against, a PEM file.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.crt")
    }

    /// A kubeconfig for a token in place of the administrator's, written as `name` beside it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn kubeconfig_for(&self, name: &str, token: &str) -> Result<PathBuf> {
        let path = self.dir.path().join(name);
        // JSON, which is YAML too.
        fs::write(&path, kubeconfig(&self.url(), &self.ca(), token).to_string())?;
        Ok(path)
    }

    /// A token of a service account, valid for an hour.
    ///
    /// # Errors
    /// When there is no such account.
    pub async fn token_of(&self, namespace: &str, account: &str) -> Result<String> {
        let accounts = Api::<ServiceAccount>::namespaced(self.client().await?, namespace);
        let (params, request) = (PostParams::default(), TokenRequest::default());
        let answer = accounts.create_token_request(account, &params, &request).await?;
        answer.status.and_then(|status| status.token).context("no token")
    }

    /// The API server's process, while it runs.
    pub fn api_server(&self) -> Option<&Process> {
        self.api_server.as_ref()
    }

    /// Starts the API server on the data and the port that it had; nothing happens while it runs.
    ///
    /// # Errors
    /// When it is not ready in time, with the end of its log.
    pub async fn start_api_server(&mut self) -> Result<()> {
        if self.api_server.is_some() {
            return Ok(());
        }
        let dir = self.dir.path();
        let command = api_server(&self.assets, dir, self.ports, &self.settings);
        let mut process = Process::spawn("kube-apiserver", command, dir)?;
        let ca = reqwest::Certificate::from_pem(&fs::read(self.ca())?)?;
        let http = reqwest::Client::builder().tls_certs_only([ca]).no_proxy().build()?;
        let probe = http.get(format!("{}/readyz", self.url())).bearer_auth(TOKEN);
        process.ready(&probe, START).await?;
        self.api_server = Some(process);
        Ok(())
    }

    /// Stops the API server as a rollout does: SIGTERM, and it ends its watches in order.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop_api_server(&mut self) -> Result<()> {
        if let Some(mut process) = self.api_server.take() {
            process.stop(STOP).await?;
        }
        Ok(())
    }

    /// Kills the API server: connections break in the middle of whatever they carried.
    ///
    /// # Errors
    /// When it was gone already.
    pub async fn kill_api_server(&mut self) -> Result<()> {
        if let Some(mut process) = self.api_server.take() {
            process.kill()?;
            process.exited(STOP).await?;
        }
        Ok(())
    }

    /// [Stops](Self::stop_api_server) and starts the API server.
    ///
    /// # Errors
    /// When either fails.
    pub async fn restart_api_server(&mut self) -> Result<()> {
        self.stop_api_server().await?;
        self.start_api_server().await
    }

    /// Defines custom resources, and waits until their objects can be listed.
    ///
    /// # Errors
    /// When the API server refuses one, or does not serve it in time.
    pub async fn install(&self, definitions: &[CustomResourceDefinition]) -> Result<()> {
        let client = self.client().await?;
        let api = Api::<CustomResourceDefinition>::all(client.clone());
        for definition in definitions {
            api.create(&PostParams::default(), definition).await?;
            let spec = &definition.spec;
            for version in &spec.versions {
                let path = format!("/apis/{}/{}/{}", spec.group, version.name, spec.names.plural);
                until(&path, START, async || served(&client, &path).await).await?;
            }
        }
        Ok(())
    }

    /// Cuts off etcd's history before now: watches from an earlier resourceVersion get 410.
    ///
    /// # Errors
    /// When etcd does not do it.
    pub async fn compact(&self) -> Result<()> {
        let head = self.ask_etcd("range", &json!({"key": "AA=="})).await?;
        let revision = &head["header"]["revision"];
        self.ask_etcd("compaction", &json!({"revision": revision, "physical": true})).await?;
        Ok(())
    }

    /// The JSON form of etcd's API: <https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/>.
    async fn ask_etcd(&self, what: &str, request: &Value) -> Result<Value> {
        let url = format!("http://127.0.0.1:{}/v3/kv/{what}", self.ports.etcd);
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(http.post(url).json(request).send().await?.error_for_status()?.json().await?)
    }

    /// Starts kube-controller-manager: Deployments get pods, Services endpoints, and what has no owner
    /// any more goes. Who runs the pods is [`Node`](crate::Node).
    ///
    /// # Errors
    /// When it is not ready in time, with the end of its log.
    pub async fn start_controllers(&mut self) -> Result<()> {
        let [port] = free_ports()?;
        let command = controllers(&self.assets, self.dir.path(), port);
        let mut process = Process::spawn("kube-controller-manager", command, self.dir.path())?;
        let http = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).no_proxy();
        let probe = http.build()?.get(format!("https://127.0.0.1:{port}/healthz"));
        process.ready(&probe, START).await?;
        self.controllers = Some(process);
        Ok(())
    }

    /// Stops the controllers, then the API server, then etcd, each by SIGTERM.
    ///
    /// # Errors
    /// When one of them does not end in time.
    pub async fn stop(mut self) -> Result<()> {
        if let Some(mut controllers) = self.controllers.take() {
            controllers.stop(STOP).await?;
        }
        self.stop_api_server().await?;
        self.etcd.stop(STOP).await.map(drop)
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        if thread::panicking() || env::var_os("KUBE_EVENTS_E2E_KEEP").is_some() {
            self.dir.disable_cleanup(true);
            eprintln!("the control plane's logs: {}", self.dir.path().display());
        }
    }
}

async fn served(client: &Client, path: &str) -> Result<Option<()>> {
    let request = http::Request::get(path).body(Vec::new())?;
    match client.request_text(request).await {
        Ok(_) => Ok(Some(())),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 429 | 503) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn write_identities(dir: &Path, address: Ipv4Addr) -> Result<()> {
    let identity = Identity::for_address(address)?;
    fs::write(dir.join("ca.crt"), identity.ca)?;
    fs::write(dir.join("tls.crt"), identity.certificate)?;
    fs::write(dir.join("tls.key"), identity.key)?;
    let (signs, checks) = signing_keys()?;
    fs::write(dir.join("service-accounts.key"), signs)?;
    fs::write(dir.join("service-accounts.pub"), checks)?;
    fs::write(dir.join("tokens.csv"), format!("{TOKEN},admin,admin,\"system:masters\"\n"))?;
    Ok(())
}

fn kubeconfig(url: &str, ca: &Path, token: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "e2e", "cluster": {
            "server": url,
            "certificate-authority": ca,
        }}],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": "user"}}],
        "current-context": "e2e",
    })
}

async fn start_etcd(assets: &Path, dir: &Path, ports: Ports) -> Result<Process> {
    let clients = format!("http://127.0.0.1:{}", ports.etcd);
    let peers = format!("http://127.0.0.1:{}", ports.peers);
    let mut command = Command::new(assets.join("etcd"));
    command
        .arg(format!("--data-dir={}", dir.join("etcd").display()))
        .arg(format!("--listen-client-urls={clients}"))
        .arg(format!("--advertise-client-urls={clients}"))
        .arg(format!("--listen-peer-urls={peers}"))
        .arg(format!("--initial-advertise-peer-urls={peers}"))
        .arg(format!("--initial-cluster=default={peers}"))
        // The data need not outlive the machine.
        .args(["--unsafe-no-fsync", "--log-level=warn"]);
    let mut process = Process::spawn("etcd", command, dir)?;
    let probe = reqwest::Client::builder().no_proxy().build()?.get(format!("{clients}/health"));
    process.ready(&probe, START).await?;
    Ok(process)
}

fn api_server(assets: &Path, dir: &Path, ports: Ports, settings: &Settings) -> Command {
    let file = |flag, name| format!("--{flag}={}", dir.join(name).display());
    let seconds = |flag, duration: Duration| format!("--{flag}={}s", duration.as_secs());
    let mut command = Command::new(assets.join("kube-apiserver"));
    command
        .arg(format!("--etcd-servers=http://127.0.0.1:{}", ports.etcd))
        .arg(format!("--secure-port={}", ports.api_server))
        .arg(format!("--bind-address={}", settings.address))
        .arg(format!("--advertise-address={}", settings.address))
        // Nobody needs the Service `kubernetes`, and its endpoint may not be on loopback.
        .arg("--endpoint-reconciler-type=none")
        .arg(file("cert-dir", "certificates"))
        .arg(file("tls-cert-file", "tls.crt"))
        .arg(file("tls-private-key-file", "tls.key"))
        .arg("--service-account-issuer=https://127.0.0.1")
        .arg(file("service-account-key-file", "service-accounts.pub"))
        .arg(file("service-account-signing-key-file", "service-accounts.key"))
        .arg(file("token-auth-file", "tokens.csv"))
        // Without it watches stay open for a minute while nothing else is served any more.
        .arg("--shutdown-watch-termination-grace-period=5s")
        .args(["--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/16"])
        .arg(seconds("event-ttl", settings.event_ttl))
        .arg(seconds("etcd-compaction-interval", settings.compaction))
        .args(settings.unlimited.then_some("--enable-priority-and-fairness=false"))
        .args(settings.unlimited.then_some("--max-requests-inflight=0"))
        .args(settings.unlimited.then_some("--max-mutating-requests-inflight=0"))
        .args(&settings.flags);
    command
}

fn controllers(assets: &Path, dir: &Path, port: u16) -> Command {
    let file = |flag, name| format!("--{flag}={}", dir.join(name).display());
    let mut command = Command::new(assets.join("kube-controller-manager"));
    command
        .args(
            ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"]
                .map(|flag| file(flag, "kubeconfig")),
        )
        .args(["--bind-address=127.0.0.1", "--leader-elect=false"])
        .arg(format!("--secure-port={port}"))
        .arg(file("cert-dir", "controllers"))
        .arg(file("root-ca-file", "ca.crt"))
        .arg(file("service-account-private-key-file", "service-accounts.key"))
        // A node here does not say every few seconds that it lives.
        .arg("--controllers=*,-node-lifecycle-controller");
    command
}
