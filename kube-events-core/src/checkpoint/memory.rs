//! Checkpoints that last as long as the process.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::{Checkpoint, Store, StoreError};

/// Keeps the checkpoint in memory: for tests, and for pipelines that are stopped and started again
/// within one process.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Checkpoint>);

#[async_trait]
impl Store for MemoryStore {
    async fn load(&self) -> Result<Checkpoint, StoreError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn save(&self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone_from(checkpoint);
        Ok(())
    }
}
