//! The face that an object shows to one request.

use serde_json::{Value, json};

use super::encode;
use super::resource::{Form, Resource};
use super::storage::Stored;

/// A resource, and whether the client wants whole objects or only their metadata.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    pub(crate) resource: Resource,
    pub(crate) metadata_only: bool,
}

impl View {
    /// Writes an object with its `kind` and `apiVersion`.
    pub(crate) fn object(&self, out: &mut Vec<u8>, stored: &Stored) {
        match self.resource.form {
            _ if self.metadata_only => {
                self.typed(out, &encode::metadata_only(&stored.body));
            }
            Form::Custom => out.extend_from_slice(&stored.body),
            Form::Typed => self.typed(out, &stored.body),
            Form::EventsV1 => self.typed(out, stored.event_v1()),
        }
    }

    /// Writes an object as an item of a list.
    pub(crate) fn item(&self, out: &mut Vec<u8>, stored: &Stored) {
        match self.resource.form {
            _ if self.metadata_only => self.object(out, stored),
            Form::Custom | Form::Typed => out.extend_from_slice(&stored.body),
            // Converted without keeping the result: a list of everything would double the memory.
            Form::EventsV1 => out.extend_from_slice(&encode::event_v1(&stored.body)),
        }
    }

    fn typed(&self, out: &mut Vec<u8>, body: &[u8]) {
        let (kind, api_version) = self.names();
        out.extend_from_slice(b"{\"kind\":\"");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\",\"apiVersion\":\"");
        out.extend_from_slice(api_version.as_bytes());
        out.extend_from_slice(b"\",");
        out.extend_from_slice(&body[1..]);
    }

    fn names(&self) -> (&'static str, String) {
        if self.metadata_only {
            return ("PartialObjectMetadata", "meta.k8s.io/v1".to_owned());
        }
        (self.resource.kind, self.resource.api_version())
    }

    /// What comes before and after the items of a list.
    pub(crate) fn list_frame(&self, revision: u64, more: Option<(&str, Option<usize>)>) -> Frame {
        let (kind, api_version) = self.names();
        let token = more.map_or("", |(token, _)| token);
        if self.resource.form == Form::Custom && !self.metadata_only {
            let mut metadata = json!({"continue": token, "resourceVersion": revision.to_string()});
            if let Some((_, Some(remaining))) = more {
                metadata["remainingItemCount"] = remaining.into();
            }
            return Frame {
                head: format!("{{\"apiVersion\":\"{api_version}\",\"items\":["),
                tail: format!("],\"kind\":\"{kind}List\",\"metadata\":{metadata}}}\n"),
            };
        }
        let more = match more {
            Some((token, Some(remaining))) => {
                format!(",\"continue\":\"{token}\",\"remainingItemCount\":{remaining}")
            }
            Some((token, None)) => format!(",\"continue\":\"{token}\""),
            None => String::new(),
        };
        let metadata = format!("\"resourceVersion\":\"{revision}\"{more}");
        Frame {
            head: format!(
                "{{\"kind\":\"{kind}List\",\"apiVersion\":\"{api_version}\",\
                 \"metadata\":{{{metadata}}},\"items\":["
            ),
            tail: "]}\n".to_owned(),
        }
    }

    /// An object with nothing but a resourceVersion, for bookmarks.
    pub(crate) fn bookmark(&self, revision: u64, initial_events_end: bool) -> Vec<u8> {
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if initial_events_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let mut object = json!({"metadata": metadata});
        if self.resource.is_event() {
            for (key, value) in EMPTY_EVENT {
                object[*key] = serde_json::from_str(value).expect("the table holds JSON");
            }
        }
        if self.resource.form == Form::Custom {
            object["apiVersion"] = Value::from(self.resource.api_version());
            object["kind"] = self.resource.kind.into();
        }
        let body = encode::body(&self.resource, &object);
        let mut out = Vec::new();
        match self.resource.form {
            _ if self.metadata_only => self.typed(&mut out, &encode::metadata_only(&body)),
            Form::Custom => out.extend_from_slice(&body),
            Form::Typed => self.typed(&mut out, &body),
            Form::EventsV1 => self.typed(&mut out, &encode::event_v1(&body)),
        }
        out
    }
}

const EMPTY_EVENT: &[(&str, &str)] = &[
    ("involvedObject", "{}"),
    ("source", "{}"),
    ("firstTimestamp", "null"),
    ("lastTimestamp", "null"),
    ("eventTime", "null"),
    ("reportingComponent", "\"\""),
    ("reportingInstance", "\"\""),
];

/// The text around the items of a list.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) head: String,
    pub(crate) tail: String,
}
