//! Where each lane stands, kept over a restart.

mod file;
mod memory;

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::{file::FileStore, memory::MemoryStore};
use crate::ResourceVersion;

/// How far one lane has come: everything up to this version was acknowledged by its sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    /// The last version of which nothing before it is pending.
    pub resource_version: ResourceVersion,
    /// When that was.
    pub time: Timestamp,
}

/// The positions of all lanes, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Positions by lane.
    pub lanes: BTreeMap<String, Position>,
}

/// A place for checkpoints.
///
/// # Contract
/// `load` gives what the last successful `save` was given, or an empty checkpoint if there was
/// none; a `save` that fails or is cut off leaves the one before it.
#[async_trait]
pub trait Store: Send + Sync {
    /// Reads the last checkpoint.
    ///
    /// # Errors
    /// If there is one that cannot be read.
    async fn load(&self) -> Result<Checkpoint, StoreError>;

    /// Replaces the last checkpoint.
    ///
    /// # Errors
    /// If it could not be made durable.
    async fn save(&self, checkpoint: &Checkpoint) -> Result<(), StoreError>;
}

/// Why a checkpoint could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("checkpoint {place}")]
pub struct StoreError {
    /// Where the checkpoint is kept.
    pub place: String,
    /// What went wrong.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

#[async_trait]
impl<S: Store + ?Sized> Store for std::sync::Arc<S> {
    async fn load(&self) -> Result<Checkpoint, StoreError> {
        (**self).load().await
    }

    async fn save(&self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        (**self).save(checkpoint).await
    }
}
