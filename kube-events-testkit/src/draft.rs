//! An Event before a server has it.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::LazyLock;

use crate::scenario::Reporter;

/// What an Event is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    /// Kind, for example `Pod`.
    pub kind: &'static str,
    /// Namespace; empty for what has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// API version, for example `v1`.
    pub api_version: &'static str,
    /// resourceVersion of the object when the Event was made.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// Container, as `spec.containers{web}`; often empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field_path: String,
}

/// One state of an Event, before the server gives it a resourceVersion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventDraft {
    /// Namespace that it lives in.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Uid. A server that is written to over HTTP gives its own.
    pub uid: String,
    /// What it is about.
    pub involved_object: Reference,
    /// Reason, for example `BackOff`.
    pub reason: &'static str,
    /// Message.
    pub message: String,
    /// Whether it is of type `Warning`, else `Normal`.
    pub warning: bool,
    /// How often it happened.
    pub count: u32,
    /// When it happened first.
    pub first: Timestamp,
    /// When it happened last.
    pub last: Timestamp,
    pub(crate) reporter: Reporter,
    pub(crate) host: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    metadata: Metadata<'a>,
    involved_object: &'a Reference,
    reason: &'a str,
    message: &'a str,
    source: Source<'a>,
    first_timestamp: Option<Timestamp>,
    last_timestamp: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u32>,
    r#type: &'a str,
    event_time: Option<Micros>,
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<Series>,
    #[serde(skip_serializing_if = "str::is_empty")]
    action: &'a str,
    reporting_component: &'a str,
    reporting_instance: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    name: &'a str,
    namespace: &'a str,
    uid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_version: Option<String>,
    creation_timestamp: Timestamp,
    managed_fields: [Managed<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Managed<'a> {
    manager: &'a str,
    operation: &'a str,
    api_version: &'a str,
    time: Timestamp,
    fields_type: &'a str,
    fields_v1: &'a RawValue,
}

#[derive(Serialize)]
struct Source<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    component: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    host: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Series {
    count: u32,
    last_observed_time: Micros,
}

/// A `metav1.MicroTime`: always six digits, or an API server refuses it.
struct Micros(Timestamp);

impl Serialize for Micros {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"))
    }
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).expect("the constant is JSON")
}

static OLD_FIELDS: LazyLock<Box<RawValue>> = LazyLock::new(|| {
    raw(concat!(
        r#"{"f:count":{},"f:firstTimestamp":{},"f:involvedObject":{},"f:lastTimestamp":{},"#,
        r#""f:message":{},"f:reason":{},"f:reportingComponent":{},"f:reportingInstance":{},"#,
        r#""f:source":{"f:component":{},"f:host":{}},"f:type":{}}"#,
    ))
});

static NEW_FIELDS: LazyLock<Box<RawValue>> = LazyLock::new(|| {
    raw(concat!(
        r#"{"f:action":{},"f:eventTime":{},"f:note":{},"f:reason":{},"f:regarding":{},"#,
        r#""f:reportingController":{},"f:reportingInstance":{},"#,
        r#""f:series":{".":{},"f:count":{},"f:lastObservedTime":{}},"f:type":{}}"#,
    ))
});

fn seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

impl EventDraft {
    fn wire(&self, revision: Option<u64>) -> Wire<'_> {
        let new = self.reporter.is_new_style();
        let old = !new;
        let component = self.reporter.component();
        let managed = Managed {
            manager: self.reporter.manager(),
            operation: "Update",
            api_version: if new { "events.k8s.io/v1" } else { "v1" },
            time: seconds(self.last),
            fields_type: "FieldsV1",
            fields_v1: if new { &NEW_FIELDS } else { &OLD_FIELDS },
        };
        Wire {
            metadata: Metadata {
                name: &self.name,
                namespace: &self.namespace,
                uid: &self.uid,
                resource_version: revision.map(|revision| revision.to_string()),
                creation_timestamp: seconds(self.first),
                managed_fields: [managed],
            },
            involved_object: &self.involved_object,
            reason: self.reason,
            message: &self.message,
            source: Source {
                component: if old { component } else { "" },
                host: if old && self.reporter.has_host() { &self.host } else { "" },
            },
            first_timestamp: old.then(|| seconds(self.first)),
            last_timestamp: old.then(|| seconds(self.last)),
            count: old.then_some(self.count),
            r#type: if self.warning { "Warning" } else { "Normal" },
            event_time: new.then_some(Micros(self.first)),
            series: (new && self.count > 1)
                .then_some(Series { count: self.count, last_observed_time: Micros(self.last) }),
            action: self.reporter.action(self.reason),
            reporting_component: component,
            reporting_instance: &self.host,
        }
    }

    /// The text that a server stores, without `kind` and `apiVersion`, made in a buffer that can
    /// be used again.
    pub(crate) fn to_stored(&self, revision: u64, buffer: &mut Vec<u8>) -> Box<[u8]> {
        buffer.clear();
        serde_json::to_writer(&mut *buffer, &self.wire(Some(revision)))
            .expect("a draft is written to memory");
        buffer.as_slice().into()
    }

    /// The whole Event as core/v1 JSON, for a POST.
    pub fn to_json(&self) -> Value {
        let mut event = serde_json::to_value(self.wire(None)).expect("a draft is JSON");
        event["kind"] = "Event".into();
        event["apiVersion"] = "v1".into();
        event
    }

    /// What a repeat changes, as a merge patch.
    pub fn to_patch(&self) -> Value {
        let mut patch = json!({"message": self.message});
        let wire = self.wire(None);
        if let Some(series) = wire.series {
            patch["series"] = json!(series);
        } else if let Some(count) = wire.count {
            patch["count"] = json!(count);
            patch["lastTimestamp"] = json!(wire.last_timestamp);
        }
        patch
    }
}
