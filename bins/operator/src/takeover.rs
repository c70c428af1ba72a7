//! What the Go project's operator left behind.
//!
//! It wrote whole objects by update, and its finalizers wait for an operator that is gone. Its
//! webhooks refuse every Rule once nobody answers them any more.

use k8s_openapi::{
    api::{
        admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
        apps::v1::Deployment,
        core::v1::ObjectReference,
    },
    apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry},
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
    runtime::events::{EventType, Recorder},
};
use serde_json::{Value, json};
use tracing::{info, warn};

use crate::{event, names};

/// The name under which the Go project's operator is found in `managedFields`: that of its binary
/// (its Dockerfile), which is ours, too. It wrote by update, we apply.
const FORMER_MANAGER: &str = "kube-events-operator";

/// The webhooks that the Go project's bundle installed.
pub(crate) const FORMER_WEBHOOKS: (&str, &str) =
    ("kube-events-admission-mutate", "kube-events-admission-validate");

/// Makes fields that the Go project's operator wrote by update our own, so that those that are no
/// longer wanted (the reloader's container) go with the next apply. Once for an object; what people
/// and other controllers wrote stays theirs. Whether there was something to claim.
pub(crate) async fn claim(
    api: &Api<DynamicObject>,
    live: &DynamicObject,
) -> Result<bool, kube::Error> {
    let entries = live.metadata.managed_fields.clone().unwrap_or_default();
    let Some(claimed) = claimed(entries) else { return Ok(false) };
    let patch = json!({"metadata": {
        "managedFields": claimed,
        // Somebody may have written in between.
        "resourceVersion": live.resource_version(),
    }});
    api.patch(&live.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(true)
}

fn is_ours(entry: &ManagedFieldsEntry) -> bool {
    entry.operation.as_deref() == Some("Apply") && entry.manager.as_deref() == Some(names::OPERATOR)
}

/// The entries with the former operator's merged into ours; `None` if it has none.
fn claimed(entries: Vec<ManagedFieldsEntry>) -> Option<Vec<ManagedFieldsEntry>> {
    let is_former = |entry: &ManagedFieldsEntry| {
        entry.operation.as_deref() == Some("Update")
            && entry.subresource.as_deref().unwrap_or_default().is_empty()
            && entry.manager.as_deref() == Some(FORMER_MANAGER)
    };
    let (former, mut kept): (Vec<_>, Vec<_>) = entries.into_iter().partition(is_former);
    let mut fields = json!({});
    let version = former.first()?.api_version.clone();
    let time = former.first()?.time.clone();
    for entry in former.iter().chain(kept.iter().filter(|entry| is_ours(entry))) {
        if let Some(of_entry) = &entry.fields_v1 {
            unite(&mut fields, &of_entry.0);
        }
    }
    kept.retain(|entry| !is_ours(entry));
    kept.push(ManagedFieldsEntry {
        manager: Some(names::OPERATOR.to_owned()),
        operation: Some("Apply".to_owned()),
        api_version: version,
        time,
        fields_type: Some("FieldsV1".to_owned()),
        fields_v1: Some(FieldsV1(fields)),
        subresource: None,
    });
    Some(kept)
}

fn unite(into: &mut Value, fields: &Value) {
    let (Value::Object(into), Value::Object(fields)) = (into, fields) else { return };
    for (key, value) in fields {
        unite(into.entry(key).or_insert_with(|| json!({})), value);
    }
}

/// Takes the former operator's finalizer from an object, which would never be deleted. Whether it
/// had it.
///
/// # Errors
///
/// Those of the API server.
pub(crate) async fn strip_finalizer<K>(
    api: &Api<K>,
    object: &K,
    finalizer: &str,
) -> Result<bool, kube::Error>
where
    K: Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let finalizers = object.finalizers();
    if !finalizers.iter().any(|held| held == finalizer) {
        return Ok(false);
    }
    let kept: Vec<_> = finalizers.iter().filter(|held| *held != finalizer).collect();
    let patch = json!({"metadata": {
        "finalizers": kept,
        "resourceVersion": object.resource_version(),
    }});
    match api
        .patch_metadata(&object.name_any(), &PatchParams::default(), &Patch::Merge(patch))
        .await
    {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(error),
    }
}

