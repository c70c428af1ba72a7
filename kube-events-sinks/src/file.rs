//! Files: one JSON object a line, rotated and compressed.
//!
//! ```yaml
//! sinks:
//!   files:
//!   - path: /var/log/kube-events/events.json
//!     maxSize: 100Mi
//!     maxAge: 24h
//!     maxFiles: 14
//!     compress: true
//! ```
//!
//! A file that reaches its size or age is renamed to `events-TIME.json` beside it and, if that is
//! asked for, becomes `events-TIME.json.gz`; of those, `maxFiles` are kept.
//!
//! After `Ok` the operating system has the lines; they are on the disk after `close`, and before a
//! file is rotated. A batch is written whole or not at all: if the disk is full, what was written
//! of it is cut off again and the batch can be tried later. A line that broke off in a crash is
//! ended before the next one is written. If somebody moves or deletes the file, a new one is made.

mod rotation;
mod tail;

use std::{
    fmt,
    fs::OpenOptions,
    io,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::BytesMut;
use kube_events_core::{Batch, SendError, Sink, crd::sinks::FileSink};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tracing::warn;

use self::{
    rotation::Rotation,
    tail::{Storage, Tail},
};
use crate::encode::{Encode, Encoding};

/// A file, and the rotated ones beside it.
pub struct File {
    state: Arc<Mutex<State>>,
    /// The write under way, and the key of its batch.
    writing: tokio::sync::Mutex<Option<(String, Write)>>,
    housekeeping: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

/// Which file, and how long it may become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOptions {
    /// The file that is written.
    pub path: PathBuf,
    /// The size in bytes at which it is rotated. Default: no limit.
    pub max_size: Option<u64>,
    /// The age at which it is rotated. Default: no limit.
    pub max_age: Option<Duration>,
    /// How many rotated files are kept. Default: all.
    pub max_files: Option<NonZeroU32>,
    /// Whether rotated files are compressed with gzip. Default: false.
    pub compress: bool,
}

type Write = JoinHandle<Result<Option<Rotation>, SendError>>;

struct State {
    options: FileOptions,
    tail: Option<Tail<std::fs::File>>,
    buffer: BytesMut,
}

/// A file that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to {}", path.display())]
struct FileError {
    path: PathBuf,
    source: io::Error,
}

// === impl FileOptions ===

impl FileOptions {
    /// This file, without limits.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), max_size: None, max_age: None, max_files: None, compress: false }
    }
}

impl From<&FileSink> for FileOptions {
    fn from(sink: &FileSink) -> Self {
        Self {
            path: sink.path.clone(),
            max_size: sink.max_size.map(|size| size.0),
            max_age: sink.max_age,
            max_files: sink.max_files,
            compress: sink.compress,
        }
    }
}

// === impl File ===

impl File {
    /// A file that is made, or gone on with, when the first batch comes.
    pub fn new(options: FileOptions) -> Self {
        let state = State { options, tail: None, buffer: BytesMut::new() };
        Self {
            state: Arc::new(Mutex::new(state)),
            writing: tokio::sync::Mutex::default(),
            housekeeping: tokio::sync::Mutex::default(),
        }
    }

    /// Writes a batch, when the write before it has ended. A write cannot be called off: if nobody
    /// waits for it any more, as on a volume that hangs, whoever sends the same batch again gets its
    /// result.
    async fn write<T: Encode>(&self, batch: &Batch<T>) -> Result<Option<Rotation>, SendError> {
        let key = batch.idempotency_key();
        let mut writing = self.writing.lock().await;
        if let Some((of, write)) = &mut *writing {
            let result = joined(write.await);
            let is_same = *of == key;
            *writing = None;
            if is_same {
                return result;
            }
        }
        let items = batch.clone();
        let write = self.blocking(move |state| state.write(&items, SystemTime::now()));
        let (_, write) = writing.insert((key, write));
        let result = joined(write.await);
        *writing = None;
        result
    }

    /// Compresses and removes rotated files while lines are written on.
    async fn tidy(&self, rotation: Rotation) {
        let mut running = self.housekeeping.lock().await;
        finish(running.take()).await;
        *running = Some(spawn_blocking(move || rotation.tidy()));
    }

    fn blocking<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut State) -> io::Result<R> + Send + 'static,
    ) -> JoinHandle<Result<R, SendError>> {
        let state = Arc::clone(&self.state);
        spawn_blocking(move || {
            let mut state = lock(&state);
            let path = state.options.path.clone();
            work(&mut state).map_err(|source| SendError::retry(FileError { path, source }))
        })
    }
}

