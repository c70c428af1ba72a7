//! The paths of files that a program reads or writes, in custom resources.

/// Like [`schema`], for a field that may be missing.
pub(crate) fn optional_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut schema = schema(generator);
    schema.insert("nullable".to_owned(), true.into());
    schema
}

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
