//! The objects of a server, without HTTP.

use serde_json::Value;
use std::collections::HashSet;

use super::object::{self, Author, Part};
use super::patch::Patch;
use super::resource::{EVENTS, NAMESPACES, Resource};
use super::server::ApiServer;
use super::status::Status;
use super::storage::{Range, State, Stored};
use super::view::View;
use super::write::{DeleteOptions, Place};
use crate::draft::EventDraft;
use crate::oracle::Identity;

/// Events written under one lock by [`ApiServer::write_events`].
const BULK: usize = 512;

/// # Objects, without HTTP
impl ApiServer {
    /// Creates an Event (core/v1 unless its `apiVersion` says otherwise), and its namespace if
    /// there is none. A uid and creationTimestamp that are given are kept.
    ///
    /// # Errors
    /// What the API would answer.
    pub fn create_event(&self, mut event: Value) -> Result<Value, Status> {
        if event["apiVersion"].is_null() && event.is_object() {
            event["apiVersion"] = "v1".into();
            event["kind"] = "Event".into();
        }
        self.create(event)
    }

    /// Creates any object by its `apiVersion` and `kind`, and its namespace if there is none.
    ///
    /// # Errors
    /// What the API would answer.
    pub fn create(&self, object: Value) -> Result<Value, Status> {
        let resource = *self.row_of(&object)?;
        let namespace = self.namespace_of(&resource, &object);
        let created =
            self.shared.create(&resource, namespace.as_deref(), object, &Self::author())?;
        Ok(Self::show(&resource, &created))
    }

    /// Replaces an object, or part of it: fields that `object` lacks keep their value.
    ///
    /// # Errors
    /// What the API would answer to a merge patch.
    pub fn update(&self, object: Value) -> Result<Value, Status> {
        let resource = *self.row_of(&object)?;
        let namespace = self.namespace_of(&resource, &object);
        let name = object["metadata"]["name"].as_str().unwrap_or("").to_owned();
        let place = Place { resource: &resource, namespace: namespace.as_deref(), name: &name };
        let patch = Patch::Merge(object);
        let (stored, _) = self.shared.patch(&place, &patch, Part::Main, &Self::author())?;
        Ok(Self::show(&resource, &stored))
    }

    /// Reads an object. The namespace is ignored where the kind has none.
    ///
    /// # Errors
    /// There is no such object or kind.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Result<Value, Status> {
        let resource = self.row_of_kind(kind)?;
        let key = object::key(Some(namespace).filter(|_| resource.namespaced), name);
        let found = self.shared.store.get(resource, &key);
        found
            .map(|stored| Self::show(resource, &stored))
            .ok_or_else(|| Status::not_found(resource, name))
    }

    /// Every object of a kind, by namespace and name.
    ///
    /// # Errors
    /// There is no such kind.
    pub fn list(&self, kind: &str) -> Result<Vec<Value>, Status> {
        let resource = self.row_of_kind(kind)?;
        let (objects, ..) = self.shared.store.current(resource, &Range::new(None));
        Ok(objects.iter().map(|stored| Self::show(resource, stored)).collect())
    }

    /// Deletes an object, and what only it owns.
    ///
    /// # Errors
    /// There is no such object or kind.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) -> Result<(), Status> {
        let resource = self.row_of_kind(kind)?;
        let namespace = Some(namespace).filter(|_| resource.namespaced);
        self.shared
            .delete(&Place { resource, namespace, name }, &DeleteOptions::default())
            .map(drop)
    }

    /// Creates a namespace if it is not there.
    pub fn create_namespace(&self, name: &str) {
        let resource = self.shared.storage(NAMESPACES);
        if self.shared.store.get(resource, name).is_some() {
            return;
        }
        let object = serde_json::json!({"metadata": {"name": name}});
        if let Err(status) = self.shared.create(resource, None, object, &Self::author()) {
            tracing::debug!(code = status.code(), name, "namespace not created");
        }
    }

    /// Writes Events in bulk, without JSON in between: creates those that are new and replaces
    /// the others. Returns the identity of every state written, in order.
    pub fn write_events<'a>(
        &self,
        events: impl IntoIterator<Item = &'a EventDraft>,
    ) -> Vec<Identity> {
        let resource = self.shared.storage(EVENTS);
        let mut events = events.into_iter().peekable();
        let mut known = HashSet::new();
        let mut buffer = Vec::new();
        let mut identities = Vec::with_capacity(events.size_hint().0);
        while let Some(event) = events.peek() {
            if known.insert(event.namespace.clone()) {
                self.create_namespace(&event.namespace);
            }
            self.shared.store.write(resource, |state| {
                let batch = |event: &&EventDraft| known.contains(&event.namespace);
                for _ in 0..BULK {
                    let Some(event) = events.next_if(batch) else { break };
                    identities.push(write_event(state, resource, event, &mut buffer));
                }
            });
        }
        identities
    }

    /// Every Event, in the order of a list.
    pub fn events(&self) -> Vec<Value> {
        let resource = self.shared.storage(EVENTS);
        let (objects, ..) = self.shared.store.current(resource, &Range::new(None));
        objects.iter().map(|stored| Self::show(resource, stored)).collect()
    }

    /// Identity of the last state of every Event, in the order of a list.
    pub fn event_identities(&self) -> Vec<Identity> {
        let resource = self.shared.storage(EVENTS);
        let (objects, ..) = self.shared.store.current(resource, &Range::new(None));
        objects.iter().map(|stored| Identity::new(&*stored.uid, stored.revision)).collect()
    }

    /// The last resourceVersion that was given out.
    pub fn resource_version(&self) -> u64 {
        self.shared.store.revision()
    }

    fn author() -> Author {
        Author { manager: "testkit".to_owned(), trusted: true }
    }

    fn row_of(&self, object: &Value) -> Result<&Resource, Status> {
        let text = |key: &str| object[key].as_str().unwrap_or("");
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let mut rows = self.shared.resources.iter();
        let row = rows.find(|row| row.kind == kind && row.api_version() == api_version);
        row.ok_or_else(Status::no_such_resource)
    }

    fn row_of_kind(&self, kind: &str) -> Result<&Resource, Status> {
        let row = self.shared.resources.iter().find(|row| row.kind == kind);
        row.ok_or_else(Status::no_such_resource)
    }

    fn namespace_of(&self, resource: &Resource, object: &Value) -> Option<String> {
        if !resource.namespaced {
            return None;
        }
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
        self.create_namespace(namespace);
        Some(namespace.to_owned())
    }

    fn show(resource: &Resource, stored: &Stored) -> Value {
        let mut out = Vec::new();
        View { resource: *resource, metadata_only: false }.object(&mut out, stored);
        serde_json::from_slice(&out).expect("objects are shown as JSON")
    }
}

fn write_event(
    state: &mut State,
    resource: &Resource,
    event: &EventDraft,
    buffer: &mut Vec<u8>,
) -> Identity {
    let key = object::key(Some(&event.namespace), &event.name);
    let stored =
        state.put(resource, &key, &event.uid, |revision| event.to_stored(revision, buffer));
    Identity::new(&*event.uid, stored.revision)
}
