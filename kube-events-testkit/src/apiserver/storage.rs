//! What the server remembers: objects, one revision counter over all of them, and a bounded
//! history of changes, as etcd keeps them.

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

use super::resource::Resource;
use super::table::Table;
pub(crate) use super::table::{Change, Page, Range, Stored};

/// History does not reach back far enough; `floor` is the oldest revision to go on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooOld {
    pub(crate) floor: u64,
}

/// Everything under the store's lock.
#[derive(Debug, Clone)]
pub(crate) struct State {
    revision: u64,
    tables: HashMap<&'static str, Table>,
    history_limit: usize,
    event_ttl: Option<Duration>,
}

impl State {
    fn table(&self, resource: &Resource) -> &Table {
        &self.tables[resource.storage]
    }

    fn table_mut(&mut self, resource: &Resource) -> &mut Table {
        self.tables.get_mut(resource.storage).expect("every resource has a table")
    }

    pub(crate) fn get(&self, resource: &Resource, key: &str) -> Option<&Arc<Stored>> {
        self.table(resource).objects.get(key)
    }

    pub(crate) fn all(&self, resource: &Resource) -> impl Iterator<Item = &Arc<Stored>> {
        self.table(resource).objects.values()
    }

    /// Writes an object whose text `body` makes from the new revision.
    pub(crate) fn put(
        &mut self,
        resource: &Resource,
        key: &str,
        uid: &str,
        body: impl FnOnce(u64) -> Box<[u8]>,
    ) -> Arc<Stored> {
        self.revision += 1;
        let revision = self.revision;
        let limit = self.history_limit;
        let expiry = self.event_ttl.filter(|_| resource.is_event()).map(|ttl| Instant::now() + ttl);
        let table = self.table_mut(resource);
        let key =
            table.objects.get_key_value(key).map_or_else(|| key.into(), |(k, _)| Arc::clone(k));
        let object = Arc::new(Stored::new(Arc::clone(&key), uid.into(), revision, body(revision)));
        let previous = table.objects.insert(key, Arc::clone(&object));
        if let Some(at) = expiry {
            table.expiries.push_back((at, Arc::clone(&object)));
        }
        let change = Change { revision, object: Arc::clone(&object), previous, deleted: false };
        table.record(change, limit);
        object
    }

    pub(crate) fn delete(&mut self, resource: &Resource, key: &str) -> Option<Arc<Stored>> {
        let limit = self.history_limit;
        let revision = self.revision + 1;
        let table = self.table_mut(resource);
        let previous = table.objects.remove(key)?;
        let object = Arc::new(previous.at(revision));
        let change = Change {
            revision,
            object: Arc::clone(&object),
            previous: Some(previous),
            deleted: true,
        };
        table.record(change, limit);
        self.revision = revision;
        Some(object)
    }
}

/// A copy of everything at one moment, as `etcdctl snapshot save` makes.
#[derive(Debug, Clone)]
pub struct Snapshot(State);

/// The lock, and the bells that ring when something changed.
#[derive(Debug)]
pub(crate) struct Store {
    state: Mutex<State>,
    bells: HashMap<&'static str, watch::Sender<()>>,
}

