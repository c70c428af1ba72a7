//! The objects that an Exporter or a Ruler asks for: pure functions of it and the [`Settings`].

mod access;
mod config;
mod exporter;
mod files;
pub(crate) mod monitoring;
mod pod;
mod restricted;
mod ruler;
#[cfg(test)]
mod tests;

use kube::core::{ApiResource, GroupVersionKind, Resource};
use kube_events_core::crd::{Exporter, Ruler, Workload};
use kube_events_sinks::Context;
use serde_json::{Value, json};

use self::{access::Reach, config::Config, pod::Shape};
use crate::{
    Settings,
    image::{self, Image},
    names::{self, Program},
};

/// Why an object cannot be carried out, in the words that its status shows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Invalid(pub(crate) String);

/// Everything that follows from one Exporter or Ruler.
#[derive(Debug)]
pub(crate) struct Desired {
    /// The objects, each in the place where it has to be, or not to be.
    pub(crate) children: Vec<Child>,
    pub(crate) image: Image,
    /// Why the pods do not pass the *restricted* Pod Security Standard.
    pub(crate) unrestricted: Option<String>,
    /// Which of the namespaces that the spec names are out of reach.
    pub(crate) narrowed: Option<String>,
}

/// A place for an object.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) resource: ApiResource,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    pub(crate) ownership: Ownership,
    /// The object, but for what the place says already; `None` if there must be none.
    pub(crate) object: Option<Value>,
}

/// To whom an object belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ownership {
    /// To the Exporter or Ruler: it goes when that goes.
    Object,
    /// To the role that it binds. An owner has to be in the same namespace or in none, so these are
    /// deleted by the operator when their object goes, and with the role when everything goes.
    Role(&'static str),
}

/// A custom resource whose children the operator keeps.
pub(crate) trait Managed: Resource<DynamicType = ()> {
    const PROGRAM: Program;
    /// The finalizer that the Go project's operator left behind.
    const FORMER_FINALIZER: &'static str;

    fn workload(&self) -> &Workload;

    /// All that follows from the object.
    ///
    /// # Errors
    ///
    /// When its program could not run with what it says.
    fn desired(&self, settings: &Settings, context: &Context) -> Result<Desired, Invalid>;
}

/// In what the children of an Exporter and of a Ruler differ.
struct Parts {
    config: Config,
    image: Image,
    shape: Shape,
    /// What the other kind has no use for.
    own: Vec<Child>,
    /// Who reaches the pods, where a `NetworkPolicy` is asked for.
    peers: Vec<Value>,
    reach: Reach,
    narrowed: Option<String>,
}

/// What the children of one object have in common.
struct Parent<'a> {
    program: Program,
    name: &'a str,
    namespace: &'a str,
    uid: &'a str,
    workload: &'a Workload,
    settings: &'a Settings,
}

// === impl Exporter ===

impl Managed for Exporter {
    const PROGRAM: Program = names::EXPORTER;
    const FORMER_FINALIZER: &'static str = "exporters.finalizer.events.kubesphere.io";

    fn workload(&self) -> &Workload {
        &self.spec.workload
    }

    fn desired(&self, settings: &Settings, context: &Context) -> Result<Desired, Invalid> {
        exporter::desired(&Parent::of(self, settings), &self.spec, context)
    }
}

// === impl Ruler ===

impl Managed for Ruler {
    const PROGRAM: Program = names::RULER;
    const FORMER_FINALIZER: &'static str = "rulers.finalizer.events.kubesphere.io";

    fn workload(&self) -> &Workload {
        &self.spec.workload
    }

    fn desired(&self, settings: &Settings, context: &Context) -> Result<Desired, Invalid> {
        ruler::desired(&Parent::of(self, settings), &self.spec, context)
    }
}

// === impl Parts ===

impl Parts {
    /// All children; `sinks` are those of the spec.
    fn gather(self, parent: &Parent<'_>, sinks: &Value) -> Result<Desired, Invalid> {
        let mut children = pod::children(parent, &self.config, &self.shape)?;
        children.extend(self.own);
        children.push(pod::network_policy(parent, self.peers)?);
        children.extend(monitoring::children(parent));
        children.extend(access::bindings(parent, &self.reach));
        children.extend(access::services(parent, sinks)?);
        let (image, narrowed) = (self.image, self.narrowed);
        Ok(Desired {
            children,
            image,
            unrestricted: restricted::objections(parent.workload),
            narrowed,
        })
    }
}

// === impl Parent ===

impl<'a> Parent<'a> {
    fn of<M: Managed>(object: &'a M, settings: &'a Settings) -> Self {
        let metadata = object.meta();
        Self {
            program: M::PROGRAM,
            name: metadata.name.as_deref().unwrap_or_default(),
            namespace: metadata.namespace.as_deref().unwrap_or_default(),
            uid: metadata.uid.as_deref().unwrap_or_default(),
            workload: object.workload(),
            settings,
        }
    }

    fn image(&self, default: &str) -> Result<Image, Invalid> {
        image::choose(self.workload.image.as_deref(), default)
    }

    /// The labels by which a Deployment and a Service find the pods. They can never change.
    fn selector(&self) -> Value {
        json!({ self.program.container: self.name, "app": self.name })
    }

    fn labels(&self) -> Value {
        json!({
            self.program.container: self.name,
            "app.kubernetes.io/name": self.program.container,
            "app.kubernetes.io/instance": self.name,
            "app.kubernetes.io/part-of": "kube-events",
            names::MANAGED_BY: names::OPERATOR,
        })
    }

    /// An object of the same name and namespace.
    fn child<K: Resource<DynamicType = ()>>(&self, object: Option<Value>) -> Child {
        self.placed(ApiResource::erase::<K>(&()), object)
    }

    /// An object of a kind that not every cluster knows.
    fn foreign(&self, gvk: &GroupVersionKind, object: Option<Value>) -> Child {
        self.placed(ApiResource::from_gvk(gvk), object)
    }

    fn placed(&self, resource: ApiResource, object: Option<Value>) -> Child {
        let object = object.map(|mut object| {
            merge(&mut object["metadata"]["labels"], self.labels());
            object
        });
        Child {
            resource,
            namespace: Some(self.namespace.to_owned()),
            name: self.name.to_owned(),
            ownership: Ownership::Object,
            object,
        }
    }
}

/// Adds fields to an object, which is made if it is not there; those that are there are replaced.
fn merge(into: &mut Value, fields: Value) {
    match (into, fields) {
        (Value::Object(into), Value::Object(fields)) => into.extend(fields),
        (into, fields) => *into = fields,
    }
}
