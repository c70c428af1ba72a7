//! Positions in the API server's history.

use std::{cmp::Ordering, fmt};

/// A position in the history of one resource type, as the API server writes it.
///
/// Kubernetes calls it opaque, but since 1.35 promises that versions of one resource type are
/// decimals which may be compared (KEP-5504). They are compared here as decimals of any length, by
/// length and then by bytes; leading zeros count for nothing. The empty version, which is the
/// default, comes before all others.
///
/// ```
/// use kube_events_core::ResourceVersion;
/// assert!(ResourceVersion::from("99") < ResourceVersion::from("100"));
/// assert_eq!(ResourceVersion::from("007"), ResourceVersion::from("7"));
/// ```
#[derive(Clone, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ResourceVersion(Box<str>);

impl ResourceVersion {
    /// The text as the API server wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if there is no version: an object that did not come from an API server.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if the text is a decimal, so that an order among versions has a meaning.
    pub fn is_decimal(&self) -> bool {
        !self.0.is_empty() && self.0.bytes().all(|b| b.is_ascii_digit())
    }

    /// Compares two versions without making a [`ResourceVersion`] of either.
    pub fn compare(left: &str, right: &str) -> Ordering {
        let (left, right) = (left.trim_start_matches('0'), right.trim_start_matches('0'));
        left.len().cmp(&right.len()).then_with(|| left.cmp(right))
    }
}

// === impl ResourceVersion ===

impl From<&str> for ResourceVersion {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for ResourceVersion {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for ResourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ResourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq for ResourceVersion {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for ResourceVersion {}

impl PartialOrd for ResourceVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ResourceVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        Self::compare(&self.0, &other.0)
    }
}

impl std::hash::Hash for ResourceVersion {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.trim_start_matches('0').hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn versions_longer_than_any_integer_are_compared() {
        let (small, large) = ("9".repeat(60), format!("1{}", "0".repeat(60)));
        assert!(ResourceVersion::from(small) < ResourceVersion::from(large));
    }

    #[test]
    fn no_version_comes_before_every_version() {
        assert!(ResourceVersion::default() < ResourceVersion::from("1"));
        assert!(!ResourceVersion::default().is_decimal());
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_the_numbers(a: u64, b: u64) {
            let (x, y) = (ResourceVersion::from(a.to_string()), ResourceVersion::from(b.to_string()));
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        }
    }
}
