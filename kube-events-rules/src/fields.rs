//! The view of an Event that conditions are evaluated on.

use jiff::Timestamp;
use serde_json::Value as Json;

use crate::name::Key;
use crate::value::Value;

/// What a condition can see of one Event.
///
/// # Contract
///
/// A key that is absent from the view, or `null`, is missing: every test on it is false but
/// `not exists`. `get` and `exists` answer the same way each time, because a condition may ask twice.
pub trait Fields {
    /// The value of a key.
    fn get(&self, key: &Key) -> Option<Value<'_>>;

    /// Whether the key has a value, or a longer key that begins with it and a dot has one.
    fn exists(&self, key: &Key) -> bool;

    /// The JSON in which a `JSONPath` is followed. Without it, none finds anything.
    fn json(&self) -> Option<&Json> {
        None
    }

    /// Bytes of the JSON in which a `JSONPath` is followed, about.
    fn size(&self) -> usize {
        0
    }

    /// The time that ages are counted to: the wall clock's, unless the view holds another.
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
