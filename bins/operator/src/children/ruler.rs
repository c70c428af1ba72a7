//! What a Ruler asks for.

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector, Service};
use kube_events_core::crd::{RulerSpec, defaults::REPLICAS};
use kube_events_sinks::Context;
use serde_json::json;

use super::{
    Desired, Invalid, Parent, Parts,
    access::{self, Reach},
    config, files,
    pod::Shape,
};
use crate::names;

pub(super) fn desired(
    parent: &Parent<'_>,
    spec: &RulerSpec,
    context: &Context,
) -> Result<Desired, Invalid> {
    let settings = parent.settings;
    let written = serde_json::to_value(spec).map_err(|error| Invalid(error.to_string()))?;
    let config = config::ruler(&written, &parent.program, context)?;
    for (place, sink) in spec.sinks.iter().flat_map(|sinks| &sinks.files).enumerate() {
        files::check(parent.workload, &format!("sinks.files[{place}].path"), &sink.path)?;
    }
    files::check_read(parent.workload, &written["sinks"])?;
    let image = parent.image(&settings.ruler_image)?;
    let mut arguments = vec![format!("--rules-namespace={}", settings.namespace)];
    if settings.namespaced {
        arguments.push(format!("--namespace={}", settings.namespace));
    }
    let replicas = spec.replicas.unwrap_or(REPLICAS);
    let mut env = Vec::new();
    if replicas > 1 {
        // Not in the file, as pods that know of no others have to go when there are to be some.
        arguments.push(format!("--lease.name={}", parent.name));
        arguments.push(format!("--lease.owner={}/{}", parent.name, parent.uid));
        env.push(address());
    }
    let shape = Shape {
        image: image.name.clone(),
        replicas,
        strategy: json!({
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
        }),
        arguments,
        env,
    };
    let service = parent.child::<Service>(Some(json!({"spec": {
        // Headless, as it always was: a Service cannot change from one to the other.
        "clusterIP": "None",
        "selector": parent.selector(),
        "ports": [{
            "name": names::PORT_NAME,
            "port": names::PORT,
            "targetPort": names::PORT,
            "protocol": "TCP",
        }],
    }})));
    let exporters = json!({
        "namespaceSelector": {},
        "podSelector": {"matchExpressions": [
            {"key": names::EXPORTER.container, "operator": "Exists"},
        ]},
    });
    let reach = if settings.namespaced {
        Reach::Namespaces(vec![settings.namespace.clone()])
    } else {
        Reach::Cluster
    };
    let (mut own, mut peers) = (vec![service], vec![exporters]);
    if replicas > 1 {
        own.push(access::lease(parent));
        peers.push(json!({"podSelector": {"matchLabels": parent.selector()}}));
    }
    let parts = Parts { config, image, shape, own, peers, reach, narrowed: None };
    parts.gather(parent, &written["sinks"])
}

/// Where the other rulers reach a pod.
fn address() -> EnvVar {
    let field_path = "status.podIP".to_owned();
    let field = ObjectFieldSelector { field_path, ..ObjectFieldSelector::default() };
    let source = EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() };
    EnvVar { name: "POD_IP".to_owned(), value_from: Some(source), ..EnvVar::default() }
}
