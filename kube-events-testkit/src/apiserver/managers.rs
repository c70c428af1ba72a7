//! Who owns which fields of an object: its `managedFields`.

use serde_json::{Map, Value, json};

use super::fields::Fields;
use super::object::{Author, Part, metadata_mut, now};
use super::resource::Resource;
use super::shape::Shape;
use super::status::Status;

/// How a manager came to its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Apply,
    Update,
}

/// One entry.
#[derive(Debug, Clone)]
struct Manager {
    name: String,
    operation: Operation,
    api_version: String,
    subresource: String,
    time: Value,
    fields: Fields,
}

/// All entries of an object.
#[derive(Debug, Clone, Default)]
pub(crate) struct Managers(Vec<Manager>);

/// Notes that `author` made `new` out of `old` by an update.
pub(crate) fn record(
    resource: &Resource,
    old: &Value,
    new: &mut Value,
    author: &Author,
    part: Part,
) {
    let (written, removed) = changed(resource, old, new);
    let mut managers = Managers::of(new);
    let mut own = managers.take(&Manager::new(Operation::Update, resource, author, part));
    let mut fields = own.fields.clone();
    fields.minus(&removed);
    fields.union(&written);
    own.set(fields);
    managers.lose(&written);
    managers.lose(&removed);
    managers.put(own);
    managers.write(new);
}

/// The fields that differ between two states: those written, those that went.
fn changed(resource: &Resource, old: &Value, new: &Value) -> (Fields, Fields) {
    let (mut written, mut removed) = Fields::difference(old, new, &Shape::of(resource));
    written.forget_identity();
    removed.forget_identity();
    (written, removed)
}

// === impl Manager ===

impl Manager {
    fn new(operation: Operation, resource: &Resource, author: &Author, part: Part) -> Self {
        Self {
            name: author.manager.clone(),
            operation,
            api_version: resource.api_version(),
            subresource: if part == Part::Status { "status" } else { "" }.to_owned(),
            time: now().into(),
            fields: Fields::default(),
        }
    }

    /// Reads an entry; one that names nobody is none.
    fn parse(entry: &Value) -> Option<Self> {
        let text = |key: &str| entry[key].as_str().unwrap_or("").to_owned();
        let apply = entry["operation"] == "Apply";
        Some(Self {
            name: entry["manager"].as_str()?.to_owned(),
            operation: if apply { Operation::Apply } else { Operation::Update },
            api_version: text("apiVersion"),
            subresource: text("subresource"),
            time: entry["time"].clone(),
            fields: Fields::from_json(&entry["fieldsV1"]),
        })
    }

    /// Gives it these fields, and returns those that it had. A change has a time.
    fn set(&mut self, fields: Fields) -> Fields {
        if fields != self.fields {
            self.time = now().into();
        }
        std::mem::replace(&mut self.fields, fields)
    }

    fn to_json(&self) -> Value {
        let mut entry = json!({
            "manager": self.name,
            "operation": if self.operation == Operation::Apply { "Apply" } else { "Update" },
            "apiVersion": self.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": self.fields.to_json(),
        });
        if !self.subresource.is_empty() {
            entry["subresource"] = self.subresource.clone().into();
        }
        entry
    }

    /// Whether both are one entry. Who applies has one for all versions.
    fn is(&self, other: &Self) -> bool {
        let version = self.operation == Operation::Apply || self.api_version == other.api_version;
        let names = (&self.name, self.operation, &self.subresource);
        names == (&other.name, other.operation, &other.subresource) && version
    }

    /// How messages speak of it.
    fn describe(&self) -> String {
        let Self { name, api_version, subresource, .. } = self;
        match (self.operation, subresource.as_str()) {
            (Operation::Apply, _) => format!("\"{name}\""),
            (Operation::Update, "") => format!("\"{name}\" using {api_version}"),
            (Operation::Update, part) => {
                format!("\"{name}\" with subresource \"{part}\" using {api_version}")
            }
        }
    }
}

// === impl Managers ===

impl Managers {
    pub(crate) fn of(object: &Value) -> Self {
        let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
        Self(entries.filter_map(Manager::parse).collect())
    }

    /// Gives an applying author the fields that it applies now; returns those that it applied
    /// before and that have no owner any more.
    pub(crate) fn apply(
        &mut self,
        resource: &Resource,
        applied: Fields,
        author: &Author,
        part: Part,
    ) -> Fields {
        let mut own = self.take(&Manager::new(Operation::Apply, resource, author, part));
        let mut gone = own.set(applied);
        self.put(own);
        for manager in &self.0 {
            gone.minus(&manager.fields);
        }
        gone
    }

    /// Takes from all others what an applying author made of `old`.
    ///
    /// # Errors
    /// Somebody else owns what it changed, and it does not insist.
    pub(crate) fn settle(
        &mut self,
        resource: &Resource,
        (old, new): (&Value, &Value),
        author: &Author,
        (part, force): (Part, bool),
    ) -> Result<(), Status> {
        let (written, removed) = changed(resource, old, new);
        let own = self.take(&Manager::new(Operation::Apply, resource, author, part));
        let conflicts = self.conflicts(&written);
        if !force && !conflicts.is_empty() {
            return Err(Status::apply_conflict(&conflicts));
        }
        self.lose(&written);
        self.lose(&removed);
        self.put(own);
        Ok(())
    }

    /// Who owns some of these fields, and which.
    fn conflicts(&self, written: &Fields) -> Vec<(String, Vec<String>)> {
        let mut conflicts: Vec<_> = self
            .0
            .iter()
            .map(|manager| (manager.describe(), manager.fields.and(written).paths()))
            .filter(|(_, paths)| !paths.is_empty())
            .collect();
        conflicts.sort();
        conflicts
    }

    fn lose(&mut self, fields: &Fields) {
        for manager in &mut self.0 {
            let mut kept = manager.fields.clone();
            kept.minus(fields);
            manager.set(kept);
        }
    }

    /// Takes out the entry that is like this one; this one if there is none.
    fn take(&mut self, like: &Manager) -> Manager {
        match self.0.iter().position(|manager| manager.is(like)) {
            Some(place) => self.0.remove(place),
            None => like.clone(),
        }
    }

    fn put(&mut self, manager: Manager) {
        self.0.push(manager);
    }

    /// Writes the entries of those who own something.
    pub(crate) fn write(mut self, object: &mut Value) {
        self.0.retain(|manager| !manager.fields.is_empty());
        let order = |manager: &Manager| {
            let Manager { operation, time, name, api_version, subresource, .. } = manager;
            let is_update = *operation == Operation::Update;
            let time = time.as_str().map(str::to_owned);
            (is_update, time, name.clone(), api_version.clone(), subresource.clone())
        };
        self.0.sort_by_cached_key(order);
        let entries: Vec<_> = self.0.iter().map(Manager::to_json).collect();
        let metadata: &mut Map<String, Value> = metadata_mut(object);
        if entries.is_empty() {
            metadata.remove("managedFields");
        } else {
            metadata.insert("managedFields".to_owned(), entries.into());
        }
    }
}
