//! Exporters and Rulers: what they ask for is made, kept, and told in their status.

use std::{fmt, sync::Arc, time::Duration};

use futures::{
    StreamExt as _,
    future::{BoxFuture, Shared},
};
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
        rbac::v1::{ClusterRoleBinding, RoleBinding},
    },
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{DynamicObject, Patch, PatchParams},
    core::{ApiResource, ObjectMeta, Status as ApiStatus},
    runtime::{
        controller::{Action, Config as ControllerConfig, Controller},
        events::{EventType, Recorder},
        reflector::{ObjectRef, Store},
        watcher,
    },
};
use kube_events_core::{
    crd::{Exporter, Ruler, Status},
    metrics::OperatorMetrics,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::{
    Settings,
    apply::{self, ApplyError, Outcome, Owner, Roles, Seen},
    children::{Child, Desired, Managed, Ownership},
    event, names,
    news::{Bell, Operators},
    object::{Stored, Trace},
    status::{self, Pods, Trouble},
    takeover,
};

/// How many objects of a kind are looked at at a time.
const CONCURRENCY: u16 = 4;

/// How many objects are listed at a time.
pub(crate) const IN_A_PAGE: u32 = 5;

/// How often an object is looked at though nothing is known to have changed.
const RESYNC: Duration = Duration::from_secs(600);

/// When an object is looked at again for which the API server failed.
const RETRY: Duration = Duration::from_secs(5);

/// When an object is looked at again that cannot be as it asks, until somebody does something about it.
/// Whoever has its name may let go of it, and a namespace or a right may come; nobody tells.
const TROUBLE: Duration = Duration::from_secs(30);

/// What all reconciliations share.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) settings: Settings,
    pub(crate) sinks: kube_events_sinks::Context,
    pub(crate) exporters: Store<Stored<Exporter>>,
    pub(crate) rulers: Store<Stored<Ruler>>,
    pub(crate) operators: Operators,
    /// When all objects and operators are in their stores. One future that all wait for: of those
    /// who wait for a store itself only the last one is woken.
    pub(crate) known: Shared<BoxFuture<'static, bool>>,
    pub(crate) roles: Roles,
    pub(crate) seen: Seen,
    /// Rings when bindings may be there that nobody asks for.
    pub(crate) bindings: Bell,
    pub(crate) recorder: Recorder,
    pub(crate) metrics: OperatorMetrics,
}

/// An object of the other kind with the same name.
struct Namesake {
    owner: Owner,
    since: Option<Time>,
    children: Vec<Child>,
}

/// Why an object could not be looked at to the end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReconcileError {
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("its status cannot be written: {0}")]
    Status(kube::Error),
    #[error("the finalizer of the Go project's operator cannot be taken off: {0}")]
    Finalizer(kube::Error),
}

/// Keeps the objects of one kind until `shutdown`. Children of these `kinds` are watched beside
/// those of kinds that every cluster knows.
pub(crate) async fn run<M>(
    controller: Controller<Stored<M>>,
    kinds: &[ApiResource],
    context: Arc<Context>,
    shutdown: impl Future<Output = ()> + Send + Sync + 'static,
) where
    M: Managed + Clone + fmt::Debug + DeserializeOwned + Send + Sync + 'static,
    M: Resource<Scope = kube::core::NamespaceResourceScope>,
{
    let config = ControllerConfig::default().concurrency(CONCURRENCY);
    let ours = || {
        let selector = format!("{}={}", names::MANAGED_BY, names::OPERATOR);
        few().labels(&selector)
    };
    let mut controller = controller
        .with_config(config)
        .watches(context.within::<Trace<Deployment>>(), ours(), parent::<M, _>)
        .watches(context.within::<Trace<ConfigMap>>(), ours(), parent::<M, _>)
        .watches(context.within::<Trace<ServiceAccount>>(), ours(), parent::<M, _>)
        .watches(context.within::<Trace<Service>>(), ours(), parent::<M, _>)
        .watches(context.within::<Trace<PodDisruptionBudget>>(), ours(), parent::<M, _>)
        .watches(context.within::<Trace<NetworkPolicy>>(), ours(), parent::<M, _>)
        .watches(
            context.within::<Trace<RoleBinding>>(),
            ours(),
            bound::<M, _>(context.bindings.clone()),
        );
    if !context.settings.namespaced {
        let bindings = Api::<Trace<ClusterRoleBinding>>::all(context.client.clone());
        let bound = bound::<M, _>(context.bindings.clone());
        controller = controller.watches(bindings, ours(), bound);
    }
    for kind in kinds {
        let api = within_kind(&context.client, &context.settings, kind);
        controller = controller.watches_with(api, kind.clone(), ours(), parent::<M, _>);
    }
    let metrics = context.metrics.clone();
    let store = controller.store();
    let shared = Arc::clone(&context);
    let results = controller.graceful_shutdown_on(shutdown).run(reconcile, error_policy, context);
    results
        .for_each(|result| {
            metrics.managed(M::PROGRAM.kind, store.len());
            shared.seen.retain(M::PROGRAM.kind, store.len(), |owner| {
                let object = store.get(&ObjectRef::new(&owner.name).within(&owner.namespace));
                object.is_some_and(|object| object.meta().uid.as_ref() == Some(&owner.uid))
            });
            if let Err(error) = result {
                debug!(%error, kind = M::PROGRAM.kind, "not looked at");
            }
            std::future::ready(())
        })
        .await;
}

