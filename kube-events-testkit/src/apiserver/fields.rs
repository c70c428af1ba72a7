//! Sets of fields, as `managedFields` names them in `fieldsV1`.
//!
//! A path is made of `f:NAME` for a field, `k:{…}` for an item of a list whose items have keys, and
//! `v:VALUE` for an item of a list that is a set. `{}` is a field that is in the set; one with
//! others below it is in the set too if `.` is among them.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

use super::shape::{Kind, Shape};

/// Fields of an object's metadata that have no owner.
const IDENTITY: [&str; 8] = [
    "creationTimestamp",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// A set of fields: whether the place where it stands is in it, and what is below.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    held: bool,
    below: BTreeMap<String, Fields>,
}

impl Fields {
    /// What an applied object says something about.
    pub(crate) fn applied(object: &Value, shape: &Shape) -> Self {
        let is_one = object.as_object().is_some_and(Map::is_empty);
        if is_one || shape.kind(object) == Kind::Whole {
            return Self { held: true, below: BTreeMap::new() };
        }
        let below = shape.children(object).into_iter().map(|(name, value)| {
            let mut below = Self::applied(value, &shape.at(&name));
            below.held |= object.is_array();
            (name, below)
        });
        let mut fields = Self { held: false, below: below.collect() };
        fields.tidy();
        fields
    }

    /// What is in `new` and was not so in `old`, and what was in `old` and is not in `new`.
    pub(crate) fn difference(old: &Value, new: &Value, shape: &Shape) -> (Self, Self) {
        match (shape.kind(old), shape.kind(new)) {
            _ if old == new => (Self::default(), Self::default()),
            _ if old.is_null() => (Self::whole(new, shape), Self::default()),
            _ if new.is_null() => (Self::default(), Self::whole(old, shape)),
            (Kind::Whole, _) | (_, Kind::Whole) => {
                (Self { held: true, below: BTreeMap::new() }, Self::default())
            }
            _ => Self::difference_below(old, new, shape),
        }
    }

    fn difference_below(old: &Value, new: &Value, shape: &Shape) -> (Self, Self) {
        let (mut written, mut removed) = (Self::default(), Self::default());
        let (old, new) = (shape.children(old), shape.children(new));
        let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
        for name in names {
            let (old, new) = (old.get(name).copied(), new.get(name).copied());
            let (old, new) = (old.unwrap_or(&Value::Null), new.unwrap_or(&Value::Null));
            let (w, r) = Self::difference(old, new, &shape.at(name));
            written.below.insert(name.clone(), w);
            removed.below.insert(name.clone(), r);
        }
        written.tidy();
        removed.tidy();
        (written, removed)
    }

    /// Everything in `value`, and the places that hold it.
    fn whole(value: &Value, shape: &Shape) -> Self {
        let below = shape.children(value).into_iter().filter(|(_, value)| !value.is_null());
        let below = below.map(|(name, value)| {
            let below = Self::whole(value, &shape.at(&name));
            (name, below)
        });
        let below: BTreeMap<_, _> = below.collect();
        Self { held: below.is_empty() || !shape.is_always_there(), below }
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.held && self.below.is_empty()
    }

    /// Forgets branches that hold nothing.
    fn tidy(&mut self) {
        self.below.retain(|_, below| !below.is_empty());
    }

    // === sets ===

    pub(crate) fn union(&mut self, other: &Self) {
        self.held |= other.held;
        for (name, theirs) in &other.below {
            self.below.entry(name.clone()).or_default().union(theirs);
        }
    }

    pub(crate) fn minus(&mut self, other: &Self) {
        self.held &= !other.held;
        for (name, theirs) in &other.below {
            if let Some(ours) = self.below.get_mut(name) {
                ours.minus(theirs);
            }
        }
        self.tidy();
    }

    pub(crate) fn and(&self, other: &Self) -> Self {
        let below = self.below.iter().filter_map(|(name, ours)| {
            let both = ours.and(other.below.get(name)?);
            (!both.is_empty()).then(|| (name.clone(), both))
        });
        Self { held: self.held && other.held, below: below.collect() }
    }

    /// Leaves out what nobody owns: what an object is, and what the server says of it.
    pub(crate) fn forget_identity(&mut self) {
        for name in ["apiVersion", "kind"] {
            self.below.remove(&element(name));
        }
        if let Some(metadata) = self.below.get_mut(&element("metadata")) {
            metadata.held = false;
            for name in IDENTITY {
                metadata.below.remove(&element(name));
            }
        }
        self.tidy();
    }

    // === objects ===

    /// Takes these fields out of a value, and what became empty by it.
    pub(crate) fn remove_from(&self, value: &mut Value, shape: &Shape) {
        match value {
            Value::Object(fields) => fields.retain(|name, value| {
                let Some(below) = self.below.get(&element(name)) else { return true };
                below.stays(value, &shape.field(name))
            }),
            Value::Array(items) => items.retain_mut(|item| {
                let Some(below) = self.below.get(&shape.element(item)) else { return true };
                below.stays(item, &shape.item())
            }),
            _ => {}
        }
    }

