//! A view of a decoded Event.

use kube_events_core::Event;
use kube_events_core::event::Api;

use crate::field::{Field, Group};
use crate::fields::Fields;
use crate::json_event::JsonEvent;
use crate::name::{Key, Place};
use crate::value::Value;

/// A decoded Event, as conditions see it.
///
/// The fields that nearly every rule asks for were found when the Event was decoded; the others
/// are looked up in its JSON, which is parsed when the first of them is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    event: &'a Event,
}

impl<'a> Subject<'a> {
    /// Views one Event.
    pub fn new(event: &'a Event) -> Self {
        Self { event }
    }

    fn json(self) -> JsonEvent<'a> {
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
    fn get(&self, key: &Key) -> Option<Value<'_>> {
        let Place::Field(field) = key.place() else { return None };
        if field == Field::Count {
            #[allow(clippy::cast_precision_loss, reason = "numbers are 64-bit floats here")]
            return Some(Value::Number(self.event.count().unwrap_or_default() as f64));
        }
        self.hot(field).map(Value::text).or_else(|| self.json().get_field(field))
    }

    fn exists(&self, key: &Key) -> bool {
        match key.place() {
            Place::Field(field) if field == Field::Count || self.hot(field).is_some() => true,
            Place::Group(Group::Related | Group::Series) | Place::Field(_) => {
                self.json().exists(key)
            }
            Place::Group(_) => true,
            Place::Nowhere => false,
        }
    }
}
