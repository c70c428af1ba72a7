//! From desired objects to the API server: server-side apply of what differs.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::{
    Api, Client, Resource as _,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions},
    core::Status,
};
use serde_json::{Value, json};

use crate::{
    children::{Child, Managed, Ownership},
    difference::{covers, hash},
    names,
    object::Stored,
    takeover,
};

/// A version that no object has: what is applied with it creates an object, and is a conflict if there
/// is one. A plain apply would change what somebody else made since it was looked for.
const NEVER: &str = "1";

/// The beginning of the name of what is only asked for.
const ALONE: &str = "kube-events-dry-run-";

/// What became of one child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is as it has to be.
    Unchanged,
    Created,
    /// It differed, and is now as it has to be.
    Changed,
    /// It was the Go project's operator's, and is now as it has to be.
    TakenOver,
    Deleted,
}

/// Why a child is not as it has to be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    /// Somebody else's object has the name.
    #[error("{kind} {place} belongs to {owner}, and is left alone")]
    NotOurs { kind: String, place: String, owner: String },
    /// The namespace that it has to be in is not there, or is going.
    #[error("{kind} {place} has to wait: {message}")]
    NoNamespace { kind: String, place: String, message: String },
    /// The role that it binds is not there.
    #[error("{kind} {place} has to wait: there is no ClusterRole {role}; the bundle has it")]
    NoRole { kind: String, place: String, role: &'static str },
    /// What the API server says.
    #[error("{kind} {place}: {}", words(source))]
    Api { kind: String, place: String, source: kube::Error },
}

/// The object whose children are applied.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    pub(crate) kind: &'static str,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

/// The uids that owners' children had when they were last seen. A hand that replaces an object as a whole
/// takes from it all that says whose it is, but not these.
#[derive(Default)]
pub(crate) struct Seen(Mutex<HashMap<Owner, HashMap<Place, String>>>);

/// The kind and the name of a child, which is in its owner's namespace.
type Place = (String, String);

/// The roles that the operator binds, as owners of the bindings.
#[derive(Clone)]
pub(crate) struct Roles {
    /// Where they are asked for; in one namespace's installation nobody may.
    pub(crate) client: Option<Client>,
}

/// Brings one child to where it has to be, and writes only if it is not there.
///
/// What is written is the object that was read, or was not there: if somebody made or replaced it
/// in between, it is read anew, as it may not be ours.
///
/// # Errors
///
/// If it belongs to somebody else, or the API server refuses.
pub(crate) async fn apply(
    client: &Client,
    owner: &Owner,
    child: &Child,
    roles: &Roles,
    seen: &Seen,
) -> Result<Outcome, ApplyError> {
    match attempt(client, owner, child, roles, seen).await {
        Err(error) if error.is_outdated() => attempt(client, owner, child, roles, seen).await,
        result => result,
    }
}

