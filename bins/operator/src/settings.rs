//! What the operator was installed with.

/// What the operator was installed with, and every object that it makes depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The operator's own namespace, where Rules of the scopes `cluster` and `workspace` count.
    pub namespace: String,
    /// Whether it has rights in this namespace only, and looks at no other.
    pub namespaced: bool,
    /// The image of exporters whose object names none.
    pub exporter_image: String,
    /// The image of rulers whose object names none.
    pub ruler_image: String,
}

/// Where the bundle installs the operator, as the Go project's did.
pub const NAMESPACE: &str = "kubesphere-logging-system";

/// The image of a program in this version.
pub fn default_image(program: &str) -> String {
    format!("kube-events/{program}:v{}", env!("CARGO_PKG_VERSION"))
}

// === impl Settings ===

impl Default for Settings {
    fn default() -> Self {
        Self {
            namespace: NAMESPACE.to_owned(),
            namespaced: false,
            exporter_image: default_image("exporter"),
            ruler_image: default_image("ruler"),
        }
    }
}
