//! A pattern that is compiled.

use std::sync::Arc;

use regex_automata::meta::Regex;
use regex_syntax::hir::Hir;

use super::literal::{self, Plain};

/// What says whether a text matches a pattern.
#[derive(Clone, Debug)]
pub(crate) enum Matcher {
    /// A comparison of texts, which is all that the pattern asks.
    Plain(Plain),
    /// A regular expression.
    Regex {
        regex: Regex,
        /// What it was made of.
        text: Box<str>,
        /// Texts of which one at least is in whatever matches; none if that cannot be said.
        needles: Arc<[String]>,
        /// Bytes that it takes, at most.
        size: usize,
    },
}

// === impl Matcher ===

impl Matcher {
    /// The comparison that a pattern comes down to, or else a regular expression that `build` makes.
    pub(super) fn new<E>(
        parsed: &Hir,
        translated: String,
        build: impl FnOnce() -> Result<(Regex, usize), E>,
    ) -> Result<Self, E> {
        if let Some(plain) = literal::plain(parsed) {
            return Ok(Self::Plain(plain));
        }
        let needles = literal::needles(parsed).into();
        let (regex, size) = build()?;
        Ok(Self::Regex { regex, text: translated.into(), needles, size })
    }

    /// What it costs to match it, for each byte of the text.
    pub(crate) fn work(&self) -> u64 {
        match self {
            Self::Regex { size, .. } => u64::try_from(*size).unwrap_or(u64::MAX),
            Self::Plain(Plain::Wildcard(_)) => 8,
            Self::Plain(_) => 1,
        }
    }

    pub(crate) fn is_match(&self, text: &str) -> bool {
        match self {
            Self::Plain(plain) => plain.is_match(text),
            Self::Regex { regex, .. } => regex.is_match(text),
        }
    }

    /// The text of the pattern, or of the comparison, or the longest one of it.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Plain(
                Plain::Equals(text)
                | Plain::StartsWith(text)
                | Plain::EndsWith(text)
                | Plain::Contains(text),
            ) => text,
            Self::Plain(Plain::Wildcard(wildcard)) => wildcard.needle(),
            Self::Regex { text, .. } => text,
        }
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain(one), Self::Plain(other)) => one == other,
            (Self::Regex { text: one, .. }, Self::Regex { text: other, .. }) => one == other,
            _ => false,
        }
    }
}