/// Finds the object whose child this may be. By the name, which all children have from their object: a hand that
/// damages one may take its owner and its labels away, too.
#[expect(clippy::needless_pass_by_value, reason = "the signature that the controller asks for")]
fn parent<M: Managed + 'static, K: Resource>(child: K) -> Option<ObjectRef<Stored<M>>> {
    let owners = child.owner_references();
    let is_anothers = owners
        .iter()
        .any(|owner| owner.api_version == M::api_version(&()) && owner.kind != M::PROGRAM.kind);
    let meta = child.meta();
    let (name, namespace) = (meta.name.as_deref()?, meta.namespace.as_deref()?);
    (!is_anothers).then(|| ObjectRef::new(name).within(namespace))
}

/// Finds the object that a binding is for, and has it looked at whether any asks for it.
fn bound<M: Managed + 'static, K: Resource + 'static>(
    bell: Bell,
) -> impl Fn(Trace<K>) -> Option<ObjectRef<Stored<M>>> + Send + Sync + 'static {
    move |binding| {
        bell.ring();
        let labels = binding.meta().labels.as_ref()?;
        let label = |key: &str| labels.get(key).map(String::as_str);
        (label(names::OWNER_KIND)? == M::PROGRAM.kind).then_some(())?;
        Some(ObjectRef::new(label(names::OWNER_NAME)?).within(label(names::OWNER_NAMESPACE)?))
    }
}

