//! A pattern that is compiled.

use std::sync::Arc;

use regex::Regex;

use super::literal::{self, Plain};

/// What says whether a text matches a pattern.
#[derive(Clone, Debug)]
pub(crate) enum Matcher {
    /// A comparison of texts, which is all that the pattern asks.
    Plain(Plain),
    /// A regular expression.
    Regex {
        regex: Regex,
        /// Texts of which one at least is in whatever matches; none if that cannot be said.
        needles: Arc<[String]>,
    },
}

// === impl Matcher ===

impl Matcher {
    /// The comparison that a translated pattern comes down to, or else a regular expression that
    /// `build` makes.
    pub(super) fn new<E>(
        translated: &str,
        build: impl FnOnce() -> Result<Regex, E>,
    ) -> Result<Self, E> {
        let hir = literal::parse(translated);
        if let Some(plain) = hir.as_ref().and_then(literal::plain) {
            return Ok(Self::Plain(plain));
        }
        let needles = hir.as_ref().map(literal::needles).unwrap_or_default().into();
        Ok(Self::Regex { regex: build()?, needles })
    }

    pub(crate) fn is_match(&self, text: &str) -> bool {
        match self {
            Self::Plain(plain) => plain.is_match(text),
            Self::Regex { regex, .. } => regex.is_match(text),
        }
    }

    /// The text of the pattern, or of the comparison.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Plain(
                Plain::Equals(text)
                | Plain::StartsWith(text)
                | Plain::EndsWith(text)
                | Plain::Contains(text),
            ) => text,
            Self::Regex { regex, .. } => regex.as_str(),
        }
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain(one), Self::Plain(other)) => one == other,
            (Self::Regex { regex: one, .. }, Self::Regex { regex: other, .. }) => {
                one.as_str() == other.as_str()
            }
            _ => false,
        }
    }
}
