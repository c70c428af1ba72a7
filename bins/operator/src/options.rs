//! The operator's command line.

use clap::Parser;
use kube_events_daemon::{KubeOptions, ListenOptions, LogOptions};

use crate::settings::{Settings, default_image};

/// Keeps exporters and rulers of Kubernetes Events as their custom resources say.
#[derive(Clone, Debug, Parser)]
#[command(name = "kube-events-operator", version)]
pub struct Options {
    /// Look at this namespace only, with rights in it alone. Rules of the scope `workspace` do not
    /// count then.
    #[arg(long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// The operator's own namespace, where Rules of the scopes `cluster` and `workspace` count
    /// [default: --namespace, or the namespace of the service account or of the kubeconfig's
    /// context].
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE")]
    pub rules_namespace: Option<String>,
    /// The image of exporters whose object names none.
    #[arg(long, value_name = "IMAGE", default_value_t = default_image("exporter"))]
    pub exporter_image: String,
    /// The image of rulers whose object names none.
    #[arg(long, value_name = "IMAGE", default_value_t = default_image("ruler"))]
    pub ruler_image: String,
    /// Act without waiting for a Lease: for a single operator outside a cluster.
    #[arg(long)]
    pub no_leader_election: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help of the group")]
    pub kube: KubeOptions,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help of the group")]
    pub listen: ListenOptions,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help of the group")]
    pub log: LogOptions,
}

// === impl Options ===

impl Options {
    /// The settings that they ask for; `home` is the namespace that the client is at home in.
    pub(crate) fn settings(&self, home: &str) -> Settings {
        let own = self.rules_namespace.as_deref().unwrap_or(home);
        Settings {
            namespace: self.namespace.as_deref().unwrap_or(own).to_owned(),
            namespaced: self.namespace.is_some(),
            exporter_image: self.exporter_image.clone(),
            ruler_image: self.ruler_image.clone(),
        }
    }
}
