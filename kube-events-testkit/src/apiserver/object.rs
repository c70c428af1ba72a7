//! What the server does to an object before it keeps it: names, identity, defaults, checks.

use jiff::{Timestamp, Unit};
use rand::Rng;
use serde_json::{Map, Value, json};

use super::encode;
use super::managers;
use super::resource::{Form, NAMESPACES, Resource};
use super::status::Status;
use super::storage::Stored;

/// Who writes, and how far they are trusted.
#[derive(Debug, Clone)]
pub(crate) struct Author {
    /// Name for `managedFields`.
    pub(crate) manager: String,
    /// Whether a given uid and creationTimestamp are kept: in this process, never over HTTP.
    pub(crate) trusted: bool,
}

/// Now, in seconds, as `creationTimestamp` is written.
pub(crate) fn now() -> String {
    let now = Timestamp::now();
    now.round(Unit::Second).unwrap_or(now).to_string()
}

/// A random version 4 UUID.
pub(crate) fn uid() -> String {
    uuid(rand::rng().random())
}

/// 128 bits as a version 4 UUID.
pub(crate) fn uuid(bits: u128) -> String {
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// Five characters, as the server appends to a `generateName`.
pub(crate) fn suffix(random: &mut impl Rng) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    (0..5).map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())])).collect()
}

/// `namespace/name`, or `name`.
pub(crate) fn key(namespace: Option<&str>, name: &str) -> String {
    namespace.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"))
}

/// The object as the storage form has it: fields of a core Event, nothing that must be there
/// missing.
pub(crate) fn accept(resource: &Resource, mut object: Value) -> Result<Value, Status> {
    check_type(resource, &object)?;
    if resource.form == Form::EventsV1 {
        encode::event_from_v1(&mut object);
    }
    check_metadata(metadata_mut(&mut object))?;
    if resource.is_event() {
        default_event(&mut object);
    }
    Ok(object)
}

/// The object as the resource's API shows it, without `kind` and `apiVersion` for built-in types.
pub(crate) fn present(resource: &Resource, stored: &Stored) -> Value {
    let mut object = parse(stored);
    if resource.form == Form::EventsV1 {
        encode::event_to_v1(&mut object);
    }
    object
}

/// The object as it is stored.
pub(crate) fn parse(stored: &Stored) -> Value {
    serde_json::from_slice(&stored.body).expect("stored objects are JSON")
}

fn check_type(resource: &Resource, object: &Value) -> Result<(), Status> {
    let unrecognized = |why: String| {
        let kind = resource.kind;
        let message =
            format!("the object provided is unrecognized (must be of type {kind}): {why}");
        Status::bad_request(message)
    };
    let Value::Object(fields) = object else {
        return Err(unrecognized("it is not an object".to_owned()));
    };
    let given = |key: &str| fields.get(key).and_then(Value::as_str).filter(|s| !s.is_empty());
    if resource.form == Form::Custom && given("kind").is_none() {
        return Err(unrecognized(format!("Object 'Kind' is missing in '{object}'")));
    }
    for (key, wanted) in [("kind", resource.kind), ("apiVersion", &resource.api_version())] {
        if let Some(found) = given(key)
            && found != wanted
        {
            return Err(Status::bad_request(format!(
                "{key} in the data ({found}) does not match the expected {key} ({wanted})"
            )));
        }
    }
    Ok(())
}

fn check_metadata(metadata: &Map<String, Value>) -> Result<(), Status> {
    for key in ["labels", "annotations"] {
        if metadata.get(key).is_some_and(|value| !value.is_object() && !value.is_null()) {
            let message = format!("metadata.{key}: expected an object of strings");
            return Err(Status::bad_request(message));
        }
    }
    Ok(())
}

/// Checks what `events.k8s.io/v1` wants of a new Event.
pub(crate) fn check_new(resource: &Resource, object: &Value) -> Result<(), Status> {
    if resource.form != Form::EventsV1 {
        return Ok(());
    }
    let name = object["metadata"]["name"].as_str().unwrap_or("");
    for field in ["eventTime", "reportingController", "reportingInstance", "action", "reason"] {
        if object[field].as_str().is_none_or(str::is_empty) {
            let why = ("FieldValueRequired", "Required value");
            return Err(Status::invalid("", "Event", name, field, why));
        }
    }
    if !matches!(object["type"].as_str(), Some("Normal" | "Warning")) {
        let why = ("FieldValueInvalid", "Invalid value: has to be Normal or Warning");
        return Err(Status::invalid("", "Event", name, "type", why));
    }
    if object["series"]["count"].as_i64().is_some_and(|count| count < 2) {
        let why = ("FieldValueInvalid", "Invalid value: should be at least 2");
        return Err(Status::invalid("", "Event", name, "series.count", why));
    }
    let deprecated = ["Count", "FirstTimestamp", "LastTimestamp", "Source"];
    for field in deprecated.map(|field| format!("deprecated{field}")) {
        if !object[&field].is_null() && object[&field] != json!({}) {
            let why = ("FieldValueInvalid", "Invalid value: needs to be unset");
            return Err(Status::invalid("", "Event", name, &field, why));
        }
    }
    Ok(())
}

