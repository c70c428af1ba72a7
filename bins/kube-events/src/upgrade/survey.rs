//! Looks for what the Go project left.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, anyhow};
use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    apps::v1::Deployment,
    core::v1::{Pod, Secret, Service, ServiceAccount},
    rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding},
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{DynamicObject, ListParams},
    core::ApiResource,
};
use kube_events_core::crd::{Exporter, Ruler};

use tokio::time::{Instant, sleep};

use super::{
    PAUSE,
    found::Found,
    recognize::{self, OPERATOR, Owner},
};

/// How long the API server may refuse to show objects whose definition was just replaced.
const BUSY: Duration = Duration::from_secs(15);

/// Where to look.
#[derive(Clone, Copy)]
pub(super) struct Survey<'a> {
    pub(super) client: &'a Client,
    /// The operator's namespace.
    pub(super) namespace: &'a str,
}

/// What may still need something of the Go project.
struct Present {
    /// The Deployments of the namespace that are not its operators, and the pods that are not theirs.
    users: Vec<Found>,
    /// Whether our operator runs.
    installed: bool,
    /// The Exporters and Rulers that our operator has not taken over.
    unserved: BTreeSet<Owner>,
}

// === impl Survey ===

impl Survey<'_> {
    /// The Go project's operators. One of another name than ours goes when ours is there.
    ///
    /// # Errors
    ///
    /// If the API server does not show it.
    pub(super) async fn operators(&self) -> anyhow::Result<Vec<Found>> {
        let deployments = self.own::<Deployment>("").await?;
        let installed = deployments.iter().any(|it| recognize::is_ours(&it.object));
        let runs = deployments.iter().any(|it| recognize::ours_runs(&it.object));
        let state = |it: Found| {
            let has_our_name = it.object.name_any() == OPERATOR;
            let it = it.unneeded("the Go project's operator");
            match (has_our_name, installed, runs) {
                (true, _, _) => it.waiting("apply the new operator over it first"),
                (false, false, _) => it.waiting("install the new operator first"),
                (false, true, false) => it.waiting("no pod of the new operator is ready: see why"),
                (false, true, true) => it,
            }
        };
        Ok(deployments.into_iter().filter(is_former).map(state).collect())
    }

    /// Whether a pod still runs the Go project's operator.
    ///
    /// # Errors
    ///
    /// If the API server does not show it.
    pub(super) async fn operator_runs(&self) -> anyhow::Result<bool> {
        let pods = self.own::<Pod>("").await?;
        Ok(pods.iter().any(|it| recognize::runs_operator(&it.object.data["spec"])))
    }

    /// Everything else: what refuses Rules comes first, what gives rights last.
    ///
    /// # Errors
    ///
    /// If the API server does not show it.
    pub(super) async fn rest(&self) -> anyhow::Result<Vec<Found>> {
        let present = self.present().await?;
        let mut found = Vec::new();
        let mut webhooks = self.everywhere::<MutatingWebhookConfiguration>().await?;
        webhooks.extend(self.everywhere::<ValidatingWebhookConfiguration>().await?);
        found.extend(webhooks.into_iter().filter_map(|it| self.webhooks(it)));
        for it in self.own::<Service>("").await? {
            let its = recognize::is_service(&it.object);
            found.extend(left(it, its, "the Service of the webhooks"));
        }
        for it in self.own::<Secret>("type=Opaque").await? {
            let its = recognize::is_secret(&it.object);
            let secret = left(it, its, "the certificate and the key of the webhooks");
            found.extend(secret.map(|it| present.unless_used(it)));
        }
        for it in self.own::<ServiceAccount>("").await? {
            let its = recognize::is_account(&it.object);
            let account = left(it, its, "the account of the Go project's operator");
            found.extend(account.map(|it| present.unless_used(it)));
        }
        found.extend(self.rights(&present).await?);
        Ok(found)
    }

    fn webhooks(&self, it: Found) -> Option<Found> {
        match recognize::webhooks(&it.object) {
            Some(namespace) if namespace != self.namespace => {
                Some(it.kept(format!("a webhook of the namespace {namespace}: see --namespace")))
            }
            Some(_) => Some(it.unneeded("a webhook that refuses every Rule when nobody answers")),
            None => namesake(it),
        }
    }

    /// The roles that bindings in single namespaces give.
    async fn lent(&self) -> anyhow::Result<BTreeSet<String>> {
        let bindings = self.everywhere::<RoleBinding>().await?;
        Ok(bindings.iter().filter_map(|it| recognize::role_of(&it.object)).collect())
    }

    /// Bindings, then roles: those of the operator, and those that it made.
    async fn rights(&self, present: &Present) -> anyhow::Result<Vec<Found>> {
        let what = |owner: &Owner| format!("rights of the pods of {owner}");
        let mut found = Vec::new();
        // What somebody else was given is not taken away.
        let mut bound = self.lent().await?;
        for it in self.everywhere::<ClusterRoleBinding>().await? {
            let role = recognize::role_of(&it.object);
            if let Some(owner) = recognize::owner_of_binding(&it.object) {
                found.push(present.unless_needed(it.unneeded(what(&owner)), &owner));
            } else if recognize::is_binding(&it.object, self.namespace) {
                found.push(it.unneeded("gives the Go project's operator its role"));
            } else {
                bound.extend(role);
                found.extend(namesake(it));
            }
        }
        for it in self.everywhere::<ClusterRole>().await? {
            let owner = recognize::owner_of_role(&it.object);
            let its = owner.is_some() || recognize::is_role(&it.object);
            if its && bound.contains(&it.object.name_any()) {
                found.push(it.kept("a role of the Go project that others are bound to"));
            } else if let Some(owner) = owner {
                found.push(present.unless_needed(it.unneeded(what(&owner)), &owner));
            } else {
                found.extend(left(it, its, "the role of the Go project's operator"));
            }
        }
        Ok(found)
    }

    async fn present(&self) -> anyhow::Result<Present> {
        let mut users = self.own::<Deployment>("").await?;
        let installed = users.iter().any(|it| recognize::ours_runs(&it.object));
        users.extend(self.own::<Pod>("").await?);
        users.retain(|it| !recognize::runs_operator(recognize::pod_of(&it.object)));
        let mut bindings = self.everywhere::<ClusterRoleBinding>().await?;
        bindings.extend(self.everywhere::<RoleBinding>().await?);
        let given: BTreeSet<_> = bindings.iter().map(|it| it.object.name_any()).collect();
        let mut owners = self.everywhere::<Exporter>().await?;
        owners.extend(self.everywhere::<Ruler>().await?);
        let owner = |it: &Found| Owner {
            kind: it.resource.kind.clone(),
            namespace: it.object.namespace().unwrap_or_default(),
            name: it.object.name_any(),
        };
        let is_served =
            |it: &Found| recognize::is_well(&it.object) && given.contains(&owner(it).our_binding());
        let unserved = owners.iter().filter(|it| !is_served(it)).map(owner).collect();
        Ok(Present { users, installed, unserved })
    }

    /// The objects of a kind in the operator's namespace that have these fields.
    async fn own<K>(&self, fields: &str) -> anyhow::Result<Vec<Found>>
    where
        K: Resource<DynamicType = ()>,
    {
        let resource = ApiResource::erase::<K>(&());
        let api = Api::namespaced_with(self.client.clone(), self.namespace, &resource);
        list(&api, resource, &ListParams::default().fields(fields)).await
    }

    /// All objects of a kind.
    async fn everywhere<K>(&self) -> anyhow::Result<Vec<Found>>
    where
        K: Resource<DynamicType = ()>,
    {
        let resource = ApiResource::erase::<K>(&());
        let api = Api::all_with(self.client.clone(), &resource);
        list(&api, resource, &ListParams::default()).await
    }
}

