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
    /// When they do not; it tells the first difference.
    pub fn same_as(&self, other: &Self) -> Result<()> {
        for (identity, object) in &self.0 {
            let wanted =
                other.0.get(identity).with_context(|| format!("{identity} is too much"))?;
            if let Some(difference) = difference(object, wanted) {
                bail!("{identity}: {difference}");
            }
        }
        match other.0.keys().find(|identity| !self.0.contains_key(*identity)) {
            Some(identity) => bail!("{identity} is missing"),
            None => Ok(()),
        }
    }
}

/// Where two values differ first, and how: `/spec/replicas: 1, not 2`.
fn difference(found: &Value, wanted: &Value) -> Option<String> {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            let missing = wanted.keys().filter(|key| !found.contains_key(*key));
            found.keys().chain(missing).find_map(|key| {
                let rest = match (found.get(key), wanted.get(key)) {
                    (Some(found), Some(wanted)) => difference(found, wanted)?,
                    (Some(found), None) => format!(": {found} is too much"),
                    (None, wanted) => format!(": {} is missing", wanted.unwrap_or(&Value::Null)),
                };
                Some(format!("/{key}{rest}"))
            })
        }
        (Value::Array(found), Value::Array(wanted)) if found.len() == wanted.len() => {
            found.iter().zip(wanted).enumerate().find_map(|(index, (found, wanted))| {
                difference(found, wanted).map(|rest| format!("/{index}{rest}"))
            })
        }
        // Go writes `1.0` as `1`; Kubernetes knows one number.
        (Value::Number(found), Value::Number(wanted)) if found.as_f64() == wanted.as_f64() => None,
        _ if found == wanted => None,
        _ => Some(format!(": {found}, not {wanted}")),
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
    fn the_first_difference_is_told() {
        let object = |spec: &str| format!("kind: A\nmetadata: {{name: a}}\nspec: {spec}\n");
        for (found, wanted, difference) in [
            ("{n: [1, 2]}", "{n: [1, 3]}", "A null/a: /spec/n/1: 2, not 3"),
            ("{n: [1]}", "{n: [1, 2]}", "A null/a: /spec/n: [1], not [1,2]"),
            ("{n: null}", "{}", "A null/a: /spec/n: null is too much"),
            ("{}", "{n: x}", "A null/a: /spec/n: \"x\" is missing"),
        ] {
            let (found, wanted) = (manifest(&object(found)), manifest(&object(wanted)));
            assert_eq!(found.same_as(&wanted).unwrap_err().to_string(), difference);
            assert!(found.same_as(&found).is_ok());
        }
    }

    #[test]
    fn a_whole_number_may_have_a_point() {
        let one = manifest("# a comment\n---\nkind: A\nmetadata: {name: a}\nx: 1\n");
        let other = manifest("kind: A\nmetadata: {name: a}\nx: 1.0\n");
        assert!(one.same_as(&other).is_ok());
    }

    #[test]
    fn an_object_is_not_forgotten() {
        let (one, none) = (manifest("kind: A\nmetadata: {name: a}\n"), Manifest::default());
        assert_eq!(one.same_as(&none).unwrap_err().to_string(), "A null/a is too much");
        assert_eq!(none.same_as(&one).unwrap_err().to_string(), "A null/a is missing");
    }

    #[test]
    fn an_object_is_there_only_once() {
        let twice = "kind: A\nmetadata: {name: a}\n---\nkind: A\nmetadata: {name: a}\n";
        assert_eq!(Manifest::parse(twice).unwrap_err().to_string(), "A null/a is there twice");
    }
}
