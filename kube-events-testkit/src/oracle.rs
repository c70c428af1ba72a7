//! What was created against what arrived.

use serde::{Serialize, Serializer};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// One state of one object: its uid and resourceVersion.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// `metadata.uid`.
    #[serde(serialize_with = "as_text")]
    pub uid: Arc<str>,
    /// `metadata.resourceVersion`, as the number that it is in etcd.
    pub resource_version: u64,
}

impl Identity {
    /// An identity from its parts.
    pub fn new(uid: impl Into<Arc<str>>, resource_version: u64) -> Self {
        Self { uid: uid.into(), resource_version }
    }

    /// The identity of an object, or of the Event in `{"Event": …}`.
    pub fn of(object: &Value) -> Option<Self> {
        let metadata = match &object["metadata"] {
            Value::Null => &object["Event"]["metadata"],
            metadata => metadata,
        };
        let revision = metadata["resourceVersion"].as_str()?.parse().ok()?;
        Some(Self::new(metadata["uid"].as_str()?, revision))
    }
}

fn as_text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

/// What a receiver may expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectation {
    /// Every state of every object, as an unbroken watch tells them.
    EveryState,
    /// At least the last state of every object: a list after a gap skips those in between.
    LatestState,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// States that were created.
    pub created: usize,
    /// Different states that arrived.
    pub delivered: usize,
    /// Arrivals of a state that had arrived before.
    pub duplicates: usize,
    /// Expected states that did not arrive.
    pub missing: Vec<Identity>,
    /// Arrivals of a new state after a later one of the same object.
    pub out_of_order: usize,
    /// Arrivals of states that nobody created.
    pub unexpected: usize,
}

impl Report {
    /// Nothing missing, twice, out of order or made up.
    pub fn is_perfect(&self) -> bool {
        self.is_complete() && self.duplicates == 0
    }

    /// Nothing missing, out of order or made up; repeats are allowed.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.out_of_order == 0 && self.unexpected == 0
    }
}

impl Expectation {
    /// Compares.
    ///
    /// ```
    /// use kube_events_testkit::{Expectation, Identity};
    ///
    /// let created = [Identity::new("a", 1), Identity::new("b", 2), Identity::new("a", 3)];
    /// let delivered = [Identity::new("b", 2), Identity::new("a", 3)];
    /// assert_eq!(Expectation::EveryState.check(&created, &delivered).missing, [Identity::new("a", 1)]);
    /// assert!(Expectation::LatestState.check(&created, &delivered).is_perfect());
    /// ```
    pub fn check<'a>(
        self,
        created: &[Identity],
        delivered: impl IntoIterator<Item = &'a Identity>,
    ) -> Report {
        let known: HashSet<&Identity> = created.iter().collect();
        let mut report = Report { created: known.len(), ..Report::default() };
        let mut seen = HashSet::new();
        let mut newest: HashMap<&str, u64> = HashMap::new();
        for identity in delivered {
            let newest = newest.entry(&identity.uid).or_default();
            if !known.contains(identity) {
                report.unexpected += 1;
            } else if !seen.insert(identity) {
                report.duplicates += 1;
            } else if identity.resource_version < *newest {
                report.out_of_order += 1;
            }
            *newest = identity.resource_version.max(*newest);
        }
        report.delivered = seen.len();
        report.missing = self.expected(created).filter(|i| !seen.contains(i)).cloned().collect();
        report
    }

    fn expected(self, created: &[Identity]) -> impl Iterator<Item = &Identity> {
        let last: HashMap<&str, u64> =
            created.iter().map(|identity| (&*identity.uid, identity.resource_version)).collect();
        created.iter().filter(move |identity| match self {
            Self::EveryState => true,
            Self::LatestState => last[&*identity.uid] == identity.resource_version,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ids(pairs: &[(&str, u64)]) -> Vec<Identity> {
        pairs.iter().map(|(uid, revision)| Identity::new(*uid, *revision)).collect()
    }

    #[test]
    fn every_kind_of_trouble_is_counted() {
        let created = ids(&[("a", 1), ("b", 2), ("a", 3), ("c", 4)]);
        let delivered = ids(&[("a", 3), ("a", 1), ("b", 2), ("b", 2), ("x", 9)]);
        let report = Expectation::EveryState.check(&created, &delivered);
        let expected = Report {
            created: 4,
            delivered: 3,
            duplicates: 1,
            missing: ids(&[("c", 4)]),
            out_of_order: 1,
            unexpected: 1,
        };
        assert_eq!(report, expected);
        assert!(!report.is_complete());
    }

    #[test]
    fn a_repeat_is_not_out_of_order() {
        let created = ids(&[("a", 1), ("a", 2)]);
        let report = Expectation::EveryState.check(&created, &ids(&[("a", 1), ("a", 2), ("a", 1)]));
        assert!(report.is_complete() && !report.is_perfect());
    }

    #[test]
    fn the_identity_is_found_in_flat_and_wrapped_events() {
        let event = json!({"metadata": {"uid": "u", "resourceVersion": "7"}});
        assert_eq!(Identity::of(&event), Some(Identity::new("u", 7)));
        assert_eq!(Identity::of(&json!({"Event": event})), Some(Identity::new("u", 7)));
        assert_eq!(Identity::of(&json!({"metadata": {"uid": "u"}})), None);
    }
}
