//! Word that something changed, for those who then look at everything that depends on it.

use std::{
    collections::HashMap,
    fmt,
    future::{pending, ready},
    time::Duration,
};

use futures::{
    FutureExt as _, Stream, StreamExt as _,
    future::{BoxFuture, try_join3},
    stream,
};
use k8s_openapi::api::{core::v1::Namespace, rbac::v1::RoleBinding};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt as _,
        reflector::{self, Store},
        watcher::{self, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    Settings,
    controller::{few, within},
    names,
    object::Stored,
    rules::Namespaces,
    status::{is_available, runs_otherwise},
};

/// How long after a ring it is heard, so that many changes at once are looked at once.
const SETTLE: Duration = Duration::from_secs(1);

/// A bell that any number of listeners hear. Rings in quick succession are heard as one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bell(watch::Sender<()>);

// === impl Bell ===

impl Bell {
    pub(crate) fn ring(&self) {
        self.0.send_replace(());
    }

    /// Every ring from now on, for ever.
    pub(crate) fn rings(&self) -> impl Stream<Item = ()> + Send + use<> {
        stream::unfold(self.0.subscribe(), |mut heard| async move {
            if heard.changed().await.is_err() {
                return pending().await;
            }
            sleep(SETTLE).await;
            heard.mark_unchanged();
            Some(((), heard))
        })
    }
}

/// All objects of a kind, and a future that keeps them and rings when one comes, changes its spec or
/// what its pods do, or goes. Whoever hears it finds the change in the store.
pub(crate) fn of_objects<M>(
    client: &Client,
    settings: &Settings,
    bells: Vec<Bell>,
) -> (Store<Stored<M>>, BoxFuture<'static, ()>)
where
    M: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    M: Clone + fmt::Debug + DeserializeOwned + Send + Sync + 'static,
{
    let look = |object: &Stored<M>| {
        let status = object.status.as_ref();
        (object.meta().generation, object.uid(), is_available(status), runs_otherwise(status))
    };
    kept(within(client, settings), few(), |_| (), look, bells)
}

/// The same of namespaces and their labels, where the operator may know.
pub(crate) fn of_namespaces(
    client: &Client,
    settings: &Settings,
    bell: Bell,
) -> (Namespaces, BoxFuture<'static, ()>) {
    if settings.namespaced {
        return (None, pending().boxed());
    }
    let api = Api::<PartialObjectMeta<Namespace>>::all(client.clone());
    let look = |namespace: &PartialObjectMeta<Namespace>| namespace.metadata.labels.clone();
    let trim = |namespace: &mut PartialObjectMeta<Namespace>| namespace.metadata.annotations = None;
    let (store, keep) = kept(api, watcher::Config::default(), trim, look, vec![bell]);
    (Some(store), keep)
}

/// By their bindings, the operators of namespaced installs. Who is one knows of no other.
pub(crate) type Operators = Option<Store<RoleBinding>>;

/// The same of operators that look after a namespace of their own.
pub(crate) fn of_operators(
    client: &Client,
    settings: &Settings,
    bells: Vec<Bell>,
) -> (Operators, BoxFuture<'static, ()>) {
    if settings.namespaced {
        return (None, pending().boxed());
    }
    let named = few().fields(&format!("metadata.name={}", names::OPERATOR));
    // Whoever may write one may write a large one.
    let trim = |binding: &mut RoleBinding| {
        binding.subjects = None;
        if binding.role_ref.name != names::OPERATOR {
            binding.role_ref.name = String::new();
        }
        let metadata = &mut binding.metadata;
        (metadata.labels, metadata.annotations, metadata.owner_references) = (None, None, None);
    };
    let look = |binding: &RoleBinding| binding.role_ref.kind.clone();
    let (store, keep) = kept(Api::all(client.clone()), named, trim, look, bells);
    (Some(store), keep)
}

fn kept<K, V>(
    api: Api<K>,
    which: watcher::Config,
    trim: fn(&mut K),
    look: fn(&K) -> V,
    bells: Vec<Bell>,
) -> (Store<K>, BoxFuture<'static, ()>)
where
    K: Resource<DynamicType = ()> + Clone + fmt::Debug + DeserializeOwned + Send + Sync + 'static,
    V: PartialEq + Send + 'static,
{
    let (store, writer) = reflector::store();
    let watched = watcher(api, which)
        .modify(move |object| {
            object.meta_mut().managed_fields = None;
            trim(object);
        })
        .default_backoff()
        .reflect(writer);
    let rung = changed(watched, look).for_each(move |()| {
        bells.iter().for_each(Bell::ring);
        ready(())
    });
    (store, rung.boxed())
}

/// Waits until all of them are in their stores. Whether they ever will be.
pub(crate) async fn known<E, R>(
    (exporters, rulers, operators): (Store<E>, Store<R>, Operators),
    shutdown: CancellationToken,
) -> bool
where
    E: Resource<DynamicType = ()> + Clone + 'static,
    R: Resource<DynamicType = ()> + Clone + 'static,
{
    let operators = async {
        match &operators {
            Some(operators) => operators.wait_until_ready().await,
            None => Ok(()),
        }
    };
    tokio::select! {
        all = try_join3(exporters.wait_until_ready(), rulers.wait_until_ready(), operators) => {
            all.is_ok()
        }
        () = shutdown.cancelled() => false,
    }
}

/// Each change of what `look` sees of the objects. What is there at the beginning is one change.
fn changed<K, V>(
    events: impl Stream<Item = Result<watcher::Event<K>, watcher::Error>> + Send,
    look: impl Fn(&K) -> V + Send,
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
                let is_news = seen.get(&key(&object)) != Some(&now);
                seen.insert(key(&object), now);
                is_news.then_some(())
            }
            Ok(watcher::Event::InitApply(object)) => {
                seen.insert(key(&object), look(&object));
                None
            }
            Ok(watcher::Event::Delete(object)) => {
                seen.remove(&key(&object));
                Some(())
            }
            Ok(watcher::Event::Init) => {
                seen.clear();
                None
            }
            Ok(watcher::Event::InitDone) => Some(()),
            Err(_) => None,
        };
        ready(word)
    })
}

fn key<K: Resource>(object: &K) -> (Option<String>, Option<String>) {
    (object.meta().namespace.clone(), object.meta().name.clone())
}
