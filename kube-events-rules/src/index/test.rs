//! One question about an Event, which any number of conditions ask.

use std::{
    hash::{Hash, Hasher},
    mem::discriminant,
};

use crate::{
    fields::Fields,
    name::Name,
    pattern,
    program::{CompiledTest, Predicate},
    verdict::Reason,
};

/// How a question is answered.
#[derive(Debug)]
pub(super) enum Test {
    /// By itself.
    Plain(Plain),
    /// By the search for all texts in its field.
    Searched(u32),
    /// By itself, but only if one of the other tests, which are cheaper, is true.
    Guarded { needed: Box<[u32]>, test: Plain },
}

/// A test that is not negated, unless it is on many values, each of which is asked for itself.
#[derive(Debug)]
pub(super) struct Plain {
    name: Name,
    question: Question,
}

#[derive(Debug)]
enum Question {
    Predicate(Predicate),
    StartsWith(Box<str>),
    EndsWith(Box<str>),
    /// On what may be many values: elements of a list, what a path finds.
    Many(CompiledTest),
}

/// What an Event answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The name is not there.
    Missing,
    No,
    Yes,
    Undecided(Reason),
}

// === impl Plain ===

impl Plain {
    /// The question that a test asks, and whether the opposite answer passes it.
    pub(super) fn of(test: &CompiledTest) -> (Self, bool) {
        if !test.name.steps.is_empty() || test.name.key.path().is_some() {
            let question = Question::Many(test.clone());
            return (Self { name: test.name.clone(), question }, false);
        }
        let question = match &test.predicate {
            Predicate::Matches(regex) => match pattern::plain(regex.as_str()) {
                Some(pattern::Plain::Contains(text)) => {
                    Question::Predicate(Predicate::Contains(text.into()))
                }
                Some(pattern::Plain::Equals(text)) => {
                    Question::Predicate(Predicate::Text(crate::ast::Comparison::Equal, text.into()))
                }
                Some(pattern::Plain::StartsWith(text)) => Question::StartsWith(text.into()),
                Some(pattern::Plain::EndsWith(text)) => Question::EndsWith(text.into()),
                None => Question::Predicate(test.predicate.clone()),
            },
            predicate => Question::Predicate(predicate.clone()),
        };
        (Self { name: test.name.clone(), question }, test.negated)
    }

    /// The question whether a field contains a text.
    pub(super) fn contains(name: &Name, text: String) -> Self {
        let question = Question::Predicate(Predicate::Contains(text.into()));
        Self { name: name.clone(), question }
    }

    pub(super) fn name(&self) -> &Name {
        &self.name
    }

    /// The predicate, if it is on the field as a whole.
    pub(super) fn predicate(&self) -> Option<&Predicate> {
        match &self.question {
            Question::Predicate(predicate) => Some(predicate),
            _ => None,
        }
    }

    /// The text that it looks for anywhere in its field.
    pub(super) fn needle(&self) -> Option<&str> {
        match &self.question {
            Question::Predicate(Predicate::Contains(text)) => Some(text),
            _ => None,
        }
    }

    /// Texts of which a field that matches has one at least; none if that cannot be said.
    pub(super) fn needles(&self) -> Vec<String> {
        match &self.question {
            Question::Predicate(Predicate::Matches(regex)) => pattern::needles(regex.as_str()),
            Question::StartsWith(text) | Question::EndsWith(text) => vec![text.to_string()],
            _ => Vec::new(),
        }
    }

    pub(super) fn answer(&self, fields: &(impl Fields + ?Sized)) -> Answer {
        let key = &self.name.key;
        let text = |holds: fn(&str, &str) -> bool, other: &str| {
            fields.get(key).map_or(Answer::Missing, |value| holds(&value.as_text(), other).into())
        };
        match &self.question {
            Question::Predicate(Predicate::Exists) => fields.exists(key).into(),
            Question::Predicate(predicate) => match fields.get(key) {
                Some(value) => predicate.holds(&value).map_or_else(Answer::Undecided, Into::into),
                None => Answer::Missing,
            },
            Question::StartsWith(start) => text(|text, start| text.starts_with(start), start),
            Question::EndsWith(end) => text(|text, end| text.ends_with(end), end),
            Question::Many(test) => {
                test.evaluate(fields).map_or_else(Answer::Undecided, Into::into)
            }
        }
    }
}

/// Two are equal if every view of an Event answers both in the same way.
impl PartialEq for Plain {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.question == other.question
    }
}

impl Eq for Plain {}

impl Hash for Plain {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.key.as_str().hash(state);
        match &self.question {
            Question::Predicate(predicate) => hash(predicate, state),
            Question::StartsWith(text) | Question::EndsWith(text) => text.hash(state),
            Question::Many(test) => hash(&test.predicate, state),
        }
    }
}

fn hash<H: Hasher>(predicate: &Predicate, state: &mut H) {
    discriminant(predicate).hash(state);
    match predicate {
        Predicate::Text(_, text) | Predicate::Contains(text) => text.hash(state),
        Predicate::Number(_, number) => number.to_bits().hash(state),
        Predicate::In(texts) => texts.hash(state),
        Predicate::Matches(regex) => regex.as_str().hash(state),
        _ => {}
    }
}

impl PartialEq for Question {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Predicate(a), Self::Predicate(b)) => a.is_same(b),
            (Self::StartsWith(a), Self::StartsWith(b)) | (Self::EndsWith(a), Self::EndsWith(b)) => {
                a == b
            }
            (Self::Many(a), Self::Many(b)) => {
                a.negated == b.negated && a.predicate.is_same(&b.predicate)
            }
            _ => false,
        }
    }
}

// === impl Answer ===

impl From<bool> for Answer {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}
