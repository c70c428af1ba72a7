//! The ruler's command line.

use std::path::PathBuf;

use clap::Parser;
use kube_events_daemon::{KubeOptions, ListenOptions, LogOptions};

/// Evaluates rules on Kubernetes Events that it is sent, and sends notifications and alerts.
#[derive(Clone, Debug, Parser)]
#[command(name = "kube-events-ruler", version)]
pub struct Options {
    /// The configuration file (YAML); it is read again when it changes, and on POST /-/reload.
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: PathBuf,
    /// The namespace whose Rules may have the scope `cluster` or `workspace` [default: the
    /// namespace of the service account, or of the kubeconfig's context].
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE")]
    pub rules_namespace: Option<String>,
    /// Look at the Rules of this namespace only, with rights in it alone. Without the labels of
    /// namespaces, Rules of the scope `workspace` see nothing.
    #[arg(long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
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
