//! A real Prometheus.

use crate::{port::free_ports, process::Process, tls::install_crypto, wait::until};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path, process::Command, time::Duration};
use tempfile::TempDir;

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);

/// A Prometheus that scrapes its targets every second.
#[derive(Debug)]
pub struct Prometheus {
    process: Process,
    url: String,
    http: reqwest::Client,
    targets: usize,
    _dir: TempDir,
}

/// What to scrape: `http://ADDRESS/metrics`.
#[derive(Clone, Debug)]
pub struct Target {
    /// The value of the label `job`.
    pub job: String,
    /// `HOST:PORT`.
    pub address: String,
}

/// One series of an instant query's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// All labels, `__name__` included.
    pub labels: BTreeMap<String, String>,
    /// The value at the time of the query.
    pub value: f64,
}

impl Prometheus {
    /// Starts `program` ([`Part::Prometheus`](crate::Part)) and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start, with the end of its log.
    pub async fn start(program: &Path, targets: &[Target]) -> Result<Self> {
        install_crypto();
        let dir = tempfile::Builder::new().prefix("prometheus-").tempdir()?;
        let [port] = free_ports()?;
        let config = dir.path().join("prometheus.yml");
        fs::write(&config, config_file(targets).to_string())?;
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let mut process = Process::spawn("prometheus", command, dir.path())?;
        let url = format!("http://127.0.0.1:{port}");
        let http = reqwest::Client::builder().no_proxy().build()?;
        process.ready(&http.get(format!("{url}/-/ready")), START).await?;
        Ok(Self { process, url, http, targets: targets.len(), _dir: dir })
    }

    /// Asks an instant query; no series is an empty answer.
    ///
    /// # Errors
    /// When the query is wrong or gives no vector.
    pub async fn query(&self, query: &str) -> Result<Vec<Sample>> {
        let body = self.get("query", &[("query", query)]).await?;
        let series = body["data"]["result"].as_array().context("no result")?;
        series.iter().map(|s| sample(s).with_context(|| s.to_string())).collect()
    }

    /// The type that a target gave for `metric`, such as `counter`; `None` until it was scraped.
    ///
    /// # Errors
    /// When Prometheus does not answer.
    pub async fn metric_type(&self, metric: &str) -> Result<Option<String>> {
        let body = self.get("metadata", &[("metric", metric)]).await?;
        Ok(body["data"][metric][0]["type"].as_str().map(str::to_owned))
    }

    /// Waits for a scrape of every target, without an error in any.
    ///
    /// # Errors
    /// With the error of the last scrape, when one fails or `limit` passes.
    pub async fn scraped(&self, limit: Duration) -> Result<()> {
        let all_up = async || {
            let body = self.get("targets", &[("state", "active")]).await?;
            let targets = body["data"]["activeTargets"].as_array().context("no targets")?;
            if let Some(down) = targets.iter().find(|t| t["health"] == "down") {
                bail!("{}: {}", down["scrapeUrl"], down["lastError"]);
            }
            let up = targets.iter().filter(|t| t["health"] == "up").count();
            Ok((up == self.targets).then_some(()))
        };
        until("every target is scraped", limit, all_up).await
    }

    /// Stops it with SIGTERM.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop(mut self) -> Result<()> {
        self.process.stop(STOP).await.map(drop)
    }

    async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value> {
        let url =
            reqwest::Url::parse_with_params(&format!("{}/api/v1/{path}", self.url), parameters)?;
        let body: Value = self.http.get(url).send().await?.json().await?;
        if body["status"] != "success" {
            bail!("{}", body["error"]);
        }
        Ok(body)
    }
}

fn config_file(targets: &[Target]) -> Value {
    let jobs: Vec<_> = targets
        .iter()
        .map(|t| json!({"job_name": t.job, "static_configs": [{"targets": [t.address]}]}))
        .collect();
    json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": jobs,
    })
}

/// `{"metric": {…}, "value": [time, "1"]}`
fn sample(series: &Value) -> Option<Sample> {
    let labels = series["metric"].as_object()?.iter();
    let labels = labels.map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    let value = series["value"][1].as_str()?.parse().ok()?;
    Some(Sample { labels: labels.collect::<Option<_>>()?, value })
}
