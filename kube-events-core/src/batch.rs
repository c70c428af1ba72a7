//! What a sink gets: some items, in order, under one identity.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    ops::{Deref, Range},
    sync::Arc,
};

/// What can be delivered: an Event, a notification, an alert.
pub trait Item: Clone + Send + Sync + 'static {
    /// About how many bytes it takes, in memory and on the wire.
    fn size(&self) -> usize;

    /// Feeds what identifies it to a hasher: the same item, sent again, feeds the same.
    fn identify<H: Hasher>(&self, state: &mut H);
}

/// Items that are delivered together, oldest first. Never empty; cheap to clone.
///
/// ```
/// use kube_events_core::{Batch, Event};
///
/// let events: Vec<_> = ["a", "b"]
///     .map(|uid| Event::decode(format!(r#"{{"metadata": {{"uid": "{uid}"}}}}"#).as_bytes()))
///     .into_iter()
///     .collect::<Result<_, _>>()?;
/// let batch = Batch::new(events).expect("it has items");
/// assert_eq!(batch.len(), 2);
/// assert_eq!(batch[1].uid(), "b");
/// # Ok::<_, kube_events_core::event::DecodeError>(())
/// ```
#[derive(Clone)]
pub struct Batch<T> {
    items: Arc<[T]>,
    range: Range<usize>,
}

// === impl Batch ===

impl<T: Item> Batch<T> {
    /// A batch of these items; `None` if there is none.
    pub fn new(items: impl Into<Arc<[T]>>) -> Option<Self> {
        let items = items.into();
        (!items.is_empty()).then(|| Self { range: 0..items.len(), items })
    }

    /// The sum of the items' sizes in bytes.
    pub fn size(&self) -> usize {
        self.iter().map(Item::size).sum()
    }

    /// A text that is the same each time the same items are delivered together, in 16 hexadecimal
    /// digits; HTTP sinks send it as `Idempotency-Key`.
    pub fn idempotency_key(&self) -> String {
        // SipHash with fixed keys: the same in each process of one build, which is as long as a
        // receiver's memory of keys has to last.
        let mut hasher = DefaultHasher::new();
        for item in self.iter() {
            item.identify(&mut hasher);
        }
        self.len().hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    /// The first half and the rest; `None` if there is only one item. Copies nothing.
    pub fn halves(&self) -> Option<(Self, Self)> {
        let middle = self.range.start + self.len() / 2;
        (self.len() > 1).then(|| {
            let (first, rest) = (self.range.start..middle, middle..self.range.end);
            (
                Self { items: Arc::clone(&self.items), range: first },
                Self { items: Arc::clone(&self.items), range: rest },
            )
        })
    }
}

impl<T> Deref for Batch<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items[self.range.clone()]
    }
}

impl<T: fmt::Debug> fmt::Debug for Batch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Batch").field(&&**self).finish()
    }
}
