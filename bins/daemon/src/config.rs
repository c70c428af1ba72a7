//! A file of settings that is read again when it changes.

mod changes;

use std::{
    io,
    marker::PhantomData,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures::{Stream, StreamExt as _, future::BoxFuture, stream};
use kube_events_core::{error::chain, metrics::ConfigMetrics};
use serde::de::DeserializeOwned;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval_at},
};
use tracing::{error, info};

use self::changes::changes;
use crate::yaml;

/// How often a file is looked at, should the operating system not tell of its changes: it does not
/// on every network file system.
const POLL: Duration = Duration::from_secs(10);

/// For how long at least nothing is tried again that was refused: until the next poll, and not whenever
/// something beside the file changes.
const RETRY: Duration = Duration::from_secs(5);

/// How many requests to reload may wait; more wait at their senders.
const REQUESTS: usize = 16;

/// A YAML file of settings of type `T` that is read again when it changes.
///
/// Settings come into force by a closure that checks them. Whatever cannot be read, parsed or
/// brought into force is logged, with the line and the place in it, and counted, once; the settings
/// before stay in force.
///
/// A mounted `ConfigMap` changes by the swap of a link beside the file, so contents are compared, not
/// times. A file that was emptied is taken for one that is being written, and refused; `{}` says
/// that nothing is set.
#[derive(Debug)]
pub struct ConfigFile<T, A> {
    path: PathBuf,
    apply: A,
    metrics: ConfigMetrics,
    tried: Contents,
    /// When that was well-formed and could not be used, for which there may be no reason any more.
    refused_at: Option<Instant>,
    requests: mpsc::Receiver<Request>,
    handle: ReloadHandle,
    settings: PhantomData<fn(T)>,
}

/// Asks for a file to be read again, and hears what came of it.
#[derive(Clone, Debug)]
pub struct ReloadHandle(mpsc::Sender<Request>);

/// Why a file of settings is not in force.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file was emptied.
    #[error("{path} is empty; write {{}} to set nothing")]
    Empty {
        /// The file.
        path: String,
    },
    /// The file is not YAML, or not of the right form.
    #[error("{path} is not valid\n{report}")]
    Parse {
        /// The file.
        path: String,
        /// What is wrong, with the line and a caret.
        report: String,
    },
    /// What the file says cannot be done.
    #[error("the settings of {path} cannot be used")]
    Apply {
        /// The file.
        path: String,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why a reload that was asked for did not happen.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReloadError {
    /// The settings were refused; the text says why, with all causes.
    #[error("{0}")]
    Refused(Arc<str>),
    /// The program is about to end.
    #[error("the program is shutting down")]
    ShuttingDown,
}

/// What comes of bringing settings into force.
pub type Applied = BoxFuture<'static, anyhow::Result<()>>;

/// What a file held when it was last tried; the kind of the error when it could not be read.
type Contents = Result<Vec<u8>, io::ErrorKind>;

type Request = oneshot::Sender<Result<(), ReloadError>>;

/// Why a file is looked at.
#[derive(Debug)]
enum Trigger {
    /// It may have changed.
    Look,
    /// Somebody asked, and waits for the answer.
    Asked(Request),
}

/// Reads a file of settings once. An empty one sets nothing.
///
/// # Errors
///
/// When the file cannot be read, or is not YAML of the type's form; the error shows the line and the
/// place.
pub async fn read_config<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let name = path.display().to_string();
    match tokio::fs::read(path).await {
        Ok(contents) => parse(&name, &contents),
        Err(source) => Err(ConfigError::Read { path: name, source }),
    }
}

fn parse<T: DeserializeOwned>(path: &str, contents: &[u8]) -> Result<T, ConfigError> {
    let failed = |report| ConfigError::Parse { path: path.to_owned(), report };
    let text = str::from_utf8(contents).map_err(|error| failed(format!("not UTF-8: {error}")))?;
    let text = if is_blank(contents) { "{}" } else { text };
    serde_saphyr::from_str(text).map_err(|error| failed(yaml::report(path, &error)))
}

fn is_blank(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .all(|line| line.is_empty() || line.starts_with(b"#") || line == b"---")
}

