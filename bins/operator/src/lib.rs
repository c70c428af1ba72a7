//! Keeps exporters and rulers of Kubernetes Events as their custom resources say.
//!
//! [`run`] is the whole program. What an object asks for is a pure function of it
//! (`children`); what differs from that is applied (`apply`), and how it went is told in the status.

mod apply;
mod children;
mod controller;
mod difference;
mod event;
mod former;
mod image;
mod install;
mod judge;
mod monitors;
mod names;
mod news;
mod object;
mod options;
mod preflight;
mod rights;
mod rules;
mod settings;
mod status;
mod sweep;
mod takeover;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use futures::FutureExt as _;
use kube::{
    Client,
    core::ApiResource,
    runtime::{Controller, events::Recorder},
};
use kube_events_core::{
    crd::{Exporter, Ruler},
    metrics::OperatorMetrics,
};
use kube_events_daemon::{Candidate, Health, Server};
use prometheus_client::registry::Registry;
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::{info, warn};

use self::{
    apply::{Roles, Seen},
    controller::{Context, few, within},
    judge::RuleOutline,
    news::Bell,
    object::Stored,
};
pub use self::{
    install::Installation,
    options::Options,
    rights::permissions,
    settings::{NAMESPACE, Settings, default_image},
};

/// How the operator names itself to the API server.
const USER_AGENT: &str = concat!("kube-events-operator/", env!("CARGO_PKG_VERSION"));

/// How long what is being done may take after the end was asked for: the kubelet waits for 30 s, and
/// the Lease has to be released before.
const PATIENCE: Duration = Duration::from_secs(10);

/// The Lease of whoever acts.
const LEASE: &str = "kube-events-operator";

/// Runs the operator until `shutdown`.
///
/// # Errors
/// If there is no way to an API server, no port to listen at, or another operator has taken over.
pub async fn run(options: Options, shutdown: CancellationToken) -> anyhow::Result<()> {
    let client = options.kube.client(USER_AGENT).await?;
    let settings = options.settings(client.default_namespace());
    let mut registry = Registry::default();
    let metrics = OperatorMetrics::register(&mut registry);
    let health = Health::default();
    let rights = health.part("rights");
    let server = Server::new(health, registry).bind(&options.listen.listen).await?;
    info!(address = %server.local_addr()?, namespace = settings.namespace, "listening");
    let serve = tokio::spawn(server.serve(shutdown.clone().cancelled_owned()));
    let serve = AbortOnDropHandle::new(serve);

    let asking = tokio::spawn(preflight::tell(client.clone(), settings.clone(), rights));
    let _asking = AbortOnDropHandle::new(asking);
    let candidate = Candidate::new(&client, &settings.namespace, LEASE);
    let acting = Box::pin(act(client, settings, metrics.clone(), shutdown.clone()));
    let acted = async {
        if options.no_leader_election {
            acting.await;
            return Ok(());
        }
        let lease = tokio::select! {
            lease = candidate.lead() => lease,
            () = shutdown.cancelled() => return Ok(()),
        };
        metrics.leading(true);
        let lost = tokio::select! {
            lost = candidate.hold(lease, |_| ()) => lost.err(),
            () = acting => None,
        };
        metrics.leading(false);
        if let Some(lost) = lost {
            return Err(lost);
        }
        candidate.release().await
    };
    let acted = acted.await;
    shutdown.cancel();
    let served = serve.await?;
    acted?;
    served.context("the server failed")
}

/// Acts until `shutdown`, and begins anew when the cluster knows other kinds.
async fn act(
    client: Client,
    settings: Settings,
    metrics: OperatorMetrics,
    shutdown: CancellationToken,
) {
    let recorder = event::recorder(&client);
    if !settings.namespaced {
        takeover::remove_webhooks(&client, &recorder, &settings.namespace).await;
    }
    let mut kinds = monitors::known(&client).await.unwrap_or_default();
    loop {
        let work = work(&client, &recorder, &settings, &metrics, &kinds, &shutdown);
        tokio::select! {
            () = work => return,
            now = monitors::changed(&client, &kinds) => kinds = now,
            () = patience(&shutdown) => return,
        }
    }
}

/// Waits until `shutdown`, and then as long as may be waited for what is being done.
async fn patience(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    sleep(PATIENCE).await;
    warn!("not everything that was begun has ended");
}

/// Keeps all objects, and watches children of these `kinds` with those that every cluster knows.
async fn work(
    client: &Client,
    recorder: &Recorder,
    settings: &Settings,
    metrics: &OperatorMetrics,
    kinds: &[ApiResource],
    shutdown: &CancellationToken,
) {
    let exporters = Controller::new(within::<Stored<Exporter>>(client, settings), few());
    let rulers = Controller::new(within::<Stored<Ruler>>(client, settings), few());
    let rules = Controller::new(within::<RuleOutline>(client, settings), few());
    let (bindings, every_object, every_rule) = <(Bell, Bell, Bell)>::default();
    let (all_exporters, of_exporters) =
        news::of_objects::<Exporter>(client, settings, vec![bindings.clone()]);
    let bells = vec![bindings.clone(), every_rule.clone()];
    let (all_rulers, of_rulers) = news::of_objects::<Ruler>(client, settings, bells);
    let (namespaces, of_namespaces) = news::of_namespaces(client, settings, every_rule.clone());
    let bells = vec![bindings.clone(), every_object.clone(), every_rule.clone()];
    let (operators, of_operators) = news::of_operators(client, settings, bells);
    let stores = (all_exporters.clone(), all_rulers.clone(), operators.clone());
    let known = news::known(stores, shutdown.clone());
    let context = Arc::new(Context {
        sinks: kube_events_sinks::Context::default().client(client.clone()),
        exporters: all_exporters,
        rulers: all_rulers,
        operators,
        known: known.boxed().shared(),
        roles: Roles { client: (!settings.namespaced).then(|| client.clone()) },
        seen: Seen::default(),
        recorder: recorder.clone(),
        bindings: bindings.clone(),
        metrics: metrics.clone(),
        settings: settings.clone(),
        client: client.clone(),
    });
    let ended = || shutdown.clone().cancelled_owned();
    let exporters = exporters.reconcile_all_on(every_object.rings());
    let rulers = rulers.reconcile_all_on(every_object.rings());
    let exporting = controller::run(exporters, kinds, Arc::clone(&context), ended());
    let ruling = controller::run(rulers, kinds, Arc::clone(&context), ended());
    let again = every_rule.rings();
    let telling = rules::run(rules, again, Arc::clone(&context), namespaces, shutdown.clone());
    let sweeping = sweep::run(Arc::clone(&context), bindings.rings());

    let work = async { futures::join!(exporting, ruling, telling) };
    let news = async { futures::join!(of_exporters, of_rulers, of_namespaces, of_operators) };
    tokio::select! {
        _ = work => {}
        _ = news => {}
        () = sweeping => {}
    }
}
