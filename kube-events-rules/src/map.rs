//! A view of any JSON object.

use serde_json::{Map, Value as Json};

use crate::fields::Fields;
use crate::name::Key;
use crate::value::Value;

/// A JSON object whose members are looked up by the whole dotted name.
///
/// Lists in it can be reached by subscripts. `{"s.t": [1]}` has the key `s.t`, not `s`.
#[derive(Clone, Copy, Debug)]
pub struct MapView<'a>(pub &'a Map<String, Json>);

impl Fields for MapView<'_> {
    fn get(&self, key: &Key) -> Option<Value<'_>> {
        self.0.get(key.as_str()).filter(|value| !value.is_null()).map(Value::Json)
    }

    fn exists(&self, key: &Key) -> bool {
        self.get(key).is_some()
            || self.0.iter().any(|(name, value)| {
                let rest = name.strip_prefix(key.as_str());
                !value.is_null() && rest.is_some_and(|rest| rest.starts_with('.'))
            })
    }
}