/// What `events.k8s.io/v1` lets nobody change is all of an Event but its series.
fn check_changed_event(old: &Value, new: &Value) -> Result<(), Status> {
    let fields = [old, new].into_iter().filter_map(Value::as_object).flat_map(Map::keys);
    let changed = fields
        .filter(|field| !matches!(field.as_str(), "metadata" | "series" | "kind" | "apiVersion"))
        .find(|field| old[field.as_str()] != new[field.as_str()]);
    match changed {
        None => Ok(()),
        Some(field) => {
            let name = old["metadata"]["name"].as_str().unwrap_or("");
            let what = format!("Invalid value: {}: field is immutable", new[field.as_str()]);
            Err(Status::invalid("", "Event", name, field, ("FieldValueInvalid", &what)))
        }
    }
}

fn default_event(event: &mut Value) {
    let Value::Object(fields) = event else { return };
    for key in ["involvedObject", "source"] {
        if !fields.get(key).is_some_and(Value::is_object) {
            fields.insert(key.to_owned(), json!({}));
        }
    }
    for key in ["firstTimestamp", "lastTimestamp", "eventTime"] {
        fields.entry(key).or_insert(Value::Null);
    }
    for key in ["reportingComponent", "reportingInstance"] {
        fields.entry(key).or_insert_with(|| "".into());
    }
    fields.retain(|key, value| match key.as_str() {
        "count" => value.as_i64() != Some(0),
        "reason" | "message" | "type" | "action" => value.as_str() != Some(""),
        "series" | "related" => !value.is_null(),
        _ => true,
    });
}

/// Sets what the server sets when an object is created; returns its name.
pub(crate) fn initialize(
    resource: &Resource,
    namespace: Option<&str>,
    object: &mut Value,
    author: &Author,
) -> Result<String, Status> {
    let metadata = metadata_mut(object);
    if metadata.get("resourceVersion").and_then(Value::as_str).is_some_and(|rv| !rv.is_empty()) {
        let message = "resourceVersion should not be set on objects to be created";
        return Err(Status::failure(500, "", message));
    }
    let name = name(resource, metadata)?;
    place(metadata, namespace)?;
    metadata.insert("name".to_owned(), name.clone().into());
    let keep = |given: Option<&Value>| {
        given.and_then(Value::as_str).filter(|_| author.trusted).map(str::to_owned)
    };
    let uid = keep(metadata.get("uid")).unwrap_or_else(uid);
    let created = keep(metadata.get("creationTimestamp")).unwrap_or_else(now);
    metadata.insert("uid".to_owned(), uid.into());
    metadata.insert("creationTimestamp".to_owned(), created.into());
    for key in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
        metadata.remove(key);
    }
    if has_generation(resource) {
        metadata.insert("generation".to_owned(), 1.into());
    }
    if resource.status {
        remove(object, "status");
    }
    if resource.storage == NAMESPACES {
        default_namespace(object, &name);
    }
    if resource.is_event() {
        check_event_namespace(object, &name)?;
    }
    if !object["metadata"]["managedFields"].is_array() {
        managers::record(resource, &Value::Null, object, author, Part::Main);
    }
    Ok(name)
}

fn name(resource: &Resource, metadata: &Map<String, Value>) -> Result<String, Status> {
    let given = |key: &str| metadata.get(key).and_then(Value::as_str).filter(|s| !s.is_empty());
    if let Some(name) = given("name") {
        return Ok(name.to_owned());
    }
    let Some(prefix) = given("generateName") else {
        let why = ("FieldValueRequired", "Required value: name or generateName is required");
        let group = if resource.form == Form::Custom { resource.group } else { "" };
        return Err(Status::invalid(group, resource.kind, "", "metadata.name", why));
    };
    Ok(prefix.to_owned() + &suffix(&mut rand::rng()))
}

fn place(metadata: &mut Map<String, Value>, namespace: Option<&str>) -> Result<(), Status> {
    let given = metadata.get("namespace").and_then(Value::as_str).filter(|s| !s.is_empty());
    match (namespace, given) {
        (Some(wanted), Some(given)) if wanted != given => Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        )),
        (Some(wanted), _) => {
            metadata.insert("namespace".to_owned(), wanted.into());
            Ok(())
        }
        (None, _) => {
            metadata.remove("namespace");
            Ok(())
        }
    }
}

fn check_event_namespace(event: &Value, name: &str) -> Result<(), Status> {
    let own = event["metadata"]["namespace"].as_str().unwrap_or("");
    let involved = event["involvedObject"]["namespace"].as_str().unwrap_or("");
    let fits = if involved.is_empty() {
        matches!(own, "default" | "kube-system")
    } else {
        own == involved
    };
    if fits {
        return Ok(());
    }
    let what = format!("Invalid value: \"{involved}\": does not match event.namespace");
    let why = ("FieldValueInvalid", what.as_str());
    Err(Status::invalid("", "Event", name, "involvedObject.namespace", why))
}

