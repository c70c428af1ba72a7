//! How the parts of an object hang together: which lists have items with keys, and which parts are
//! one field for whoever owns them. The real server reads it from the types' `listType`,
//! `listMapKey`, `mapType` and `structType`; here it is a table of names.

use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::fields::element;
use super::resource::{Form, Resource};

/// A place in an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    form: Form,
    parent: String,
    name: String,
    depth: usize,
    is_item: bool,
}

/// How a value is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Not at all.
    Whole,
    /// By its fields.
    Fields,
    /// By its items, which these keys tell apart.
    Items(&'static [&'static str]),
    /// By its items, each of which there is once.
    Set,
}

/// Lists whose items have keys: the field, the field that it is in where that matters, the keys.
const ITEMS: &[(&str, &str, &[&str])] = &[
    ("conditions", "status", &["type"]),
    ("containers", "", &["name"]),
    ("env", "", &["name"]),
    ("ephemeralContainers", "", &["name"]),
    ("hostAliases", "", &["ip"]),
    ("imagePullSecrets", "spec", &["name"]),
    ("initContainers", "", &["name"]),
    ("ownerReferences", "metadata", &["uid"]),
    ("ports", "containers", &["containerPort", "protocol"]),
    ("ports", "initContainers", &["containerPort", "protocol"]),
    ("ports", "spec", &["port", "protocol"]),
    ("secrets", "", &["name"]),
    ("topologySpreadConstraints", "", &["topologyKey", "whenUnsatisfiable"]),
    ("volumeDevices", "", &["devicePath"]),
    ("volumeMounts", "", &["mountPath"]),
    ("volumes", "", &["name"]),
    ("webhooks", "", &["name"]),
];

/// Objects that are one field.
const WHOLE: &[&str] = &[
    "configMapKeyRef",
    "fieldRef",
    "labelSelector",
    "namespaceSelector",
    "nodeSelector",
    "objectSelector",
    "podSelector",
    "requiredDuringSchedulingIgnoredDuringExecution",
    "resourceFieldRef",
    "roleRef",
    "secretKeyRef",
    "selector",
];

/// Items that are one field.
const WHOLE_ITEMS: &[&str] = &["imagePullSecrets", "ownerReferences", "secrets"];

/// Parts of built-in types that an empty object has too.
const ALWAYS_THERE: &[&str] = &["metadata", "spec", "status", "strategy", "template"];

impl Shape {
    /// The whole object.
    pub(crate) fn of(resource: &Resource) -> Self {
        let (parent, name) = (String::new(), String::new());
        Self { form: resource.form, parent, name, depth: 0, is_item: false }
    }

    /// The place of a field.
    pub(super) fn field(&self, name: &str) -> Self {
        let parent = self.name.clone();
        let (form, depth) = (self.form, self.depth + 1);
        Self { form, parent, name: name.to_owned(), depth, is_item: false }
    }

    /// The place of an item.
    pub(super) fn item(&self) -> Self {
        Self { is_item: true, ..self.clone() }
    }

    /// The place that an element of a path leads to.
    pub(super) fn at(&self, element: &str) -> Self {
        match element.strip_prefix("f:") {
            Some(name) => self.field(name),
            None => self.item(),
        }
    }

    /// How a value in this place is divided.
    pub(super) fn kind(&self, value: &Value) -> Kind {
        match value {
            Value::Object(_) if self.is_item && WHOLE_ITEMS.contains(&&*self.name) => Kind::Whole,
            Value::Object(_) if self.is_ours() && WHOLE.contains(&&*self.name) => Kind::Whole,
            Value::Object(_) => Kind::Fields,
            Value::Array(_) if self.name == "finalizers" => Kind::Set,
            Value::Array(_) => self.keys().map_or(Kind::Whole, Kind::Items),
            _ => Kind::Whole,
        }
    }

    /// Whether the table speaks of this place: custom resources share only their metadata with
    /// others, and by convention their conditions.
    fn is_ours(&self) -> bool {
        self.form != Form::Custom || self.parent == "metadata" || self.parent == "status"
    }

    fn keys(&self) -> Option<&'static [&'static str]> {
        let mut rows = ITEMS.iter().filter(|_| self.is_ours());
        let row = rows.find(|(name, parent, _)| {
            *name == self.name && (parent.is_empty() || *parent == self.parent)
        });
        row.map(|(.., keys)| *keys)
    }

    /// The element of a path that leads to an item.
    pub(super) fn element(&self, item: &Value) -> String {
        let Some(keys) = self.keys() else { return format!("v:{item}") };
        let value = |key: &str| match (&item[key], key) {
            (Value::Null, "protocol") => json!("TCP"),
            (value, _) => value.clone(),
        };
        let keys: BTreeMap<_, _> = keys.iter().map(|key| (*key, value(key))).collect();
        format!("k:{}", json!(keys))
    }

    /// What is below a value, by the elements that lead to it.
    pub(super) fn children<'a>(&self, value: &'a Value) -> BTreeMap<String, &'a Value> {
        match (self.kind(value), value) {
            (Kind::Fields, Value::Object(fields)) => {
                fields.iter().map(|(name, value)| (element(name), value)).collect()
            }
            (Kind::Items(_) | Kind::Set, Value::Array(items)) => {
                items.iter().map(|item| (self.element(item), item)).collect()
            }
            _ => BTreeMap::new(),
        }
    }

    /// Whether nobody made this place, because the type has it in any case.
    pub(super) fn is_always_there(&self) -> bool {
        let of_pod = self.name == "containers" && !self.is_item;
        let is_part = ALWAYS_THERE.contains(&&*self.name) || of_pod;
        self.depth == 0 || self.name == "metadata" || self.form != Form::Custom && is_part
    }
}
