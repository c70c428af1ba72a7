//! One question about an Event, which any number of conditions ask.

use std::{
    hash::{Hash, Hasher},
    mem::discriminant,
};

use crate::{
    ast::Comparison,
    fields::Fields,
    name::{Name, Place},
    pattern::{Matcher, Plain},
    program::{CompiledTest, Predicate},
    verdict::Reason,
    work::{self, Fuel},
};

/// How a question is answered.
#[derive(Debug)]
pub(super) enum Test {
    /// By itself.
    Alone(Asked),
    /// By the search for all texts in its field.
    Searched(u32),
    /// By itself, but only if one of the other tests, which are cheaper, is true.
    Guarded { needed: Box<[u32]>, test: Asked },
}

/// A test that is not negated, unless it is on many values, each of which is asked for itself.
#[derive(Debug)]
pub(super) struct Asked {
    name: Name,
    question: Question,
}

#[derive(Debug)]
enum Question {
    Predicate(Predicate),
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

// === impl Asked ===

impl Asked {
    /// The question that a test asks, and whether the opposite answer passes it.
    pub(super) fn of(test: &CompiledTest) -> (Self, bool) {
        if !test.name.steps.is_empty() || test.name.key.path().is_some() {
            let question = Question::Many(test.clone());
            return (Self { name: test.name.clone(), question }, false);
        }
        // What conditions look for in a text is one question, however they write it.
        let predicate = match &test.predicate {
            Predicate::Matches(Matcher::Plain(Plain::Contains(text))) => {
                Predicate::Contains(text.as_str().into())
            }
            Predicate::Matches(Matcher::Plain(Plain::Equals(text))) => {
                Predicate::Text(Comparison::Equal, text.as_str().into())
            }
            predicate => predicate.clone(),
        };
        let question = Question::Predicate(predicate);
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
            Question::Many(_) => None,
        }
    }

    /// The text that it looks for anywhere in its field.
    pub(super) fn needle(&self) -> Option<&str> {
        match &self.question {
            Question::Predicate(Predicate::Contains(text)) => Some(text),
            _ => None,
        }
    }

    /// Whether it costs far more than to look for a text.
    pub(super) fn is_costly(&self) -> bool {
        matches!(
            self.question,
            Question::Predicate(Predicate::Matches(
                Matcher::Regex { .. } | Matcher::Plain(Plain::Wildcard(_))
            ))
        )
    }

    /// Texts of which a field that matches has one at least; none if that cannot be said.
    pub(super) fn needles(&self) -> &[String] {
        match &self.question {
            Question::Predicate(Predicate::Matches(Matcher::Regex { needles, .. })) => needles,
            Question::Predicate(Predicate::Matches(Matcher::Plain(
                Plain::StartsWith(text) | Plain::EndsWith(text),
            ))) => std::slice::from_ref(text),
            Question::Predicate(Predicate::Matches(Matcher::Plain(Plain::Wildcard(wildcard)))) => {
                std::slice::from_ref(wildcard.needle())
            }
            _ => &[],
        }
    }

    /// Undecided if there is too little fuel for it.
    pub(super) fn answer(&self, fields: &(impl Fields + ?Sized), fuel: &mut Fuel) -> Answer {
        if !fuel.take(self.work(fields)) {
            return Answer::Undecided(Reason::TooCostly);
        }
        let key = &self.name.key;
        match &self.question {
            Question::Predicate(Predicate::Exists) => fields.exists(key).into(),
            Question::Predicate(predicate) => match fields.get(key) {
                Some(value) => {
                    let each = predicate.work();
                    if each > 0 && !fuel.take(work(value.as_text().len(), each)) {
                        return Answer::Undecided(Reason::TooCostly);
                    }
                    predicate.holds(&value).map_or_else(Answer::Undecided, Into::into)
                }
                None => Answer::Missing,
            },
            Question::Many(test) => {
                test.evaluate(fields).map_or_else(Answer::Undecided, Into::into)
            }
        }
    }

    /// What it costs before anything is known of the value.
    fn work(&self, fields: &(impl Fields + ?Sized)) -> u64 {
        let each = match &self.question {
            Question::Many(test) => work::PATH.saturating_add(test.predicate.work()),
            // A text that is made of all that the collection has.
            Question::Predicate(_) => match self.name.key.place() {
                Place::Field(field) if field.is_collection() => 1,
                _ => return work::ASKED,
            },
        };
        work(fields.size(), each).saturating_add(work::ASKED)
    }
}

/// What a test costs a text of so many bytes, if each costs so much.
fn work(bytes: usize, each: u64) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(each)
}

/// Two are equal if every view of an Event answers both in the same way.
impl PartialEq for Asked {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.question == other.question
    }
}

impl Eq for Asked {}

impl Hash for Asked {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.key.as_str().hash(state);
        match &self.question {
            Question::Predicate(predicate) => hash(predicate, state),
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
        Predicate::Matches(matcher) => matcher.as_str().hash(state),
        _ => {}
    }
}

impl PartialEq for Question {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Predicate(a), Self::Predicate(b)) => a.is_same(b),
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