async fn reconcile<M>(
    object: Arc<Stored<M>>,
    context: Arc<Context>,
) -> Result<Action, ReconcileError>
where
    M: Managed + Clone + fmt::Debug + DeserializeOwned,
    M: Resource<Scope = kube::core::NamespaceResourceScope>,
{
    let begun = Instant::now();
    let result = context.reconcile(&*object).await;
    context.metrics.reconciled(M::PROGRAM.kind, begun.elapsed(), result.is_err());
    result
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that the controller asks for")]
fn error_policy<M: Managed>(
    object: Arc<Stored<M>>,
    error: &ReconcileError,
    _: Arc<Context>,
) -> Action {
    warn!(
        %error,
        kind = M::PROGRAM.kind,
        namespace = object.meta().namespace,
        name = object.meta().name,
        "it is tried again"
    );
    Action::requeue(RETRY)
}

// === impl Context ===

impl Context {
    /// All namespaces, or the only one that the operator may look at.
    pub(crate) fn within<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        within(&self.client, &self.settings)
    }

    async fn reconcile<M>(&self, object: &Stored<M>) -> Result<Action, ReconcileError>
    where
        M: Managed + Clone + fmt::Debug + DeserializeOwned,
        M: Resource<Scope = kube::core::NamespaceResourceScope>,
    {
        let namespace = object.meta().namespace.clone().unwrap_or_default();
        let api = Api::<Stored<M>>::namespaced(self.client.clone(), &namespace);
        // Of two objects of one name the older counts, and it may not be known yet.
        if !self.is_ready().await || self.has_its_own_operator(&namespace) {
            return Ok(Action::await_change());
        }
        let is_stripped = takeover::strip_finalizer(&api, object, M::FORMER_FINALIZER)
            .await
            .map_err(ReconcileError::Finalizer)?;
        if is_stripped {
            let note = format!("took off the Go project's {}", M::FORMER_FINALIZER);
            self.tell(object, "FinalizerRemoved", &[note]).await;
        }
        if object.meta().deletion_timestamp.is_some() {
            return Ok(Action::await_change());
        }
        let owner = Owner::of(object);
        let desired = self.asked(object);
        let mut failed = None;
        let mut trouble = match &desired {
            Err(trouble) => Some(trouble.clone()),
            Ok(desired) => {
                let (mut done, mut taken) = (Vec::new(), Vec::new());
                let mut errors = Vec::new();
                let reclaimed = self.reclaim(&owner, &mut errors).await;
                self.tell(object, "Reclaimed", &reclaimed).await;
                for child in &desired.children {
                    let applied =
                        apply::apply(&self.client, &owner, child, &self.roles, &self.seen).await;
                    match applied {
                        Ok(Outcome::Unchanged) => {}
                        Ok(Outcome::TakenOver) => taken.push(child.describe()),
                        Ok(outcome) => done.push(format!("{outcome:?} {}", child.describe())),
                        Err(error) => errors.push(error),
                    }
                    // Pods must not run with somebody else's account or configuration.
                    if child.is_base() && errors.iter().any(ApplyError::blocks) {
                        break;
                    }
                }
                self.metrics.wrote(owner.kind, done.len() + taken.len());
                self.tell(object, "Applied", &done).await;
                self.tell(object, "TakenOver", &taken).await;
                // Of what passes by itself nothing is written: the next look is soon.
                if let Some(unanswered) = errors.iter().position(ApplyError::is_unanswered) {
                    return Err(errors.swap_remove(unanswered).into());
                }
                let trouble = trouble_of(&errors);
                failed = errors.into_iter().find(passes);
                trouble
            }
        };
        let deployments = Api::<Deployment>::namespaced(self.client.clone(), &namespace);
        let (deployment, is_seen) = match deployments.get_opt(&owner.name).await {
            Ok(deployment) => (deployment, true),
            Err(source) => {
                let (kind, place) =
                    ("Deployment".to_owned(), format!("{namespace}/{}", owner.name));
                let error = ApplyError::Api { kind, place, source };
                if error.is_unanswered() || passes(&error) {
                    return Err(error.into());
                }
                trouble = trouble.or_else(|| trouble_of(std::slice::from_ref(&error)));
                (None, false)
            }
        };
        let deployment = deployment.filter(|deployment| {
            deployment.owner_references().iter().any(|reference| reference.uid == owner.uid)
        });
        let pods = Pods {
            deployment: deployment.as_ref(),
            is_seen,
            adjusted: &object.adjusted,
            narrowed: desired.as_ref().ok().and_then(|desired| desired.narrowed.as_deref()),
            image: desired.as_ref().ok().map(|desired| &desired.image),
            unrestricted: desired.as_ref().ok().and_then(|desired| desired.unrestricted.as_deref()),
        };
        let generation = object.meta().generation;
        let next = status::status(object.status.as_ref(), generation, &pods, trouble.as_ref());
        self.publish(&api, object, &next).await?;
        match (failed, trouble) {
            (Some(error), _) => Err(error.into()),
            (None, Some(_)) => Ok(Action::requeue(TROUBLE)),
            (None, None) => Ok(Action::requeue(RESYNC)),
        }
    }

    /// Waits until all is known on which decisions depend. Whether it ever will be.
    pub(crate) async fn is_ready(&self) -> bool {
        self.known.clone().await
    }

    /// Whether objects of this namespace are within reach. In it may be what others keep for theirs.
    pub(crate) fn looks_after(&self, namespace: &str) -> bool {
        !self.settings.namespaced || namespace == self.settings.namespace
    }

    /// Whether a namespaced install looks after the namespace: it is left to that one, as two would
    /// undo each other's work. In the own namespace there is one Lease for both.
    pub(crate) fn has_its_own_operator(&self, namespace: &str) -> bool {
        let Some(operators) = &self.operators else { return false };
        let its_own = ObjectRef::new(names::OPERATOR).within(namespace);
        let binding = operators.get(&its_own).filter(|_| namespace != self.settings.namespace);
        binding.is_some_and(|binding| {
            let role = &binding.role_ref;
            role.kind == "Role" && role.name == names::OPERATOR
        })
    }

    /// What the object asks for, if it can have it.
    pub(crate) fn asked<M: Managed>(&self, object: &Stored<M>) -> Result<Desired, Trouble> {
        let owner = Owner::of(object);
        let older = self.namesake(&owner).filter(|it| it.is_older(object.meta(), owner.kind));
        if let Some(older) = older {
            return Err(Trouble {
                reason: "NameConflict",
                message: format!(
                    "the {} {} is older and has the Deployment of this name; rename one of them",
                    older.owner.kind, older.owner.name
                ),
                blocks: true,
            });
        }
        self.desired(object).map_err(|error| Trouble {
            reason: status::INVALID,
            message: format!("{error}; what was there before stays"),
            blocks: true,
        })
    }

    fn desired<M: Managed>(&self, object: &Stored<M>) -> Result<Desired, String> {
        let object = object.read.as_ref().map_err(Clone::clone)?;
        object.desired(&self.settings, &self.sinks).map_err(|error| error.to_string())
    }

    /// The object of the other kind that has the same name, and would ask for the same children.
    fn namesake(&self, owner: &Owner) -> Option<Namesake> {
        if owner.kind == Exporter::PROGRAM.kind {
            let key = ObjectRef::<Stored<Ruler>>::new(&owner.name).within(&owner.namespace);
            Some(Namesake::of(&*self.rulers.get(&key)?, self))
        } else {
            let key = ObjectRef::<Stored<Exporter>>::new(&owner.name).within(&owner.namespace);
            Some(Namesake::of(&*self.exporters.get(&key)?, self))
        }
    }

    /// Takes from a younger namesake what it got before the older object was seen. Tells what that was,
    /// and adds to the `errors`.
    async fn reclaim(&self, owner: &Owner, errors: &mut Vec<ApplyError>) -> Vec<String> {
        let Some(younger) = self.namesake(owner) else { return Vec::new() };
        let (kind, name) = (younger.owner.kind, &younger.owner.name);
        let mut done = Vec::new();
        for child in &younger.children {
            match apply::release(&self.client, &younger.owner, child).await {
                Ok(Outcome::Deleted) => {
                    done.push(format!("Deleted {} of the younger {kind} {name}", child.describe()));
                    self.metrics.wrote(kind, 1);
                }
                Ok(_) => {}
                Err(error) => errors.push(error),
            }
        }
        done
    }

    /// Tells of what was done, as an Event of the object and in the log. Events of one reason become
    /// a series of the first, so what is told once has a reason of its own.
    pub(crate) async fn tell<M: Managed>(&self, object: &Stored<M>, reason: &str, done: &[String]) {
        if done.is_empty() {
            return;
        }
        let note = done.join(", ");
        let meta = object.meta();
        info!(
            kind = M::PROGRAM.kind,
            namespace = meta.namespace,
            name = meta.name,
            reason,
            "{note}"
        );
        self.event(object, EventType::Normal, reason, note).await;
    }

    async fn event<M: Managed>(
        &self,
        object: &Stored<M>,
        kind: EventType,
        reason: &str,
        note: String,
    ) {
        let object = object.object_ref(&());
        event::publish(&self.recorder, &object, kind, reason, &note).await;
    }

    async fn publish<M>(
        &self,
        api: &Api<Stored<M>>,
        object: &Stored<M>,
        next: &Status,
    ) -> Result<(), ReconcileError>
    where
        M: Managed + Clone + fmt::Debug + DeserializeOwned,
    {
        if object.status.as_ref() == Some(next) {
            return Ok(());
        }
        let patch = status_patch(object, next);
        match api.patch_status(&object.name_any(), &PatchParams::default(), &patch).await {
            Ok(_) => self.metrics.wrote(M::PROGRAM.kind, 1),
            Err(kube::Error::Api(status)) if is_outdated(&status) => return Ok(()),
            Err(error) => return Err(ReconcileError::Status(error)),
        }
        let degraded = |status: Option<&Status>| {
            let conditions = status?.conditions.iter();
            let mut degraded =
                conditions.filter(|it| it.type_ == "Degraded" && it.status == "True");
            degraded.next().map(|condition| (condition.reason.clone(), condition.message.clone()))
        };
        if let Some((reason, message)) = degraded(Some(next))
            && degraded(object.status.as_ref()) != Some((reason.clone(), message.clone()))
        {
            warn!(kind = M::PROGRAM.kind, name = object.meta().name, reason, "{message}");
            self.event(object, EventType::Warning, &reason, message).await;
        }
        Ok(())
    }
}

