//! Measures the exporter beside `curl`, which reads the same bytes from the same API server and throws them away.
//!
//! Three scenes: a cold start on many stored Events, new Events at a steady rate, and idling on an empty
//! cluster. `e2e/bench/exporter-vs-curl` builds what is needed and calls this.

use anyhow::{Context as _, Result, ensure};
use axum::{Router, body::Bytes, extract::DefaultBodyLimit, routing::post};
use clap::Parser;
use e2e::{ControlPlane, Load, Part, Process, Settings, Usage, free_ports, until};
use kube::Client;
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    fs,
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{net::TcpListener, time::sleep};

const PAGE: usize = 500;
const NAMESPACES: [&str; 4] = ["shop", "search", "payments", "batch"];
const LIMIT: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(5);
const SETTLE: Duration = Duration::from_secs(10);

/// Measures the exporter beside curl on a real API server; prints a Markdown table.
#[derive(Debug, Parser)]
struct Arguments {
    /// Events stored before the cold start
    #[arg(long, default_value_t = 100_000)]
    events: usize,
    /// New Events a second while watching
    #[arg(long, default_value_t = 500)]
    rate: u32,
    /// Seconds of watching
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// Cold starts of each program; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// The exporter's binary; without it, the one beside this program
    #[arg(long)]
    exporter: Option<PathBuf>,
    /// Measures curl alone
    #[arg(long)]
    curl_only: bool,
}

/// One program in one scene.
#[derive(Clone, Copy, Debug)]
struct Figure {
    scene: &'static str,
    program: &'static str,
    events: usize,
    seconds: f64,
    usage: Usage,
}

/// Everything that a scene needs.
struct Stage {
    control_plane: ControlPlane,
    client: Client,
    load: Load,
    exporter: Option<PathBuf>,
    receiver: Receiver,
    dir: TempDir,
}

/// Counts the lines that are posted to it and drops them.
struct Receiver {
    url: String,
    lines: Arc<AtomicUsize>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let Some(stage) = Stage::set(&arguments).await? else { return Ok(()) };
    let mut figures = Vec::new();
    figures.extend(stage.idle().await?);

    let begun = Instant::now();
    stage.load.create(0, arguments.events).await?;
    eprintln!("stored {} Events in {:.0?}", arguments.events, begun.elapsed());
    figures.extend(stage.cold(arguments.events, arguments.runs).await?);
    figures.extend(stage.live(arguments.events, arguments.rate, arguments.seconds).await?);

    print!("{}", table(&figures));
    stage.control_plane.stop().await
}

// === impl Stage ===

impl Stage {
    async fn set(arguments: &Arguments) -> Result<Option<Self>> {
        let Some(assets) = Part::ControlPlane.find() else { return Ok(None) };
        let exporter = match &arguments.exporter {
            _ if arguments.curl_only => None,
            Some(path) => Some(path.clone()),
            None => match Part::Program("kube-events-exporter").find() {
                Some(path) => Some(path),
                None => return Ok(None),
            },
        };
        let settings = Settings {
            event_ttl: Duration::from_secs(24 * 3600),
            // Continue tokens must stay valid for every walk.
            compaction: Duration::ZERO,
            unlimited: true,
            ..Settings::default()
        };
        let control_plane = ControlPlane::start(&assets, settings).await?;
        let client = control_plane.client().await?;
        let load = Load::new(client.clone(), &NAMESPACES, 64).await?;
        let receiver = Receiver::listen().await?;
        let dir = tempfile::tempdir()?;
        Ok(Some(Self { control_plane, client, load, exporter, receiver, dir }))
    }

    /// The exporter on a cluster without Events.
    async fn idle(&self) -> Result<Option<Figure>> {
        let Some(mut exporter) = self.start_exporter("now").await? else { return Ok(None) };
        sleep(SETTLE).await;
        let usage = exporter.usage()?;
        exporter.stop(LIMIT).await?;
        let seconds = SETTLE.as_secs_f64();
        Ok(Some(Figure { scene: "idle", program: "exporter", events: 0, seconds, usage }))
    }

