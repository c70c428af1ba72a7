//! The ruler's command line.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource as _;
use kube_events_core::crd::{Ruler, duration};
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
    pub lease: LeaseOptions,
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

/// How several rulers that get parts of the same Events agree on one in which rules with state remember.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Replicas")]
pub struct LeaseOptions {
    /// The Lease of the active one of several rulers, in the namespace of the service account, or of
    /// the kubeconfig's context [default: this ruler is the only one].
    #[arg(long = "lease.name", value_name = "NAME")]
    pub name: Option<String>,
    /// The address by which the others reach this ruler, at its port.
    #[arg(long = "lease.address", value_name = "IP", env = "POD_IP")]
    pub address: Option<IpAddr>,
    /// How long an active ruler that says nothing more is waited for, in whole seconds
    /// [default: 15s].
    #[arg(long = "lease.duration", value_name = "DURATION", value_parser = whole_seconds)]
    pub duration: Option<Duration>,
    /// The Ruler that the Lease is deleted with, in the same namespace [default: none].
    #[arg(long = "lease.owner", value_name = "NAME/UID", value_parser = owner)]
    pub owner: Option<OwnerReference>,
}

fn owner(text: &str) -> Result<OwnerReference, String> {
    let parts = text.split_once('/').filter(|(name, uid)| !name.is_empty() && !uid.is_empty());
    let (name, uid) = parts.ok_or("not a name and a uid with a slash in between")?;
    Ok(OwnerReference {
        api_version: Ruler::api_version(&()).into_owned(),
        kind: Ruler::kind(&()).into_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        ..OwnerReference::default()
    })
}

fn whole_seconds(text: &str) -> Result<Duration, String> {
    let duration = duration::parse(text).map_err(|error| error.to_string())?;
    match (duration.as_secs(), duration.subsec_nanos()) {
        (1..=3600, 0) => Ok(duration),
        _ => Err("not between 1s and 1h in whole seconds".to_owned()),
    }
}