fn polls() -> impl Stream<Item = ()> {
    let mut interval = interval_at(Instant::now() + POLL, POLL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream::unfold(interval, |mut interval| async move {
        interval.tick().await;
        Some(((), interval))
    })
}

// === impl ConfigFile ===

impl<T, A> ConfigFile<T, A>
where
    T: DeserializeOwned,
    A: FnMut(T) -> Applied,
{
    /// Reads a file and brings its settings into force by `apply`, now and at each change.
    ///
    /// # Errors
    ///
    /// When there is nothing that can be in force: the file cannot be read, parsed, or used.
    pub async fn open(
        path: impl Into<PathBuf>,
        metrics: ConfigMetrics,
        apply: A,
    ) -> Result<Self, ConfigError> {
        let (handle, requests) = mpsc::channel(REQUESTS);
        let mut this = Self {
            path: path.into(),
            apply,
            metrics,
            tried: Err(io::ErrorKind::NotFound),
            refused_at: None,
            requests,
            handle: ReloadHandle(handle),
            settings: PhantomData,
        };
        let contents = this.read().await?;
        this.bring_into_force(contents).await?;
        Ok(this)
    }

    /// A handle by which to ask for a reload while the file is watched.
    pub fn handle(&self) -> ReloadHandle {
        self.handle.clone()
    }

    /// Follows the file until `shutdown`.
    pub async fn watch(mut self, shutdown: impl Future<Output = ()>) {
        let (_, none) = mpsc::channel(1);
        let mut requests = std::mem::replace(&mut self.requests, none);
        let asked = stream::poll_fn(|context| requests.poll_recv(context)).map(Trigger::Asked);
        let looks = stream::select(changes(&self.path), polls()).map(|()| Trigger::Look);
        self.follow(stream::select(asked, looks).take_until(shutdown)).await;
    }

    async fn follow(&mut self, triggers: impl Stream<Item = Trigger>) {
        let mut triggers = pin!(triggers);
        while let Some(trigger) = triggers.next().await {
            match trigger {
                Trigger::Look => self.look().await,
                Trigger::Asked(answer) => {
                    let result = self.reload().await;
                    // Whoever asked may have gone; the log tells all the same.
                    drop(answer.send(result.map_err(ReloadError::Refused)));
                }
            }
        }
    }

    /// Reloads if the file has changed since it was last tried. What was refused then is tried again without
    /// a word: that it is not in force was told.
    async fn look(&mut self) {
        let contents = tokio::fs::read(&self.path).await.map_err(|error| error.kind());
        if contents != self.tried {
            drop(self.reload().await);
        } else if let (Some(at), Ok(contents)) = (self.refused_at, contents)
            && at.elapsed() >= RETRY
        {
            drop(self.bring_into_force(contents).await);
        }
    }

    async fn reload(&mut self) -> Result<(), Arc<str>> {
        self.refused_at = None;
        let result = match self.read().await {
            Ok(contents) if contents.trim_ascii().is_empty() => {
                self.tried = Ok(contents);
                Err(ConfigError::Empty { path: self.name() })
            }
            Ok(contents) => self.bring_into_force(contents).await,
            Err(error) => Err(error),
        };
        result.map_err(|error| self.refused(&error))
    }

    fn refused(&self, error: &ConfigError) -> Arc<str> {
        self.metrics.failed();
        let text = chain(error);
        error!("the configuration stays as it was: {text}");
        text.into()
    }

    async fn read(&mut self) -> Result<Vec<u8>, ConfigError> {
        tokio::fs::read(&self.path).await.map_err(|source| {
            self.tried = Err(source.kind());
            ConfigError::Read { path: self.name(), source }
        })
    }

    async fn bring_into_force(&mut self, contents: Vec<u8>) -> Result<(), ConfigError> {
        let settings = parse(&self.name(), &contents);
        self.tried = Ok(contents);
        self.refused_at = None;
        if let Err(error) = (self.apply)(settings?).await {
            self.refused_at = Some(Instant::now());
            return Err(ConfigError::Apply { path: self.name(), source: error.into() });
        }
        self.metrics.succeeded();
        info!(path = %self.path.display(), "configuration in force");
        Ok(())
    }

    fn name(&self) -> String {
        Path::display(&self.path).to_string()
    }
}

// === impl ReloadHandle ===

impl ReloadHandle {
    /// Has the file read again, even if it has not changed, and waits until its settings are in
    /// force.
    ///
    /// # Errors
    ///
    /// When the settings are refused, or nobody watches the file any more.
    pub async fn reload(&self) -> Result<(), ReloadError> {
        let (answer, result) = oneshot::channel();
        self.0.send(answer).await.map_err(|_| ReloadError::ShuttingDown)?;
        result.await.unwrap_or(Err(ReloadError::ShuttingDown))
    }
}

#[cfg(test)]
mod tests;