    /// Both programs read every stored Event; the exporter delivers them too.
    async fn cold(&self, events: usize, runs: u32) -> Result<Vec<Figure>> {
        let walk = self.walk().await?;
        let (mut curl, mut exporter) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            curl.push(self.cold_curl(&walk, events).await?);
            exporter.extend(self.cold_exporter(events).await?);
        }
        Ok([median(curl), median(exporter)].into_iter().flatten().collect())
    }

    async fn cold_curl(&self, walk: &[String], events: usize) -> Result<Figure> {
        let begun = Instant::now();
        let mut curl = self.start_curl("walk", walk)?;
        let mut usage = Usage::default();
        while !curl.ended()? {
            sleep(POLL).await;
            let now = curl.usage()?;
            usage = Usage { peak_rss: usage.peak_rss.max(now.peak_rss), ..now };
        }
        let seconds = begun.elapsed().as_secs_f64();
        usage.cpu = curl.usage()?.cpu;
        ensure!(curl.exited(LIMIT).await?.success(), "curl: {}", curl.stderr()?);
        Ok(Figure { scene: "cold start", program: "curl", events, seconds, usage })
    }

    async fn cold_exporter(&self, events: usize) -> Result<Option<Figure>> {
        self.receiver.lines.store(0, Ordering::Relaxed);
        let begun = Instant::now();
        let Some(mut exporter) = self.spawn_exporter("held")? else { return Ok(None) };
        self.receiver.delivered(events).await.with_context(|| said(&exporter))?;
        let seconds = begun.elapsed().as_secs_f64();
        let usage = exporter.usage()?;
        exporter.stop(LIMIT).await?;
        let lines = self.receiver.lines.load(Ordering::Relaxed);
        ensure!(lines == events, "{lines} lines were delivered for {events} Events");
        Ok(Some(Figure { scene: "cold start", program: "exporter", events, seconds, usage }))
    }

    /// Both programs hold one watch, side by side, while Events are created at a steady rate.
    async fn live(&self, first: usize, rate: u32, seconds: u32) -> Result<Vec<Figure>> {
        let count = rate as usize * seconds as usize;
        let exporter = self.start_exporter("now").await?;
        self.receiver.lines.store(0, Ordering::Relaxed);
        let curl = self.start_curl("watch", &[self.watch_url().await?])?;
        let mut created = self.both_watch(first, exporter.is_some()).await?;

        let before = (curl.usage()?, exporter.as_ref().map(Process::usage).transpose()?);
        let begun = Instant::now();
        self.load.create_evenly(first + created, count, rate).await?;
        created += count;
        if exporter.is_some() {
            self.receiver.delivered(created).await?;
        }
        sleep(Duration::from_secs(1)).await;
        let took = begun.elapsed().as_secs_f64() - 1.0;
        let figure = |program, process: &Process, before: Usage| -> Result<Figure> {
            let after = process.usage()?;
            let usage = Usage { cpu: after.cpu.saturating_sub(before.cpu), ..after };
            Ok(Figure { scene: "live", program, events: count, seconds: took, usage })
        };
        let mut figures = vec![figure("curl", &curl, before.0)?];
        if let (Some(exporter), Some(before)) = (&exporter, before.1) {
            figures.push(figure("exporter", exporter, before)?);
        }
        Ok(figures)
    }

    /// Creates one Event after the other until the exporter delivers; how many that took.
    async fn both_watch(&self, first: usize, exporter: bool) -> Result<usize> {
        let mut created = 0;
        sleep(Duration::from_secs(1)).await;
        while exporter && self.receiver.lines.load(Ordering::Relaxed) == 0 {
            ensure!(created < 60, "the exporter delivers nothing");
            self.load.create(first + created, 1).await?;
            created += 1;
            sleep(Duration::from_secs(1)).await;
        }
        // What was made before the exporter's watch began is not delivered to it.
        self.receiver.lines.store(created, Ordering::Relaxed);
        Ok(created)
    }

    async fn start_exporter(&self, start_from: &str) -> Result<Option<Process>> {
        let Some(exporter) = self.spawn_exporter(start_from)? else { return Ok(None) };
        let ready = format!("http://{}/readyz", self.probes()?);
        let http = reqwest::Client::builder().no_proxy().build()?;
        let answers = async || {
            let answer = http.get(&ready).send().await;
            Ok(answer.is_ok_and(|a| a.status().is_success()).then_some(()))
        };
        until("the exporter is ready", LIMIT, answers).await.with_context(|| said(&exporter))?;
        Ok(Some(exporter))
    }

    fn spawn_exporter(&self, start_from: &str) -> Result<Option<Process>> {
        let Some(program) = &self.exporter else { return Ok(None) };
        let config = json!({
            "startFrom": start_from,
            "sinks": {"webhooks": [{"url": self.receiver.url}]},
        });
        let file = self.dir.path().join("exporter.yaml");
        fs::write(&file, config.to_string())?;
        let [port] = free_ports()?;
        let listen = format!("127.0.0.1:{port}");
        fs::write(self.dir.path().join("probes"), &listen)?;
        let mut command = Command::new(program);
        command.arg("--config.file").arg(file).args(["--listen", &listen]);
        command.arg("--kubeconfig").arg(self.control_plane.kubeconfig());
        Process::spawn("exporter", command, self.dir.path()).map(Some)
    }

    /// The address of the exporter that was started last.
    fn probes(&self) -> Result<String> {
        Ok(fs::read_to_string(self.dir.path().join("probes"))?)
    }

    /// The pages of a list of all Events, one URL each.
    async fn walk(&self) -> Result<Vec<String>> {
        let mut urls = Vec::new();
        let mut path = format!("/api/v1/events?limit={PAGE}");
        loop {
            urls.push(format!("{}{path}", self.control_plane.url()));
            let page = self.get(&path).await?;
            match page["metadata"]["continue"].as_str() {
                None | Some("") => return Ok(urls),
                Some(token) => {
                    path = format!("/api/v1/events?limit={PAGE}&continue={token}");
                }
            }
        }
    }

    /// A watch from now on.
    async fn watch_url(&self) -> Result<String> {
        let list = self.get("/api/v1/events?limit=1").await?;
        let version = list["metadata"]["resourceVersion"].as_str().context("no resourceVersion")?;
        let url = self.control_plane.url();
        Ok(format!("{url}/api/v1/events?watch=1&resourceVersion={version}"))
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let request = axum::http::Request::get(path).body(Vec::new())?;
        Ok(self.client.request(request).await?)
    }

    /// One curl process that reads all `urls` over one connection.
    fn start_curl(&self, name: &str, urls: &[String]) -> Result<Process> {
        let mut config = format!(
            "silent\nshow-error\nfail\nno-buffer\ncacert = \"{}\"\nheader = \"Authorization: Bearer {}\"\n",
            self.control_plane.ca().display(),
            self.control_plane.token(),
        );
        for url in urls {
            writeln!(config, "url = \"{url}\"\noutput = \"/dev/null\"")?;
        }
        let file = self.dir.path().join(name);
        fs::write(&file, config)?;
        let mut command = Command::new("curl");
        // First, so that no .curlrc has a say.
        command.arg("--disable").arg("--config").arg(file);
        Process::spawn("curl", command, self.dir.path())
    }
}

