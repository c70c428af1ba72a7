//! Keeps exporters and rulers of Kubernetes Events as their custom resources say.
//!
//! [`run`] is the whole program. What an object asks for is a pure function of it
//! (`children`); what differs from that is applied (`apply`), and how it went is told in the status.

mod apply;
mod children;
mod controller;
mod difference;
mod election;
mod image;
mod install;
mod names;
mod options;
mod preflight;
mod rights;
mod rules;
mod settings;
mod status;
mod sweep;
mod takeover;

use std::{collections::HashMap, sync::Arc};

use anyhow::Context as _;
use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, Resource, ResourceExt,
    core::PartialObjectMeta,
    runtime::{
        Controller, WatchStreamExt as _,
        events::{Recorder, Reporter},
        reflector,
        watcher::{self, watcher},
    },
};
use kube_events_core::{
    crd::{Exporter, Rule, Ruler},
    metrics::OperatorMetrics,
};
use kube_events_daemon::{Health, Server};
use prometheus_client::registry::Registry;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::{info, warn};

use self::{
    controller::{Context, RoleUids, within},
    election::Candidate,
};
pub use self::{
    install::Installation,
    options::Options,
    rights::permissions,
    settings::{NAMESPACE, Settings, default_image},
};

/// How the operator names itself to the API server.
const USER_AGENT: &str = concat!("kube-events-operator/", env!("CARGO_PKG_VERSION"));

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

    match preflight::missing(&client, &settings).await {
        Ok(missing) if missing.is_empty() => rights.ready(),
        Ok(missing) => {
            for right in &missing {
                warn!("a right is missing: {right}");
            }
            rights.not_ready(missing.join("; "));
        }
        // Whatever it is, the watches meet it too, and tell.
        Err(error) => {
            warn!(%error, "cannot ask for rights");
            rights.ready();
        }
    }
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
            lost = candidate.hold(lease) => lost.err(),
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

/// Acts until `shutdown`.
async fn act(
    client: Client,
    settings: Settings,
    metrics: OperatorMetrics,
    shutdown: CancellationToken,
) {
    if !settings.namespaced {
        takeover::remove_webhooks(&client).await;
    }
    let exporters =
        Controller::new(within::<Exporter>(&client, &settings), watcher::Config::default());
    let rulers = Controller::new(within::<Ruler>(&client, &settings), watcher::Config::default());
    let rules = Controller::new(within::<Rule>(&client, &settings), watcher::Config::default());
    let reporter = Reporter { controller: USER_AGENT.into(), instance: None };
    let context = Arc::new(Context {
        sinks: kube_events_sinks::Context::default().client(client.clone()),
        exporters: exporters.store(),
        rulers: rulers.store(),
        roles: RoleUids::read(&client, &settings).await,
        recorder: Recorder::new(client.clone(), reporter),
        metrics,
        settings: settings.clone(),
        client: client.clone(),
    });
    let ended = || shutdown.clone().cancelled_owned();
    let selectors = changes(within::<Ruler>(&client, &settings), |ruler| {
        (ruler.metadata.generation, ruler.uid())
    });
    let (namespaces, namespace_changes) = namespaces(&client, &settings);
    let again = stream::select(selectors, namespace_changes);
    let gone = stream::select(
        changes(within::<PartialObjectMeta<Exporter>>(&client, &settings), ResourceExt::uid),
        changes(within::<PartialObjectMeta<Ruler>>(&client, &settings), ResourceExt::uid),
    );

    let exporting = controller::run(exporters, Arc::clone(&context), ended());
    let ruling = controller::run(rulers, Arc::clone(&context), ended());
    let telling = rules::run(rules, again, Arc::clone(&context), namespaces, ended());
    let sweeping = sweep::run(Arc::clone(&context), gone);
    let work = async { futures::join!(exporting, ruling, telling) };
    tokio::select! {
        _ = work => {}
        () = sweeping => {}
    }
}

/// The namespaces by name, and word of each change of their labels.
fn namespaces(
    client: &Client,
    settings: &Settings,
) -> (rules::Namespaces, futures::stream::BoxStream<'static, ()>) {
    if settings.namespaced {
        return (None, stream::pending().boxed());
    }
    let api = Api::<PartialObjectMeta<Namespace>>::all(client.clone());
    let (store, writer) = reflector::store();
    let watched = watcher(api, watcher::Config::default())
        .modify(|namespace| namespace.metadata.managed_fields = None)
        .default_backoff()
        .reflect(writer);
    let changes = changed(watched, |namespace| namespace.metadata.labels.clone());
    (Some(store), changes.boxed())
}

/// Word of each change of what `look` sees of the objects.
fn changes<K, V>(api: Api<K>, look: fn(&K) -> V) -> impl Stream<Item = ()> + Send
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Send + Sync + 'static,
    K: serde::de::DeserializeOwned,
    V: PartialEq + Send + 'static,
{
    changed(watcher(api, watcher::Config::default()).default_backoff(), look)
}

fn changed<K, V>(
    events: impl Stream<Item = Result<watcher::Event<K>, watcher::Error>> + Send,
    look: fn(&K) -> V,
) -> impl Stream<Item = ()> + Send
where
    K: Resource + Send,
    V: PartialEq + Send,
{
    let mut seen = HashMap::new();
    events.filter_map(move |event| {
        let word = match event {
            Ok(watcher::Event::Apply(object)) => {
                let now = look(&object);
                let before = seen.get(&controller::key(&object));
                (before != Some(&now)).then(|| drop(seen.insert(controller::key(&object), now)))
            }
            Ok(watcher::Event::InitApply(object)) => {
                seen.insert(controller::key(&object), look(&object));
                None
            }
            Ok(watcher::Event::Delete(object)) => {
                seen.remove(&controller::key(&object));
                Some(())
            }
            Ok(watcher::Event::Init) => {
                seen.clear();
                None
            }
            Ok(watcher::Event::InitDone) => Some(()),
            Err(_) => None,
        };
        std::future::ready(word).left_future::<std::future::Ready<Option<()>>>()
    })
}
