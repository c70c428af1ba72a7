//! Kubernetes Events about what the operator did.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tracing::debug;

/// Who they are from. It is a name for all versions; which pod it was is the instance.
const CONTROLLER: &str = "events.kubesphere.io/operator";

/// The longest note that the API server takes is 1,024 bytes.
const MAX_NOTE: usize = 1000;

/// Writes them, in the name of this operator.
pub(crate) fn recorder(client: &Client) -> Recorder {
    let instance = std::env::var("HOSTNAME").ok();
    Recorder::new(client.clone(), Reporter { controller: CONTROLLER.to_owned(), instance })
}

/// Tells of `regarding`. Failing is no reason to stop.
pub(crate) async fn publish(
    recorder: &Recorder,
    regarding: &ObjectReference,
    kind: EventType,
    reason: &str,
    note: &str,
) {
    let event = Event {
        type_: kind,
        reason: reason.to_owned(),
        note: Some(note.chars().take(MAX_NOTE).collect()),
        action: "Reconcile".to_owned(),
        secondary: None,
    };
    if let Err(error) = recorder.publish(&event, regarding).await {
        debug!(%error, "an Event could not be written");
    }
}
