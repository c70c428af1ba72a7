//! A configuration that can be brought into force.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{bail, ensure};
use k8s_openapi::api::{core, events};
use kube::{
    Client,
    api::{ApiResource, DynamicObject, ListParams},
};
use kube_events_core::{Event, crd::CheckpointConfig, event::Api};
use kube_events_sinks::{Context, Lane, SinkConfig as _};

use crate::ExporterConfig;

/// For how long the API server is waited for when it is asked about selectors.
const PATIENCE: Duration = Duration::from_secs(5);

/// A configuration that was found to be usable.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) config: ExporterConfig,
    /// Taken by the pipeline that brings them into force.
    lanes: Mutex<Vec<Lane<Event>>>,
}

// === impl Settings ===

impl Settings {
    pub(crate) fn new(config: ExporterConfig, context: &Context) -> anyhow::Result<Self> {
        if let Some(CheckpointConfig { file }) = &config.checkpoint {
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new("."));
            ensure!(folder.is_dir(), "checkpoint.file: there is no folder {}", folder.display());
            ensure!(!file.is_dir(), "checkpoint.file: {} is a folder", file.display());
        }
        let lanes = config.sinks.clone().unwrap_or_default().build(context)?;
        Ok(Self { config, lanes: Mutex::new(lanes) })
    }

    pub(crate) fn take_lanes(&self) -> Vec<Lane<Event>> {
        std::mem::take(&mut self.lanes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Asks the API server whether it takes the selectors: another release of it may know fewer fields.
///
/// # Errors
/// If it does not. That it cannot be asked is no error: it may be away when a configuration is read.
pub(crate) async fn ask_for_selectors(
    client: &Client,
    api: Api,
    config: &ExporterConfig,
) -> anyhow::Result<()> {
    let selectors = [config.label_selector.as_deref(), config.field_selector.as_deref()];
    if selectors.iter().all(Option::is_none) {
        return Ok(());
    }
    let params = ListParams {
        label_selector: config.label_selector.clone(),
        field_selector: config.field_selector.clone(),
        ..ListParams::default().limit(1)
    };
    let resource = match api {
        Api::CoreV1 => ApiResource::erase::<core::v1::Event>(&()),
        Api::EventsV1 => ApiResource::erase::<events::v1::Event>(&()),
    };
    let client = client.clone();
    let events = match config.namespaces.first() {
        Some(namespace) => {
            kube::Api::<DynamicObject>::namespaced_with(client, namespace, &resource)
        }
        None => kube::Api::<DynamicObject>::all_with(client, &resource),
    };
    let answer = events.list_metadata(&params);
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Err(kube::Error::Api(status))) if status.code == 400 => {
            bail!("labelSelector or fieldSelector: {}", status.message)
        }
        _ => Ok(()),
    }
}
