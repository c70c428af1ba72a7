//! A view of the JSON of an Event.

use std::borrow::Cow;

use serde_json::Value as Json;

use crate::field::{Field, Group};
use crate::fields::Fields;
use crate::name::{Key, Place};
use crate::value::{self, Value};

/// The JSON of an Event of either API, as conditions see it.
///
/// The members are those of `core/v1`; an Event of `events.k8s.io/v1` is seen under the same names
/// (`regarding` as `involvedObject`, `note` as `message`, …). Members that are absent, `null` or of
/// another type than the API gives them are empty or zero.
#[derive(Clone, Copy, Debug)]
pub struct JsonEvent<'a> {
    json: &'a Json,
    events_api: bool,
}

impl<'a> JsonEvent<'a> {
    /// Views the JSON of one Event, whose `apiVersion` says which API it is of.
    pub fn new(json: &'a Json) -> Self {
        let version = json.get("apiVersion").and_then(Json::as_str).unwrap_or_default();
        Self::of_api(json, version.starts_with("events.k8s.io/"))
    }

    /// Views the JSON as `core/v1` whatever its `apiVersion` says, as the Go ruler did: of an Event
    /// of `events.k8s.io/v1` it sees only what both APIs call by the same name.
    pub fn core(json: &'a Json) -> Self {
        Self::of_api(json, false)
    }

    /// Views JSON that is known to be of `events.k8s.io/v1`, or else of `core/v1`.
    pub(crate) fn of_api(json: &'a Json, events_api: bool) -> Self {
        Self { json, events_api }
    }

    pub(crate) fn get_field(&self, field: Field) -> Option<Value<'a>> {
        let (group, member) = field.name().split_once('.').unwrap_or(("", field.name()));
        Some(match group {
            "metadata" => return self.metadata(field, member),
            "TypeMeta" => text(self.json.get(member)),
            "involvedObject" => text(self.member(group, "regarding", Some(member))),
            "source" => text(self.member(group, "deprecatedSource", Some(member))),
            "related" => text(self.present("related")?.get(member)),
            "series" => number(self.present("series")?.get(member)),
            _ => self.top_level(field, member),
        })
    }

    fn top_level(&self, field: Field, member: &str) -> Value<'a> {
        match field {
            Field::Count => number(self.member(member, "deprecatedCount", None)),
            Field::Message => text(self.member(member, "note", None)),
            Field::ReportingComponent => text(self.member(member, "reportingController", None)),
            _ => text(self.json.get(member)),
        }
    }

    /// A member under its name in the Event's API, or a member of that.
    fn member(&self, core: &str, events: &str, inner: Option<&str>) -> Option<&'a Json> {
        let member = self.json.get(if self.events_api { events } else { core })?;
        inner.map_or(Some(member), |inner| member.get(inner))
    }

    fn present(&self, member: &str) -> Option<&'a Json> {
        self.json.get(member).filter(|value| !value.is_null())
    }

    fn metadata(&self, field: Field, member: &str) -> Option<Value<'a>> {
        let value = self.json.get("metadata").and_then(|metadata| metadata.get(member));
        Some(match field {
            Field::MetadataGeneration => number(value),
            Field::MetadataDeletionGracePeriodSeconds => Value::Number(value?.as_f64()?),
            Field::MetadataLabels | Field::MetadataAnnotations => written(value, "map[]", map),
            Field::MetadataFinalizers => {
                written(value, "[]", |out, list| list_of(out, list, plain))
            }
            Field::MetadataOwnerReferences => {
                written(value, "[]", |out, list| list_of(out, list, owner))
            }
            Field::MetadataManagedFields => {
                written(value, "[]", |out, list| list_of(out, list, manager))
            }
            _ => text(value),
        })
    }
}

impl Fields for JsonEvent<'_> {
    fn get(&self, key: &Key) -> Option<Value<'_>> {
        match key.place() {
            Place::Field(field) => self.get_field(field),
            Place::Group(_) | Place::Nowhere => None,
        }
    }

    fn exists(&self, key: &Key) -> bool {
        match key.place() {
            Place::Field(field) => self.get_field(field).is_some(),
            Place::Group(Group::Related) => self.present("related").is_some(),
            Place::Group(Group::Series) => self.present("series").is_some(),
            Place::Group(_) => true,
            Place::Nowhere => false,
        }
    }
}

fn text(value: Option<&Json>) -> Value<'_> {
    Value::text(value.and_then(Json::as_str).unwrap_or_default())
}

fn number(value: Option<&Json>) -> Value<'static> {
    Value::Number(value.and_then(Json::as_f64).unwrap_or_default())
}

/// A collection as one text, `empty` if it is absent.
fn written<'a>(
    value: Option<&Json>,
    empty: &'static str,
    write: impl FnOnce(&mut String, &Json),
) -> Value<'a> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Value::text(empty) };
    let mut out = String::new();
    write(&mut out, value);
    Value::Text(Cow::Owned(out))
}

fn map(out: &mut String, value: &Json) {
    if value.is_object() {
        value::write(out, value);
    } else {
        out.push_str("map[]");
    }
}

fn list_of(out: &mut String, value: &Json, write: fn(&mut String, &Json)) {
    out.push('[');
    value::separated(out, value.as_array().into_iter().flatten(), write);
    out.push(']');
}

fn plain(out: &mut String, value: &Json) {
    out.push_str(value.as_str().unwrap_or_default());
}

/// `{apiVersion kind name uid controller blockOwnerDeletion}`
fn owner(out: &mut String, value: &Json) {
    let texts = ["apiVersion", "kind", "name", "uid"].map(|member| &value[member]);
    let flags = ["controller", "blockOwnerDeletion"].map(|member| &value[member]);
    structure(out, &texts, &flags);
}

/// `{manager operation apiVersion time fieldsType fieldsV1 subresource}`; the time and the fields
/// have no stable form and are left out.
fn manager(out: &mut String, value: &Json) {
    out.push('{');
    let members = ["manager", "operation", "apiVersion", "", "fieldsType", "", "subresource"];
    value::separated(out, members.into_iter(), |out, member| match member {
        "" => out.push_str("<nil>"),
        member => plain(out, &value[member]),
    });
    out.push('}');
}

fn structure(out: &mut String, texts: &[&Json], flags: &[&Json]) {
    out.push('{');
    value::separated(out, texts.iter(), |out, text| plain(out, text));
    for flag in flags {
        out.push(' ');
        value::write(out, flag);
    }
    out.push('}');
}
