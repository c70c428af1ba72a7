//! Evaluates rules on Kubernetes Events and sends notifications and alerts.
//!
//! [`run`] is the whole program; [`Engine`] is its heart, for those who have Events in hand
//! already.

mod config;
mod engine;
mod intake;
mod lane;
mod options;
mod outbox;
mod peer;
mod replica;
mod routes;
mod warm_up;
mod window;

use std::{convert::Infallible, sync::Arc};

use anyhow::Context as _;
use futures::{
    FutureExt as _,
    future::{Either, select},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{Client, core::Selector};
use kube_events_core::{
    event::Decoder,
    metrics::{ConfigMetrics, RulerMetrics},
};
use kube_events_daemon::{ConfigFile, Health, Server, cluster_name, read_config};
use kube_events_rules::{RuleSet, live};
use kube_events_sinks::{Context, RulerLanes, SinkConfig as _};
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::replica::{Replica, candidate};
pub use self::{
    config::RulerConfig,
    engine::{Engine, Refusal},
    intake::{Intake, MAX_LINE, Rejected},
    lane::Payload,
    options::{LeaseOptions, Options},
    routes::{MAX_BODY, events},
    warm_up::History,
};

/// Runs the ruler until `shutdown`.
///
/// # Errors
/// If there is no configuration that can be used, no way to an API server, or no port to listen at.
pub async fn run(options: Options, shutdown: CancellationToken) -> anyhow::Result<()> {
    // A mistake in the file is told before one on the way to the API server.
    read_config::<RulerConfig>(&options.config_file).await?;
    let client = options.kube.client(USER_AGENT).await?;
    let mut registry = Registry::default();
    let metrics = RulerMetrics::register(&mut registry);
    let config_metrics = ConfigMetrics::register(&mut registry);
    let (sender, mut settings) = watch::channel(Arc::new(Settings::default()));
    let mut context = context(&client, &metrics);
    let file =
        ConfigFile::open(&options.config_file, config_metrics, move |config: RulerConfig| {
            let settings = Settings::new(config, &context);
            // What is in force works better than what names a Secret that only newer pods have, or none.
            context = context.clone().needs_files();
            let applied = settings.map(|settings| drop(sender.send_replace(Arc::new(settings))));
            std::future::ready(applied).boxed()
        })
        .await?;
    let first = settings.borrow_and_update().clone();
    let cluster = cluster_name(&client, first.config.cluster.as_deref()).await;
    let history =
        History::new(client.clone()).namespace(options.namespace.clone()).cluster(cluster.clone());
    let decoder = cluster.iter().fold(Decoder::default(), |decoder, name| decoder.cluster(name));

    let (rules_sender, rules) = watch::channel(None);
    let engine = Engine::new(rules.clone(), metrics.clone());
    let health = Health::default();
    let known = rules.clone();
    let _rules_known = health.check("rules", move || match &*known.borrow() {
        Some(_) => Ok(()),
        None => Err("the Rules and namespaces have not been listed yet".to_owned()),
    });
    let state = health.part("state");
    engine.pause();
    let server = Server::new(health, registry)
        .reload(file.handle())
        .routes(events(engine.clone(), decoder, metrics.clone()))
        .bind(&options.listen.listen)
        .await?;
    let address = server.local_addr()?;
    info!(%address, "listening");
    let candidate = candidate(&options.lease, &client, address.port())?;

    let rules_namespace =
        options.rules_namespace.unwrap_or_else(|| client.default_namespace().to_owned());
    info!(rules_namespace, "Rules in this namespace may reach beyond it");
    let looked_at = Namespaces { only: options.namespace, rules: rules_namespace };
    let (engine_too, settings_too) = (engine.clone(), settings.clone());
    let replica =
        Replica { engine: engine_too, history, rules, settings: settings_too, state, candidate };
    let follow = follow(client, looked_at, settings, rules_sender, &engine, &metrics);
    let serve = server.serve(shutdown.clone().cancelled_owned());
    let watch = file.watch(shutdown.clone().cancelled_owned());
    let work = std::pin::pin!(async { futures::join!(serve, watch).0 });
    // Boxed, so that it ends before the sinks are closed, of which it may hold some.
    let keep_time = async { futures::join!(replica.run(), engine.keep_time()).1 };
    let keep = select(Box::pin(follow), Box::pin(keep_time));
    let served = match select(work, keep).await {
        Either::Left((served, _)) => served,
        Either::Right((Either::Left((never, _)) | Either::Right((never, _)), _)) => match never {},
    };
    replica.end().await;
    engine.close().await;
    served.context("the server failed")
}

/// How the ruler names itself to the API server.
const USER_AGENT: &str = concat!("kube-events-ruler/", env!("CARGO_PKG_VERSION"));

/// A configuration that was found to be usable.
#[derive(Debug, Default)]
struct Settings {
    config: RulerConfig,
    rule_selector: Selector,
    rule_namespace_selector: Selector,
    /// Taken by whoever brings them into force.
    lanes: std::sync::Mutex<Option<RulerLanes>>,
}

// === impl Settings ===

impl Settings {
    fn new(config: RulerConfig, context: &Context) -> anyhow::Result<Self> {
        let rule_selector = selector("ruleSelector", config.rule_selector.as_ref())?;
        let rule_namespace_selector =
            selector("ruleNamespaceSelector", config.rule_namespace_selector.as_ref())?;
        let lanes = config.sinks.clone().unwrap_or_default().build(context)?;
        let lanes = std::sync::Mutex::new(Some(lanes));
        Ok(Self { config, rule_selector, rule_namespace_selector, lanes })
    }

    fn take_lanes(&self) -> Option<RulerLanes> {
        self.lanes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }
}

/// The selector under a key of the configuration; all, if there is none.
///
/// # Errors
/// If it is no selector; the error names the key.
pub fn selector(key: &'static str, selector: Option<&LabelSelector>) -> anyhow::Result<Selector> {
    let selector = selector.cloned().map(Selector::try_from).transpose();
    Ok(selector.context(key)?.unwrap_or_default())
}

fn context(client: &Client, metrics: &RulerMetrics) -> Context {
    let metrics = metrics.clone();
    Context::default()
        .client(client.clone())
        .on_suppressed(move |lane, alerts| metrics.suppressed(lane, alerts))
}

/// Where Rules are looked for.
struct Namespaces {
    /// The only one, if not in all.
    only: Option<String>,
    /// The one whose Rules may reach beyond it.
    rules: String,
}

/// Keeps the engine's rules and sinks as the settings say, each time they change.
async fn follow(
    client: Client,
    namespaces: Namespaces,
    mut settings: watch::Receiver<Arc<Settings>>,
    sender: watch::Sender<Option<RuleSet>>,
    engine: &Engine,
    metrics: &RulerMetrics,
) -> Infallible {
    loop {
        let current = settings.borrow_and_update().clone();
        if let Some(lanes) = current.take_lanes() {
            engine.replace_lanes(lanes).await;
        }
        engine.set_limits(&current.config.limits);
        let options = live::LiveOptions {
            namespace: namespaces.only.clone(),
            rules_namespace: namespaces.rules.clone(),
            rule_selector: current.rule_selector.clone(),
            rule_namespace_selector: current.rule_namespace_selector.clone(),
            limits: current.config.limits.into(),
            before: sender.borrow().clone().unwrap_or_default(),
        };
        let (live, work) = live::rules(client.clone(), options);
        let forward = forward(live, &sender, metrics);
        tokio::select! {
            () = work => {}
            () = forward => {}
            changed = settings.changed() => if changed.is_err() {
                // The file is no longer watched: the program is about to end.
                std::future::pending::<()>().await;
            },
        }
    }
}

/// Passes rule sets on to the engine and tells what is wrong with them, once for each problem.
async fn forward(
    mut live: watch::Receiver<Option<RuleSet>>,
    sender: &watch::Sender<Option<RuleSet>>,
    metrics: &RulerMetrics,
) {
    let mut told = std::collections::HashSet::new();
    while live.changed().await.is_ok() {
        let Some(set) = live.borrow_and_update().clone() else { continue };
        let errors: Vec<_> = set.problems().iter().filter(|problem| problem.is_error()).collect();
        metrics.rules(set.rules().count(), errors.len());
        let texts: std::collections::HashSet<_> = errors.iter().map(ToString::to_string).collect();
        for text in texts.difference(&told) {
            warn!("{text}");
        }
        told = texts;
        sender.send_replace(Some(set));
    }
}
