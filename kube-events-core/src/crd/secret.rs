//! A value that a Secret holds.

#[cfg(feature = "crd")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A value that a Secret of the object's own namespace holds.
///
/// Custom resources have it in place of a file: `bearerToken` with a `SecretSource` asks for what
/// `bearerTokenFile` names. The operator mounts the Secret and writes the file's path; a
/// configuration file holds only paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretSource {
    /// Which Secret, and which of its keys.
    pub secret_key_ref: SecretKeyReference,
}

/// A key of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretKeyReference {
    /// The name of the Secret.
    #[cfg_attr(
        feature = "crd",
        schemars(
            length(min = 1, max = 253),
            regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
        )
    )]
    pub name: String,
    /// The key in its data.
    #[cfg_attr(
        feature = "crd",
        schemars(
            length(min = 1, max = 253),
            regex(pattern = r"^\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$")
        )
    )]
    pub key: String,
}