/// Deletes the former operator's webhooks by their names; failing is told, and no reason to stop.
/// They are in no namespace, so the Event is one of the operator's Deployment.
pub(crate) async fn remove_webhooks(client: &Client, recorder: &Recorder, namespace: &str) {
    let mutating = Api::<MutatingWebhookConfiguration>::all(client.clone());
    let validating = Api::<ValidatingWebhookConfiguration>::all(client.clone());
    let deleted = [
        (
            FORMER_WEBHOOKS.0,
            mutating.delete(FORMER_WEBHOOKS.0, &DeleteParams::default()).await.err(),
        ),
        (
            FORMER_WEBHOOKS.1,
            validating.delete(FORMER_WEBHOOKS.1, &DeleteParams::default()).await.err(),
        ),
    ];
    let mut gone = Vec::new();
    for (webhook, error) in deleted {
        match error {
            None => {
                info!(webhook, "the Go project's webhook is deleted");
                gone.push(webhook);
            }
            Some(kube::Error::Api(status)) if status.code == 404 => {}
            Some(error) => warn!(webhook, %error, "cannot delete the Go project's webhook"),
        }
    }
    if !gone.is_empty() {
        let note = format!("deleted the Go project's {}: nobody answers", gone.join(" and "));
        let own = own_deployment(client, namespace).await;
        event::publish(recorder, &own, EventType::Normal, "WebhooksDeleted", &note).await;
    }
}

/// The operator's Deployment, which need not be there.
async fn own_deployment(client: &Client, namespace: &str) -> ObjectReference {
    let deployments = Api::<Deployment>::namespaced(client.clone(), namespace);
    let found = deployments.get_metadata_opt(names::OPERATOR).await.ok().flatten();
    ObjectReference {
        api_version: Some("apps/v1".to_owned()),
        kind: Some("Deployment".to_owned()),
        name: Some(names::OPERATOR.to_owned()),
        namespace: Some(namespace.to_owned()),
        uid: found.and_then(|found| found.metadata.uid),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(manager: &str, operation: &str, fields: &Value) -> ManagedFieldsEntry {
        serde_json::from_value(json!({
            "manager": manager, "operation": operation, "apiVersion": "apps/v1",
            "fieldsType": "FieldsV1", "fieldsV1": fields,
        }))
        .unwrap()
    }

    #[test]
    fn what_the_former_operator_wrote_becomes_ours() {
        let entries = vec![
            entry(FORMER_MANAGER, "Update", &json!({"f:spec": {"f:a": {}}})),
            entry("kubectl-edit", "Update", &json!({"f:spec": {"f:foreign": {}}})),
            entry(names::OPERATOR, "Apply", &json!({"f:spec": {"f:b": {}}})),
        ];
        let claimed = claimed(entries).unwrap();
        let managers: Vec<_> = claimed.iter().map(|entry| entry.manager.as_deref()).collect();
        assert_eq!(managers, [Some("kubectl-edit"), Some(names::OPERATOR)]);
        let fields = &claimed[1].fields_v1.as_ref().unwrap().0;
        assert_eq!(*fields, json!({"f:spec": {"f:a": {}, "f:b": {}}}));
    }

    #[test]
    fn once_is_enough() {
        let mut status = entry(FORMER_MANAGER, "Update", &json!({}));
        status.subresource = Some("status".to_owned());
        let entries = vec![
            status,
            entry(names::OPERATOR, "Apply", &json!({})),
            entry("kubectl-edit", "Update", &json!({})),
        ];
        assert_eq!(claimed(entries), None);
    }
}