// === impl Present ===

impl Present {
    /// Has a Secret or an account wait while pods that stay use it: they would not start again.
    fn unless_used(&self, it: Found) -> Found {
        let name = it.object.name_any();
        match self.users.iter().find(|user| recognize::uses(&user.object, &name)) {
            // `kubectl apply` leaves what others gave a Deployment.
            Some(user) if recognize::is_ours(&user.object) => it.waiting(format!(
                "the Deployment {OPERATOR} still uses it: delete that, apply the bundle again, then upgrade"
            )),
            Some(user) => {
                let (kind, name) = (&user.resource.kind, user.object.name_any());
                it.waiting(format!("the {kind} {name} uses it"))
            }
            None => it,
        }
    }

    /// Has rights wait until our operator has given its own, so that delivery goes on.
    fn unless_needed(&self, it: Found, owner: &Owner) -> Found {
        if !self.unserved.contains(owner) {
            return it;
        }
        let reason = format!("the new operator has not taken over {owner}: see its status");
        if self.installed { it.waiting_soon(reason) } else { it.waiting(reason) }
    }
}

async fn list(
    api: &Api<DynamicObject>,
    resource: ApiResource,
    params: &ListParams,
) -> anyhow::Result<Vec<Found>> {
    let end = Instant::now() + BUSY;
    loop {
        match api.list(params).await {
            Ok(list) => {
                let found = list.items.into_iter().map(|it| Found::new(resource.clone(), it));
                return Ok(found.collect());
            }
            Err(kube::Error::Api(status)) => match status.code {
                // A kind that is not defined has no objects.
                404 => return Ok(Vec::new()),
                429 if Instant::now() < end => sleep(PAUSE).await,
                // Which right is missing, in the API server's words.
                _ => return Err(anyhow!(status.message)),
            },
            Err(error) => {
                return Err(error).with_context(|| format!("cannot list {}", resource.plural));
            }
        }
    }
}

fn is_former(deployment: &Found) -> bool {
    recognize::is_former(&deployment.object)
}

/// An object that nobody needs, if it is the Go project's.
fn left(it: Found, is_its: bool, what: &str) -> Option<Found> {
    if is_its { Some(it.unneeded(what)) } else { namesake(it) }
}

fn namesake(it: Found) -> Option<Found> {
    recognize::is_namesake(&it.object)
        .then(|| it.kept("not the Go project's, though it has such a name"))
}
