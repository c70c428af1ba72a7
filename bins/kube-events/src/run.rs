//! `kube-events run`: exporter and ruler in one process, without an operator.

use std::{
    convert::Infallible, future::pending, io::IsTerminal as _, path::PathBuf, process::ExitCode,
    str::FromStr, time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;
use kube::{Api, Client, api::ListParams};
use kube_events_core::{
    crd::{Rule, StartFrom, defaults::WARM_UP, sinks::RulerSinkType},
    metrics::{PipelineMetrics, RulerMetrics},
    pipeline::LaneOptions,
};
use kube_events_daemon::{
    Health, KubeOptions, ListenAddress, LogOptions, Server, Threads, cluster_name, read_config,
};
use kube_events_exporter::{EventVersion, ExporterConfig};
use kube_events_ruler::{Engine, History, RulerConfig};
use kube_events_rules::{RuleSet, Scope, default_rules, live};
use kube_events_sinks::{Context as SinkContext, SinkConfig as _};
use prometheus_client::registry::Registry;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::rules;

/// What is run, and where it sends.
#[derive(Clone, Debug, Args)]
pub struct RunOptions {
    /// A file or folder with Rules; may be given more than once [default: the Rules in the cluster,
    /// or the usual ones if it has none of our custom resources].
    #[arg(long = "rules", value_name = "FILE|DIR")]
    pub rules: Vec<PathBuf>,
    /// Where to send; may be given more than once:
    /// stdout, file=PATH, webhook=URL (Events), alertmanager=URL,
    /// alerts=stdout|URL, notifications=stdout|URL [default: stdout].
    #[arg(long = "sink", value_name = "SINK", conflicts_with = "config_file")]
    pub sinks: Vec<SinkArgument>,
    /// A file with the keys `exporter` and `ruler`, each as the configuration file of that program.
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// Begin with what happens from now on, not with what the API server still has.
    #[arg(long)]
    pub from_now: bool,
    /// The namespace whose Rules may have the scope `cluster` or `workspace`.
    #[arg(long, value_name = "NAMESPACE", default_value = "kubesphere-logging-system")]
    pub rules_namespace: String,
    /// The API whose form Events are delivered in.
    #[arg(long = "event.version", value_enum, default_value_t)]
    pub event_version: EventVersion,
    /// Serve /healthz, /readyz and /metrics at this address [default: do not].
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<ListenAddress>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help of the group")]
    pub kube: KubeOptions,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help of the group")]
    pub log: LogOptions,
}

pub(crate) const EXAMPLES: &str = "\
Examples:
  kube-events run                                   Events and alerts of the current cluster, to read
  kube-events run | jq .reason                      Events as lines of JSON
  kube-events run --sink webhook=http://127.0.0.1:8080/events \\
                  --sink alertmanager=http://127.0.0.1:9093 --rules rules/";

/// Runs as the options say, with logs and signals, and says how the process is to exit.
pub(crate) fn start(options: RunOptions) -> ExitCode {
    kube_events_daemon::run(&options.log.clone(), Threads::PerCore, |shutdown| {
        run(options, shutdown)
    })
}

/// A sink on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkArgument {
    /// Events to standard output.
    Stdout,
    /// Events to a file.
    File(PathBuf),
    /// Events to a webhook.
    Webhook(String),
    /// Alerts to an Alertmanager.
    Alertmanager(String),
    /// Alerts or notifications to standard output (`None`) or a webhook.
    Ruled(RulerSinkType, Option<String>),
}

/// The configuration of both halves.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RunConfig {
    exporter: ExporterConfig,
    ruler: RulerConfig,
}

