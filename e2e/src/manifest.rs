//! Objects that tools print as YAML, to be compared one by one.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;

/// Objects by kind, namespace and name.
#[derive(Clone, Debug, Default)]
pub struct Manifest(BTreeMap<String, Value>);

// === impl Manifest ===

impl Manifest {
    /// Reads YAML documents; empty ones do not count.
    ///
    /// # Errors
    /// When the text is no YAML, or holds an object twice.
    pub fn parse(yaml: &str) -> Result<Self> {
        let mut this = Self::default();
        let documents: Vec<Value> = serde_saphyr::from_multiple(yaml)?;
        for object in documents.into_iter().filter(|document| !document.is_null()) {
            let identity = identity(&object);
            if this.0.insert(identity.clone(), object).is_some() {
                bail!("{identity} is there twice");
            }
        }
        Ok(this)
    }

    /// The objects, for changing them.
    pub fn objects(&mut self) -> impl Iterator<Item = &mut Value> {
        self.0.values_mut()
    }

    /// The only object of a kind.
    ///
    /// # Errors
    /// When there is none, or there are several.
    pub fn the(&self, kind: &str) -> Result<&Value> {
        let mut found = self.0.values().filter(|object| object["kind"] == kind);
        let object = found.next().with_context(|| format!("no {kind}"))?;
        if found.next().is_some() {
            bail!("several of the kind {kind}");
        }
        Ok(object)
    }

    /// Leaves out the objects of a kind.
    #[must_use]
    pub fn without(mut self, kind: &str) -> Self {
        self.0.retain(|_, object| object["kind"] != kind);
        self
    }

    /// Leaves out what `other` holds under the same identity.
    #[must_use]
    pub fn beyond(mut self, other: &Self) -> Self {
        self.0.retain(|identity, _| !other.0.contains_key(identity));
        self
    }

    /// Whether both hold the same objects.
    ///
    /// # Errors
    /// When they do not; it tells the first that differs.
    pub fn same_as(&self, other: &Self) -> Result<()> {
        for (identity, object) in &self.0 {
            match other.0.get(identity) {
                None => bail!("{identity} is too much"),
                Some(wanted) if wanted != object => bail!("{identity} is {object}\nnot {wanted}"),
                Some(_) => {}
            }
        }
        match other.0.keys().find(|identity| !self.0.contains_key(*identity)) {
            Some(identity) => bail!("{identity} is missing"),
            None => Ok(()),
        }
    }
}

fn identity(object: &Value) -> String {
    let metadata = &object["metadata"];
    format!("{} {}/{}", object["kind"], metadata["namespace"], metadata["name"]).replace('"', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(yaml: &str) -> Manifest {
        Manifest::parse(yaml).unwrap()
    }

    #[test]
    fn what_differs_is_named() {
        let one = manifest("# a comment\n---\nkind: A\nmetadata: {name: a}\nx: 1\n");
        let other = manifest("kind: A\nmetadata: {name: a}\nx: 2\n");
        let none = Manifest::default();
        assert!(one.same_as(&one).is_ok());
        let error = one.same_as(&other).unwrap_err().to_string();
        assert!(error.starts_with("A null/a is {"), "{error}");
        assert_eq!(one.same_as(&none).unwrap_err().to_string(), "A null/a is too much");
        assert_eq!(none.same_as(&one).unwrap_err().to_string(), "A null/a is missing");
    }

    #[test]
    fn an_object_is_there_only_once() {
        let twice = "kind: A\nmetadata: {name: a}\n---\nkind: A\nmetadata: {name: a}\n";
        assert_eq!(Manifest::parse(twice).unwrap_err().to_string(), "A null/a is there twice");
    }
}
