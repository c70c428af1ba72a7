//! The exporter's command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use kube_events_core::event::Api;
use kube_events_daemon::{KubeOptions, ListenOptions, LogOptions};

/// Watches Kubernetes Events and delivers them to sinks.
#[derive(Clone, Debug, Parser)]
#[command(name = "kube-events-exporter", version)]
pub struct Options {
    /// The configuration file (YAML); it is read again when it changes, and on POST /-/reload.
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: PathBuf,
    /// The API whose form Events are delivered in.
    #[arg(long = "event.version", value_enum, default_value_t)]
    pub event_version: EventVersion,
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

/// The APIs by the names that the Go exporter gives them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum EventVersion {
    /// `v1`.
    #[default]
    #[value(name = "corev1")]
    CoreV1,
    /// `events.k8s.io/v1`.
    #[value(name = "eventsv1")]
    EventsV1,
}

impl From<EventVersion> for Api {
    fn from(version: EventVersion) -> Self {
        match version {
            EventVersion::CoreV1 => Self::CoreV1,
            EventVersion::EventsV1 => Self::EventsV1,
        }
    }
}
