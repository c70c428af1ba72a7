//! `kube-events demo`: the whole of it, on a cluster that lives in this process.

use std::{
    cell::Cell,
    collections::BTreeMap,
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kube::{
    Client,
    config::{Config, KubeConfigOptions, Kubeconfig},
};
use kube_events_core::{
    event::Api,
    pipeline::{Handle, LaneOptions},
};
use kube_events_daemon::{LogOptions, Threads};
use kube_events_exporter::ExporterConfig;
use kube_events_ruler::Engine;
use kube_events_rules::{RuleSet, Scope, default_rules};
use kube_events_sinks::{Context as SinkContext, SinkConfig as _};
use kube_events_testkit::{
    AlertmanagerReceiver, ApiServer, Expectation, Extent, Identity, Receiver, Recorded, Workload,
};
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use kube_events_core::crd::duration;

/// How the demo goes.
#[derive(Clone, Debug, Args)]
pub struct DemoOptions {
    /// For how long Events are created.
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = duration::parse)]
    pub time: Duration,
    /// How many Events are created or changed each second.
    #[arg(long, value_name = "NUMBER", default_value_t = 500)]
    pub rate: u32,
    /// The seed of the workload: the same one tells the same story.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// Print a summary as one line of JSON, and nothing else.
    #[arg(long)]
    pub json: bool,
}

pub(crate) const EXAMPLES: &str = "\
Exit codes: 0 every Event arrived, those of an object in order; 1 something is missing or went wrong.

Examples:
  kube-events demo
  kube-events demo --for 3s --json | jq .events_per_second";

/// What came of it.
#[derive(Clone, Debug, Serialize)]
struct Summary {
    created: usize,
    delivered: usize,
    duplicates: usize,
    missing: usize,
    out_of_order: usize,
    alerts: usize,
    notifications: usize,
    events_per_second: f64,
    seconds: f64,
    /// Whether all arrived, those of an object in order, and nothing else.
    #[serde(skip)]
    complete: bool,
    #[serde(skip)]
    by_name: BTreeMap<String, usize>,
}

/// The servers that the pipeline stands between.
struct Stage {
    cluster: ApiServer,
    client: Client,
    webhook: Receiver,
    notified: Receiver,
    alertmanager: AlertmanagerReceiver,
    engine: Engine,
}

/// For how long to wait, when the last Event has been created, for it to arrive.
const PATIENCE: Duration = Duration::from_secs(20);

/// The namespace of the default rules.
const RULES_NAMESPACE: &str = "kubesphere-logging-system";

/// Runs the demo with logs and signals, and says how the process is to exit.
pub(crate) fn start(options: DemoOptions) -> ExitCode {
    let log = LogOptions { level: "warn".to_owned(), ..LogOptions::default() };
    kube_events_daemon::run(&log, Threads::PerCore, |shutdown| async move {
        let complete = run(options, shutdown).await?;
        anyhow::ensure!(complete, "not every Event arrived, or not in order");
        Ok(())
    })
}

/// Runs the demo, and says whether everything arrived.
///
/// # Errors
/// If a server of the demo cannot start.
async fn run(options: DemoOptions, shutdown: CancellationToken) -> anyhow::Result<bool> {
    let stage = Stage::set().await?;
    let pipeline = stage.pipeline()?;
    let handle = pipeline.handle();
    let created = Mutex::new(Vec::new());
    let start = Instant::now();
    let stop = CancellationToken::new();
    let act = async {
        let show = Show::new(&options, &stage);
        let watched = stage.watched(&show, &handle, &created, start);
        let mut workload = Workload::seeded(options.seed);
        let play =
            workload.drive(&stage.cluster, options.rate, Extent::For(options.time), |batch| {
                lock(&created).extend_from_slice(batch);
            });
        let whole = async {
            tokio::select! {
                _ = play => {}
                () = shutdown.cancelled() => {}
            }
            // The lock is not to be held while it is waited for.
            let created = lock(&created).len();
            stage.everything_delivered(created).await;
        };
        tokio::select! {
            () = whole => {}
            () = watched => {}
        }
        show.end();
        stop.cancel();
    };
    let (_, ()) = futures::join!(pipeline.run(stop.cancelled()), act);
    let created = created.into_inner().unwrap_or_else(PoisonError::into_inner);
    let summary = stage.summary(&created, start.elapsed());
    drop(stage);
    print(&summary, options.json)?;
    Ok(summary.complete)
}

