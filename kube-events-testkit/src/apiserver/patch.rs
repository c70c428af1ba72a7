//! PATCH: JSON patches, merge patches and apply.
//!
//! A strategic merge patch is treated as a merge patch: lists are replaced, not merged by key.
//! Apply creates the object or merges into it, and records the field manager; it neither removes
//! fields that a manager no longer applies nor reports conflicts between managers.

use serde_json::{Value, json};
use std::sync::Arc;

use super::Shared;
use super::object::{self, Author, Part};
use super::status::Status;
use super::storage::Stored;
use super::write::Place;

/// A parsed PATCH body.
#[derive(Debug)]
pub(crate) enum Patch {
    Json(json_patch::Patch),
    Merge(Value),
    Apply(Value),
}

impl Patch {
    pub(crate) fn parse(
        content_type: &str,
        body: &[u8],
        has_manager: bool,
    ) -> Result<Self, Status> {
        let content_type = content_type.split(';').next().unwrap_or("").trim();
        let merge = || parse(body).map(Self::Merge);
        match content_type {
            "application/json-patch+json" => parse(body).map(Self::Json),
            "application/merge-patch+json" | "application/strategic-merge-patch+json" => merge(),
            "application/apply-patch+yaml" if !has_manager => {
                let why = ("FieldValueRequired", "Required value: is required for apply patch");
                Err(Status::invalid("meta.k8s.io", "PatchOptions", "", "fieldManager", why))
            }
            // JSON is YAML, and JSON is what clients send.
            "application/apply-patch+yaml" => parse(body).map(Self::Apply),
            _ => Err(Status::unsupported_media_type()),
        }
    }

    fn apply_to(&self, object: &mut Value) -> Result<(), Status> {
        match self {
            Self::Json(patch) => {
                json_patch::patch(object, patch).map_err(|_| Status::patch_rejected())
            }
            Self::Merge(patch) | Self::Apply(patch) => {
                json_patch::merge(object, patch);
                Ok(())
            }
        }
    }
}

fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Status> {
    serde_json::from_slice(body).map_err(|error| Status::bad_request(error.to_string()))
}

/// How often a patch is tried again when another write came between.
const ATTEMPTS: usize = 5;

impl Shared {
    pub(crate) fn patch(
        &self,
        place: &Place<'_>,
        patch: &Patch,
        part: Part,
        author: &Author,
    ) -> Result<(Arc<Stored>, bool), Status> {
        let mut conflict = Status::modified(place.resource, place.name);
        for _ in 0..ATTEMPTS {
            let Some(held) = self.store.get(place.resource, &place.key()) else {
                return self.create_by_apply(place, patch, part, author);
            };
            match self.patch_once(place, &held, patch, part, author) {
                Err(status) if status.code() == 409 && !names_revision(patch) => conflict = status,
                result => return result.map(|stored| (stored, false)),
            }
        }
        Err(conflict)
    }

    fn create_by_apply(
        &self,
        place: &Place<'_>,
        patch: &Patch,
        part: Part,
        author: &Author,
    ) -> Result<(Arc<Stored>, bool), Status> {
        let (Patch::Apply(given), Part::Main) = (patch, part) else {
            return Err(Status::not_found(place.resource, place.name));
        };
        let mut object = object::accept(place.resource, given.clone())?;
        let entry = object::managed_entry(place.resource, given, author, "Apply");
        object["metadata"]["managedFields"] = json!([entry]);
        self.create_named(place, object, author).map(|stored| (stored, true))
    }

    fn patch_once(
        &self,
        place: &Place<'_>,
        held: &Stored,
        patch: &Patch,
        part: Part,
        author: &Author,
    ) -> Result<Arc<Stored>, Status> {
        let mut object = object::present(place.resource, held);
        patch.apply_to(&mut object)?;
        if let Patch::Apply(given) = patch {
            let entry = object::managed_entry(place.resource, given, author, "Apply");
            own(&mut object, entry);
        }
        self.update(place, object, part, author).map(|(stored, _)| stored)
    }
}

/// Replaces the manager's entry in `managedFields`.
fn own(object: &mut Value, entry: Value) {
    let metadata = object::metadata_mut(object);
    let entries = metadata.entry("managedFields").or_insert_with(|| json!([]));
    let Value::Array(entries) = entries else { return };
    let same = |other: &Value| {
        other["manager"] == entry["manager"] && other["operation"] == entry["operation"]
    };
    entries.retain(|other| !same(other));
    entries.push(entry);
}

fn names_revision(patch: &Patch) -> bool {
    match patch {
        Patch::Json(_) => false,
        Patch::Merge(patch) | Patch::Apply(patch) => {
            patch["metadata"]["resourceVersion"].is_string()
        }
    }
}
