//! What is a condition, but probably not the one that was meant.

use std::fmt;

use annotate_snippets::Level;

use crate::error;
use crate::span::Span;

/// Nobody reads more about one condition, and each can be shown with all of it.
pub(crate) const MAX_LINTS: usize = 20;

/// A warning about a condition that compiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lint {
    kind: LintKind,
    span: Span,
    help: Option<String>,
    replacement: Option<String>,
}

/// What a lint is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum LintKind {
    /// `and` and `or` in one chain: they have the same precedence.
    #[error("`and` and `or` are mixed without parentheses; they apply from left to right")]
    MixedJoints,
    /// A `not` before a chain.
    #[error("`not` applies to everything that follows it, not only to the next test")]
    NotTakesTheRest,
    /// A name that Events never have.
    #[error("Events have no field of this name; a test on it is never true")]
    UnknownField,
    /// A name alone whose field holds text or a collection.
    #[error("a name alone is only decided where its field reads `true` or `false`")]
    NameAlone,
    /// A field that is no number or boolean is compared with one.
    #[error("this field never reads as a value of this type; the test is never decided")]
    NeverThisType,
    /// A subscript on a field.
    #[error("no field of an Event is a list; the test is never true")]
    NoLists,
    /// A range that ends before it starts.
    #[error("this range ends before it starts; the test is never true")]
    ReversedRange,
    /// A pattern that cannot be compiled, in a test that Events never reach.
    #[error("this pattern is invalid")]
    InvalidPattern,
    /// A number that is too large, in a test that Events never reach.
    #[error("this number is too large for a 64-bit float")]
    NumberTooLarge,
    /// A whole number from a million on, compared as text.
    #[error("the field's text form has an exponent from a million on; this is never equal to it")]
    NumberAsText,
}

// === impl Lint ===

impl Lint {
    pub(crate) fn new(kind: LintKind, span: Span) -> Self {
        Self { kind, span, help: None, replacement: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn replacement(mut self, text: impl Into<String>) -> Self {
        self.replacement = Some(text.into());
        self
    }

    /// What it is about.
    pub fn kind(&self) -> LintKind {
        self.kind
    }

    /// Where it is, in bytes of the text that was parsed.
    pub fn span(&self) -> Span {
        self.span
    }

    /// How the text is read, or what to write instead.
    pub fn suggestion(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The message with the line of `source` that it is about and a caret under the place.
    pub fn render(&self, source: &str) -> String {
        let title = self.kind.to_string();
        error::render(Level::WARNING, &title, self.span, self.help.as_deref(), source)
    }
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}
