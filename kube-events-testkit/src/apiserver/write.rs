//! Create, update and delete.

use serde_json::Value;
use std::sync::Arc;

use super::Shared;
use super::managers;
use super::object::{self, Author, Part};
use super::resource::{Form, NAMESPACES, Resource};
use super::status::Status;
use super::storage::{State, Stored};

/// An object's place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) resource: &'a Resource,
    pub(crate) namespace: Option<&'a str>,
    pub(crate) name: &'a str,
}

impl Place<'_> {
    pub(crate) fn key(&self) -> String {
        object::key(self.namespace, self.name)
    }

    fn not_found(&self) -> Status {
        Status::not_found(self.resource, self.name)
    }
}

/// Options of a DELETE.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeleteOptions {
    uid: Option<String>,
    resource_version: Option<String>,
    orphan: bool,
}

impl DeleteOptions {
    pub(crate) fn parse(body: &[u8], policy: Option<&str>) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let given = |key: &str| body["preconditions"][key].as_str().map(str::to_owned);
        Self {
            uid: given("uid"),
            resource_version: given("resourceVersion"),
            orphan: policy.or(body["propagationPolicy"].as_str()) == Some("Orphan"),
        }
    }

    fn check(&self, place: &Place<'_>, stored: &Stored) -> Result<(), Status> {
        let uid = (self.uid.as_deref(), &*stored.uid, "UID");
        let revision = stored.revision.to_string();
        let revision = (self.resource_version.as_deref(), revision.as_str(), "ResourceVersion");
        for (wanted, held, what) in [uid, revision] {
            if let Some(wanted) = wanted
                && wanted != held
            {
                let why = format!(
                    "Precondition failed: {what} in precondition: {wanted}, \
                     {what} in object meta: {held}"
                );
                return Err(Status::conflict(place.resource, place.name, &why));
            }
        }
        Ok(())
    }
}

/// What a DELETE came to.
#[derive(Debug)]
pub(crate) enum Deleted {
    /// The object is gone.
    Gone(Arc<Stored>),
    /// The object waits for its finalizers.
    Marked(Arc<Stored>),
}

impl Shared {
    pub(crate) fn create(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        given: Value,
        author: &Author,
    ) -> Result<Arc<Stored>, Status> {
        object::check_new(resource, &given)?;
        let mut object = object::accept(resource, given)?;
        let name = object::initialize(resource, namespace, &mut object, author)?;
        let place = Place { resource, namespace, name: &name };
        let created = self.store.write(resource, |state| {
            self.check_namespace(state, &place)?;
            if state.get(resource, &place.key()).is_some() {
                return Err(Status::already_exists(resource, &name));
            }
            Ok(put(state, &place, &mut object))
        })?;
        self.collect_if_orphaned(&place, &object);
        Ok(created)
    }

    fn check_namespace(&self, state: &State, place: &Place<'_>) -> Result<(), Status> {
        let Some(name) = place.namespace else { return Ok(()) };
        let namespaces = self.storage(NAMESPACES);
        match state.get(namespaces, name) {
            None => Err(Status::not_found(namespaces, name)),
            Some(namespace) if object::is_deleting(&object::parse(namespace)) => {
                Err(Status::namespace_terminating(place.resource, place.name, name))
            }
            Some(_) => Ok(()),
        }
    }

    pub(crate) fn update(
        &self,
        place: &Place<'_>,
        given: Value,
        part: Part,
        author: &Author,
    ) -> Result<(Arc<Stored>, bool), Status> {
        let resource = place.resource;
        if self.store.get(resource, &place.key()).is_none() {
            let creates = resource.put_creates && part == Part::Main;
            if !creates {
                return Err(place.not_found());
            }
            if let Some(uid) = given["metadata"]["uid"].as_str().filter(|uid| !uid.is_empty()) {
                let why = format!(
                    "StorageError: invalid object, Code: 4, Key: /registry/{}/{}, ResourceVersion: 0, \
                     AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in \
                     object meta: ",
                    resource.plural,
                    place.key(),
                );
                return Err(Status::conflict(resource, place.name, &why));
            }
            let given = object::accept(resource, given)?;
            return self.create_named(place, given, author).map(|stored| (stored, true));
        }
        self.replace(place, given, part, Some(author)).map(|stored| (stored, false))
    }

