//! Events for tests.

use serde_json::{Map, Value, json};

use crate::Event;

/// Begins an Event about a Pod of this name.
///
/// ```
/// use kube_events_core::contract;
///
/// let event = contract::event("web-1").warning("BackOff").message("restarting").count(4).build();
/// assert_eq!(event.involved_object().name, "web-1");
/// assert_eq!((event.type_(), event.reason(), event.occurrences()), ("Warning", "BackOff", 4));
/// ```
pub fn event(object: &str) -> EventBuilder {
    EventBuilder(json!({
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": {
            "name": format!("{object}.17"),
            "namespace": "default",
            "uid": format!("uid-of-{object}"),
            "resourceVersion": "1",
            "creationTimestamp": "2026-01-02T03:04:05Z",
        },
        "involvedObject": {
            "kind": "Pod", "namespace": "default", "name": object, "apiVersion": "v1",
        },
        "reason": "Started",
        "message": "Started container",
        "source": {"component": "kubelet", "host": "node-1"},
        "firstTimestamp": "2026-01-02T03:04:05Z",
        "lastTimestamp": "2026-01-02T03:04:05Z",
        "count": 1,
        "type": "Normal",
    }))
}

/// An Event in the making, of `core/v1`; see [`event`].
#[derive(Clone, Debug)]
#[must_use]
pub struct EventBuilder(Value);

// === impl EventBuilder ===

impl EventBuilder {
    /// Sets `reason`.
    pub fn reason(self, reason: &str) -> Self {
        self.set("/reason", reason)
    }

    /// Sets `reason`, and `type` to `Warning`.
    pub fn warning(self, reason: &str) -> Self {
        self.set("/reason", reason).set("/type", "Warning")
    }

    /// Sets `message`.
    pub fn message(self, message: &str) -> Self {
        self.set("/message", message)
    }

    /// Sets `type`.
    pub fn type_(self, type_: &str) -> Self {
        self.set("/type", type_)
    }

    /// Sets `involvedObject.kind`.
    pub fn kind(self, kind: &str) -> Self {
        self.set("/involvedObject/kind", kind)
    }

    /// Sets the namespace of the Event and of the object.
    pub fn namespace(self, namespace: &str) -> Self {
        self.set("/metadata/namespace", namespace).set("/involvedObject/namespace", namespace)
    }

    /// Sets `metadata.uid`.
    pub fn uid(self, uid: &str) -> Self {
        self.set("/metadata/uid", uid)
    }

    /// Sets `metadata.resourceVersion`.
    pub fn resource_version(self, version: u64) -> Self {
        self.set("/metadata/resourceVersion", version.to_string())
    }

    /// Sets `count`.
    pub fn count(self, count: i64) -> Self {
        self.set("/count", count)
    }

    /// Sets `lastTimestamp`, in the form of RFC 3339.
    pub fn last_seen(self, time: &str) -> Self {
        self.set("/lastTimestamp", time)
    }

    /// Sets `cluster`.
    pub fn cluster(self, cluster: &str) -> Self {
        self.set("/cluster", cluster)
    }

    /// Sets the member that a JSON pointer names, such as `/involvedObject/fieldPath`, and makes
    /// the objects on the way.
    pub fn set(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        let mut place = &mut self.0;
        for name in pointer.split('/').skip(1) {
            if !place.is_object() {
                *place = Value::Object(Map::new());
            }
            place = &mut place[name];
        }
        *place = value.into();
        self
    }

    /// The JSON so far.
    pub fn json(&self) -> &Value {
        &self.0
    }

    /// The Event.
    ///
    /// # Panics
    /// If [`EventBuilder::set`] gave a field a value of a wrong type.
    pub fn build(&self) -> Event {
        Event::decode(self.0.to_string().as_bytes()).expect("fields of the right types")
    }
}
