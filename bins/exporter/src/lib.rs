//! Watches Kubernetes Events and delivers them to sinks.
//!
//! [`run`] is the whole program; [`pipeline`] is what it runs, for those who bring their own sinks.

mod config;
mod options;
mod selectors;
mod settings;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use futures::FutureExt as _;
use kube::Client;
use kube_events_core::{
    Pipeline,
    checkpoint::{FileStore, MemoryStore},
    event::Api,
    metrics::{ConfigMetrics, PipelineMetrics},
    pipeline::{Handle, LaneOptions},
    source::kubernetes::{self, WatchOptions},
};
use kube_events_daemon::{Check, ConfigFile, Health, Server, cluster_name, read_config};
use kube_events_sinks::{Context, Lane};
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::info;

use self::settings::{Settings, ask_for_selectors};
pub use self::{
    config::ExporterConfig,
    options::{EventVersion, Options},
    selectors::check_selectors,
};

/// Runs the exporter until `shutdown`.
///
/// # Errors
/// If there is no configuration that can be used, no way to an API server, or no port to listen at.
pub async fn run(options: Options, shutdown: CancellationToken) -> anyhow::Result<()> {
    // A mistake in the file is told before one on the way to the API server.
    read_config::<ExporterConfig>(&options.config_file).await?;
    let client = options.kube.client(USER_AGENT).await?;
    let mut registry = Registry::default();
    let metrics = PipelineMetrics::register(&mut registry);
    let config_metrics = ConfigMetrics::register(&mut registry);
    let (sender, mut settings) = watch::channel(Arc::new(Settings::default()));
    let mut context = Context::default().client(client.clone());
    let api = options.event_version.into();
    let of_client = client.clone();
    let file = ConfigFile::open(&options.config_file, config_metrics, move |config| {
        let (client, sender) = (of_client.clone(), sender.clone());
        // What is in force works better than what names a Secret that only newer pods have, or none.
        let later = context.clone().needs_files();
        let context = std::mem::replace(&mut context, later);
        async move {
            check_selectors(api, &config)?;
            let settings = Settings::new(config, &context)?;
            ask_for_selectors(&client, api, &settings.config).await?;
            sender.send_replace(Arc::new(settings));
            Ok(())
        }
        .boxed()
    })
    .await?;
    let health = Health::default();
    let server = Server::new(health.clone(), registry)
        .reload(file.handle())
        .bind(&options.listen.listen)
        .await?;
    info!(address = %server.local_addr()?, "listening");

    let export = async {
        let memory = Arc::new(MemoryStore::default());
        while !shutdown.is_cancelled() {
            let current = settings.borrow_and_update().clone();
            let cluster = cluster_name(&client, current.config.cluster.as_deref()).await;
            let mut pipeline =
                pipeline(client.clone(), api, &current.config, cluster).metrics(metrics.clone());
            if current.config.checkpoint.is_none() {
                pipeline = pipeline.checkpoint(Arc::clone(&memory));
            }
            for Lane { name, sink, timeout, .. } in current.take_lanes() {
                let options = LaneOptions { timeout, ..LaneOptions::default() };
                pipeline = pipeline.lane(name, sink, options);
            }
            let _checks = watch_over(&health, &pipeline.handle());
            let stop = async {
                tokio::select! {
                    () = shutdown.cancelled() => info!("delivering what was read, then ending"),
                    Ok(()) = settings.changed() => info!("the configuration has changed"),
                }
            };
            pipeline.run(stop).await;
        }
    };
    // Tasks of their own, so that an Event's way does not lead through them.
    let serve = tokio::spawn(server.serve(shutdown.clone().cancelled_owned()));
    let watch = tokio::spawn(file.watch(shutdown.clone().cancelled_owned()));
    let (serve, watch) = (AbortOnDropHandle::new(serve), AbortOnDropHandle::new(watch));
    let ((), served, watched) = futures::join!(export, serve, watch);
    watched?;
    served?.context("the server failed")
}

/// How the exporter names itself to the API server.
const USER_AGENT: &str = concat!("kube-events-exporter/", env!("CARGO_PKG_VERSION"));

/// For how long sinks may go on when the exporter ends, or its configuration changes.
const GRACE: Duration = Duration::from_secs(10);

/// The pipeline that a configuration asks for, but for its sinks, which are added as lanes.
///
/// Events are shown in the form of `api`, with the name of the `cluster`.
pub fn pipeline(
    client: Client,
    api: Api,
    config: &ExporterConfig,
    cluster: Option<String>,
) -> Pipeline {
    let options = WatchOptions {
        api,
        namespaces: config.namespaces.clone(),
        label_selector: config.label_selector.clone(),
        field_selector: config.field_selector.clone(),
        cluster,
        ..WatchOptions::default()
    };
    let pipeline = Pipeline::resumable(config.start_from.into(), move |start| {
        kubernetes::events(client.clone(), WatchOptions { start, ..options.clone() })
    });
    let pipeline = pipeline.grace(GRACE);
    match &config.checkpoint {
        Some(checkpoint) => pipeline.checkpoint(FileStore::new(&checkpoint.file)),
        None => pipeline,
    }
}

/// Adds the source and each lane to what has to be ready, for as long as the checks are kept.
pub fn watch_over(health: &Health, handle: &Handle) -> Vec<Check> {
    let source = handle.clone();
    let source = health.check("source", move || match source.source_failing() {
        Some(why) => Err(why),
        None if source.source_progress().is_none() => Err("the first list is not complete".into()),
        None => Ok(()),
    });
    let lanes = handle.lanes().into_iter().enumerate().map(|(place, lane)| {
        let handle = handle.clone();
        health.check(format!("sink {}", lane.name), move || {
            handle.lanes().swap_remove(place).failing.map_or(Ok(()), Err)
        })
    });
    std::iter::once(source).chain(lanes).collect()
}
