//! Conversions from and to the types of `k8s_openapi`.

use k8s_openapi::api::{core::v1 as core, events::v1 as events};
use serde::Serialize;

use super::{Api, DecodeError, Decoder, Event};

impl TryFrom<&core::Event> for Event {
    type Error = DecodeError;

    fn try_from(event: &core::Event) -> Result<Self, DecodeError> {
        encode(event, Api::CoreV1)
    }
}

impl TryFrom<&events::Event> for Event {
    type Error = DecodeError;

    fn try_from(event: &events::Event) -> Result<Self, DecodeError> {
        encode(event, Api::EventsV1)
    }
}

/// Reads the JSON as a `core/v1` Event; what is written for `events.k8s.io/v1` under other names
/// is not translated, so check [`Event::api`].
impl TryFrom<&Event> for core::Event {
    type Error = serde_json::Error;

    fn try_from(event: &Event) -> Result<Self, serde_json::Error> {
        serde_json::from_str(event.json())
    }
}

/// Reads the JSON as an `events.k8s.io/v1` Event; what is written for `core/v1` under other names
/// is not translated, so check [`Event::api`].
impl TryFrom<&Event> for events::Event {
    type Error = serde_json::Error;

    fn try_from(event: &Event) -> Result<Self, serde_json::Error> {
        serde_json::from_str(event.json())
    }
}

fn encode(event: &impl Serialize, api: Api) -> Result<Event, DecodeError> {
    Decoder::new(api).decode(&serde_json::to_vec(event)?)
}
