//! The rules of a cluster, as they are now.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    hash::Hash,
    time::Duration,
};

use futures::{Stream, StreamExt as _, future::Either, stream};
use k8s_openapi::{api::core::v1::Namespace, apimachinery::pkg::apis::meta::v1::Time};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    core::{ApiResource, DeserializeGuard, Object, PartialObjectMeta, Selector, SelectorExt as _},
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Config, Event, watcher},
    },
};
use kube_events_core::crd::{Rule, RuleSpec};
use serde::de::IgnoredAny;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{Limits, RuleSet, scope::WORKSPACE_LABEL, set};

/// Which Rule objects count.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// The only namespace to look at; all without it. No right on namespaces is needed then: none of
    /// them has labels, and so a workspace.
    pub namespace: Option<String>,
    /// The only namespace whose Rules may have the scope `cluster` or `workspace`.
    pub rules_namespace: String,
    /// Rules whose labels do not match count as if they were not there.
    pub rule_selector: Selector,
    /// As do the Rules of namespaces whose labels do not match.
    pub rule_namespace_selector: Selector,
    /// What rules may cost.
    pub limits: Limits,
    /// The set that counted until now; what is wrong from now on takes nothing away from it.
    pub before: RuleSet,
}

/// For how long changes are gathered before the rules are compiled again.
const SETTLE: Duration = Duration::from_millis(50);

/// How often it is looked whether a set that was replaced is no longer in use.
const RETIRE: Duration = Duration::from_secs(1);

/// Follows the Rules and namespaces of a cluster, and compiles them whenever they change, on a thread
/// for what blocks: who evaluates Events neither waits for it nor has to free what was replaced. A
/// runtime of tokio is needed.
///
/// What is wrong never takes the place of what is good: see [`Builder::follow`](crate::Builder::follow).
/// The Rules of a namespace are taken in the order in which they were created.
///
/// The receiver holds `None` until both have been listed once. The future does the work and never
/// ends; dropping it ends the watches, and the receiver keeps the last set.
///
/// Errors of the API server are logged and tried again with back-off: the last good set stays.
pub fn rules(
    client: Client,
    options: LiveOptions,
) -> (watch::Receiver<Option<RuleSet>>, impl Future<Output = ()> + Send) {
    let (sender, receiver) = watch::channel(None);
    (receiver, follow(client, options, sender))
}

async fn follow(client: Client, options: LiveOptions, sender: watch::Sender<Option<RuleSet>>) {
    let mut namespaces = Mirror::default();
    let kind = ApiResource::erase::<Rule>(&());
    let (rules, labels) = if let Some(namespace) = &options.namespace {
        namespaces.now.insert(namespace.clone(), BTreeMap::new());
        namespaces.listed = true;
        (Api::<Stored>::namespaced_with(client, namespace, &kind), stream::pending().left_stream())
    } else {
        let all = Api::<PartialObjectMeta<Namespace>>::all(client.clone());
        let labels = changes(watcher(all, Config::default()), "namespaces");
        (Api::<Stored>::all_with(client, &kind), labels.right_stream())
    };
    let rules = changes(watcher(rules, Config::default()), "Rules").map(Either::Left);
    let mut changes = std::pin::pin!(stream::select(rules, labels.map(Either::Right)));
    let mut retired = Retired::default();
    let mut state = State { options, rules: Mirror::default(), namespaces };
    loop {
        let change = tokio::select! {
            change = changes.next() => change,
            never = retired.free() => match never {},
        };
        let Some(change) = change else { return };
        let mut changed = state.apply(change);
        // What follows closely is taken along: a list comes as one change for each object.
        let settled = tokio::time::Instant::now() + SETTLE;
        while let Ok(Some(change)) = tokio::time::timeout_at(settled, changes.next()).await {
            changed |= state.apply(change);
        }
        if changed && state.is_complete() {
            let set;
            (state, set) = blocking(move || {
                let set = state.compile();
                (state, set)
            })
            .await;
            info!(rules = set.rules().count(), problems = set.problems().len(), "rules compiled");
            retired.0.push(std::mem::replace(&mut state.options.before, set.clone()));
            sender.send_replace(Some(set));
        }
    }
}

/// Does on another thread what would hold up this one.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is about to end.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Sets that were replaced and may still be in use. To free thousands of rules takes milliseconds, which
/// whoever used them last should not spend.
#[derive(Default)]
struct Retired(Vec<RuleSet>);

