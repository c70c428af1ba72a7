//! Server-side apply: what a manager applies becomes part of the object and its own; what it applied
//! before and applies no longer goes, unless somebody else owns it too.
//!
//! <https://kubernetes.io/docs/reference/using-api/server-side-apply/>

use serde_json::Value;

use super::fields::Fields;
use super::managers::Managers;
use super::object::{Author, Part};
use super::resource::Resource;
use super::shape::{Kind, Shape};
use super::status::Status;

/// What somebody applies.
#[derive(Debug)]
pub(crate) struct Applied {
    object: Value,
    /// Whether fields of others are taken over.
    force: bool,
}

impl Applied {
    pub(crate) fn parse(object: Value, force: bool) -> Result<Self, Status> {
        if !object["metadata"]["managedFields"].is_null() {
            return Err(Status::bad_request("metadata.managedFields must be nil"));
        }
        if object["kind"].as_str().is_none_or(str::is_empty) {
            return Err(Status::bad_request("invalid object type: /, Kind="));
        }
        Ok(Self { object, force })
    }

    /// The version that the object must have, if it says so.
    pub(crate) fn names_revision(&self) -> bool {
        self.object["metadata"]["resourceVersion"].is_string()
    }

    /// The object that follows from `old`, which is null if there is none.
    ///
    /// # Errors
    /// Somebody else owns what would change.
    pub(crate) fn to(
        &self,
        old: &Value,
        resource: &Resource,
        part: Part,
        author: &Author,
    ) -> Result<Value, Status> {
        let shape = Shape::of(resource);
        let given = self.part(resource, part);
        let mut fields = Fields::applied(&given, &shape);
        fields.forget_identity();
        let mut managers = Managers::of(old);
        let mut new = merged(old, &given, &shape);
        managers.apply(resource, fields, author, part).remove_from(&mut new, &shape);
        managers.settle(resource, (old, &new), author, (part, self.force))?;
        managers.write(&mut new);
        Ok(new)
    }

    /// What counts of it: the status only where it is asked for.
    fn part(&self, resource: &Resource, part: Part) -> Value {
        let mut given = self.object.clone();
        let Some(fields) = given.as_object_mut().filter(|_| resource.status) else { return given };
        match part {
            Part::Main => drop(fields.remove("status")),
            Part::Status => {
                fields.retain(|name, _| matches!(name.as_str(), "metadata" | "status"));
                if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
                    metadata.retain(|name, _| matches!(name.as_str(), "name" | "resourceVersion"));
                }
            }
        }
        given
    }
}

/// `given` put into `live`. A null takes a field out.
fn merged(live: &Value, given: &Value, shape: &Shape) -> Value {
    match (live, given, shape.kind(given)) {
        (live, Value::Object(given), Kind::Fields) => {
            let mut merged = live.as_object().cloned().unwrap_or_default();
            for (name, value) in given {
                match value {
                    Value::Null => drop(merged.remove(name)),
                    value => {
                        let held = merged.remove(name).unwrap_or_default();
                        merged.insert(name.clone(), self::merged(&held, value, &shape.field(name)));
                    }
                }
            }
            Value::Object(merged)
        }
        (Value::Array(live), Value::Array(given), Kind::Items(_) | Kind::Set) => {
            Value::Array(merged_items(live, given, shape))
        }
        _ => given.clone(),
    }
}

/// Items in the order in which they are given; those of others stay between their neighbours, and
/// before what is new at their place.
fn merged_items(live: &[Value], given: &[Value], shape: &Shape) -> Vec<Value> {
    let place = |items: &[Value], item: &Value| {
        let element = shape.element(item);
        items.iter().position(|other| shape.element(other) == element)
    };
    let is_foreign = |item: &&Value| place(given, item).is_none();
    let (mut merged, mut passed) = (Vec::new(), 0);
    for item in given {
        let Some(at) = place(live, item) else {
            let others = live[passed..].iter().take_while(|item| is_foreign(item)).cloned();
            let before = merged.len();
            merged.extend(others);
            passed += merged.len() - before;
            merged.push(self::merged(&Value::Null, item, &shape.item()));
            continue;
        };
        if at >= passed {
            merged.extend(live[passed..at].iter().filter(is_foreign).cloned());
            passed = at + 1;
        }
        merged.push(self::merged(&live[at], item, &shape.item()));
    }
    merged.extend(live[passed..].iter().filter(is_foreign).cloned());
    merged
}

#[cfg(test)]
mod tests {
    use super::super::resource::RESOURCES;
    use super::*;
    use serde_json::json;

    fn items(live: &[&str], given: &[&str]) -> Vec<String> {
        let row = RESOURCES.iter().find(|resource| resource.kind == "Deployment").unwrap();
        let shape = Shape::of(row).at("f:spec").at("f:containers");
        let list = |names: &[&str]| names.iter().map(|name| json!({"name": name})).collect();
        let (live, given): (Vec<_>, Vec<_>) = (list(live), list(given));
        let merged = merged_items(&live, &given, &shape);
        merged.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn items_of_others_stay_where_they_are() {
        assert_eq!(items(&["a", "x", "b", "y"], &["a", "b", "c"]), ["a", "x", "b", "y", "c"]);
        assert_eq!(items(&["x", "a"], &["n", "a"]), ["x", "n", "a"]);
    }
}
