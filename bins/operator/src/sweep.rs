//! Bindings whose object is gone. An object in a namespace cannot own what is outside of it, so the
//! garbage collector does not take these away.

use std::{pin::pin, sync::Arc};

use futures::{FutureExt as _, Stream, StreamExt as _};

use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DynamicObject, ListParams},
    core::ApiResource,
    runtime::reflector::ObjectRef,
};
use kube_events_core::crd::{Exporter, Ruler};
use tokio::time::{Duration, sleep};
use tracing::{info, warn};

use crate::{
    Settings, apply,
    children::Managed as _,
    controller::Context,
    names::{self, MANAGED_BY, OPERATOR},
};

/// How often it is looked for bindings though nothing is known to have gone.
const INTERVAL: Duration = Duration::from_secs(600);

/// When a sweep that failed is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// The stores hear of a deletion a moment earlier or later than who reports it here.
const SETTLE: Duration = Duration::from_secs(1);

/// Deletes them, whenever `gone` says that an object may have gone, for ever.
pub(crate) async fn run(context: Arc<Context>, gone: impl Stream<Item = ()>) {
    let mut gone = pin!(gone);
    loop {
        tokio::select! {
            _ = gone.next() => sleep(SETTLE).await,
            () = sleep(INTERVAL) => {}
        }
        // One sweep answers all that waits.
        while gone.next().now_or_never().is_some() {}
        let ready =
            futures::join!(context.exporters.wait_until_ready(), context.rulers.wait_until_ready());
        if ready.0.is_err() || ready.1.is_err() {
            return;
        }
        while let Err(error) = sweep(&context).await {
            warn!(%error, "bindings whose object is gone could not be deleted; it is tried again");
            sleep(RETRY).await;
        }
    }
}

async fn sweep(context: &Context) -> Result<(), kube::Error> {
    let selector = format!("{MANAGED_BY}={OPERATOR}");
    for (api, binding) in bindings(&context.client, &context.settings, &selector).await? {
        if is_orphan(context, &binding) {
            apply::delete(&api, &binding).await?;
            info!(name = binding.name_any(), namespace = binding.namespace(), "binding deleted");
        }
    }
    Ok(())
}

fn is_orphan(context: &Context, binding: &DynamicObject) -> bool {
    let label = |key: &str| binding.labels().get(key).map(String::as_str);
    let (Some(kind), Some(namespace), Some(name)) =
        (label(names::OWNER_KIND), label(names::OWNER_NAMESPACE), label(names::OWNER_NAME))
    else {
        return false;
    };
    if kind == Exporter::PROGRAM.kind {
        context.exporters.get(&ObjectRef::new(name).within(namespace)).is_none()
    } else if kind == Ruler::PROGRAM.kind {
        context.rulers.get(&ObjectRef::new(name).within(namespace)).is_none()
    } else {
        false
    }
}

/// The bindings with these labels, and where each is deleted.
///
/// # Errors
///
/// Those of the API server.
pub(crate) async fn bindings(
    client: &Client,
    settings: &Settings,
    selector: &str,
) -> Result<Vec<(Api<DynamicObject>, DynamicObject)>, kube::Error> {
    let params = ListParams::default().labels(selector);
    let mut found = Vec::new();
    let mut resources = vec![ApiResource::erase::<RoleBinding>(&())];
    if !settings.namespaced {
        resources.push(ApiResource::erase::<ClusterRoleBinding>(&()));
    }
    for resource in resources {
        let all = if settings.namespaced {
            Api::<DynamicObject>::namespaced_with(client.clone(), &settings.namespace, &resource)
        } else {
            Api::all_with(client.clone(), &resource)
        };
        for mut binding in all.list(&params).await? {
            // Items of a list do not say what they are.
            binding.types = Some(kube::core::TypeMeta {
                api_version: resource.api_version.clone(),
                kind: resource.kind.clone(),
            });
            let api = match binding.namespace() {
                Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &resource),
                None => Api::all_with(client.clone(), &resource),
            };
            found.push((api, binding));
        }
    }
    Ok(found)
}
