//! Objects as text, in the order of fields that the real server writes.

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

use super::resource::{Form, Resource};

const METADATA: &[&str] = &[
    "name",
    "generateName",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
];

const MANAGED_FIELDS: &[&str] =
    &["manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1", "subresource"];

const REFERENCE: &[&str] =
    &["kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"];

const EVENT: &[&str] = &[
    "metadata",
    "involvedObject",
    "reason",
    "message",
    "source",
    "firstTimestamp",
    "lastTimestamp",
    "count",
    "type",
    "eventTime",
    "series",
    "action",
    "related",
    "reportingComponent",
    "reportingInstance",
];

/// Fields of a core Event under their names in `events.k8s.io/v1`, in that type's order.
const EVENT_V1: &[(&str, &str)] = &[
    ("metadata", "metadata"),
    ("eventTime", "eventTime"),
    ("series", "series"),
    ("reportingComponent", "reportingController"),
    ("reportingInstance", "reportingInstance"),
    ("action", "action"),
    ("reason", "reason"),
    ("involvedObject", "regarding"),
    ("related", "related"),
    ("message", "note"),
    ("type", "type"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

/// The stored text of an object: built-in types without `kind` and `apiVersion`, custom resources
/// whole and in alphabetical order.
pub(crate) fn body(resource: &Resource, object: &Value) -> Box<[u8]> {
    let mut out = Vec::with_capacity(1536);
    match resource.form {
        Form::Custom => plain(&mut out, object),
        _ if resource.is_event() => ordered(&mut out, object, EVENT),
        _ => ordered(&mut out, object, &["metadata"]),
    }
    out.into_boxed_slice()
}

/// Writes the keys named in `order` first, then the others; `kind` and `apiVersion` only where
/// `order` names them.
pub(crate) fn ordered(out: &mut Vec<u8>, object: &Value, order: &[&str]) {
    let Value::Object(fields) = object else { return plain(out, object) };
    let first = order.iter().filter_map(|key| fields.get_key_value(*key));
    let rest = fields.iter().filter(|(key, _)| !order.contains(&key.as_str()) && !is_type(key));
    fields_of(out, first.chain(rest));
}

fn fields_of<'a>(out: &mut Vec<u8>, fields: impl Iterator<Item = (&'a String, &'a Value)>) {
    out.push(b'{');
    for (index, (key, value)) in fields.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        plain(out, key);
        out.push(b':');
        nested(out, key, value);
    }
    out.push(b'}');
}

fn nested(out: &mut Vec<u8>, key: &str, value: &Value) {
    match (key, value) {
        ("metadata", Value::Object(_)) => metadata(out, value),
        ("involvedObject" | "related", Value::Object(fields)) => reference(out, fields),
        _ => plain(out, value),
    }
}

fn metadata(out: &mut Vec<u8>, value: &Value) {
    let Value::Object(fields) = value else { return plain(out, value) };
    out.push(b'{');
    let known = METADATA.iter().filter_map(|key| fields.get_key_value(*key));
    let rest = fields.iter().filter(|(key, _)| !METADATA.contains(&key.as_str()));
    for (index, (key, value)) in known.chain(rest).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        plain(out, key);
        out.push(b':');
        match value {
            Value::Array(entries) if key == "managedFields" => managed(out, entries),
            _ => plain(out, value),
        }
    }
    out.push(b'}');
}

fn managed(out: &mut Vec<u8>, entries: &[Value]) {
    out.push(b'[');
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        // `apiVersion` is one of the names in the order, so it is not taken for a type's.
        ordered(out, entry, MANAGED_FIELDS);
    }
    out.push(b']');
}

fn reference(out: &mut Vec<u8>, fields: &Map<String, Value>) {
    fields_of(out, REFERENCE.iter().filter_map(|key| fields.get_key_value(*key)));
}

fn plain<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("JSON values are written to memory");
}

fn is_type(key: &str) -> bool {
    matches!(key, "kind" | "apiVersion")
}

/// The text of a core Event as one of `events.k8s.io/v1`, without `kind` and `apiVersion`.
pub(crate) fn event_v1(core: &[u8]) -> Vec<u8> {
    let fields = raw_fields(core);
    let mut out = Vec::with_capacity(core.len() + 64);
    out.push(b'{');
    for (from, to) in EVENT_V1 {
        let Some(value) = fields.get(from).map(|raw| raw.get()) else { continue };
        if value == "\"\"" {
            continue;
        }
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(format!("\"{to}\":").as_bytes());
        out.extend_from_slice(value.as_bytes());
    }
    out.push(b'}');
    out
}

/// The object's metadata and nothing else.
pub(crate) fn metadata_only(body: &[u8]) -> Vec<u8> {
    let fields = raw_fields(body);
    let metadata = fields.get("metadata").map_or("{}", |raw| raw.get());
    format!("{{\"metadata\":{metadata}}}").into_bytes()
}

fn raw_fields(body: &[u8]) -> BTreeMap<&str, &RawValue> {
    serde_json::from_slice(body).expect("stored objects are JSON objects")
}

/// A core Event's value from one of `events.k8s.io/v1`.
pub(crate) fn event_from_v1(object: &mut Value) {
    let Value::Object(fields) = object else { return };
    for (core, v1) in EVENT_V1 {
        if core != v1
            && let Some(value) = fields.remove(*v1)
        {
            fields.insert((*core).to_owned(), value);
        }
    }
}

/// An `events.k8s.io/v1` Event's value from a core one.
pub(crate) fn event_to_v1(object: &mut Value) {
    let Value::Object(fields) = object else { return };
    for (core, v1) in EVENT_V1 {
        if core != v1
            && let Some(value) = fields.remove(*core)
        {
            fields.insert((*v1).to_owned(), value);
        }
    }
}
