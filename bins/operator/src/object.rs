//! An Exporter, a Ruler or a Rule as it is stored, which another release may have written: what cannot be read
//! is one object's trouble, and no reason to lose sight of the others. What the Go project took is
//! [adjusted](former) first.

use std::borrow::Cow;

use kube::{Resource, core::ObjectMeta};
use kube_events_core::crd::Status;
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::former;

/// An object, or why it cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct Stored<M, S = Status> {
    metadata: ObjectMeta,
    pub(crate) status: Option<S>,
    /// What of its spec was adjusted before it was read.
    pub(crate) adjusted: Vec<String>,
    /// The object, or what is wrong with its spec.
    pub(crate) read: Result<M, String>,
}

impl<'de, M, S> Deserialize<'de> for Stored<M, S>
where
    M: DeserializeOwned,
    S: DeserializeOwned + Serialize,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Text<S> {
            metadata: ObjectMeta,
            #[serde(default)]
            spec: Value,
            status: Option<S>,
        }
        let Text { metadata, mut spec, status } = Text::deserialize(deserializer)?;
        let adjusted = former::adjust(&mut spec);
        let whole = json!({ "metadata": metadata, "spec": spec, "status": status });
        let read = serde_json::from_value(whole).map_err(|error| error.to_string());
        Ok(Self { metadata, status, adjusted, read })
    }
}

impl<M: Resource, S> Resource for Stored<M, S> {
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
