//! PATCH: JSON patches, merge patches and apply.
//!
//! A strategic merge patch is treated as a merge patch: lists are replaced, not merged by key.

use serde_json::Value;
use std::sync::Arc;

use super::Shared;
use super::apply::Applied;
use super::call::Call;
use super::object::{self, Author, Part};
use super::resource::Resource;
use super::status::Status;
use super::storage::Stored;
use super::write::Place;

/// A parsed PATCH body.
#[derive(Debug)]
pub(crate) enum Patch {
    Json(json_patch::Patch),
    Merge(Value),
    Apply(Applied),
}

impl Patch {
    pub(crate) fn parse(content_type: &str, body: &[u8], call: &Call) -> Result<Self, Status> {
        let content_type = content_type.split(';').next().unwrap_or("").trim();
        let merge = || parse(body).map(Self::Merge);
        match content_type {
            "application/json-patch+json" => parse(body).map(Self::Json),
            "application/merge-patch+json" | "application/strategic-merge-patch+json" => merge(),
            "application/apply-patch+yaml" if call.param("fieldManager").is_none() => {
                let why = ("FieldValueRequired", "Required value: is required for apply patch");
                Err(Status::invalid("meta.k8s.io", "PatchOptions", "", "fieldManager", why))
            }
            // JSON is YAML, and JSON is what clients send.
            "application/apply-patch+yaml" => {
                Applied::parse(parse(body)?, call.flag("force")).map(Self::Apply)
            }
            _ => Err(Status::unsupported_media_type()),
        }
    }

    fn names_revision(&self) -> bool {
        match self {
            Self::Json(_) => false,
            Self::Merge(patch) => patch["metadata"]["resourceVersion"].is_string(),
            Self::Apply(applied) => applied.names_revision(),
        }
    }
}

fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Status> {
    serde_json::from_slice(body).map_err(|error| Status::bad_request(error.to_string()))
}

fn uid(object: &Value) -> Option<&str> {
    object["metadata"]["uid"].as_str().filter(|uid| !uid.is_empty())
}

/// What a patch makes of an object must be that object still; of an update, it is a precondition.
fn check_uid(place: &Place<'_>, held: &Stored, patched: &Value) -> Result<(), Status> {
    match uid(patched) {
        Some(uid) if uid != &*held.uid => {
            let what = format!("Invalid value: \"{uid}\": field is immutable");
            let (why, field) = (("FieldValueInvalid", what.as_str()), "metadata.uid");
            let Resource { group, kind, .. } = place.resource;
            Err(Status::invalid(group, kind, place.name, field, why))
        }
        _ => Ok(()),
    }
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
                Err(status) if status.is_stale() && !patch.names_revision() => conflict = status,
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
        let (Patch::Apply(applied), Part::Main) = (patch, part) else {
            return Err(Status::not_found(place.resource, place.name));
        };
        let object = applied.to(&Value::Null, place.resource, part, author)?;
        if let Some(uid) = uid(&object) {
            let why = format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object \
                 was found"
            );
            return Err(Status::conflict(place.resource, place.name, &why));
        }
        let object = object::accept(place.resource, object)?;
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
        match patch {
            Patch::Apply(applied) => {
                let object = applied.to(&object, place.resource, part, author)?;
                check_uid(place, held, &object)?;
                return self.replace(place, object, part, None);
            }
            Patch::Json(patch) => {
                json_patch::patch(&mut object, patch).map_err(|_| Status::patch_rejected())?;
            }
            Patch::Merge(patch) => json_patch::merge(&mut object, patch),
        }
        check_uid(place, held, &object)?;
        self.replace(place, object, part, Some(author))
    }
}
