//! Bindings that nobody asks for: those of objects that are gone, and those that an object no longer
//! asks for. An object in a namespace cannot own what is outside of it, so the garbage collector does
//! not take these away.

use std::{collections::BTreeMap, fmt, pin::pin, sync::Arc};

use futures::{Stream, StreamExt as _};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::{
    Api, Resource, ResourceExt as _,
    api::{DynamicObject, ListParams},
    core::{ApiResource, NamespaceResourceScope},
    runtime::reflector::{ObjectRef, Store},
};
use kube_events_core::crd::{Exporter, Ruler};
use serde::de::DeserializeOwned;
use tokio::time::{Duration, sleep};
use tracing::{info, warn};

use crate::{
    apply,
    children::{Child, Managed},
    controller::{Context, IN_A_PAGE},
    names::{self, MANAGED_BY, OPERATOR},
    object::{Stored, Trace},
};

/// How often it is looked for bindings though nothing is known to have changed.
const INTERVAL: Duration = Duration::from_secs(600);

/// When a sweep that failed is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// A binding, and where it is deleted.
type Binding = (Api<DynamicObject>, DynamicObject);

/// The kind, namespace and name of the object that a binding is for.
type Owner = (String, String, String);

/// Deletes them, whenever `news` says that there may be some, for ever.
pub(crate) async fn run(context: Arc<Context>, news: impl Stream<Item = ()>) {
    let mut news = pin!(news);
    loop {
        tokio::select! {
            _ = news.next() => {}
            () = sleep(INTERVAL) => {}
        }
        if !context.is_ready().await {
            return;
        }
        while let Err(error) = sweep(&context).await {
            warn!(%error, "bindings that nobody asks for could not be deleted; it is tried again");
            sleep(RETRY).await;
        }
    }
}

async fn sweep(context: &Context) -> Result<(), kube::Error> {
    let mut failed = None;
    let mut by_owner: BTreeMap<Owner, Vec<Binding>> = BTreeMap::new();
    for (api, binding) in bindings(context).await? {
        let owner = owner(&binding).filter(|owner| context.looks_after(&owner.1));
        if let Some(owner) = owner {
            by_owner.entry(owner).or_default().push((api, binding));
        }
    }
    for (owner, bindings) in by_owner {
        let swept = if owner.0 == Exporter::PROGRAM.kind {
            sweep_of(context, &context.exporters, &owner, bindings).await
        } else if owner.0 == Ruler::PROGRAM.kind {
            sweep_of(context, &context.rulers, &owner, bindings).await
        } else {
            Ok(())
        };
        // The others need not wait for one that is in trouble.
        failed = failed.or(swept.err());
    }
    failed.map_or(Ok(()), Err)
}

/// What its labels say, if its name agrees: somebody may have made a copy of a binding.
fn owner(binding: &DynamicObject) -> Option<Owner> {
    let label = |key: &str| binding.labels().get(key).cloned();
    let (kind, namespace, name) =
        (label(names::OWNER_KIND)?, label(names::OWNER_NAMESPACE)?, label(names::OWNER_NAME)?);
    let end = names::binding("", &kind, &namespace, &name);
    binding.name_any().ends_with(&end).then_some((kind, namespace, name))
}

/// Deletes those of one object's bindings that it does not ask for.
async fn sweep_of<M>(
    context: &Context,
    objects: &Store<Stored<M>>,
    (_, namespace, name): &Owner,
    mut bindings: Vec<Binding>,
) -> Result<(), kube::Error>
where
    M: Managed + Clone + fmt::Debug + DeserializeOwned + 'static,
    M: Resource<Scope = NamespaceResourceScope>,
{
    let known = objects.get(&ObjectRef::new(name).within(namespace));
    retain_unasked(context, known.as_deref(), &mut bindings);
    if bindings.is_empty() {
        return Ok(());
    }
    // A watch may be behind: what is deleted is deleted by what the object says now.
    let api = Api::<Stored<M>>::namespaced(context.client.clone(), namespace);
    let object = api.get_opt(name).await?;
    retain_unasked(context, object.as_ref(), &mut bindings);
    let mut done = Vec::new();
    for (api, binding) in bindings {
        apply::delete(&api, &binding).await?;
        let kind = binding.types.as_ref().map_or("", |types| types.kind.as_str());
        info!(kind, name = binding.name_any(), namespace = binding.namespace(), "deleted");
        done.push(format!("Deleted {kind} {}", binding.name_any()));
    }
    context.metrics.wrote(M::PROGRAM.kind, done.len());
    if let Some(object) = object {
        context.tell(&object, "Applied", &done).await;
    }
    Ok(())
}

/// Leaves those that an object does not ask for.
fn retain_unasked<M: Managed>(
    context: &Context,
    object: Option<&Stored<M>>,
    bindings: &mut Vec<Binding>,
) {
    let Some(object) = object else { return };
    let namespace = object.meta().namespace.as_deref().unwrap_or_default();
    match context.asked(object) {
        // The other operator has no say elsewhere, and keeps what is in its own namespace.
        _ if context.has_its_own_operator(namespace) => {
            bindings.retain(|(_, binding)| binding.namespace().as_deref() != Some(namespace));
        }
        // Until it is gone it may need them, and when it cannot be carried out all stays.
        _ if object.meta().deletion_timestamp.is_some() => bindings.clear(),
        Err(_) => bindings.clear(),
        Ok(desired) => {
            bindings.retain(|(_, binding)| !desired.children.iter().any(|it| is_for(it, binding)));
        }
    }
}

fn is_for(child: &Child, binding: &DynamicObject) -> bool {
    let kind = binding.types.as_ref().map(|types| types.kind.as_str());
    kind == Some(child.resource.kind.as_str())
        && child.namespace == binding.metadata.namespace
        && Some(&child.name) == binding.metadata.name.as_ref()
}

/// The bindings that the operator made.
async fn bindings(context: &Context) -> Result<Vec<Binding>, kube::Error> {
    let (client, settings) = (&context.client, &context.settings);
    let selector = format!("{MANAGED_BY}={OPERATOR}");
    let mut found = Vec::new();
    let mut resources = vec![ApiResource::erase::<RoleBinding>(&())];
    if !settings.namespaced {
        resources.push(ApiResource::erase::<ClusterRoleBinding>(&()));
    }
    for resource in resources {
        let all = if settings.namespaced {
            Api::<Trace<DynamicObject>>::namespaced_with(
                client.clone(),
                &settings.namespace,
                &resource,
            )
        } else {
            Api::all_with(client.clone(), &resource)
        };
        let mut params = ListParams::default().labels(&selector).limit(IN_A_PAGE);
        loop {
            let page = all.list(&params).await?;
            params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            for binding in page.items {
                let api = match binding.namespace() {
                    Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &resource),
                    None => Api::all_with(client.clone(), &resource),
                };
                let mut kept = DynamicObject::new(&binding.name_any(), &resource);
                kept.metadata = binding.meta().clone();
                found.push((api, kept));
            }
            if params.continue_token.is_none() {
                break;
            }
        }
    }
    Ok(found)
}
