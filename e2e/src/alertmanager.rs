//! A real Alertmanager.

use crate::{port::free_ports, process::Process, tls::install_crypto};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::{fs, net::Ipv4Addr, path::Path, process::Command, time::Duration};
use tempfile::TempDir;

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);

/// One replica, without peers, that groups for a second and notifies nobody.
#[derive(Debug)]
pub struct Alertmanager {
    process: Process,
    url: String,
    port: u16,
    http: reqwest::Client,
    _dir: TempDir,
}

impl Alertmanager {
    /// Starts `program` ([`Part::Alertmanager`](crate::Part)) and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start, with the end of its log.
    pub async fn start(program: &Path) -> Result<Self> {
        Self::start_at(program, Ipv4Addr::LOCALHOST).await
    }

    /// The same at another address of this machine.
    ///
    /// # Errors
    /// When it does not start, with the end of its log.
    pub async fn start_at(program: &Path, address: Ipv4Addr) -> Result<Self> {
        install_crypto();
        let dir = tempfile::Builder::new().prefix("alertmanager-").tempdir()?;
        let [port] = free_ports()?;
        let config = dir.path().join("alertmanager.yml");
        fs::write(&config, config_file().to_string())?;
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address={address}:{port}"))
            .arg("--cluster.listen-address=");
        let mut process = Process::spawn("alertmanager", command, dir.path())?;
        let url = format!("http://{address}:{port}");
        let http = reqwest::Client::builder().no_proxy().build()?;
        process.ready(&http.get(format!("{url}/-/ready")), START).await?;
        Ok(Self { process, url, port, http, _dir: dir })
    }

    /// The base URL, such as `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port of [`url`](Self::url).
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process, to freeze or to kill.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Posts alerts in the form of API v2: an array of `{labels, annotations, startsAt, endsAt}`.
    ///
    /// # Errors
    /// When Alertmanager refuses any of them.
    pub async fn post(&self, alerts: &Value) -> Result<()> {
        let answer = self.http.post(self.alerts_url()).json(alerts).send().await?;
        let status = answer.status();
        anyhow::ensure!(status.is_success(), "{status}: {}", answer.text().await?);
        Ok(())
    }

    /// The alerts that fire now, as API v2 gives them.
    ///
    /// # Errors
    /// When Alertmanager does not answer.
    pub async fn alerts(&self) -> Result<Vec<Value>> {
        let answer = self.http.get(self.alerts_url()).send().await?.error_for_status()?;
        answer.json().await.context("alerts")
    }

    /// Stops it with SIGTERM.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop(mut self) -> Result<()> {
        self.process.stop(STOP).await.map(drop)
    }

    fn alerts_url(&self) -> String {
        format!("{}/api/v2/alerts", self.url)
    }
}

fn config_file() -> Value {
    json!({
        "route": {"receiver": "nobody", "group_wait": "1s", "group_interval": "1s"},
        "receivers": [{"name": "nobody"}],
    })
}
