//! What evaluating a condition says.

use std::fmt;

/// The outcome of a condition on one Event. A condition matches only where it is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The condition holds.
    True,
    /// It does not.
    False,
    /// A test that decides it could not be made on this Event.
    Undecided(Reason),
}

/// Why a test could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// The field's text does not read as a number.
    NotANumber,
    /// The field's text does not read as a boolean.
    NotABoolean,
    /// A subscript on something that is no list.
    NotAList,
    /// A name goes on after something that is no object.
    NotAnObject,
    /// A range whose start lies after its end.
    ReversedRange,
    /// A subscript that is no 64-bit number.
    SubscriptTooLarge,
    /// The pattern is invalid, on a name that Events never have.
    InvalidPattern,
    /// The number is too large, on a name that Events never have.
    NumberTooLarge,
    /// The rules of the same namespace or workspace have taken as much for the Event as they may: see
    /// [`Limits::event_work`](crate::Limits::event_work).
    TooCostly,
}

impl Verdict {
    /// Whether the condition matches: true, not false and not undecided.
    pub fn matches(self) -> bool {
        self == Self::True
    }
}

impl Reason {
    /// A word for metrics and JSON, from a closed set.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotANumber => "not_a_number",
            Self::NotABoolean => "not_a_boolean",
            Self::NotAList => "not_a_list",
            Self::NotAnObject => "not_an_object",
            Self::ReversedRange => "reversed_range",
            Self::SubscriptTooLarge => "subscript_too_large",
            Self::InvalidPattern => "invalid_pattern",
            Self::NumberTooLarge => "number_too_large",
            Self::TooCostly => "too_costly",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotANumber => "a field does not read as a number",
            Self::NotABoolean => "a field does not read as a boolean",
            Self::NotAList => "a field with a subscript is no list",
            Self::NotAnObject => "a name goes on after a value that is no object",
            Self::ReversedRange => "a range starts after its end",
            Self::SubscriptTooLarge => "a subscript is too large",
            Self::InvalidPattern => "a pattern is invalid",
            Self::NumberTooLarge => "a number is too large",
            Self::TooCostly => "rules of this namespace or workspace cost the Event too much",
        })
    }
}
