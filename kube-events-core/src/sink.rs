//! Where batches go.

use std::{error::Error as StdError, fmt, future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::Batch;

mod instrumented;
mod retry;
mod timeout;

pub use self::{
    instrumented::Instrumented,
    retry::{Retry, RetryPolicy},
    timeout::Timeout,
};

/// A destination for batches of `T`.
///
/// # Contract
/// - `Ok` *is* the acknowledgement: the destination has every item, and it may be forgotten here.
/// - A sink neither retries by itself nor drops silently: it says what happened in [`SendError`],
///   and its caller decides. [`Retry`] is the usual caller.
/// - A batch that is sent again carries the same [`Batch::idempotency_key`], and each item its own
///   identity, so that a receiver can drop repeats.
/// - Batches come one after another, oldest first; a second `send` begins when the first is done.
///
/// # Cancellation
/// Dropping the future of `send` leaves it open whether the batch arrived. It may be sent again.
///
/// Tests of a sink call the suite in `kube_events_core::contract` (feature `testing`). For a
/// closure as a sink see [`sink_fn`].
#[async_trait]
pub trait Sink<T>: Send + Sync {
    /// Delivers one batch.
    ///
    /// # Errors
    /// [`SendError`] says whether the same batch can succeed later, or which items are refused.
    async fn send(&self, batch: &Batch<T>) -> Result<(), SendError>;

    /// Flushes what is buffered and ends. Nothing is sent afterwards.
    ///
    /// # Errors
    /// If what was acknowledged could not be brought to its place.
    async fn close(&self) -> Result<(), SendError> {
        Ok(())
    }
}

/// Why a batch was not delivered, as an answer to: can the same batch succeed later?
#[derive(Debug)]
pub struct SendError {
    kind: SendErrorKind,
    accepted: Vec<usize>,
    source: Box<dyn StdError + Send + Sync>,
}

/// What the sender can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendErrorKind {
    /// The same batch can succeed later.
    Retry {
        /// Not before this time has passed, where the destination said so (`Retry-After`).
        after: Option<Duration>,
    },
    /// Items were refused for good.
    Reject {
        /// Their places in the batch; all others were accepted. `None`: all were refused.
        items: Option<Vec<usize>>,
    },
}

/// A sink that calls an async function with each batch; see [`sink_fn`].
pub struct SinkFn<F>(F);

/// Makes a [`Sink`] of an async function.
///
/// ```
/// use kube_events_core::{Batch, Event, SendError, sink_fn};
///
/// let sink = sink_fn(|batch: Batch<Event>| async move {
///     for event in batch.iter() {
///         println!("{} {}", event.reason(), event.message());
///     }
///     Ok::<_, SendError>(())
/// });
/// ```
pub fn sink_fn<F>(function: F) -> SinkFn<F> {
    SinkFn(function)
}

// === impl SendError ===

impl SendError {
    /// The same batch can succeed later.
    pub fn retry(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(SendErrorKind::Retry { after: None }, source)
    }

    /// The same batch can succeed when `after` has passed.
    pub fn retry_after(
        after: Duration,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::new(SendErrorKind::Retry { after: Some(after) }, source)
    }

    /// These items are refused for good, and all others were accepted.
    pub fn reject(items: Vec<usize>, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(SendErrorKind::Reject { items: Some(items) }, source)
    }

    /// The whole batch is refused for good.
    pub fn reject_all(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(SendErrorKind::Reject { items: None }, source)
    }

    fn new(kind: SendErrorKind, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { kind, accepted: Vec::new(), source: source.into() }
    }

    /// Adds to an error that can pass the places of items that the destination has already.
    #[must_use]
    pub fn with_accepted(self, places: Vec<usize>) -> Self {
        Self { accepted: places, ..self }
    }

    /// The places of items that the destination has although the batch as a whole can only succeed
    /// later. Whoever makes a new batch can leave them out; sending the same batch again is right
    /// too.
    pub fn accepted(&self) -> &[usize] {
        &self.accepted
    }

    /// What the sender can do.
    pub fn kind(&self) -> &SendErrorKind {
        &self.kind
    }

    /// True if the same batch can succeed later.
    pub fn is_retry(&self) -> bool {
        matches!(self.kind, SendErrorKind::Retry { .. })
    }

    /// How many of `len` items are refused for good.
    pub fn rejected(&self, len: usize) -> usize {
        match &self.kind {
            SendErrorKind::Retry { .. } => 0,
            SendErrorKind::Reject { items: Some(items) } => items.len(),
            SendErrorKind::Reject { items: None } => len,
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            SendErrorKind::Retry { .. } => f.write_str("not delivered"),
            SendErrorKind::Reject { items: Some(items) } => write!(f, "{} refused", items.len()),
            SendErrorKind::Reject { items: None } => f.write_str("refused"),
        }
    }
}

impl StdError for SendError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}

// === impl SinkFn ===

#[async_trait]
impl<T, F, Fut> Sink<T> for SinkFn<F>
where
    T: Send + Sync + Clone + 'static,
    F: Fn(Batch<T>) -> Fut + Send + Sync,
    Fut: Future<Output = Result<(), SendError>> + Send,
{
    async fn send(&self, batch: &Batch<T>) -> Result<(), SendError> {
        (self.0)(batch.clone()).await
    }
}

impl<F> fmt::Debug for SinkFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SinkFn")
    }
}

// === impl Sink for pointers ===

#[async_trait]
impl<T: Sync + Send + 'static, S: Sink<T> + ?Sized> Sink<T> for Arc<S> {
    async fn send(&self, batch: &Batch<T>) -> Result<(), SendError> {
        (**self).send(batch).await
    }

    async fn close(&self) -> Result<(), SendError> {
        (**self).close().await
    }
}

#[async_trait]
impl<T: Sync + Send + 'static, S: Sink<T> + ?Sized> Sink<T> for Box<S> {
    async fn send(&self, batch: &Batch<T>) -> Result<(), SendError> {
        (**self).send(batch).await
    }

    async fn close(&self) -> Result<(), SendError> {
        (**self).close().await
    }
}