// === impl Receiver ===

impl Receiver {
    async fn listen() -> Result<Self> {
        let lines = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&lines);
        let take = post(move |body: Bytes| async move {
            let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            count.fetch_add(lines.count(), Ordering::Relaxed);
        });
        let app = Router::new().route("/", take).layer(DefaultBodyLimit::disable());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/", listener.local_addr()?);
        tokio::spawn(axum::serve(listener, app).into_future());
        Ok(Self { url, lines })
    }

    async fn delivered(&self, events: usize) -> Result<()> {
        let end = Instant::now() + LIMIT;
        while self.lines.load(Ordering::Relaxed) < events {
            let lines = self.lines.load(Ordering::Relaxed);
            ensure!(Instant::now() < end, "{lines} of {events} were delivered in {LIMIT:?}");
            sleep(POLL).await;
        }
        Ok(())
    }
}

/// What a process said last, for an error's context.
fn said(process: &Process) -> String {
    let text = process.stderr().unwrap_or_default();
    let lines: Vec<_> = text.lines().rev().take(20).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// The run whose time is in the middle.
fn median(mut figures: Vec<Figure>) -> Option<Figure> {
    figures.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    figures.get(figures.len() / 2).copied()
}

fn table(figures: &[Figure]) -> String {
    let mut text = String::from(
        "| scene | program | events | seconds | CPU s | CPU s per 1,000 events | RSS MiB | peak RSS MiB | × curl's time | × curl's CPU |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for figure in figures {
        text +=
            &row(figure, figures.iter().find(|f| f.scene == figure.scene && f.program == "curl"));
    }
    text
}

fn row(figure: &Figure, curl: Option<&Figure>) -> String {
    let Figure { scene, program, events, seconds, usage } = figure;
    let cpu = usage.cpu.as_secs_f64();
    let each =
        if *events == 0 { "–".into() } else { format!("{:.4}", cpu * 1000.0 / count(*events)) };
    let ratio = |mine: f64, curls: f64| format!("{:.2}", mine / curls);
    let (time, work) = match curl {
        Some(curl) => (ratio(*seconds, curl.seconds), ratio(cpu, curl.usage.cpu.as_secs_f64())),
        None => ("–".into(), "–".into()),
    };
    let (rss, peak) = (mebibytes(usage.rss), mebibytes(usage.peak_rss));
    format!(
        "| {scene} | {program} | {events} | {seconds:.2} | {cpu:.2} | {each} | {rss:.1} | {peak:.1} | {time} | {work} |\n"
    )
}

fn count(events: usize) -> f64 {
    f64::from(u32::try_from(events).expect("nobody stores four billion Events"))
}

fn mebibytes(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes / 1024).expect("less than 4 TiB")) / 1024.0
}
