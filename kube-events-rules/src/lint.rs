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

/// Declares the kinds with their names, so that the two cannot drift apart.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $message:literal;)*) => {
        /// What a lint is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
        #[non_exhaustive]
        pub enum LintKind {
            $($(#[doc = $doc])+ #[error($message)] $variant,)*
        }

        impl LintKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name by which it can be allowed.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

kinds! {
    /// `and` and `or` in one chain: they have the same precedence.
    MixedJoints = "mixed-joints",
        "`and` and `or` are mixed without parentheses; they apply from left to right";
    /// A `not` before a chain.
    NotTakesTheRest = "not-takes-the-rest",
        "`not` applies to everything that follows it, not only to the next test";
    /// A name that Events never have.
    UnknownField = "unknown-field",
        "Events have no field of this name; a test on it is never true";
    /// A name alone whose field holds text or a collection.
    NameAlone = "name-alone",
        "a name alone is only decided where its field reads `true` or `false`";
    /// A field that is no number or boolean is compared with one.
    NeverThisType = "never-this-type",
        "this field never reads as a value of this type; the test is never decided";
    /// A subscript on a field.
    NoLists = "no-lists",
        "no field of an Event is a list; the test is never true";
    /// A range that ends before it starts.
    ReversedRange = "reversed-range",
        "this range ends before it starts; the test is never true";
    /// A pattern that cannot be compiled, in a test that Events never reach.
    InvalidPattern = "invalid-pattern",
        "this pattern is invalid";
    /// A number that is too large, in a test that Events never reach.
    NumberTooLarge = "number-too-large",
        "this number is too large for a 64-bit float";
    /// A whole number from a million on, compared as text.
    NumberAsText = "number-as-text",
        "the field's text form has an exponent from a million on; this is never equal to it";
    /// Tests on one field that exclude each other.
    AlwaysFalse = "always-false",
        "this is false of every Event";
    /// Tests on one field of which one always holds.
    AlwaysTrue = "always-true",
        "this is true of every Event";
    /// A `like` without an anchor or `*` at one of its ends, which looks as if it had one.
    UnanchoredLike = "unanchored-like",
        "`like` is not anchored: it finds this anywhere in the text";
    /// A regular expression without any operator of regular expressions.
    LiteralRegex = "literal-regex",
        "this regular expression is a plain text";
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

    /// What can stand in the place of [`Lint::span`] instead, where that is safe.
    pub fn fix(&self) -> Option<&str> {
        self.replacement.as_deref()
    }

    /// The message with its name and the line of `source` that it is about and a caret under the place.
    pub fn render(&self, source: &str) -> String {
        let title = self.kind.to_string();
        let about = Some(self.kind.name());
        error::render(Level::WARNING, about, &title, self.span, self.help.as_deref(), source)
    }
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}
