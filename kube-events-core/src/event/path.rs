//! Any field of an Event, by JSONPath.

use jsonpath_rust::{
    parser::{model::JpQuery, parse_json_path},
    query::{QueryRef, js_path_process},
};
use serde_json::Value;

use super::Event;

/// A compiled JSONPath (RFC 9535), such as `$.metadata.labels['app.kubernetes.io/name']`.
///
/// ```
/// use kube_events_core::{Event, event::Path};
///
/// let app: Path = "$.metadata.labels.app".parse()?;
/// let event = Event::decode(br#"{"metadata": {"labels": {"app": "web"}}}"#)?;
/// assert_eq!(app.first(&event).and_then(|value| value.as_str()), Some("web"));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Path(JpQuery);

/// Why a text is not a JSONPath.
#[derive(Debug, thiserror::Error)]
#[error("not a JSONPath: {0}")]
pub struct PathError(String);

// === impl Path ===

impl Path {
    /// All values at this path, in document order.
    pub fn find<'a>(&self, event: &'a Event) -> Vec<&'a Value> {
        self.find_in(event.value())
    }

    /// The first value at this path.
    pub fn first<'a>(&self, event: &'a Event) -> Option<&'a Value> {
        self.find(event).into_iter().next()
    }

    /// All values at this path of any JSON.
    pub fn find_in<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        // The query was parsed; what can still fail is a filter's function on this document, and
        // then nothing is there to be found.
        js_path_process(&self.0, value)
            .map(|found| found.into_iter().map(QueryRef::val).collect())
            .unwrap_or_default()
    }
}

impl std::str::FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        parse_json_path(text).map(Self).map_err(|error| PathError(error.to_string()))
    }
}
