//! A view of a decoded Event.

use jiff::Timestamp;
use kube_events_core::Event;
use kube_events_core::event::Api;
use serde_json::Value as Json;

use crate::field::{Field, Group};
use crate::fields::Fields;
use crate::json_event::JsonEvent;
use crate::name::{Key, Moment, Place};
use crate::value::Value;

/// A decoded Event, as conditions see it.
///
/// The fields that nearly every rule asks for were found when the Event was decoded; the others
/// are looked up in its JSON, which is parsed when the first of them is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    event: &'a Event,
    now: Option<Timestamp>,
}

impl<'a> Subject<'a> {
    /// Views one Event.
    pub fn new(event: &'a Event) -> Self {
        Self { event, now: None }
    }

    /// Views one Event, with ages counted to this time and not to the wall clock's.
    pub fn at(event: &'a Event, now: Timestamp) -> Self {
        Self { event, now: Some(now) }
    }

    fn whole(self) -> JsonEvent<'a> {
        JsonEvent::of_api(self.event.value(), self.event.api() == Api::EventsV1)
    }

    /// A field that was found when the Event was decoded.
    fn hot(self, field: Field) -> Option<&'a str> {
        let event = self.event;
        let object = || event.involved_object();
        Some(match field {
            Field::MetadataName => event.name(),
            Field::MetadataNamespace => event.namespace(),
            Field::MetadataUid => event.uid(),
            Field::MetadataResourceVersion => event.resource_version(),
            Field::InvolvedObjectKind => object().kind,
            Field::InvolvedObjectNamespace => object().namespace,
            Field::InvolvedObjectName => object().name,
            Field::InvolvedObjectUid => object().uid,
            Field::InvolvedObjectApiVersion => object().api_version,
            Field::InvolvedObjectResourceVersion => object().resource_version,
            Field::InvolvedObjectFieldPath => object().field_path,
            Field::Reason => event.reason(),
            Field::Message => event.message(),
            Field::Type => event.type_(),
            Field::Action => event.action(),
            Field::ReportingComponent => event.reporting_component(),
            Field::ReportingInstance => event.reporting_instance(),
            Field::SourceComponent => event.source_component(),
            Field::SourceHost => event.source_host(),
            // `metadata.managedFields` is cut out of every decoded Event.
            Field::MetadataManagedFields => "[]",
            _ => return None,
        })
    }
}

impl Fields for Subject<'_> {
    #[allow(clippy::cast_precision_loss, reason = "numbers are 64-bit floats here")]
    fn get(&self, key: &Key) -> Option<Value<'_>> {
        match key.place() {
            Place::Field(Field::Count) => {
                Some(Value::Number(self.event.count().unwrap_or_default() as f64))
            }
            Place::Field(Field::Occurrences) => {
                Some(Value::Number(self.event.occurrences() as f64))
            }
            Place::Field(field) => {
                self.hot(field).map(Value::text).or_else(|| self.whole().get_field(field))
            }
            Place::Member(map) => self.whole().get_member(map, key.member()),
            Place::Age(Moment::When) => {
                let age = self.now().duration_since(self.event.when()?);
                Some(Value::Number(age.as_secs_f64()))
            }
            Place::Age(moment) => self.whole().age(moment, self.now()),
            Place::Group(_) | Place::Path | Place::Nowhere => None,
        }
    }

    fn exists(&self, key: &Key) -> bool {
        match key.place() {
            Place::Field(Field::Count | Field::Occurrences) => true,
            Place::Field(field) if self.hot(field).is_some() => true,
            Place::Age(Moment::When) => self.event.when().is_some(),
            Place::Group(Group::Related | Group::Series) => self.whole().exists(key),
            Place::Group(_) => true,
            Place::Nowhere | Place::Path => false,
            _ => self.whole().exists(key),
        }
    }

    fn json(&self) -> Option<&Json> {
        Some(self.event.value())
    }

    fn size(&self) -> usize {
        self.event.json().len()
    }

    fn now(&self) -> Timestamp {
        self.now.unwrap_or_else(Timestamp::now)
    }
}
