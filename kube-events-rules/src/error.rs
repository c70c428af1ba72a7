//! Why a text is no condition, and where.

use std::fmt;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::Span;
use crate::pattern::PatternErrorKind;

/// Why a text was refused: what is wrong, where, and what was probably meant.
///
/// `Display` is one line without the place; [`Error::render`] draws the place into the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct Error {
    kind: ErrorKind,
    span: Span,
    help: Option<String>,
    replacement: Option<String>,
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Nothing but blanks.
    #[error("the condition is empty")]
    Empty,
    /// More bytes than [`Limits::length`](crate::Limits::length).
    #[error("the condition has {length} bytes, more than the {limit} that are allowed")]
    TooLong {
        /// Bytes in the text.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// More open parentheses and `not`s than [`Limits::depth`](crate::Limits::depth).
    #[error("the condition nests deeper than the {limit} levels that are allowed")]
    TooDeep {
        /// Levels allowed.
        limit: usize,
    },
    /// A character that no token begins with.
    #[error("unexpected character {0}")]
    UnexpectedCharacter(Shown),
    /// A backslash in single quotes before something that it gives no meaning.
    #[error("unknown escape in a string in single quotes")]
    UnknownEscape,
    /// A quoted member of something other than labels or annotations.
    #[error("only `metadata.labels` and `metadata.annotations` have members in quotes")]
    NoMembers,
    /// A JSONPath that is none, or that could take too long.
    #[error("invalid JSONPath: {0}")]
    Path(&'static str),
    /// `age(…)` of something that is no time of an Event.
    #[error("`{0}` is no time of an Event")]
    NotATime(String),
    /// An age in another test than a comparison with a duration.
    #[error("an age is compared with a duration, such as `10m`, or tested with `exists`")]
    AgeNeedsDuration,
    /// A duration in a test of something other than an age.
    #[error("only an age is compared with a duration")]
    DurationNeedsAge,
    /// `in @name` of a list that the Rule object does not have.
    #[error("there is no list `{0}` in `spec.lists`")]
    UnknownList(String),
    /// An expression in a template that cannot be read, or that names what Events do not have.
    #[error("{0}")]
    Template(String),
    /// A string without its closing quote.
    #[error("this string has no closing quote")]
    UnterminatedString,
    /// A token where another was needed.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What may stand here.
        expected: Expected,
        /// What stands here.
        found: String,
    },
    /// An opening parenthesis that is never closed.
    #[error("this parenthesis is never closed")]
    UnclosedParenthesis,
    /// A closing parenthesis that was never opened.
    #[error("this parenthesis was never opened")]
    UnopenedParenthesis,
    /// Something other than a search in a name that ends with a subscript.
    #[error("a name that ends with `]` can only be tested with `contains` or `not contains`")]
    ListNeedsContains,
    /// A number beyond the range of 64-bit floats.
    #[error("this number is too large for a 64-bit float")]
    NumberTooLarge,
    /// A pattern that is no regular expression of the Go dialect.
    #[error("invalid pattern: {0}")]
    Pattern(PatternErrorKind),
    /// A pattern that compiles to more than [`Limits::pattern_size`](crate::Limits::pattern_size).
    #[error("this pattern is too large: its compiled form needs more than {limit} bytes")]
    PatternTooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// A pattern with which those of its object compile to more than
    /// [`Limits::patterns_size`](crate::Limits::patterns_size).
    #[error(
        "with this pattern the compiled forms of the object's patterns need more than {limit} bytes"
    )]
    PatternsTooLarge {
        /// Bytes allowed.
        limit: usize,
    },
}

impl ErrorKind {
    /// A name for programs, from a closed set.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLong { .. } => "too-long",
            Self::TooDeep { .. } => "too-deep",
            Self::UnexpectedCharacter(_) => "unexpected-character",
            Self::UnknownEscape => "unknown-escape",
            Self::NoMembers => "no-members",
            Self::Path(_) => "invalid-path",
            Self::NotATime(_) => "not-a-time",
            Self::AgeNeedsDuration => "age-needs-duration",
            Self::DurationNeedsAge => "duration-needs-age",
            Self::UnknownList(_) => "unknown-list",
            Self::Template(_) => "invalid-template",
            Self::UnterminatedString => "unterminated-string",
            Self::Unexpected { .. } => "unexpected",
            Self::UnclosedParenthesis => "unclosed-parenthesis",
            Self::UnopenedParenthesis => "unopened-parenthesis",
            Self::ListNeedsContains => "list-needs-contains",
            Self::NumberTooLarge => "number-too-large",
            Self::Pattern(_) => "invalid-pattern",
            Self::PatternTooLarge { .. } => "pattern-too-large",
            Self::PatternsTooLarge { .. } => "patterns-too-large",
        }
    }
}

