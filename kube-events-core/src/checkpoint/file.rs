//! Checkpoints in a file.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use async_trait::async_trait;

use super::{Checkpoint, Store, StoreError};

/// Keeps the checkpoint as JSON in a file, which is replaced whole: written beside it, flushed to
/// the disk, and renamed, so that a crash leaves either the old one or the new one.
#[derive(Clone, Debug)]
pub struct FileStore {
    path: PathBuf,
}

// === impl FileStore ===

impl FileStore {
    /// Keeps checkpoints at `path`; its folder must be there.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    fn fail(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
        StoreError { place: self.path.display().to_string(), source: source.into() }
    }
}

#[async_trait]
impl Store for FileStore {
    async fn load(&self) -> Result<Checkpoint, StoreError> {
        match tokio::fs::read(&self.path).await {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| self.fail(error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Checkpoint::default()),
            Err(error) => Err(self.fail(error)),
        }
    }

    async fn save(&self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let text = serde_json::to_vec(checkpoint).map_err(|error| self.fail(error))?;
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || replace(&path, &text))
            .await
            .map_err(io::Error::other)
            .flatten()
            .map_err(|error| self.fail(error))
    }
}

fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    // The rename is durable only when the folder is.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Position;

    #[tokio::test]
    async fn what_was_saved_is_loaded_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path().join("checkpoint.json"));
        assert_eq!(store.load().await.unwrap(), Checkpoint::default());
        for version in ["1", "2"] {
            let position = Position {
                resource_version: version.into(),
                time: "2026-01-02T03:04:05Z".parse().unwrap(),
            };
            let lanes = [("stdout".to_owned(), position)].into();
            store.save(&Checkpoint { lanes }).await.unwrap();
        }
        let loaded = store.load().await.unwrap();
        assert_eq!(loaded.lanes["stdout"].resource_version, "2".into());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_broken_file_is_an_error_that_names_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{\"lanes\": 5").unwrap();
        let error = FileStore::new(file.path()).load().await.unwrap_err();
        assert!(error.to_string().contains(&file.path().display().to_string()));
    }
}