/// Writes the status of an object as it was seen, and of no other.
pub(crate) fn status_patch<K: Resource>(object: &K, status: &impl Serialize) -> Patch<Value> {
    Patch::Merge(json!({
        "metadata": {"resourceVersion": object.meta().resource_version},
        "status": status,
    }))
}

/// Whether an object has changed or gone since it was seen. The watch tells, and it is looked at again.
pub(crate) fn is_outdated(status: &ApiStatus) -> bool {
    matches!(status.code, 404 | 409)
}

/// All namespaces, or the only one that the operator may look at.
pub(crate) fn within<K>(client: &Client, settings: &Settings) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
{
    if settings.namespaced {
        Api::namespaced(client.clone(), &settings.namespace)
    } else {
        Api::all(client.clone())
    }
}

/// The same for a kind that not every cluster knows.
fn within_kind(
    client: &Client,
    settings: &Settings,
    kind: &ApiResource,
) -> Api<Trace<DynamicObject>> {
    if settings.namespaced {
        Api::namespaced_with(client.clone(), &settings.namespace, kind)
    } else {
        Api::all_with(client.clone(), kind)
    }
}

/// Few at a time, as an object can have more than a megabyte and a page is in memory as a whole.
pub(crate) fn few() -> watcher::Config {
    watcher::Config::default().page_size(IN_A_PAGE)
}