    /// Puts `given` in the place of what is there. What `author` changes becomes its own; without
    /// one, `given` says already whose its fields are.
    pub(crate) fn replace(
        &self,
        place: &Place<'_>,
        given: Value,
        part: Part,
        author: Option<&Author>,
    ) -> Result<Arc<Stored>, Status> {
        let given = object::accept(place.resource, given)?;
        let written =
            self.store.write(place.resource, |state| replace(state, place, given, part, author))?;
        self.collect_if_orphaned(place, &object::parse(&written));
        Ok(written)
    }

    pub(crate) fn create_named(
        &self,
        place: &Place<'_>,
        mut storage_form: Value,
        author: &Author,
    ) -> Result<Arc<Stored>, Status> {
        let metadata = object::metadata_mut(&mut storage_form);
        metadata.insert("name".to_owned(), place.name.into());
        // What is to be updated and is not there has no version that could have passed.
        metadata.remove("resourceVersion");
        let resource = self.storage(place.resource.storage);
        for key in ["kind", "apiVersion"] {
            if let Some(fields) = storage_form.as_object_mut() {
                fields.remove(key);
            }
        }
        if resource.form == Form::Custom {
            storage_form["kind"] = resource.kind.into();
        }
        self.create(resource, place.namespace, storage_form, author)
    }

    pub(crate) fn delete(
        &self,
        place: &Place<'_>,
        options: &DeleteOptions,
    ) -> Result<Deleted, Status> {
        let deleted = self.store.write(place.resource, |state| {
            let held = state.get(place.resource, &place.key()).ok_or_else(|| place.not_found())?;
            let held = Arc::clone(held);
            options.check(place, &held)?;
            let mut object = object::parse(&held);
            if !object::is_held(&object) {
                let gone = state.delete(place.resource, &held.key).unwrap_or(held);
                return Ok(Deleted::Gone(gone));
            }
            if object::is_deleting(&object) {
                return Ok(Deleted::Marked(held));
            }
            object::mark_deleted(place.resource, &mut object);
            Ok(Deleted::Marked(put(state, place, &mut object)))
        })?;
        match &deleted {
            Deleted::Gone(stored) if !options.orphan => {
                self.collect_garbage(place.resource, stored);
            }
            Deleted::Marked(stored) if place.resource.storage == NAMESPACES => {
                self.collect_garbage(place.resource, stored);
            }
            _ => {}
        }
        Ok(deleted)
    }
}

fn put(state: &mut State, place: &Place<'_>, object: &mut Value) -> Arc<Stored> {
    let uid = object["metadata"]["uid"].as_str().unwrap_or("").to_owned();
    state.put(place.resource, &place.key(), &uid, |rv| object::text(place.resource, object, rv))
}

fn replace(
    state: &mut State,
    place: &Place<'_>,
    given: Value,
    part: Part,
    author: Option<&Author>,
) -> Result<Arc<Stored>, Status> {
    let resource = place.resource;
    let held = state.get(resource, &place.key()).ok_or_else(|| place.not_found())?;
    let held = Arc::clone(held);
    check_identity(place, &held, &given)?;
    let old = object::parse(&held);
    let mut new = object::merge(resource, &old, given, part);
    object::check_changed(resource, &old, &new)?;
    if let Some(author) = author {
        managers::record(resource, &old, &mut new, author, part);
    }
    if object::same(&old, &new) {
        return Ok(held);
    }
    if object::is_deleting(&new) && !object::is_held(&new) {
        // The answer keeps the revision of the last write; the watch tells the deletion's.
        state.delete(resource, &held.key);
        return Ok(held);
    }
    Ok(put(state, place, &mut new))
}

fn check_identity(place: &Place<'_>, held: &Stored, given: &Value) -> Result<(), Status> {
    let metadata = &given["metadata"];
    let named = |key: &str| metadata[key].as_str().filter(|value| !value.is_empty());
    if let Some(name) = named("name").filter(|name| *name != place.name) {
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            place.name
        )));
    }
    match named("resourceVersion") {
        Some(rv) if rv != held.revision.to_string() => {
            return Err(Status::modified(place.resource, place.name));
        }
        None if !place.resource.allows_unconditional_update() => {
            let Resource { group, kind, .. } = place.resource;
            let why = ("FieldValueInvalid", "Invalid value: 0: must be specified for an update");
            let field = "metadata.resourceVersion";
            return Err(Status::invalid(group, kind, place.name, field, why));
        }
        _ => {}
    }
    let options = DeleteOptions { uid: named("uid").map(str::to_owned), ..Default::default() };
    options.check(place, held)
}