async fn attempt(
    client: &Client,
    owner: &Owner,
    child: &Child,
    roles: &Roles,
    seen: &Seen,
) -> Result<Outcome, ApplyError> {
    let api = child.api(client);
    let failed = |source| child.failed(source);
    let live = match api.get(&child.name).await {
        Ok(live) => Some(live),
        Err(kube::Error::Api(status)) if child.is_unknown(&status) => {
            return Ok(Outcome::Unchanged);
        }
        Err(kube::Error::Api(status)) if status.code == 404 => None,
        Err(error) => return Err(failed(error)),
    };
    if let Some(live) = &live {
        if !child.belongs_to(owner, live) && !seen.holds(owner, child, live) {
            // What must not be there is not there for us.
            let Some(_) = &child.object else { return Ok(Outcome::Unchanged) };
            return Err(child.not_ours(live));
        }
        seen.insert(owner, child, live);
    }
    let Some(object) = &child.object else {
        return match live {
            None => Ok(Outcome::Unchanged),
            Some(live) => delete(&api, &live).await.map_err(failed),
        };
    };
    let role = match child.ownership {
        Ownership::Role(role) => roles.uid(role, child).await?,
        Ownership::Object => None,
    };
    let mut desired = child.complete(object.clone(), owner, role);
    let params = PatchParams::apply(names::OPERATOR).force();
    let Some(live) = live else {
        desired["metadata"]["resourceVersion"] = json!(NEVER);
        let applied =
            api.patch(&child.name, &params, &Patch::Apply(&desired)).await.map_err(failed)?;
        seen.insert(owner, child, &applied);
        return Ok(Outcome::Created);
    };
    let is_former = takeover::claim(&api, &live).await.map_err(failed)?;
    let as_was = if is_former { Outcome::TakenOver } else { Outcome::Unchanged };
    let held = serde_json::to_value(&live).unwrap_or_default();
    if covers(&held, &desired) {
        return Ok(as_was);
    }
    if roles_differ(&held, &desired) || held["immutable"] == true {
        // A binding cannot be turned to another role, and what is immutable to anything else.
        delete(&api, &live).await.map_err(failed)?;
        desired["metadata"]["resourceVersion"] = json!(NEVER);
        let applied = api.patch(&child.name, &params, &Patch::Apply(&desired)).await;
        seen.insert(owner, child, &applied.map_err(failed)?);
        return Ok(Outcome::Changed);
    }
    desired["metadata"]["uid"] = json!(live.metadata.uid);
    let mut applied = api.patch(&child.name, &params, &Patch::Apply(&desired)).await;
    // What a hand has added beside ours may not go together with it, such as two ports of one name.
    if applied.as_ref().is_err_and(is_invalid)
        && desired.get("spec").is_some()
        && can_be(&api, &desired).await
    {
        overwrite(&api, &live, &desired).await.map_err(failed)?;
        applied = api.patch(&child.name, &params, &Patch::Apply(&desired)).await;
    }
    let applied = applied.map_err(failed)?;
    // The API server may write down a value otherwise than it was asked for.
    let same = applied.metadata.resource_version == live.metadata.resource_version;
    Ok(if same || is_former { as_was } else { Outcome::Changed })
}

/// Deletes one child if it is beyond doubt this owner's, who must have none.
///
/// # Errors
///
/// If the API server refuses.
pub(crate) async fn release(
    client: &Client,
    owner: &Owner,
    child: &Child,
) -> Result<Outcome, ApplyError> {
    let api = child.api(client);
    let failed = |source| child.failed(source);
    match api.get(&child.name).await {
        Ok(live) if child.is_surely_of(owner, &live) => delete(&api, &live).await.map_err(failed),
        Ok(_) => Ok(Outcome::Unchanged),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Outcome::Unchanged),
        Err(error) => Err(failed(error)),
    }
}

pub(crate) async fn delete(
    api: &Api<DynamicObject>,
    live: &DynamicObject,
) -> Result<Outcome, kube::Error> {
    let name = live.metadata.name.as_deref().unwrap_or_default();
    let preconditions = Preconditions { uid: live.metadata.uid.clone(), resource_version: None };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
    match api.delete(name, &params).await {
        Ok(_) => Ok(Outcome::Deleted),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Outcome::Unchanged),
        Err(error) => Err(error),
    }
}

/// The API server's own sentence; the whole answer would be told with it.
fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        error => error.to_string(),
    }
}

fn is_without_namespace(status: &Status) -> bool {
    let Some(details) = &status.details else { return false };
    let mut causes = details.causes.iter();
    status.code == 404 && details.kind == "namespaces"
        || causes.any(|cause| cause.reason == "NamespaceTerminating")
}

/// Whether there can be what is applied, with nothing beside it: asked for under a name that nothing has.
async fn can_be(api: &Api<DynamicObject>, desired: &Value) -> bool {
    let mut alone = desired.clone();
    let name = format!("{ALONE}{:.8}", hash(desired));
    alone["metadata"]["name"] = json!(name);
    alone["metadata"]["uid"].take();
    let params = PatchParams::apply(names::OPERATOR).force().dry_run();
    match api.patch(&name, &params, &Patch::Apply(&alone)).await {
        Ok(_) => true,
        // A quota has nothing against what is there already.
        Err(kube::Error::Api(status)) => status.code == 403,
        Err(_) => false,
    }
}

