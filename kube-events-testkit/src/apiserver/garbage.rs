//! What goes when its owner goes.

use serde_json::Value;
use std::sync::Arc;

use super::Shared;
use super::object;
use super::resource::{NAMESPACES, Resource};
use super::storage::{Range, State, Stored};
use super::write::{DeleteOptions, Place};

impl Shared {
    /// Deletes what only `gone` owned, and all that lived in it if it was a namespace.
    ///
    /// The real server leaves this to kube-controller-manager, a moment later.
    pub(crate) fn collect_garbage(&self, resource: &Resource, gone: &Stored) {
        if resource.storage == NAMESPACES {
            self.each_resource(|dependent| {
                let (objects, ..) = self.store.current(dependent, &Range::new(Some(&gone.key)));
                self.delete_all(dependent, &objects);
            });
        } else if !resource.is_event() {
            self.each_resource(|dependent| self.delete_owned(dependent, &gone.uid));
        }
    }

    /// Deletes what was just written if none of its owners exists (any more).
    pub(crate) fn collect_if_orphaned(&self, place: &Place<'_>, object: &Value) {
        let owners = object["metadata"]["ownerReferences"].as_array();
        let Some(owners) = owners.filter(|owners| !owners.is_empty()) else { return };
        if !owners.iter().any(|owner| self.exists(owner["uid"].as_str().unwrap_or(""))) {
            self.delete_or_tell(place);
        }
    }

    fn exists(&self, uid: &str) -> bool {
        let mut found = false;
        self.each_resource(|resource| {
            let in_table = |state: &State| state.all(resource).any(|object| &*object.uid == uid);
            found = found || !resource.is_event() && self.store.read(in_table);
        });
        found
    }

    /// One row for each storage: two faces of the same objects are one resource here.
    fn each_resource(&self, mut visit: impl FnMut(&Resource)) {
        for resource in &self.resources {
            if self.storage(resource.storage) == resource {
                visit(resource);
            }
        }
    }

    fn delete_owned(&self, dependent: &Resource, uid: &str) {
        // Events name no owners, and there can be very many of them.
        if dependent.is_event() {
            return;
        }
        let owned: Vec<Arc<Stored>> = self
            .store
            .read(|state| state.all(dependent).filter(|o| is_owned(o, uid)).cloned().collect());
        self.delete_all(dependent, &owned);
    }

    fn delete_all(&self, dependent: &Resource, objects: &[Arc<Stored>]) {
        for object in objects {
            self.delete_dependent(dependent, object);
        }
    }

    fn delete_dependent(&self, resource: &Resource, object: &Stored) {
        let (namespace, name) = split(&object.key, resource);
        self.delete_or_tell(&Place { resource, namespace, name });
    }

    fn delete_or_tell(&self, place: &Place<'_>) {
        if let Err(status) = self.delete(place, &DeleteOptions::default()) {
            tracing::debug!(code = status.code(), key = place.key(), "already gone");
        }
    }
}

fn split<'a>(key: &'a str, resource: &Resource) -> (Option<&'a str>, &'a str) {
    match key.split_once('/').filter(|_| resource.namespaced) {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, key),
    }
}

fn is_owned(object: &Stored, uid: &str) -> bool {
    let object = object::parse(object);
    let owners = object["metadata"]["ownerReferences"].as_array();
    owners.is_some_and(|all| !all.is_empty() && all.iter().all(|owner| names(owner, uid)))
}

fn names(owner: &Value, uid: &str) -> bool {
    owner["uid"].as_str() == Some(uid)
}
