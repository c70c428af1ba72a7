//! The paths of files that a program writes, in custom resources.

/// Absolute: nobody knows in which folder a pod's program begins.
pub(crate) fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 4096,
        "x-kubernetes-validations": [{
            "rule": "self.startsWith('/')",
            "message": "the path has to begin with a slash",
        }],
    })
}
