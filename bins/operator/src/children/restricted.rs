//! Whether the settings of an object keep its pods from the *restricted* Pod Security Standard:
//! <https://kubernetes.io/docs/concepts/security/pod-security-standards/>. What the operator sets by
//! itself passes.

use k8s_openapi::api::core::v1::{Probe, Volume};
use kube_events_core::crd::Workload;
use serde_json::Value;

/// The kinds of volumes that the standard allows.
const VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// The annotation that sets the `AppArmor` profile of the container that its end names.
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// What of the settings the standard forbids, or leaves to their author to keep; `None` if nothing.
pub(super) fn objections(workload: &Workload) -> Option<String> {
    let volumes = workload.volumes.iter().filter_map(|volume| {
        let kind = kind(volume).filter(|kind| !VOLUMES.contains(&kind.as_str()))?;
        Some(format!(
            "the volume {} is of the kind {kind}, which is not allowed there",
            volume.name
        ))
    });
    let probes = [
        ("livenessProbe", &workload.liveness_probe),
        ("readinessProbe", &workload.readiness_probe),
    ];
    let probes = probes.iter().filter_map(|(field, probe)| {
        let host = host(probe.as_ref()?)?;
        Some(format!("{field} asks the host {host}, and only the pod itself is allowed there"))
    });
    let profiles = workload.pod_annotations.iter().filter(|(name, profile)| {
        let allowed = profile.is_empty()
            || *profile == "runtime/default"
            || profile.starts_with("localhost/");
        name.starts_with(APP_ARMOR) && !allowed
    });
    let profiles = profiles.map(|(name, profile)| {
        format!("podAnnotations: {name} is {profile}, which is not allowed there")
    });
    let contexts = [
        ("securityContext", workload.security_context.is_some()),
        ("containerSecurityContext", workload.container_security_context.is_some()),
    ];
    let contexts: Vec<_> =
        contexts.iter().filter(|(_, given)| *given).map(|(field, _)| *field).collect();
    let contexts = (!contexts.is_empty()).then(|| {
        let fields = contexts.join(" and ");
        format!("{fields} in place of the operator's own: whoever wrote it answers for it")
    });
    let found: Vec<_> = volumes.chain(probes).chain(profiles).chain(contexts).collect();
    (!found.is_empty()).then(|| found.join("; "))
}

/// The field of a volume that says of which kind it is.
fn kind(volume: &Volume) -> Option<String> {
    let fields = serde_json::to_value(volume).ok()?;
    let mut kinds = fields.as_object()?.iter().filter(|(field, _)| *field != "name");
    kinds.next().map(|(kind, _): (&String, &Value)| kind.clone())
}

/// The host that a probe names in place of the pod.
fn host(probe: &Probe) -> Option<&str> {
    let http = probe.http_get.as_ref().and_then(|get| get.host.as_deref());
    let tcp = probe.tcp_socket.as_ref().and_then(|socket| socket.host.as_deref());
    http.or(tcp).filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn objections_to(settings: Value) -> Option<String> {
        objections(&serde_json::from_value(settings).unwrap())
    }

    #[test]
    fn what_the_standard_allows_is_not_objected_to() {
        let volumes: Vec<_> = VOLUMES.iter().map(|kind| json!({"name": kind, *kind: {}})).collect();
        let own = json!({
            "livenessProbe": {"httpGet": {"path": "/", "port": 1}},
            "podAnnotations": {
                "a": "unconfined",
                "container.apparmor.security.beta.kubernetes.io/a": "runtime/default",
                "container.apparmor.security.beta.kubernetes.io/b": "localhost/own",
            },
        });
        assert_eq!(objections_to(json!({})), None);
        assert_eq!(objections_to(own), None);
        // Those whose fields are all optional; the others need some.
        for volume in volumes {
            let name = volume["name"].as_str().unwrap().to_owned();
            let volume = match name.as_str() {
                "csi" => json!({"name": name, "csi": {"driver": "d"}}),
                "persistentVolumeClaim" => {
                    json!({"name": name, "persistentVolumeClaim": {"claimName": "c"}})
                }
                _ => volume,
            };
            assert_eq!(objections_to(json!({"volumes": [volume]})), None);
        }
    }

    #[test]
    fn what_the_standard_forbids_is_named() {
        for (settings, expected) in [
            (
                json!({"volumes": [{"name": "logs", "hostPath": {"path": "/var/log"}}]}),
                "the volume logs is of the kind hostPath, which is not allowed there",
            ),
            (
                json!({"volumes": [{"name": "data", "nfs": {"server": "s", "path": "/"}}]}),
                "the volume data is of the kind nfs, which is not allowed there",
            ),
            (
                json!({"readinessProbe": {"tcpSocket": {"host": "10.0.0.1", "port": 1}}}),
                "readinessProbe asks the host 10.0.0.1, and only the pod itself is allowed there",
            ),
            (
                json!({"livenessProbe": {"httpGet": {"host": "a.example", "port": 1}}}),
                "livenessProbe asks the host a.example, and only the pod itself is allowed there",
            ),
            (
                json!({"podAnnotations": {
                    "container.apparmor.security.beta.kubernetes.io/events-ruler": "unconfined",
                }}),
                "podAnnotations: container.apparmor.security.beta.kubernetes.io/events-ruler is \
                 unconfined, which is not allowed there",
            ),
            (
                json!({"containerSecurityContext": {}, "volumes": [{"name": "a", "rbd": {
                    "monitors": [], "image": "i",
                }}]}),
                "the volume a is of the kind rbd, which is not allowed there; containerSecurityContext in \
                 place of the operator's own: whoever wrote it answers for it",
            ),
        ] {
            assert_eq!(objections_to(settings).as_deref(), Some(expected));
        }
    }
}
