//! An Exporter, a Ruler or a Rule as it is stored, which another release may have written: what cannot be read
//! is one object's trouble, and no reason to lose sight of the others. What the Go project took is
//! [adjusted](former) first.

use std::{
    borrow::Cow,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    marker::PhantomData,
};

use kube::{Resource, core::ObjectMeta};
use kube_events_core::crd::{GROUP, Status, Workload};
use kube_events_rules::ALLOW_LINTS;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    former,
    names::{OWNER_KIND, OWNER_NAME, OWNER_NAMESPACE},
};

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

/// An object without its spec, and of its metadata only what is looked at: whoever may write one has a megabyte
/// for the rest.
#[derive(Clone, Debug)]
pub(crate) struct Outline<M, S> {
    metadata: ObjectMeta,
    /// As [`allowed()`] has it of the whole.
    pub(crate) allowed: u64,
    pub(crate) status: Option<S>,
    of: PhantomData<fn() -> M>,
}

/// Of an object that may be a child, whose it is: anybody may make others that look like one, as large as they
/// like.
#[derive(Clone, Debug)]
pub(crate) struct Trace<M> {
    metadata: ObjectMeta,
    of: PhantomData<fn() -> M>,
}

impl<'de, M, S> Deserialize<'de> for Stored<M, S>
where
    M: DeserializeOwned,
    S: DeserializeOwned,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Text {
            metadata: ObjectMeta,
            #[serde(default)]
            spec: Value,
            status: Option<Value>,
        }
        let Text { metadata, mut spec, status } = Text::deserialize(deserializer)?;
        let (metadata, status) = without_ballast(metadata, status);
        let adjusted = former::adjust(&mut spec);
        let whole = json!({ "metadata": metadata, "spec": spec });
        let read = read(whole);
        Ok(Self { metadata, status, adjusted, read })
    }
}

impl<'de, M, S: DeserializeOwned> Deserialize<'de> for Outline<M, S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Text {
            metadata: ObjectMeta,
            status: Option<Value>,
        }
        let Text { metadata, status } = Text::deserialize(deserializer)?;
        let (metadata, status) = without_ballast(metadata, status);
        let allowed = allowed(&metadata);
        let metadata = ObjectMeta {
            name: metadata.name,
            namespace: metadata.namespace,
            uid: metadata.uid,
            resource_version: metadata.resource_version,
            generation: metadata.generation,
            deletion_timestamp: metadata.deletion_timestamp,
            labels: metadata.labels,
            ..ObjectMeta::default()
        };
        Ok(Self { metadata, allowed, status, of: PhantomData })
    }
}

impl<'de, M> Deserialize<'de> for Trace<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Text {
            metadata: ObjectMeta,
        }
        let Text { metadata } = Text::deserialize(deserializer)?;
        let ours = [OWNER_KIND, OWNER_NAMESPACE, OWNER_NAME];
        let metadata = ObjectMeta {
            name: metadata.name,
            namespace: metadata.namespace,
            uid: metadata.uid,
            resource_version: metadata.resource_version,
            labels: metadata.labels.map(|mut labels| {
                labels.retain(|label, _| ours.contains(&label.as_str()));
                labels
            }),
            owner_references: metadata.owner_references.map(|mut owners| {
                owners.retain(|it| it.api_version.starts_with(GROUP) && it.name.len() <= MAX_NAME);
                owners.truncate(MAX_OWNERS);
                owners
            }),
            ..ObjectMeta::default()
        };
        Ok(Self { metadata, of: PhantomData })
    }
}

/// How many owners of our kinds are looked at, and the longest name that there is: nobody checks those of owners.
const MAX_OWNERS: usize = 4;
const MAX_NAME: usize = 253;

/// The hash of what the annotation [`ALLOW_LINTS`] says.
pub(crate) fn allowed(metadata: &ObjectMeta) -> u64 {
    let mut hasher = DefaultHasher::new();
    metadata.annotations.as_ref().and_then(|all| all.get(ALLOW_LINTS)).hash(&mut hasher);
    hasher.finish()
}

/// What is kept of an object's metadata and status.
fn without_ballast<S: DeserializeOwned>(
    mut metadata: ObjectMeta,
    status: Option<Value>,
) -> (ObjectMeta, Option<S>) {
    // Nobody looks at them, and they are as large as the rest.
    metadata.managed_fields = None;
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    // What cannot be read is written anew.
    (metadata, status.and_then(|status| serde_json::from_value(status).ok()))
}

/// Reads an object. What is wrong with it begins with the field, as `spec.sinks.webhooks[1].timeout`.
fn read<M: DeserializeOwned>(whole: Value) -> Result<M, String> {
    let spec = whole["spec"].clone();
    serde_path_to_error::deserialize(whole).map_err(|error| match error.path().to_string() {
        path if path == "spec" => of_pods(spec).unwrap_or_else(|| error.to_string()),
        _ => error.to_string(),
    })
}

/// What is wrong with the settings of pods. They lie in the midst of a spec's fields, where serde
/// does not tell which of them it was.
fn of_pods(spec: Value) -> Option<String> {
    let error = serde_path_to_error::deserialize::<_, Workload>(spec).err()?;
    Some(format!("spec.{error}"))
}

/// What `kube` asks of an object, as the custom resource says it.
macro_rules! resource {
    ($object:ident<$kind:ident $(, $other:ident)?>) => {
        impl<$kind: Resource $(, $other)?> Resource for $object<$kind $(, $other)?> {
            type DynamicType = $kind::DynamicType;
            type Scope = $kind::Scope;

            fn kind(dynamic: &Self::DynamicType) -> Cow<'_, str> {
                $kind::kind(dynamic)
            }

            fn group(dynamic: &Self::DynamicType) -> Cow<'_, str> {
                $kind::group(dynamic)
            }

            fn version(dynamic: &Self::DynamicType) -> Cow<'_, str> {
                $kind::version(dynamic)
            }

            fn plural(dynamic: &Self::DynamicType) -> Cow<'_, str> {
                $kind::plural(dynamic)
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

resource!(Stored<M, S>);
resource!(Outline<M, S>);
resource!(Trace<M>);

#[cfg(test)]
mod tests {
    use kube_events_core::crd::{Exporter, Ruler};

    use super::*;

    fn refused<M: DeserializeOwned>(spec: &Value) -> String {
        let object = json!({"metadata": {"name": "a"}, "spec": spec});
        let stored: Stored<M> = serde_json::from_value(object).unwrap();
        stored.read.err().unwrap()
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let webhooks = json!([{"url": "http://a"}, {"url": "http://b", "timeout": "soon"}]);
        let error = refused::<Exporter>(&json!({"sinks": {"webhooks": webhooks}}));
        assert!(error.starts_with("spec.sinks.webhooks[1].timeout: not a duration"), "{error}");
        let error = refused::<Exporter>(&json!({"sinks": {"webhook": []}}));
        assert!(error.starts_with("spec.sinks.webhook: unknown field `webhook`"), "{error}");
        let error = refused::<Ruler>(&json!({"replicas": "two"}));
        assert!(error.starts_with("spec.replicas: invalid type"), "{error}");
    }

    #[test]
    fn settings_of_pods_have_their_place_too() {
        let error = refused::<Exporter>(&json!({"volumeMounts": [{"name": "a", "mountPath": 1}]}));
        assert!(error.starts_with("spec.volumeMounts[0].mountPath: invalid type"), "{error}");
    }
}
