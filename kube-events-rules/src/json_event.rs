//! A view of the JSON of an Event.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::Value as Json;

use crate::field::{Field, Group};
use crate::fields::Fields;
use crate::name::{Key, Map, Moment, Place};
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
    now: Option<Timestamp>,
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

    /// Counts ages to this time, not to the wall clock's.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Self {
        Self { now: Some(now), ..self }
    }

    /// Views JSON that is known to be of `events.k8s.io/v1`, or else of `core/v1`.
    pub(crate) fn of_api(json: &'a Json, events_api: bool) -> Self {
        Self { json, events_api, now: None }
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
            Field::Occurrences => Value::Number(self.occurrences()),
            Field::Message => text(self.member(member, "note", None)),
            Field::ReportingComponent => text(self.member(member, "reportingController", None)),
            _ => text(self.json.get(member)),
        }
    }

    fn occurrences(&self) -> f64 {
        let series = self.json.get("series").and_then(|series| series.get("count"));
        let count = || self.member("count", "deprecatedCount", None);
        let count = series.and_then(Json::as_f64).or_else(|| count().and_then(Json::as_f64));
        count.unwrap_or(1.0).max(1.0)
    }

    /// A label or an annotation. `null` is none.
    pub(crate) fn get_member(&self, map: Map, member: &str) -> Option<Value<'a>> {
        let map = match map {
            Map::Labels => "labels",
            Map::Annotations => "annotations",
        };
        self.json.get("metadata")?.get(map)?.get(member)?.as_str().map(Value::text)
    }

    /// The seconds since a time of the Event, if it is there and readable.
    pub(crate) fn age(&self, moment: Moment, now: Timestamp) -> Option<Value<'static>> {
        let then = self.time(moment)?;
        Some(Value::Number(now.duration_since(then).as_secs_f64()))
    }

    fn time(&self, moment: Moment) -> Option<Timestamp> {
        let member = |group: &str, member: &str| self.json.get(group)?.get(member);
        let text = match moment {
            Moment::First => self.member("firstTimestamp", "deprecatedFirstTimestamp", None),
            Moment::Last => self.member("lastTimestamp", "deprecatedLastTimestamp", None),
            Moment::EventTime => self.json.get("eventTime"),
            Moment::LastObserved => member("series", "lastObservedTime"),
            Moment::Creation => member("metadata", "creationTimestamp"),
            Moment::When => return self.when(),
        };
        text?.as_str()?.parse().ok()
    }

    /// As [`Event::when`](kube_events_core::Event::when).
    fn when(&self) -> Option<Timestamp> {
        let latest = [
            Moment::LastObserved,
            Moment::Last,
            Moment::EventTime,
            Moment::First,
            Moment::Creation,
        ];
        latest.into_iter().find_map(|moment| self.time(moment))
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
            Place::Member(map) => self.get_member(map, key.member()),
            Place::Age(moment) => self.age(moment, self.now()),
            Place::Group(_) | Place::Path | Place::Nowhere => None,
        }
    }

    fn exists(&self, key: &Key) -> bool {
        match key.place() {
            Place::Field(field) => self.get_field(field).is_some(),
            Place::Group(Group::Related) => self.present("related").is_some(),
            Place::Group(Group::Series) => self.present("series").is_some(),
            Place::Group(_) => true,
            Place::Member(map) => self.get_member(map, key.member()).is_some(),
            Place::Age(moment) => self.time(moment).is_some(),
            Place::Path | Place::Nowhere => false,
        }
    }

    fn json(&self) -> Option<&Json> {
        Some(self.json)
    }

    fn now(&self) -> Timestamp {
        self.now.unwrap_or_else(Timestamp::now)
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