impl Store {
    pub(crate) fn new(
        resources: &[Resource],
        history_limit: usize,
        event_ttl: Option<Duration>,
    ) -> Self {
        let names = || resources.iter().map(|resource| resource.storage);
        let tables = names().map(|name| (name, Table::default())).collect();
        Self {
            state: Mutex::new(State { revision: 1, tables, history_limit, event_ttl }),
            bells: names().map(|name| (name, watch::Sender::new(()))).collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    /// Runs `write` alone, then wakes the watchers of `resource`.
    pub(crate) fn write<T>(&self, resource: &Resource, write: impl FnOnce(&mut State) -> T) -> T {
        let result = write(&mut self.lock());
        self.ring(resource.storage);
        result
    }

    fn ring(&self, storage: &str) {
        self.bells[storage].send_replace(());
    }

    pub(crate) fn bell(&self, resource: &Resource) -> watch::Receiver<()> {
        self.bells[resource.storage].subscribe()
    }

    pub(crate) fn revision(&self) -> u64 {
        self.lock().revision
    }

    pub(crate) fn get(&self, resource: &Resource, key: &str) -> Option<Arc<Stored>> {
        self.lock().get(resource, key).cloned()
    }

    /// Reads a page, of now or of an older `revision`.
    pub(crate) fn page(
        &self,
        resource: &Resource,
        range: &Range,
        revision: Option<u64>,
        after: Option<&str>,
        limit: Option<usize>,
        selects: impl Fn(&Stored) -> bool,
    ) -> Result<Page, TooOld> {
        let state = self.lock();
        let floor = state.table(resource).floor;
        let revision = revision.unwrap_or(state.revision);
        if revision < floor {
            return Err(TooOld { floor });
        }
        let limit = limit.unwrap_or(usize::MAX);
        Ok(state.table(resource).page(range, revision, after, limit, selects))
    }

    /// The position in history right after `revision`.
    pub(crate) fn position_after(&self, resource: &Resource, revision: u64) -> Result<u64, TooOld> {
        let state = self.lock();
        let table = state.table(resource);
        if revision < table.floor {
            return Err(TooOld { floor: table.floor });
        }
        Ok(table.forgotten + table.first_after(revision) as u64)
    }

    /// All objects of a range, their revision, and the position in history right after them.
    pub(crate) fn current(
        &self,
        resource: &Resource,
        range: &Range,
    ) -> (Vec<Arc<Stored>>, u64, u64) {
        let state = self.lock();
        let table = state.table(resource);
        let objects = table
            .objects
            .range::<str, _>((Bound::Included(range.prefix.as_str()), Bound::Unbounded))
            .take_while(|(key, _)| range.holds(key))
            .map(|(_, object)| Arc::clone(object))
            .collect();
        (objects, state.revision, table.end())
    }

    /// Up to `max` changes from a position on.
    pub(crate) fn changes(
        &self,
        resource: &Resource,
        position: u64,
        max: usize,
    ) -> Result<Vec<Change>, TooOld> {
        let state = self.lock();
        let table = state.table(resource);
        if position < table.forgotten || position > table.end() {
            return Err(TooOld { floor: table.floor });
        }
        let from = usize::try_from(position - table.forgotten).expect("history is in memory");
        Ok(table.history.range(from..).take(max).cloned().collect())
    }

    /// Forgets all history up to now.
    pub(crate) fn compact(&self) {
        let mut state = self.lock();
        let revision = state.revision;
        for table in state.tables.values_mut() {
            table.forgotten = table.end();
            table.history.clear();
            table.floor = revision;
        }
    }

    /// Deletes the Events whose time is over; tells when the next one's is.
    pub(crate) fn expire(&self, events: &Resource, now: Instant) -> Option<Instant> {
        let mut state = self.lock();
        let mut expired = false;
        let next = loop {
            let expiries = &mut state.table_mut(events).expiries;
            let Some((at, _)) = expiries.front() else { break None };
            if *at > now {
                break Some(*at);
            }
            let Some((_, object)) = expiries.pop_front() else { break None };
            // A later write of the same object has an expiry of its own.
            if state.get(events, &object.key).is_some_and(|held| Arc::ptr_eq(held, &object)) {
                state.delete(events, &object.key);
                expired = true;
            }
        };
        drop(state);
        if expired {
            self.ring(events.storage);
        }
        next
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot(self.lock().clone())
    }

    /// Goes back to a snapshot. Positions in history from before are not valid after.
    pub(crate) fn restore(&self, snapshot: &Snapshot) {
        let mut state = self.lock();
        let mut restored = snapshot.0.clone();
        for (name, table) in &mut restored.tables {
            table.forgotten = state.tables[name].end() + 1;
        }
        *state = restored;
        drop(state);
        self.bells.keys().for_each(|storage| self.ring(storage));
    }

    /// Undoes every change after `revision`.
    pub(crate) fn rewind(&self, revision: u64) -> Result<(), TooOld> {
        let mut state = self.lock();
        if let Some(floor) = state.tables.values().map(|table| table.floor).find(|f| *f > revision)
        {
            return Err(TooOld { floor });
        }
        for table in state.tables.values_mut() {
            let end = table.end();
            while table.history.back().is_some_and(|change| change.revision > revision)
                && let Some(change) = table.history.pop_back()
            {
                match change.previous {
                    Some(object) => table.objects.insert(Arc::clone(&object.key), object),
                    None => table.objects.remove(&change.object.key),
                };
            }
            table.forgotten = end + 1;
        }
        state.revision = state.revision.min(revision);
        drop(state);
        self.bells.keys().for_each(|storage| self.ring(storage));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::resource::RESOURCES;
    use super::*;

    fn events() -> &'static Resource {
        RESOURCES.iter().find(|r| r.is_event()).unwrap()
    }

    fn store() -> Store {
        Store::new(RESOURCES, 100, None)
    }

    fn put(store: &Store, key: &str) -> u64 {
        store.write(events(), |state| {
            let body = |rv| format!("{{\"metadata\":{{\"resourceVersion\":\"{rv}\"}}}}");
            state.put(events(), key, "u", |rv| body(rv).into_bytes().into()).revision
        })
    }

    fn keys(page: &Page) -> Vec<&str> {
        page.objects.iter().map(|object| &*object.key).collect()
    }

    fn page(store: &Store, revision: Option<u64>, after: Option<&str>) -> Result<Page, TooOld> {
        store.page(events(), &Range::new(None), revision, after, Some(2), |_| true)
    }

    #[test]
    fn a_page_of_an_older_revision_shows_what_was() {
        let store = store();
        for key in ["a/1", "a/2", "b/1"] {
            put(&store, key);
        }
        let first = page(&store, None, None).unwrap();
        assert_eq!((keys(&first), first.remaining), (vec!["a/1", "a/2"], 1));
        put(&store, "b/0");
        store.write(events(), |state| state.delete(events(), "b/1"));
        let rest = page(&store, Some(first.revision), Some("a/2")).unwrap();
        assert_eq!((keys(&rest), rest.last.is_none()), (vec!["b/1"], true));
        assert_eq!(keys(&page(&store, None, Some("a/2")).unwrap()), ["b/0"]);
    }

    #[test]
    fn compaction_forgets_what_was() {
        let store = store();
        let old = put(&store, "a/1");
        let new = put(&store, "a/2");
        store.compact();
        assert!(page(&store, Some(old), None).is_err());
        assert_eq!(store.position_after(events(), old), Err(TooOld { floor: new }));
        assert_eq!(store.position_after(events(), new), Ok(2));
    }

    #[test]
    fn a_deletion_is_told_under_its_own_revision() {
        let store = store();
        put(&store, "a/1");
        store.write(events(), |state| state.delete(events(), "a/1"));
        let changes = store.changes(events(), 1, 10).unwrap();
        assert!(changes[0].deleted);
        assert_eq!(&*changes[0].object.body, br#"{"metadata":{"resourceVersion":"3"}}"#);
    }

    #[test]
    fn a_rewind_undoes_changes_and_reuses_their_numbers() {
        let store = store();
        let kept = put(&store, "a/1");
        let undone = put(&store, "a/2");
        store.write(events(), |state| state.delete(events(), "a/1"));
        store.rewind(kept).unwrap();
        assert_eq!(keys(&page(&store, None, None).unwrap()), ["a/1"]);
        assert_eq!(put(&store, "a/3"), undone);
        assert!(store.changes(events(), 1, 10).is_err(), "old positions are not valid");
    }

    #[test]
    fn history_is_bounded() {
        let store = Store::new(RESOURCES, 2, None);
        let first = put(&store, "a/1");
        put(&store, "a/2");
        put(&store, "a/3");
        assert_eq!(store.position_after(events(), first), Ok(1));
        assert!(store.position_after(events(), first - 1).is_err());
    }
}
