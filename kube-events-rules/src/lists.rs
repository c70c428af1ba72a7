//! Named lists that the conditions of one object share.

use std::{collections::BTreeMap, sync::Arc};

/// The lists of a Rule object (`spec.lists`), by name, for `reason in @name`.
///
/// Every condition that uses a list shares its memory.
#[derive(Clone, Debug, Default)]
pub struct Lists(Arc<BTreeMap<String, Arc<[Box<str>]>>>);

/// A list's name, and its values, sorted.
pub(crate) type List = (Box<str>, Arc<[Box<str>]>);

// === impl Lists ===

impl Lists {
    /// The values of a list, sorted.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<[Box<str>]>> {
        self.0.get(name).map(Arc::clone)
    }

    /// Those that a text names as `@name`.
    pub(crate) fn named_in(&self, text: &str) -> Box<[List]> {
        let named =
            |name: &str| text.match_indices('@').any(|(at, _)| text[at + 1..].starts_with(name));
        let lists = self.0.iter().filter(|(name, _)| named(name));
        lists.map(|(name, values)| (name.as_str().into(), Arc::clone(values))).collect()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl From<&BTreeMap<String, Vec<String>>> for Lists {
    fn from(lists: &BTreeMap<String, Vec<String>>) -> Self {
        let values = |values: &Vec<String>| sorted(values.iter().map(String::as_str));
        let lists: BTreeMap<_, _> =
            lists.iter().map(|(name, list)| (name.clone(), values(list))).collect();
        Self(lists.into())
    }
}

/// Values in the form in which they are searched: sorted, each once.
pub(crate) fn sorted<'a>(values: impl Iterator<Item = &'a str>) -> Arc<[Box<str>]> {
    let mut values: Vec<Box<str>> = values.map(Box::from).collect();
    values.sort_unstable();
    values.dedup();
    values.into()
}