/// What a parser was ready to read when it met something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expected {
    /// A test, `not` or an opening parenthesis.
    Test,
    /// `and`, `or` or the end.
    Joint,
    /// `and`, `or` or a closing parenthesis.
    JointOrClose,
    /// A string or a number.
    Literal,
    /// A string, a number or a boolean.
    LiteralOrBoolean,
    /// A string.
    Text,
    /// A time of an Event in `age(…)`.
    Time,
    /// The parenthesis that closes `age(…)`.
    AgeEnd,
    /// The parenthesis before a list.
    ListStart,
    /// A comma or the parenthesis after a list.
    ListNext,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Test => "a test that begins with a name, `not` or `(`",
            Self::Joint => "`and`, `or` or the end of the condition",
            Self::JointOrClose => "`and`, `or` or `)`",
            Self::Literal => "a string in quotes or a number",
            Self::LiteralOrBoolean => "a string in quotes, a number or a boolean",
            Self::Text => "a string in quotes",
            Self::Time => "a time of the Event, such as `lastTimestamp`",
            Self::AgeEnd => "`)`",
            Self::ListStart => "`(` and a list of strings or numbers, or the name of a list",
            Self::ListNext => "`,` or `)`",
        })
    }
}

/// A character as a person can recognise it: itself, or its code point if it is invisible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown(pub char);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            c if c.is_ascii_graphic() || c.is_alphanumeric() => write!(f, "`{c}`"),
            c if c.is_ascii() || c.is_whitespace() || is_invisible(c) => {
                write!(f, "U+{:04X}", u32::from(c))
            }
            c => write!(f, "`{c}` (U+{:04X})", u32::from(c)),
        }
    }
}

fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{2064}' | '\u{feff}')
}

// === impl Error ===

impl Error {
    pub(crate) fn new(kind: ErrorKind, span: Span) -> Self {
        Self { kind, span, help: None, replacement: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What can stand in the place of [`Error::span`] instead.
    pub(crate) fn replacement(mut self, text: impl Into<String>) -> Self {
        self.replacement = Some(text.into());
        self
    }

    /// The same error at another place.
    pub(crate) fn at(mut self, span: Span) -> Self {
        self.span = span;
        self
    }

    pub(crate) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    /// What is wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// Where it is, in bytes of the text that was parsed.
    pub fn span(&self) -> Span {
        self.span
    }

    /// What was probably meant, or what to do about it.
    pub fn suggestion(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// What can stand in the place of [`Error::span`] instead, where that is known.
    pub fn fix(&self) -> Option<&str> {
        self.replacement.as_deref()
    }

    /// The message with the line of `source` that it is about and a caret under the place.
    ///
    /// `source` is the text that was parsed. No colours, no final newline. One that is too long is
    /// not drawn: no place in it is wrong.
    pub fn render(&self, source: &str) -> String {
        if matches!(self.kind, ErrorKind::TooLong { .. }) {
            return format!("error: {self}");
        }
        let (title, help) = (self.to_string(), self.help.as_deref());
        render(Level::ERROR, None, &title, self.span, help, source)
    }
}

/// Draws a message into the text that it is about.
pub(crate) fn render(
    level: Level<'_>,
    name: Option<&str>,
    title: &str,
    span: Span,
    help: Option<&str>,
    source: &str,
) -> String {
    let span = within(span, source);
    let snippet = Snippet::source(source).annotation(AnnotationKind::Primary.span(span.into()));
    let title = level.primary_title(title);
    let title = match name {
        Some(name) => title.id(name),
        None => title,
    };
    let mut group = title.element(snippet);
    if let Some(help) = help {
        group = group.element(Level::HELP.message(help));
    }
    Renderer::plain().render(&[group])
}

/// The span moved onto character boundaries of `source`, for callers that pass another text.
fn within(span: Span, source: &str) -> Span {
    let floor = |mut at: usize| {
        at = at.min(source.len());
        while !source.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = floor(span.start);
    Span::new(start, floor(span.end).max(start))
}
