//! An Exporter or a Ruler as it is stored, which another release may have written: what cannot be read
//! is one object's trouble, and no reason to lose sight of the others. What the Go project took is
//! [adjusted](former) first.

use std::borrow::Cow;

use kube::{Resource, core::ObjectMeta};
use kube_events_core::crd::Status;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::former;

/// An object, or why it cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct Stored<M> {
    metadata: ObjectMeta,
    pub(crate) status: Option<Status>,
    /// What of its spec was adjusted before it was read.
    pub(crate) adjusted: Vec<String>,
    /// The object, or what is wrong with its spec.
    pub(crate) read: Result<M, String>,
}

impl<'de, M: DeserializeOwned> Deserialize<'de> for Stored<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Text {
            metadata: ObjectMeta,
            #[serde(default)]
            spec: Value,
            #[serde(default)]
            status: Option<Status>,
        }
        let Text { metadata, mut spec, status } = Text::deserialize(deserializer)?;
        let adjusted = former::adjust(&mut spec);
        let whole = json!({ "metadata": metadata, "spec": spec, "status": status });
        let read = serde_json::from_value(whole).map_err(|error| error.to_string());
        Ok(Self { metadata, status, adjusted, read })
    }
}

impl<M: Resource> Resource for Stored<M> {
    type DynamicType = M::DynamicType;
    type Scope = M::Scope;

    fn kind(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        M::kind(dynamic)
    }

    fn group(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        M::group(dynamic)
    }

    fn version(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        M::version(dynamic)
    }

    fn plural(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        M::plural(dynamic)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
