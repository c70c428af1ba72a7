//! Kubernetes Events about what the operator did.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tracing::debug;

use crate::status::shortened;

/// Who they are from. It is a name for all versions; which pod it was is the instance.
const CONTROLLER: &str = "events.kubesphere.io/operator";

/// The longest note and action that the API server takes, in bytes.
const MAX_NOTE: usize = 1024;
const MAX_ACTION: usize = 128;

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
        note: Some(shortened(note.to_owned(), MAX_NOTE)),
        // Of two that differ in their notes alone the second would be the first once more.
        action: shortened(note.to_owned(), MAX_ACTION),
        secondary: None,
    };
    if let Err(error) = recorder.publish(&event, regarding).await {
        debug!(%error, "an Event could not be written");
    }
}
