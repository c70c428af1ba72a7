//! One resource's objects, and what became of them lately.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, OnceLock};
use tokio::time::Instant;

use super::encode;

/// One state of one object.
#[derive(Debug)]
pub(crate) struct Stored {
    /// `namespace/name`, or `name` for what lives outside namespaces.
    pub(crate) key: Arc<str>,
    pub(crate) uid: Box<str>,
    pub(crate) revision: u64,
    /// The text, as [`encode::body`] writes it.
    pub(crate) body: Box<[u8]>,
    v1: OnceLock<Box<[u8]>>,
}

impl Stored {
    pub(crate) fn new(key: Arc<str>, uid: Box<str>, revision: u64, body: Box<[u8]>) -> Self {
        Self { key, uid, revision, body, v1: OnceLock::new() }
    }

    /// The text as an Event of `events.k8s.io/v1`, made once however many watch it.
    pub(crate) fn event_v1(&self) -> &[u8] {
        self.v1.get_or_init(|| encode::event_v1(&self.body).into_boxed_slice())
    }

    /// The same content under another revision, as a deletion is told.
    pub(crate) fn at(&self, revision: u64) -> Self {
        let body = with_revision(&self.body, self.revision, revision);
        Self::new(Arc::clone(&self.key), self.uid.clone(), revision, body)
    }
}

fn with_revision(body: &[u8], old: u64, new: u64) -> Box<[u8]> {
    let text = std::str::from_utf8(body).expect("stored objects are UTF-8");
    let old = format!("\"resourceVersion\":\"{old}\"");
    text.replacen(&old, &format!("\"resourceVersion\":\"{new}\""), 1)
        .into_bytes()
        .into_boxed_slice()
}

/// One entry of the history.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    /// The state after the change; for a deletion the last one, under the deletion's revision.
    pub(crate) object: Arc<Stored>,
    pub(crate) previous: Option<Arc<Stored>>,
    pub(crate) deleted: bool,
}

/// The part of a resource's objects that a request names: all, or those of a namespace.
#[derive(Debug, Clone)]
pub(crate) struct Range {
    pub(crate) prefix: String,
}

impl Range {
    pub(crate) fn new(namespace: Option<&str>) -> Self {
        Self { prefix: namespace.map_or_else(String::new, |ns| format!("{ns}/")) }
    }

    pub(crate) fn holds(&self, key: &str) -> bool {
        key.starts_with(&self.prefix)
    }
}

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Arc<Stored>>,
    pub(crate) revision: u64,
    /// Objects of the range beyond this page, selected or not.
    pub(crate) remaining: usize,
    /// The last key that was looked at, where there is more.
    pub(crate) last: Option<Arc<str>>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    pub(crate) objects: BTreeMap<Arc<str>, Arc<Stored>>,
    pub(crate) history: VecDeque<Change>,
    /// Number of changes that were forgotten, so that positions stay valid.
    pub(crate) forgotten: u64,
    pub(crate) floor: u64,
    pub(crate) expiries: VecDeque<(Instant, Arc<Stored>)>,
}

impl Table {
    pub(crate) fn end(&self) -> u64 {
        self.forgotten + self.history.len() as u64
    }

    pub(crate) fn record(&mut self, change: Change, limit: usize) {
        self.history.push_back(change);
        if self.history.len() > limit
            && let Some(oldest) = self.history.pop_front()
        {
            self.floor = oldest.revision;
            self.forgotten += 1;
        }
    }

    pub(crate) fn first_after(&self, revision: u64) -> usize {
        self.history.partition_point(|change| change.revision <= revision)
    }

    /// The objects that were different at `revision`, and what they were.
    fn differences(&self, revision: u64, range: &Range) -> BTreeMap<Arc<str>, Option<Arc<Stored>>> {
        let mut then = BTreeMap::new();
        for change in self.history.range(self.first_after(revision)..) {
            if range.holds(&change.object.key) {
                then.entry(Arc::clone(&change.object.key))
                    .or_insert_with(|| change.previous.clone());
            }
        }
        then
    }

    /// A page of the objects as they were at `revision`, which history must reach.
    pub(crate) fn page(
        &self,
        range: &Range,
        revision: u64,
        after: Option<&str>,
        limit: usize,
        selects: impl Fn(&Stored) -> bool,
    ) -> Page {
        let mut then = self.differences(revision, range);
        let start = match after {
            Some(key) => Bound::Excluded(key),
            None => Bound::Included(range.prefix.as_str()),
        };
        if let Some(key) = after {
            then = then.split_off(key);
            then.remove(key);
        }
        let now = self
            .objects
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(key, _)| range.holds(key))
            .map(|(_, object)| object);
        let mut all = Merged { now: now.peekable(), then: then.into_iter().peekable() }.peekable();
        let mut objects = Vec::new();
        let mut last = None;
        while objects.len() < limit
            && let Some(object) = all.next()
        {
            last = Some(Arc::clone(&object.key));
            if selects(&object) {
                objects.push(object);
            }
        }
        let last = last.filter(|_| all.peek().is_some());
        let remaining = if last.is_some() { all.count() } else { 0 };
        Page { objects, revision, remaining, last }
    }
}

/// The objects of now, with those that were different then in their older state.
struct Merged<N: Iterator, T: Iterator> {
    now: std::iter::Peekable<N>,
    then: std::iter::Peekable<T>,
}

impl<'a, N, T> Iterator for Merged<N, T>
where
    N: Iterator<Item = &'a Arc<Stored>>,
    T: Iterator<Item = (Arc<str>, Option<Arc<Stored>>)>,
{
    type Item = Arc<Stored>;

    fn next(&mut self) -> Option<Arc<Stored>> {
        loop {
            let Some((key, _)) = self.then.peek() else { return self.now.next().cloned() };
            match self.now.peek().map(|object| object.key.cmp(key)) {
                Some(std::cmp::Ordering::Less) => return self.now.next().cloned(),
                Some(std::cmp::Ordering::Equal) => drop(self.now.next()),
                _ => {}
            }
            if let Some((_, Some(object))) = self.then.next() {
                return Some(object);
            }
        }
    }

    fn count(mut self) -> usize {
        // The usual case of an unchanged rest is counted without touching the objects.
        if self.then.peek().is_none() {
            return self.now.count();
        }
        std::iter::from_fn(|| self.next()).count()
    }
}