// === impl Stage ===

impl Stage {
    async fn set() -> anyhow::Result<Self> {
        let cluster = ApiServer::start().await.context("cannot start an API server")?;
        let kubeconfig = Kubeconfig::from_yaml(&cluster.kubeconfig())?;
        let config =
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        let webhook = Receiver::start().await.context("cannot start a webhook")?;
        let notified = Receiver::start().await.context("cannot start a webhook")?;
        let alertmanager =
            AlertmanagerReceiver::start().await.context("cannot start an Alertmanager")?;
        let (_, rules) = watch::channel(Some(rules()));
        let engine = Engine::new(rules, kube_events_core::metrics::RulerMetrics::default());
        let client = Client::try_from(config)?;
        let stage = Self { cluster, client, webhook, notified, alertmanager, engine };
        let sinks: kube_events_core::crd::sinks::RulerSinks =
            serde_json::from_value(serde_json::json!({
                "alertmanagers": [{"urls": [stage.alertmanager.url()]}],
                "webhooks": [{"type": "notification", "url": stage.notified.url()}],
            }))?;
        stage.engine.replace_lanes(sinks.build(&SinkContext::default())?).await;
        Ok(stage)
    }

    /// The API server's Events to the webhook, and through the rules to Alertmanager.
    fn pipeline(&self) -> anyhow::Result<kube_events_core::Pipeline> {
        let config: ExporterConfig = serde_json::from_value(serde_json::json!({
            "sinks": {"webhooks": [{"name": "webhook", "url": self.webhook.url()}]},
        }))?;
        let cluster = Some("demo".to_owned());
        let mut pipeline =
            kube_events_exporter::pipeline(self.client.clone(), Api::CoreV1, &config, cluster)
                .lane("ruler", self.engine.clone(), LaneOptions::default());
        for lane in config.sinks.unwrap_or_default().build(&SinkContext::default())? {
            let options = LaneOptions { timeout: lane.timeout, ..LaneOptions::default() };
            pipeline = pipeline.lane(lane.name, lane.sink, options);
        }
        Ok(pipeline)
    }

    /// Waits until the webhook got as many Events, but not for ever.
    async fn everything_delivered(&self, created: usize) {
        // Requests and lines that were counted already.
        let counted = Cell::new((0, 0));
        let all = |records: &[Recorded]| {
            let (requests, before) = counted.get();
            let arrived = before + records[requests..].iter().map(lines).sum::<usize>();
            counted.set((records.len(), arrived));
            arrived >= created
        };
        // Running out of patience shows in the summary, as missing Events.
        drop(self.webhook.wait_for(PATIENCE, all).await);
    }

    async fn watched(
        &self,
        show: &Show,
        handle: &Handle,
        created: &Mutex<Vec<Identity>>,
        start: Instant,
    ) {
        let mut ticks = tokio::time::interval(Duration::from_millis(200));
        loop {
            ticks.tick().await;
            let delivered = handle.lanes().iter().map(|lane| lane.delivered).min().unwrap_or(0);
            show.tell(lock(created).len(), delivered, start.elapsed(), &self.alertmanager.alerts());
        }
    }