/// First what keeps the pods from being as the spec says; of that, and of the rest, first what somebody
/// has to do something about.
fn trouble_of(errors: &[ApplyError]) -> Option<Trouble> {
    let mut errors: Vec<_> = errors.iter().collect();
    errors.sort_by_key(|error| (!error.blocks(), passes(error)));
    let first = errors.first()?;
    let (reason, blocks) = (reason(first), first.blocks());
    // The words of an API server that fails may be others each time, a port for example. Beside what
    // lasts they would be a new status each time.
    let told = errors.iter().filter(|error| reason == status::API_SERVER || !passes(error));
    let message = told.map(ToString::to_string).collect::<Vec<_>>().join("; ");
    Some(Trouble { reason, message, blocks })
}

/// Whether it may be otherwise soon, though nobody does anything about it.
fn passes(error: &ApplyError) -> bool {
    reason(error) == status::API_SERVER
}

fn reason(error: &ApplyError) -> &'static str {
    match error {
        ApplyError::NotOurs { .. } => "NameConflict",
        ApplyError::NoNamespace { .. } => "NoNamespace",
        ApplyError::NoRole { .. } => "MissingRights",
        ApplyError::Api { source: kube::Error::Api(status), .. } => reason_of(status),
        ApplyError::Api { .. } => status::API_SERVER,
    }
}

/// A 403 is also what a quota and others' policies answer; of rights it speaks in words alone.
fn reason_of(status: &ApiStatus) -> &'static str {
    match status.code {
        403 if lacks_rights(&status.message) => "MissingRights",
        403 | 422 => status::REFUSED,
        500 if cannot_be_typed(&status.message) => status::REFUSED,
        _ => status::API_SERVER,
    }
}

/// Whether what was applied does not fit the kind: an API server calls that a failure of its own.
fn cannot_be_typed(message: &str) -> bool {
    ["failed to create typed patch object", "failed to convert new object"]
        .iter()
        .any(|words| message.contains(words))
}

/// Whether it is `User "…" cannot patch resource "…"`, or who binds a role has less than it gives.
fn lacks_rights(message: &str) -> bool {
    let cannot = message.split_once(" cannot ").and_then(|(_, verb)| verb.split_once(' '));
    cannot.is_some_and(|(_, resource)| resource.starts_with("resource "))
        || message.contains("attempting to grant RBAC permissions not currently held")
}

/// What the pods and their rights stand on.
const BASE: [&str; 2] = ["ServiceAccount", "ConfigMap"];

// === impl Namesake ===

impl Namesake {
    fn of<M: Managed>(object: &Stored<M>, context: &Context) -> Self {
        let children = context.desired(object).map(|desired| desired.children).unwrap_or_default();
        let since = object.meta().creation_timestamp.clone();
        Self { owner: Owner::of(object), since, children }
    }

    /// Whether it was there first. Of two of one second it is the Exporter that counts as older.
    fn is_older(&self, than: &ObjectMeta, kind: &str) -> bool {
        (&self.since, self.owner.kind) < (&than.creation_timestamp, kind)
    }
}