    fn stays(&self, value: &mut Value, shape: &Shape) -> bool {
        if self.held {
            return false;
        }
        self.remove_from(value, shape);
        !is_empty(value)
    }

    // === text ===

    pub(crate) fn to_json(&self) -> Value {
        let below = self.below.iter().map(|(name, below)| (name.clone(), below.to_json()));
        let mut fields: Map<String, Value> = below.collect();
        if self.held && !fields.is_empty() {
            fields.insert(".".to_owned(), json!({}));
        }
        Value::Object(fields)
    }

    pub(crate) fn from_json(fields: &Value) -> Self {
        let mut root = Self::branch(fields);
        root.held = false;
        root
    }

    fn branch(fields: &Value) -> Self {
        let fields = fields.as_object().cloned().unwrap_or_default();
        let held = fields.is_empty() || fields.contains_key(".");
        let below = fields.iter().filter(|(name, _)| *name != ".");
        Self {
            held,
            below: below.map(|(name, below)| (name.clone(), Self::branch(below))).collect(),
        }
    }

    /// The paths as messages show them: `.spec.containers[name="a"].image`.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.write_paths("", &mut paths);
        paths
    }

    fn write_paths(&self, at: &str, paths: &mut Vec<String>) {
        if self.held && !at.is_empty() {
            paths.push(at.to_owned());
        }
        for (element, below) in &self.below {
            below.write_paths(&format!("{at}{}", shown(element)), paths);
        }
    }
}

/// The element of a path that names a field.
pub(super) fn element(name: &str) -> String {
    format!("f:{name}")
}

fn shown(element: &str) -> String {
    let Some((kind, rest)) = element.split_once(':') else { return element.to_owned() };
    if kind == "f" {
        return format!(".{rest}");
    }
    let keys: Map<String, Value> = serde_json::from_str(rest).unwrap_or_default();
    let keys: Vec<_> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if kind == "k" { format!("[{}]", keys.join(",")) } else { format!("[={rest}]") }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::resource::RESOURCES;
    use super::*;

    fn shape() -> Shape {
        Shape::of(RESOURCES.iter().find(|resource| resource.kind == "Deployment").unwrap())
    }

    fn object(containers: &Value) -> Value {
        json!({"spec": {"template": {"spec": {"containers": containers, "tolerations": [{}]}}}})
    }

    fn applied(containers: &Value) -> Value {
        let fields = Fields::applied(&object(containers), &shape()).to_json();
        fields["f:spec"]["f:template"]["f:spec"].clone()
    }

    #[test]
    fn items_are_named_by_their_keys_and_other_lists_are_one_field() {
        let found = applied(&json!([{"name": "a", "args": [1], "ports": [{"containerPort": 80}]}]));
        let port = json!({".": {}, "f:containerPort": {}});
        let expected = json!({
            "f:containers": {"k:{\"name\":\"a\"}": {
                ".": {}, "f:name": {}, "f:args": {},
                "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": port},
            }},
            "f:tolerations": {},
        });
        assert_eq!(found, expected);
        assert_eq!(Fields::from_json(&found).to_json(), found);
    }

    #[test]
    fn a_difference_names_what_was_written_and_what_went() {
        let old = object(&json!([{"name": "a", "image": "i"}, {"name": "b"}]));
        let new = object(&json!([{"name": "a", "image": "j", "tty": true}]));
        let (written, removed) = Fields::difference(&old, &new, &shape());
        let at = ".spec.template.spec.containers";
        let here = |name: &str| format!("{at}[name=\"a\"].{name}");
        assert_eq!(written.paths(), [here("image"), here("tty")]);
        assert_eq!(
            removed.paths(),
            [format!("{at}[name=\"b\"]"), format!("{at}[name=\"b\"].name")]
        );
    }

    #[test]
    fn what_is_taken_out_leaves_nothing_empty_behind() {
        let mut value = json!({"spec": {
            "replicas": 1,
            "template": {"spec": {"containers": [{"name": "a"}, {"name": "b", "image": "i"}]}},
        }});
        let fields = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {
            "k:{\"name\":\"a\"}": {}, "k:{\"name\":\"b\"}": {"f:image": {}},
        }}}}});
        Fields::from_json(&fields).remove_from(&mut value, &shape());
        let left = &value["spec"]["template"]["spec"]["containers"];
        assert_eq!(left, &json!([{"name": "b"}]));
        let rest = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {
            "k:{\"name\":\"b\"}": {},
        }}}}});
        Fields::from_json(&rest).remove_from(&mut value, &shape());
        assert_eq!(value, json!({"spec": {"replicas": 1}}));
    }
}
