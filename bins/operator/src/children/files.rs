//! Files that a program writes, and whether its pods have a place for them.

use std::path::{Component, Path};

use k8s_openapi::api::core::v1::VolumeMount;
use kube_events_core::crd::Workload;

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

fn root_is_writable(workload: &Workload) -> bool {
    let own = workload.container_security_context.as_ref();
    own.is_some_and(|context| context.read_only_root_filesystem != Some(true))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

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
    fn who_opens_the_root_may_write_there() {
        let context = |context: Value| json!({"containerSecurityContext": context});
        assert!(checked(&context(json!({})), "/c").is_ok());
        assert!(checked(&context(json!({"readOnlyRootFilesystem": false})), "/c").is_ok());
        assert!(checked(&context(json!({"readOnlyRootFilesystem": true})), "/c").is_err());
    }
}