// === impl ApplyError ===

impl ApplyError {
    /// Whether the pods are not as the spec says, for it.
    fn blocks(&self) -> bool {
        let kind = self.kind();
        kind == "Deployment" || BASE.contains(&kind)
    }
}

// === impl Child ===

impl Child {
    fn is_base(&self) -> bool {
        BASE.contains(&self.resource.kind.as_str())
    }

    fn describe(&self) -> String {
        let elsewhere = matches!(self.ownership, Ownership::Role(_));
        let namespace = self.namespace.as_deref().filter(|_| elsewhere);
        let slash = if namespace.is_some() { "/" } else { "" };
        format!("{} {}{slash}{}", self.resource.kind, namespace.unwrap_or_default(), self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(kind: &str, code: u16, message: &str) -> ApplyError {
        let source = kube::Error::Api(ApiStatus::failure(message, "").with_code(code).boxed());
        ApplyError::Api { kind: kind.to_owned(), place: "logging/exporter".to_owned(), source }
    }

    #[test]
    fn what_lasts_is_told_and_whether_the_pods_are_as_the_spec_says() {
        let aside = || refused("RoleBinding", 500, "10.0.0.5:41234: reset");
        let told = |errors: &[ApplyError]| {
            let trouble = trouble_of(errors).unwrap();
            (trouble.reason, trouble.message, trouble.blocks)
        };
        let (reason, message, blocks) = told(&[aside(), aside()]);
        assert_eq!((reason, message.matches("41234").count(), blocks), ("ApiServer", 2, false));
        let elsewhere = || ApplyError::NoNamespace {
            kind: "RoleBinding".to_owned(),
            place: "nowhere/exporter".to_owned(),
            message: "no namespace".to_owned(),
        };
        let (reason, message, blocks) = told(&[elsewhere(), refused("Deployment", 500, "reset")]);
        let wanted = "Deployment logging/exporter: reset; RoleBinding nowhere/exporter has to wait: \
            no namespace";
        assert_eq!((reason, message.as_str(), blocks), ("ApiServer", wanted, true));
        let (reason, message, blocks) = told(&[elsewhere(), aside()]);
        assert_eq!((reason, message.contains("reset"), blocks), ("NoNamespace", false, false));
        for kind in ["ServiceAccount", "ConfigMap", "Deployment"] {
            let (reason, message, blocks) = told(&[aside(), refused(kind, 422, "wrong")]);
            let wanted = format!("{kind} logging/exporter: wrong");
            assert_eq!((reason, message, blocks), ("Refused", wanted, true));
        }
    }

    #[test]
    fn a_conflict_passes_by_itself() {
        let passes = |code| refused("Deployment", code, "").is_unanswered();
        assert!(passes(409) && passes(429));
        assert!(!passes(403) && !passes(500));
    }

    #[test]
    fn only_rbac_says_that_rights_are_missing() {
        let reason = |code: u16, message: &str| {
            let trouble = trouble_of(&[refused("Deployment", code, message)]).unwrap();
            assert_eq!(trouble.message, format!("Deployment logging/exporter: {message}"));
            trouble.reason
        };
        for (code, message, expected) in [
            (
                403,
                r#"deployments.apps "a" is forbidden: User "u" cannot patch resource "deployments" in API group "apps""#,
                "MissingRights",
            ),
            (
                403,
                r#"rolebindings "a" is forbidden: user "u" (groups=["g"]) is attempting to grant RBAC permissions not currently held:"#,
                "MissingRights",
            ),
            (403, r#"services "a" is forbidden: exceeded quota: few, used: services=1"#, "Refused"),
            (
                403,
                r#"deployments.apps "a" is forbidden: ValidatingAdmissionPolicy 'labels' denied request: there cannot be none"#,
                "Refused",
            ),
            (422, "spec.replicas: Invalid value", "Refused"),
            (500, "etcdserver: request timed out", "ApiServer"),
            (
                500,
                r#"failed to create typed patch object (a/b; apps/v1, Kind=Deployment): .spec.template.spec.volumes: duplicate entries for key [name="a"]"#,
                "Refused",
            ),
            (
                500,
                "failed to convert new object (a/b; apps/v1, Kind=Deployment): quantities",
                "Refused",
            ),
        ] {
            assert_eq!(reason(code, message), expected, "{message}");
        }
    }
}