/// Writes the whole spec, in the place of what anybody has written of it. What is left to be applied then is
/// that it is ours.
async fn overwrite(
    api: &Api<DynamicObject>,
    live: &DynamicObject,
    desired: &Value,
) -> Result<(), kube::Error> {
    let operations = json!([
        {"op": "test", "path": "/metadata/uid", "value": live.metadata.uid},
        {"op": "replace", "path": "/spec", "value": desired["spec"]},
    ]);
    let patch =
        Patch::<()>::Json(serde_json::from_value(operations).map_err(kube::Error::SerdeError)?);
    let name = live.metadata.name.as_deref().unwrap_or_default();
    let params =
        PatchParams { field_manager: Some(names::OPERATOR.to_owned()), ..PatchParams::default() };
    let written = api.patch(name, &params, &patch).await?;
    takeover::claim(api, &written).await.map(drop)
}

/// Whether what is applied would be no object that there can be.
fn is_invalid(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    // With another uid it is another object by now, which is read anew.
    status.code == 422 && !causes.any(|cause| cause.field == "metadata.uid")
}

/// Whether it is the operator that made an object, whatever became of its labels and owners.
fn is_applied(live: &DynamicObject) -> bool {
    live.metadata.managed_fields.iter().flatten().any(|entry| {
        entry.manager.as_deref() == Some(names::OPERATOR)
            && entry.operation.as_deref() == Some("Apply")
    })
}

fn roles_differ(live: &Value, desired: &Value) -> bool {
    desired.get("roleRef").is_some_and(|role| !covers(&live["roleRef"], role))
}

// === impl Seen ===

impl Seen {
    /// Forgets the owners of a kind that are not there, when there are more than `count`.
    pub(crate) fn retain(&self, kind: &str, count: usize, is_there: impl Fn(&Owner) -> bool) {
        let mut seen = self.lock();
        if seen.keys().filter(|owner| owner.kind == kind).count() > count {
            seen.retain(|owner, _| owner.kind != kind || is_there(owner));
        }
    }

    fn insert(&self, owner: &Owner, child: &Child, live: &DynamicObject) {
        let (Ownership::Object, Some(uid)) = (&child.ownership, &live.metadata.uid) else { return };
        self.lock().entry(owner.clone()).or_default().insert(place(child), uid.clone());
    }

    /// Whether it is still the object that was the owner's, and nobody else's by now.
    fn holds(&self, owner: &Owner, child: &Child, live: &DynamicObject) -> bool {
        let mut owners = live.metadata.owner_references.iter().flatten();
        let seen = self.lock();
        let uid = seen.get(owner).and_then(|children| children.get(&place(child)));
        uid.is_some()
            && uid == live.metadata.uid.as_ref()
            && !owners.any(|it| it.controller == Some(true))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Owner, HashMap<Place, String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(child: &Child) -> Place {
    (child.resource.kind.clone(), child.name.clone())
}

// === impl ApplyError ===

impl ApplyError {
    /// Whether what was to be written is another object than the one that was read.
    fn is_outdated(&self) -> bool {
        let Self::Api { source: kube::Error::Api(status), .. } = self else { return false };
        let mut causes = status.details.iter().flat_map(|details| &details.causes);
        status.code == 409
            || status.code == 422 && causes.any(|cause| cause.field == "metadata.uid")
    }

    /// The kind of the child.
    pub(crate) fn kind(&self) -> &str {
        match self {
            Self::NotOurs { kind, .. }
            | Self::NoNamespace { kind, .. }
            | Self::NoRole { kind, .. }
            | Self::Api { kind, .. } => kind,
        }
    }

    /// Whether the API server did not answer, asked for patience, or had a newer object.
    pub(crate) fn is_unanswered(&self) -> bool {
        let Self::Api { source, .. } = self else { return false };
        match source {
            kube::Error::Api(status) => matches!(status.code, 409 | 429),
            kube::Error::HyperError(_) | kube::Error::Service(_) => true,
            _ => false,
        }
    }
}

// === impl Roles ===

impl Roles {
    /// The uid of the role that a binding is for. It is asked for anew each time: a role that was
    /// deleted and made again is another owner, and what belongs to the former one is collected.
    async fn uid(&self, role: &'static str, child: &Child) -> Result<Option<String>, ApplyError> {
        let Some(client) = &self.client else { return Ok(None) };
        let roles = Api::<ClusterRole>::all(client.clone());
        match roles.get_metadata_opt(role).await {
            Ok(Some(found)) => Ok(found.metadata.uid),
            Ok(None) => Err(child.no_role(role)),
            Err(error) => Err(child.failed(error)),
        }
    }
}

// === impl Owner ===

impl Owner {
    pub(crate) fn of<M: Managed>(object: &Stored<M>) -> Self {
        let metadata = object.meta();
        Self {
            kind: M::PROGRAM.kind,
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
        }
    }
}

// === impl Child ===

impl Child {
    fn api(&self, client: &Client) -> Api<DynamicObject> {
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &self.resource),
            None => Api::all_with(client.clone(), &self.resource),
        }
    }