/// Runs until `shutdown`.
///
/// # Errors
/// If a sink, a rule file, the way to the API server or the address cannot be used.
async fn run(options: RunOptions, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut config = options.config().await?;
    if options.from_now {
        config.exporter.start_from = StartFrom::Now;
        config.ruler.warm_up.get_or_insert(false);
    }
    kube_events_exporter::check_selectors(options.event_version.into(), &config.exporter)?;
    let files = options.compiled()?;
    let client = options.kube.client(USER_AGENT).await?;
    let mut registry = Registry::default();
    let metrics = PipelineMetrics::register(&mut registry);
    let ruler_metrics = RulerMetrics::register(&mut registry);
    let context = SinkContext::default().client(client.clone());
    let lanes = config.exporter.sinks.clone().unwrap_or_default().build(&context)?;
    let ruler_lanes = config.ruler.sinks.clone().unwrap_or_default().build(&context)?;
    let (rules, follow) = match files {
        Some(rules) => fixed(rules),
        None => options.rules(&client, &config.ruler).await?,
    };
    let engine = Engine::new(rules, ruler_metrics);
    engine.pause();
    engine.replace_lanes(ruler_lanes).await;
    let (starter, timer) = (engine.clone(), engine.clone());

    let cluster = cluster_name(&client, config.exporter.cluster.as_deref()).await;
    let history = config.ruler.warm_up.unwrap_or(WARM_UP);
    let history = history.then(|| History::new(client.clone()).cluster(cluster.clone()));
    let api = options.event_version.into();
    let mut pipeline =
        kube_events_exporter::pipeline(client.clone(), api, &config.exporter, cluster)
            .metrics(metrics)
            .lane("ruler", engine, LaneOptions::default());
    for lane in lanes {
        let options = LaneOptions { timeout: lane.timeout, ..LaneOptions::default() };
        pipeline = pipeline.lane(lane.name, lane.sink, options);
    }
    let health = Health::default();
    let _checks = kube_events_exporter::watch_over(&health, &pipeline.handle());
    let serve = async {
        let Some(address) = &options.listen else { return Ok(()) };
        let server = Server::new(health.clone(), registry).bind(address).await?;
        info!(address = %server.local_addr()?, "listening");
        anyhow::Ok(server.serve(shutdown.clone().cancelled_owned()).await?)
    };
    let started = CancellationToken::new();
    let start = async {
        starter.warm_up(history.as_ref(), |_| ()).await;
        started.cancel();
        pending::<Infallible>().await
    };
    let export = async {
        // Else the first Events would be refused and tried again, with a warning that says so.
        drop(timeout(START_PATIENCE, started.cancelled()).await);
        pipeline.run(shutdown.cancelled()).await
    };
    tokio::select! {
        (served, _) = futures::future::join(serve, export) => served,
        () = follow => Ok(()),
        never = start => match never {},
        never = timer.keep_time() => match never {},
    }
}

/// For how long Events wait at the start until rules can take them; other sinks need none.
const START_PATIENCE: Duration = Duration::from_secs(1);

/// How the program names itself to the API server.
const USER_AGENT: &str = concat!("kube-events/", env!("CARGO_PKG_VERSION"));

type Follow = futures::future::BoxFuture<'static, ()>;

// === impl RunOptions ===

impl RunOptions {
    async fn config(&self) -> anyhow::Result<RunConfig> {
        match &self.config_file {
            Some(file) => Ok(read_config(file).await?),
            None => self.config_of_sinks(),
        }
    }

    /// The configuration file that would say the same.
    fn config_of_sinks(&self) -> anyhow::Result<RunConfig> {
        let mut sinks = self.sinks.clone();
        if sinks.is_empty() {
            sinks.push(SinkArgument::Stdout);
            if std::io::stdout().is_terminal() {
                sinks.push(SinkArgument::Ruled(RulerSinkType::Alert, None));
            }
        }
        let mut config = json!({"exporter": {"sinks": {}}, "ruler": {"sinks": {}}});
        for sink in &sinks {
            let (program, kind, settings) = sink.settings();
            let place = &mut config[program]["sinks"][kind];
            match place.as_array_mut() {
                _ if kind == "stdout" => *place = settings,
                Some(list) => list.push(settings),
                None => *place = json!([settings]),
            }
        }
        serde_json::from_value(config).context("these sinks do not go together")
    }

    /// The rules of the files, if there are any.
    fn compiled(&self) -> anyhow::Result<Option<RuleSet>> {
        let files = !self.rules.is_empty();
        files.then(|| rules::compile(&self.rules, &self.rules_namespace)).transpose()
    }

    /// The rules of the cluster, and what keeps them as they are there.
    async fn rules(
        &self,
        client: &Client,
        config: &RulerConfig,
    ) -> anyhow::Result<(watch::Receiver<Option<RuleSet>>, Follow)> {
        let rules = Api::<Rule>::all(client.clone());
        match rules.list(&ListParams::default().limit(1)).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {
                warn!("the cluster has no custom resource Rule; the usual rules are used");
                let mut rules = RuleSet::builder();
                let name = "cluster-rules-default";
                rules.add(&self.rules_namespace, name, &Scope::Cluster, &default_rules());
                return Ok(fixed(rules.build()));
            }
            Err(error) => warn!(%error, "cannot list Rules yet; Events wait until it succeeds"),
        }
        let options = live::LiveOptions {
            namespace: None,
            rules_namespace: self.rules_namespace.clone(),
            rule_selector: kube_events_ruler::selector(
                "ruleSelector",
                config.rule_selector.as_ref(),
            )?,
            rule_namespace_selector: kube_events_ruler::selector(
                "ruleNamespaceSelector",
                config.rule_namespace_selector.as_ref(),
            )?,
            limits: config.limits.into(),
            before: RuleSet::default(),
        };
        let (rules, follow) = live::rules(client.clone(), options);
        Ok((rules, Box::pin(follow)))
    }
}

