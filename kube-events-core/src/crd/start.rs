//! Where an exporter begins, and where it keeps how far it came.

use std::path::PathBuf;

#[cfg(feature = "crd")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::source::Start;

/// Where a sink begins that has no checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum StartFrom {
    /// With everything that the API server still has.
    #[default]
    Held,
    /// With what happens from now on.
    Now,
}

/// A place for checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckpointConfig {
    /// A file; its folder must be there, and outlive the process. In a custom resource it lies below
    /// one of `volumeMounts`.
    #[cfg_attr(feature = "crd", schemars(schema_with = "super::file::schema"))]
    pub file: PathBuf,
}

// === impl StartFrom ===

impl StartFrom {
    #[cfg(feature = "kubernetes")]
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl From<StartFrom> for Start {
    fn from(from: StartFrom) -> Self {
        match from {
            StartFrom::Held => Self::Held,
            StartFrom::Now => Self::Now,
        }
    }
}