    /// Whether the live object names this owner, and does not merely come from the operator.
    fn is_surely_of(&self, owner: &Owner, live: &DynamicObject) -> bool {
        let mut owners = live.metadata.owner_references.iter().flatten();
        match self.ownership {
            Ownership::Object => owners.any(|it| it.uid == owner.uid),
            Ownership::Role(_) => self.belongs_to(owner, live),
        }
    }

    /// Whether the live object is this owner's, and so may be changed or deleted.
    fn belongs_to(&self, owner: &Owner, live: &DynamicObject) -> bool {
        match self.ownership {
            Ownership::Object => {
                let owners = live.metadata.owner_references.iter().flatten();
                let mut owners = owners.filter(|it| it.controller == Some(true)).peekable();
                if owners.peek().is_none() {
                    is_applied(live)
                } else {
                    owners.any(|it| it.uid == owner.uid)
                }
            }
            Ownership::Role(_) => {
                let label = |key: &str| live.metadata.labels.as_ref()?.get(key);
                // Whose it is stands in its name, too.
                is_applied(live)
                    || label(names::OWNER_KIND).is_some_and(|kind| kind == owner.kind)
                        && label(names::OWNER_NAMESPACE).is_some_and(|it| *it == owner.namespace)
                        && label(names::OWNER_NAME).is_some_and(|it| *it == owner.name)
            }
        }
    }

    /// Adds what the place says of the object, whom it belongs to, and the hash.
    fn complete(&self, mut object: Value, owner: &Owner, role_uid: Option<String>) -> Value {
        object["apiVersion"] = json!(self.resource.api_version);
        object["kind"] = json!(self.resource.kind);
        object["metadata"]["name"] = json!(self.name);
        if let Some(namespace) = &self.namespace {
            object["metadata"]["namespace"] = json!(namespace);
        }
        let reference = match self.ownership {
            Ownership::Object => Some(json!({
                "apiVersion": format!("{}/{}", kube_events_core::crd::GROUP, kube_events_core::crd::VERSION),
                "kind": owner.kind,
                "name": owner.name,
                "uid": owner.uid,
                "controller": true,
            })),
            Ownership::Role(role) => role_uid.map(|uid| {
                json!({
                    "apiVersion": "rbac.authorization.k8s.io/v1",
                    "kind": "ClusterRole",
                    "name": role,
                    "uid": uid,
                })
            }),
        };
        if let Some(reference) = reference {
            object["metadata"]["ownerReferences"] = json!([reference]);
        }
        let hash = hash(&object);
        object["metadata"]["annotations"][names::APPLIED] = json!(hash);
        object
    }

    fn place(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }

    /// Whether the API server has never heard of the kind: it names no object that it did not find.
    fn is_unknown(&self, status: &Status) -> bool {
        let named = status.details.as_ref().is_some_and(|details| !details.name.is_empty());
        status.code == 404 && !named && self.resource.group == "monitoring.coreos.com"
    }

    fn failed(&self, source: kube::Error) -> ApplyError {
        let (kind, place) = (self.resource.kind.clone(), self.place());
        match source {
            kube::Error::Api(status) if is_without_namespace(&status) => {
                ApplyError::NoNamespace { kind, place, message: status.message }
            }
            source => ApplyError::Api { kind, place, source },
        }
    }

    fn no_role(&self, role: &'static str) -> ApplyError {
        ApplyError::NoRole { kind: self.resource.kind.clone(), place: self.place(), role }
    }

    fn not_ours(&self, live: &DynamicObject) -> ApplyError {
        let owners = live.metadata.owner_references.iter().flatten();
        let owner = owners.map(|owner| format!("{} {}", owner.kind, owner.name)).next();
        ApplyError::NotOurs {
            kind: self.resource.kind.clone(),
            place: self.place(),
            owner: owner.unwrap_or_else(|| "somebody else".to_owned()),
        }
    }
}