    fn summary(&self, created: &[Identity], time: Duration) -> Summary {
        let report = Expectation::EveryState.check(created, &self.webhook.identities());
        let alerts = self.alertmanager.alerts();
        let mut by_name = BTreeMap::new();
        for alert in &alerts {
            *by_name.entry(label(alert, "alertname").to_owned()).or_default() += 1;
        }
        let seconds = time.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "it is a rate for people")]
        let events_per_second = (report.delivered as f64 / seconds).round();
        Summary {
            created: report.created,
            delivered: report.delivered,
            duplicates: report.duplicates,
            missing: report.missing.len(),
            out_of_order: report.out_of_order,
            alerts: alerts.len(),
            notifications: self.notified.accepted().len(),
            events_per_second,
            seconds: (seconds * 10.0).round() / 10.0,
            complete: report.is_complete(),
            by_name,
        }
    }
}

fn rules() -> RuleSet {
    let mut rules = RuleSet::builder();
    rules.add(RULES_NAMESPACE, "cluster-rules-default", &Scope::Cluster, &default_rules());
    rules.build()
}

fn lines(record: &Recorded) -> usize {
    let taken = record.answered.is_some_and(|status| status / 100 == 2);
    if taken { record.body.split(|byte| *byte == b'\n').count() - 1 } else { 0 }
}

fn label<'a>(alert: &'a serde_json::Value, name: &str) -> &'a str {
    alert["labels"][name].as_str().unwrap_or_default()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a person sees meanwhile.
struct Show {
    bar: ProgressBar,
    told: Arc<Mutex<std::collections::HashSet<String>>>,
}

// === impl Show ===

impl Show {
    fn new(options: &DemoOptions, stage: &Stage) -> Self {
        let quiet = options.json || !std::io::stderr().is_terminal();
        let target =
            if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(
            ProgressStyle::with_template("{spinner} {msg}").expect("the template is fixed"),
        );
        if !options.json {
            eprintln!(
                "A cluster in this process ({}) has trouble for {:?}. Its Events go to a webhook and \
                 through {} rules to an Alertmanager.",
                stage.cluster.url(),
                options.time,
                rules().rules().count(),
            );
        }
        Self { bar, told: Arc::default() }
    }

    fn tell(&self, created: usize, delivered: u64, time: Duration, alerts: &[serde_json::Value]) {
        if self.bar.is_hidden() {
            return;
        }
        self.bar.tick();
        self.bar.set_message(format!(
            "{:>4.1}s  {created} Events created, {delivered} delivered to every sink, {} alerts",
            time.as_secs_f64(),
            alerts.len()
        ));
        let mut told = lock(&self.told);
        for alert in alerts {
            let line = describe(alert);
            if told.len() < MOST_TOLD && told.insert(line.clone()) {
                self.bar.println(line);
            }
        }
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// How many alerts are shown one by one while they come.
const MOST_TOLD: usize = 20;

fn describe(alert: &serde_json::Value) -> String {
    let object = alert["labels"].as_object().into_iter().flatten().find(|(name, _)| {
        !["alertname", "alerttype", "cluster", "container", "namespace", "severity"]
            .contains(&name.as_str())
    });
    let object = object.map_or_else(String::new, |(kind, name)| {
        format!("{kind} {}/{}", label(alert, "namespace"), name.as_str().unwrap_or_default())
    });
    let message = alert["annotations"]["message"].as_str().unwrap_or_default();
    format!("  ALERT {:<24} {object}: {message}", label(alert, "alertname"))
}

fn print(summary: &Summary, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        return Ok(writeln!(out, "{}", serde_json::to_string(summary)?)?);
    }
    writeln!(out, "Events created          {:>8}", summary.created)?;
    writeln!(out, "Events delivered        {:>8}", summary.delivered)?;
    writeln!(out, "  more than once        {:>8}", summary.duplicates)?;
    writeln!(out, "  missing               {:>8}", summary.missing)?;
    writeln!(out, "  out of order          {:>8}", summary.out_of_order)?;
    writeln!(out, "Events a second         {:>8}", summary.events_per_second)?;
    writeln!(out, "Notifications           {:>8}", summary.notifications)?;
    writeln!(out, "Alerts in Alertmanager  {:>8}", summary.alerts)?;
    for (name, alerts) in &summary.by_name {
        writeln!(out, "  {name:<22}{alerts:>8}")?;
    }
    Ok(())
}