impl Retired {
    /// Frees the sets that nobody uses any more. Never ends.
    async fn free(&mut self) -> Infallible {
        while !self.0.is_empty() {
            tokio::time::sleep(RETIRE).await;
            let unused: Vec<_> = self.0.extract_if(.., |set| set.is_unshared()).collect();
            if !unused.is_empty() {
                blocking(move || drop(unused)).await;
            }
        }
        std::future::pending().await
    }
}

fn changes<K: Send + 'static>(
    stream: impl Stream<Item = Result<Event<K>, watcher::Error>> + Send,
    what: &'static str,
) -> impl Stream<Item = Event<K>> + Send {
    stream.default_backoff().filter_map(move |event| async move {
        event.inspect_err(|error| warn!(%error, "cannot watch {what}; it is tried again")).ok()
    })
}

/// A Rule as it is stored. Another release may have written it, and what cannot be read must not hide
/// the others. Its status is the operator's.
type Stored = DeserializeGuard<Object<RuleSpec, IgnoredAny>>;

/// What counts of a Rule: its labels, its annotations, and its spec, or why that cannot be read.
struct Known {
    created: Option<Time>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    spec: Result<RuleSpec, String>,
}

struct State {
    options: LiveOptions,
    rules: Mirror<(String, String), Known>,
    namespaces: Mirror<String, BTreeMap<String, String>>,
}

/// What a watch has told of, by key.
struct Mirror<K, V> {
    now: HashMap<K, V>,
    /// The list that is being read, to replace it.
    listing: HashMap<K, V>,
    listed: bool,
}

// === impl State ===

impl State {
    fn apply(
        &mut self,
        change: Either<Event<Stored>, Event<PartialObjectMeta<Namespace>>>,
    ) -> bool {
        match change {
            Either::Left(event) => self.rules.apply(event, |stored| {
                let key = (stored.namespace().unwrap_or_default(), stored.name_any());
                let (labels, annotations) = (stored.labels().clone(), stored.annotations().clone());
                let created = stored.creation_timestamp();
                let spec = stored.0.map(|rule| rule.spec).map_err(|invalid| invalid.error);
                (key, Known { created, labels, annotations, spec })
            }),
            Either::Right(event) => self.namespaces.apply(event, |namespace| {
                (namespace.name_any(), namespace.metadata.labels.unwrap_or_default())
            }),
        }
    }

    fn is_complete(&self) -> bool {
        self.rules.listed && self.namespaces.listed
    }

    fn compile(&self) -> RuleSet {
        let LiveOptions { limits, before, .. } = &self.options;
        let mut builder = RuleSet::builder().limits(*limits).follow(before);
        for (namespace, labels) in &self.namespaces.now {
            if let Some(workspace) = labels.get(WORKSPACE_LABEL) {
                builder.member(namespace, workspace);
            }
        }
        let mut rules: Vec<_> = self
            .rules
            .now
            .iter()
            .filter(|((namespace, _), rule)| self.counts(namespace, rule))
            .collect();
        // What a tenant adds takes no room from what there was.
        rules.sort_by_key(|((namespace, name), rule)| (namespace, &rule.created, name));
        for ((namespace, name), rule) in rules {
            match &rule.spec {
                Ok(spec) => {
                    let rules_namespace = &self.options.rules_namespace;
                    let (labels, annotations) = (&rule.labels, &rule.annotations);
                    let object = set::Object { namespace, name, labels, annotations };
                    builder.add_object(&object, rules_namespace, spec);
                }
                Err(error) => builder.add_unread((namespace, name), error),
            }
        }
        builder.build()
    }

    fn counts(&self, namespace: &str, rule: &Known) -> bool {
        let namespace = self.namespaces.now.get(namespace);
        self.options.rule_selector.matches(&rule.labels)
            && namespace.is_some_and(|labels| self.options.rule_namespace_selector.matches(labels))
    }
}

// === impl Mirror ===

impl<K, V> Default for Mirror<K, V> {
    fn default() -> Self {
        Self { now: HashMap::new(), listing: HashMap::new(), listed: false }
    }
}

impl<K: Eq + Hash, V> Mirror<K, V> {
    /// Takes in an event; true if it changes what is there.
    fn apply<O: Resource>(&mut self, event: Event<O>, entry: impl Fn(O) -> (K, V)) -> bool {
        match event {
            Event::Apply(object) => {
                let (key, value) = entry(object);
                self.now.insert(key, value);
                true
            }
            Event::Delete(object) => self.now.remove(&entry(object).0).is_some(),
            Event::Init => {
                self.listing.clear();
                false
            }
            Event::InitApply(object) => {
                let (key, value) = entry(object);
                self.listing.insert(key, value);
                false
            }
            Event::InitDone => {
                self.now = std::mem::take(&mut self.listing);
                self.listed = true;
                true
            }
        }
    }
}
