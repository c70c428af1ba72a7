//! What is wrong with a configuration, and where.

use std::fmt::Display;

/// A configuration that cannot work, by the field that is to blame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct ConfigError {
    /// The field, such as `sinks.webhooks[0].url`.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

// === impl ConfigError ===

impl ConfigError {
    pub(crate) fn new(field: impl Into<String>, reason: impl Display) -> Self {
        Self { field: field.into(), reason: reason.to_string() }
    }

    /// An error about an object as a whole.
    pub(crate) fn whole(reason: impl Display) -> Self {
        Self::new("", reason)
    }

    /// The same error, seen from where the object is that it speaks of.
    pub(crate) fn within(self, object: &str) -> Self {
        let dot = if self.field.is_empty() { "" } else { "." };
        Self { field: format!("{object}{dot}{}", self.field), ..self }
    }
}
