//! What an Exporter asks for.

use kube_events_core::crd::{ExporterSpec, defaults::EVENT_VERSION};
use kube_events_sinks::Context;
use serde_json::{Value, json};

use super::{Desired, Invalid, Parent, Parts, access::Reach, config, files, pod::Shape};

pub(super) fn desired(
    parent: &Parent<'_>,
    spec: &ExporterSpec,
    context: &Context,
) -> Result<Desired, Invalid> {
    let settings = parent.settings;
    let written = serde_json::to_value(spec).map_err(|error| Invalid(error.to_string()))?;
    let only = settings.namespaced.then_some(settings.namespace.as_str());
    let config = config::exporter(&written, &parent.program, only, context)?;
    if let Some(checkpoint) = &spec.checkpoint {
        files::check(parent.workload, "checkpoint.file", &checkpoint.file)?;
    }
    for (place, sink) in spec.sinks.iter().flat_map(|sinks| &sinks.files).enumerate() {
        files::check(parent.workload, &format!("sinks.files[{place}].path"), &sink.path)?;
    }
    files::check_read(parent.workload, &written["sinks"])?;
    let image = parent.image(&settings.exporter_image)?;
    let shape = Shape {
        image: image.name.clone(),
        replicas: 1,
        strategy: strategy(spec.checkpoint.is_some()),
        arguments: arguments(spec),
        env: Vec::new(),
    };
    let reach = match (only, spec.namespaces.as_slice()) {
        (Some(namespace), _) => Reach::Namespaces(vec![namespace.to_owned()]),
        (None, []) => Reach::Cluster,
        (None, namespaces) => Reach::Namespaces(namespaces.to_vec()),
    };
    let narrowed = only.and_then(|only| narrowed(only, &spec.namespaces));
    let (own, peers) = (Vec::new(), Vec::new());
    let parts = Parts { config, image, shape, own, peers, reach, narrowed };
    parts.gather(parent, &written["sinks"])
}

/// What is the default of the program too is not said.
fn arguments(spec: &ExporterSpec) -> Vec<String> {
    let version = spec.event_version.as_deref().filter(|version| *version != EVENT_VERSION);
    version.map(|version| format!("--event.version={version}")).into_iter().collect()
}

/// What a namespaced install cannot do of what is asked for.
fn narrowed(only: &str, asked: &[String]) -> Option<String> {
    let out_of_reach: Vec<_> = asked.iter().map(String::as_str).filter(|it| *it != only).collect();
    let [_, ..] = out_of_reach.as_slice() else { return None };
    Some(format!(
        "spec.namespaces: Events of {} are not exported, only those of {only}, which is all that \
         this operator is installed for",
        out_of_reach.join(", ")
    ))
}

/// Two exporters at a time deliver twice, which receivers put up with; none at a time, for an image or a
/// Secret that is not there, may lose Events. With a file of positions there can be only one.
fn strategy(has_checkpoint: bool) -> Value {
    if has_checkpoint {
        // What was there before stays in the object unless it is taken out by name.
        json!({"type": "Recreate", "rollingUpdate": null})
    } else {
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}})
    }
}