fn default_namespace(object: &mut Value, name: &str) {
    object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name.into();
    object["spec"] = json!({"finalizers": ["kubernetes"]});
    object["status"] = json!({"phase": "Active"});
}

/// Which part of an object a request may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Main,
    Status,
}

/// The object that an update leads to: identity from the old one, content from the new one.
pub(crate) fn merge(resource: &Resource, old: &Value, mut new: Value, part: Part) -> Value {
    if part == Part::Status {
        let (status, owners) = (new["status"].take(), new["metadata"]["managedFields"].take());
        new = old.clone();
        set(&mut new, "status", status);
        if owners.is_array() {
            set(&mut new["metadata"], "managedFields", owners);
        }
        return new;
    }
    if resource.status {
        set(&mut new, "status", old["status"].clone());
    }
    let keep = [
        "name",
        "namespace",
        "generateName",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
    ];
    for key in keep {
        set(&mut new["metadata"], key, old["metadata"][key].clone());
    }
    if !new["metadata"]["managedFields"].is_array() {
        set(&mut new["metadata"], "managedFields", old["metadata"]["managedFields"].clone());
    }
    if has_generation(resource) && content(old) != content(&new) {
        bump_generation(&mut new);
    }
    new
}

/// Marks an object as being deleted.
pub(crate) fn mark_deleted(resource: &Resource, object: &mut Value) {
    object["metadata"]["deletionTimestamp"] = now().into();
    object["metadata"]["deletionGracePeriodSeconds"] = 0.into();
    if has_generation(resource) {
        bump_generation(object);
    }
    if resource.storage == NAMESPACES {
        object["status"]["phase"] = "Terminating".into();
    }
}

/// Fields that stay as they were when the object was made.
const FIXED: &[(&str, &str)] = &[
    ("ClusterRoleBinding", "roleRef"),
    ("Deployment", "spec.selector"),
    ("RoleBinding", "roleRef"),
];

/// Checks that a change leaves alone what cannot change.
pub(crate) fn check_changed(resource: &Resource, old: &Value, new: &Value) -> Result<(), Status> {
    if resource.form == Form::EventsV1 {
        check_changed_event(old, new)?;
    }
    for (_, field) in FIXED.iter().filter(|(kind, _)| *kind == resource.kind) {
        let pointer = format!("/{}", field.replace('.', "/"));
        let value = new.pointer(&pointer);
        if value != old.pointer(&pointer) {
            let name = old["metadata"]["name"].as_str().unwrap_or("");
            let value = value.unwrap_or(&Value::Null);
            let what = format!("Invalid value: {value}: field is immutable");
            let why = ("FieldValueInvalid", what.as_str());
            return Err(Status::invalid(resource.group, resource.kind, name, field, why));
        }
    }
    Ok(())
}

/// Whether two states differ in nothing that counts.
pub(crate) fn same(old: &Value, new: &Value) -> bool {
    let strip = |object: &Value| {
        let mut object = object.clone();
        remove(&mut object, "kind");
        remove(&mut object, "apiVersion");
        remove(&mut object["metadata"], "resourceVersion");
        if let Some(entries) = object["metadata"]["managedFields"].as_array_mut() {
            for entry in entries {
                remove(entry, "time");
            }
        }
        object
    };
    strip(old) == strip(new)
}

/// Whether an object has finalizers.
pub(crate) fn is_held(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|names| !names.is_empty())
}

/// Whether an object is being deleted.
pub(crate) fn is_deleting(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// The text to store, with its revision in it.
pub(crate) fn text(resource: &Resource, object: &mut Value, revision: u64) -> Box<[u8]> {
    object["metadata"]["resourceVersion"] = revision.to_string().into();
    if resource.form == Form::Custom {
        object["apiVersion"] = resource.api_version().into();
        object["kind"] = resource.kind.into();
    }
    encode::body(resource, object)
}

pub(crate) fn metadata_mut(object: &mut Value) -> &mut Map<String, Value> {
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    object["metadata"].as_object_mut().expect("metadata was made an object")
}

fn has_generation(resource: &Resource) -> bool {
    const GROUPS: [&str; 5] = [
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apps",
        "networking.k8s.io",
        "policy",
    ];
    resource.form == Form::Custom || GROUPS.contains(&resource.group)
}

fn bump_generation(object: &mut Value) {
    let generation = object["metadata"]["generation"].as_i64().unwrap_or(0);
    object["metadata"]["generation"] = (generation + 1).into();
}

fn content(object: &Value) -> Vec<(&String, &Value)> {
    let outside = |key: &str| matches!(key, "metadata" | "status" | "kind" | "apiVersion");
    object.as_object().into_iter().flatten().filter(|(key, _)| !outside(key)).collect()
}

fn set(object: &mut Value, key: &str, value: Value) {
    match value {
        Value::Null => remove(object, key),
        value => object[key] = value,
    }
}

fn remove(object: &mut Value, key: &str) {
    if let Some(fields) = object.as_object_mut() {
        fields.remove(key);
    }
}
