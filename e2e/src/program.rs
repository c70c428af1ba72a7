//! A program of this workspace as a deployment runs it: a configuration file, a port, probes.

use crate::{ControlPlane, Process, free_ports, install_crypto};
use anyhow::{Context as _, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);

/// An exporter or a ruler, ready when [`start`](Self::start) returns.
#[derive(Debug)]
pub struct Program {
    process: Process,
    address: String,
    config: PathBuf,
    http: reqwest::Client,
}

// === impl Program ===

impl Program {
    /// Starts `binary` on a control plane and waits for `/readyz`.
    ///
    /// Its configuration file, with the text `config`, and its output are kept in the folder `dir`; what it
    /// prints to stdout is added to what a program of the same name printed there before.
    ///
    /// # Errors
    /// When it is not ready in time, with the end of its log.
    pub async fn start(
        binary: &Path,
        dir: &Path,
        control_plane: &ControlPlane,
        config: &str,
        flags: &[&str],
    ) -> Result<Self> {
        install_crypto();
        let name = binary.file_name().and_then(|name| name.to_str()).context("no name")?;
        let file = dir.join(format!("{name}.yaml"));
        fs::write(&file, config)?;
        let [port] = free_ports()?;
        let address = format!("127.0.0.1:{port}");
        let mut command = Command::new(binary);
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--kubeconfig={}", control_plane.kubeconfig().display()))
            .arg(format!("--listen={address}"))
            .args(flags)
            .env("NO_PROXY", "127.0.0.1");
        // They would stand for settings.
        for variable in ["CLUSTER_NAME", "POD_IP", "POD_NAMESPACE", "RUST_LOG"] {
            command.env_remove(variable);
        }
        let process = Process::spawn(name, command, dir)?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        let mut this = Self { process, address, config: file, http };
        let probe = this.http.get(this.url("/readyz"));
        this.process.ready(&probe, START).await?;
        Ok(this)
    }

    /// Where it listens, `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The URL of a path that it serves.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The process below.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The value of a series as the program tells it, such as `kube_events_delivered_total{lane="stdout"}`;
    /// `None` before its first value.
    ///
    /// # Errors
    /// When the program does not answer, or the value is no number.
    pub async fn metric(&self, series: &str) -> Result<Option<f64>> {
        let answer = self.http.get(self.url("/metrics")).send().await?.error_for_status()?;
        let text = answer.text().await?;
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        Ok(value.map(str::parse).transpose()?)
    }

    /// Writes the configuration file anew.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn configure(&self, config: &str) -> Result<()> {
        fs::write(&self.config, config).context("configuration")
    }

    /// `POST /-/reload`: the code and the text of the answer.
    ///
    /// # Errors
    /// When the program does not answer.
    pub async fn reload(&self) -> Result<(u16, String)> {
        let answer = self.http.post(self.url("/-/reload")).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Errors
    /// When it does not end in time, or not with exit code 0.
    pub async fn stop(mut self) -> Result<()> {
        let status = self.process.stop(STOP).await?;
        let log = self.process.stderr().unwrap_or_default();
        anyhow::ensure!(status.success(), "{status}\n{log}");
        Ok(())
    }
}
