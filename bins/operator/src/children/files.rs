//! Files that a program writes or reads, and whether its pods have a place for them.

use std::path::{Component, Path};

use k8s_openapi::api::core::v1::VolumeMount;
use kube_events_core::crd::Workload;
use serde_json::Value;

use super::Invalid;

/// Checks a file that a program is to write, which is named by `field`.
///
/// # Errors
///
/// When it lies below none of `volumeMounts` that can be written: all else in the pods is read-only,
/// unless the object brings a `containerSecurityContext` that says otherwise.
pub(super) fn check(workload: &Workload, field: &str, file: &Path) -> Result<(), Invalid> {
    let refuse = |why: &str| Err(Invalid(format!("{field}: {} {why}", file.display())));
    if !file.is_absolute() {
        return refuse("does not begin with a slash");
    }
    if file.components().any(|part| part == Component::ParentDir) {
        return refuse("has `..` in it");
    }
    // Of mounts within each other the innermost one counts.
    let holds = |mount: &&VolumeMount| {
        let place = Path::new(&mount.mount_path);
        file.starts_with(place) && file != place
    };
    let mounts = workload.volume_mounts.iter().filter(holds);
    match mounts.max_by_key(|mount| Path::new(&mount.mount_path).components().count()) {
        Some(mount) if mount.read_only == Some(true) => {
            refuse(&format!("cannot be written: {} is mounted read-only", mount.mount_path))
        }
        Some(_) => Ok(()),
        None if root_is_writable(workload) => Ok(()),
        None => refuse("lies below none of volumeMounts, and all else in the pods is read-only"),
    }
}

/// What the pods have to read beside mounts of their object: the account's token with the cluster's
/// authority, and the authorities of the image.
const OWN: [&str; 2] = ["/var/run/secrets/kubernetes.io/serviceaccount", "/etc/ssl/certs"];

/// Checks the files that sinks are to read: tokens, passwords, certificates. `sinks` are those of the
/// spec, and their fields end with `File`.
///
/// # Errors
///
/// When the pods have no such file, as far as mounts tell.
pub(super) fn check_read(workload: &Workload, sinks: &Value) -> Result<(), Invalid> {
    each_file("sinks", sinks, &mut |field, file| {
        let mounts = workload.volume_mounts.iter().map(|mount| mount.mount_path.as_str());
        if mounts.chain(OWN).any(|place| Path::new(file).starts_with(place)) {
            return Ok(());
        }
        let secret = field.rsplit('.').next().unwrap_or(field).trim_end_matches("File");
        Err(Invalid(format!(
            "{field}: {file} lies below none of volumeMounts; {secret} with a secretKeyRef in its \
             place has the operator mount it"
        )))
    })
}

/// Visits each field that names a file to be read.
fn each_file(
    field: &str,
    value: &Value,
    visit: &mut dyn FnMut(&str, &str) -> Result<(), Invalid>,
) -> Result<(), Invalid> {
    match value {
        Value::Object(fields) => fields.iter().try_for_each(|(key, value)| {
            let field = format!("{field}.{key}");
            match value {
                Value::String(file) if key.ends_with("File") => visit(&field, file),
                // Their names are anybody's.
                _ if key == "headers" => Ok(()),
                _ => each_file(&field, value, visit),
            }
        }),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(place, item)| each_file(&format!("{field}[{place}]"), item, visit)),
        _ => Ok(()),
    }
}

fn root_is_writable(workload: &Workload) -> bool {
    let own = workload.container_security_context.as_ref();
    own.is_some_and(|context| context.read_only_root_filesystem != Some(true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(workload: &Value, file: &str) -> Result<(), String> {
        let workload = serde_json::from_value(workload.clone()).unwrap();
        check(&workload, "f", Path::new(file)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_needs_a_volume_that_can_be_written() {
        let workload = json!({"volumeMounts": [
            {"name": "data", "mountPath": "/data/"},
            {"name": "fixed", "mountPath": "/data/fixed", "readOnly": true},
            {"name": "own", "mountPath": "/data/fixed/own"},
        ]});
        for file in ["/data/c", "/data/a/c", "/data/fixed/own/c"] {
            checked(&workload, file).unwrap();
        }
        for (file, why) in [
            ("c", "f: c does not begin with a slash"),
            ("/data/../c", "f: /data/../c has `..` in it"),
            (
                "/data/fixed/c",
                "f: /data/fixed/c cannot be written: /data/fixed is mounted read-only",
            ),
        ] {
            assert_eq!(checked(&workload, file).unwrap_err(), why);
        }
        for file in ["/c", "/database/c", "/data"] {
            assert!(
                checked(&workload, file).unwrap_err().contains("none of volumeMounts"),
                "{file}"
            );
        }
    }

    #[test]
    fn a_file_that_is_read_needs_a_volume_too() {
        let workload = serde_json::from_value(json!({"volumeMounts": [
            {"name": "tls", "mountPath": "/tls", "readOnly": true},
            {"name": "token", "mountPath": "/token", "subPath": "token"},
        ]}))
        .unwrap();
        let checked = |sink: Value| {
            let sinks = json!({"webhooks": [{"url": "http://a"}, sink], "files": [{"path": "/f"}]});
            check_read(&workload, &sinks).map_err(|error| error.to_string())
        };
        for sink in [
            json!({"tls": {"caFile": "/tls/ca.pem", "certFile": "/tls/a/b", "keyFile": "/tls/k"}}),
            json!({"bearerTokenFile": "/token"}),
            json!({"bearerTokenFile": "/var/run/secrets/kubernetes.io/serviceaccount/token"}),
            json!({"tls": {"caFile": "/etc/ssl/certs/ca-certificates.crt"}}),
            json!({"headers": {"logFile": "x"}}),
        ] {
            assert_eq!(checked(sink), Ok(()));
        }
        assert_eq!(
            checked(json!({"bearerTokenFile": "/tokens/a"})).unwrap_err(),
            "sinks.webhooks[1].bearerTokenFile: /tokens/a lies below none of volumeMounts; \
             bearerToken with a secretKeyRef in its place has the operator mount it"
        );
        for (sink, field) in [
            (json!({"tls": {"caFile": "/ca"}}), "tls.caFile"),
            (
                json!({"basicAuth": {"username": "u", "passwordFile": "/p"}}),
                "basicAuth.passwordFile",
            ),
        ] {
            let error = checked(sink).unwrap_err();
            assert!(error.starts_with(&format!("sinks.webhooks[1].{field}: ")), "{error}");
        }
    }

    #[test]
    fn who_opens_the_root_may_write_there() {
        let context = |context: Value| json!({"containerSecurityContext": context});
        assert!(checked(&context(json!({})), "/c").is_ok());
        assert!(checked(&context(json!({"readOnlyRootFilesystem": false})), "/c").is_ok());
        assert!(checked(&context(json!({"readOnlyRootFilesystem": true})), "/c").is_err());
    }
}