fn joined<R>(result: Result<Result<R, SendError>, JoinError>) -> Result<R, SendError> {
    result.unwrap_or_else(|error| Err(SendError::retry(error)))
}

async fn finish(task: Option<JoinHandle<()>>) {
    if let Some(task) = task
        && let Err(error) = task.await
    {
        warn!(%error, "rotated files were not tidied up");
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl<T: Encode> Sink<T> for File {
    async fn send(&self, batch: &Batch<T>) -> Result<(), SendError> {
        let rotation = self.write(batch).await?;
        if let Some(rotation) = rotation {
            self.tidy(rotation).await;
        }
        Ok(())
    }

    async fn close(&self) -> Result<(), SendError> {
        finish(self.housekeeping.lock().await.take()).await;
        if let Some((_, write)) = self.writing.lock().await.take() {
            joined(write.await)?;
        }
        joined(self.blocking(State::close).await)
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").finish_non_exhaustive()
    }
}

// === impl State ===

impl State {
    /// Writes a batch, after a rotation if it is time for one. Some: there is something to tidy up.
    fn write<T: Encode>(&mut self, items: &[T], now: SystemTime) -> io::Result<Option<Rotation>> {
        self.buffer.clear();
        Encoding::default().lines(items, &mut self.buffer);
        let mut tidy = self.open()?;
        if self.is_due(now) {
            self.rotate(now)?;
            self.open()?;
            tidy = true;
        }
        if let Some(tail) = &mut self.tail {
            tail.append(&self.buffer)?;
        }
        Ok(tidy.then(|| self.rotation()))
    }

    /// Makes sure that the file at the path is open. True if it was opened now.
    fn open(&mut self) -> io::Result<bool> {
        let path = &self.options.path;
        if self.tail.as_ref().is_some_and(|tail| tail.is_at(path)) {
            return Ok(false);
        }
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let begun = begun(&file);
        self.tail = Some(Tail::begin(file, begun)?);
        Ok(true)
    }

    fn is_due(&self, now: SystemTime) -> bool {
        let Some(tail) = self.tail.as_ref().filter(|tail| !tail.is_empty()) else { return false };
        let size = tail.len() + self.buffer.len() as u64;
        let age = now.duration_since(tail.begun()).unwrap_or_default();
        self.options.max_size.is_some_and(|max| size > max)
            || self.options.max_age.is_some_and(|max| age >= max)
    }

    fn rotate(&mut self, now: SystemTime) -> io::Result<()> {
        if let Some(tail) = &mut self.tail {
            tail.sync()?;
        }
        self.rotation().rotate(now)?;
        self.tail = None;
        Ok(())
    }

    fn rotation(&self) -> Rotation {
        let FileOptions { path, max_files, compress, .. } = &self.options;
        let max_files = max_files.map(|max| max.get() as usize);
        Rotation { path: path.clone(), max_files, compress: *compress }
    }

    fn close(&mut self) -> io::Result<()> {
        self.tail.take().map_or(Ok(()), |mut tail| tail.sync())
    }
}

/// When a file was begun; where nothing keeps that, when it was written last.
fn begun(file: &std::fs::File) -> SystemTime {
    let metadata = file.metadata();
    let times = metadata.and_then(|metadata| metadata.created().or_else(|_| metadata.modified()));
    times.unwrap_or_else(|_| SystemTime::now())
}

impl Tail<std::fs::File> {
    /// False if the path leads to another file by now, or to none.
    fn is_at(&self, path: &Path) -> bool {
        match (self.file().metadata(), std::fs::metadata(path)) {
            (Ok(ours), Ok(theirs)) => tail::same(&ours, &theirs),
            _ => false,
        }
    }
}

impl Storage for std::fs::File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(self, bytes)
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        match self.sync_data() {
            // A pipe or a terminal has nothing to be brought to.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            result => result,
        }
    }

    fn end(&mut self) -> io::Result<(u64, Option<u8>)> {
        let len = self.metadata()?.len();
        let Some(place) = len.checked_sub(1) else { return Ok((0, None)) };
        let mut last = [0];
        io::Seek::seek(self, io::SeekFrom::Start(place))?;
        io::Read::read_exact(self, &mut last)?;
        Ok((len, Some(last[0])))
    }
}

#[cfg(test)]
mod tests;