fn fixed(rules: RuleSet) -> (watch::Receiver<Option<RuleSet>>, Follow) {
    for problem in rules.problems().iter().filter(|problem| problem.is_error()) {
        warn!("{problem}");
    }
    info!(rules = rules.rules().count(), "rules compiled");
    (watch::channel(Some(rules)).1, Box::pin(std::future::pending()))
}

// === impl SinkArgument ===

impl SinkArgument {
    /// The program whose sink it is, the key among its sinks, and what stands there.
    fn settings(&self) -> (&'static str, &'static str, Value) {
        match self {
            Self::Stdout => ("exporter", "stdout", json!({})),
            Self::File(path) => ("exporter", "files", json!({"path": path})),
            Self::Webhook(url) => ("exporter", "webhooks", json!({"url": url})),
            Self::Alertmanager(url) => ("ruler", "alertmanagers", json!({"urls": [url]})),
            Self::Ruled(kind, None) => ("ruler", "stdout", json!({"type": kind})),
            Self::Ruled(kind, Some(url)) => {
                ("ruler", "webhooks", json!({"type": kind, "url": url}))
            }
        }
    }
}

impl FromStr for SinkArgument {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (kind, target) = text.split_once('=').unwrap_or((text, ""));
        let ruled = |kind| Ok(Self::Ruled(kind, (target != "stdout").then(|| target.to_owned())));
        match (kind, target) {
            ("stdout", "") => Ok(Self::Stdout),
            (_, "") if kind != "stdout" => {
                bail!("what is behind `{kind}=`? See --help for all forms")
            }
            ("file", path) => Ok(Self::File(path.into())),
            ("webhook", url) => Ok(Self::Webhook(url.to_owned())),
            ("alertmanager", url) => Ok(Self::Alertmanager(url.to_owned())),
            ("alerts", _) => ruled(RulerSinkType::Alert),
            ("notifications", _) => ruled(RulerSinkType::Notification),
            _ => bail!(
                "no sink is called `{kind}`: use stdout, file=PATH, webhook=URL, alertmanager=URL, \
                 alerts=stdout|URL or notifications=stdout|URL"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::{Cli, Command};

    fn options(args: &[&str]) -> Result<RunOptions, clap::Error> {
        let command = Cli::try_parse_from(["kube-events", "run"].iter().chain(args))?.command;
        let Command::Run(options) = command else { panic!("{command:?}") };
        Ok(*options)
    }

    #[test]
    fn sinks_on_the_command_line_say_what_a_file_would() {
        let args = [
            "stdout",
            "webhook=http://h/e",
            "webhook=http://i/e",
            "file=events.ndjson",
            "alertmanager=http://a",
            "alerts=http://w",
            "notifications=stdout",
        ];
        let args: Vec<_> = args.iter().flat_map(|sink| ["--sink", sink]).collect();
        let config = options(&args).unwrap().config_of_sinks().unwrap();
        let exporter = config.exporter.sinks.unwrap();
        assert!(exporter.stdout.is_some());
        assert_eq!((exporter.webhooks.len(), exporter.files.len()), (2, 1));
        let ruler = config.ruler.sinks.unwrap();
        assert_eq!((ruler.alertmanagers.len(), ruler.webhooks.len()), (1, 1));
        assert_eq!(ruler.stdout.unwrap().r#type, RulerSinkType::Notification);
    }

    #[test]
    fn a_sink_that_does_not_exist_is_told_with_those_that_do() {
        let error = options(&["--sink", "kafka=x"]).unwrap_err().to_string();
        assert!(error.contains("no sink is called `kafka`: use stdout"), "{error}");
        let error = options(&["--sink", "webhook="]).unwrap_err().to_string();
        assert!(error.contains("what is behind `webhook=`?"), "{error}");
    }
}
