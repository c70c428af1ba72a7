//! Names in a condition, resolved before any Event is seen.

use crate::field::{Field, Group};

/// A name, cut into the key that is looked up and the steps from there into lists and objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) key: Key,
    pub(crate) steps: Box<[Step]>,
}

/// What a view of an Event is asked for: a name without subscripts.
///
/// Views of Events look at [`Key::place`] and never compare text; views of other data use
/// [`Key::as_str`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    text: Box<str>,
    place: Place,
}

/// Where in an Event a key points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A field.
    Field(Field),
    /// A prefix of fields, which has no value.
    Group(Group),
    /// Nothing that Events show to conditions: always missing.
    Nowhere,
}

/// One step of a name with subscripts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Into an object.
    Member(Box<str>),
    /// Into a list.
    Pick(Pick),
}

/// A subscript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pick {
    /// `[*]`: some element passes.
    Any,
    /// `[n]`: this element passes.
    Index(usize),
    /// `[a:b]`: every element from a to before b passes.
    Range(usize, Option<usize>),
    /// A number that no list can reach.
    TooLarge,
}

// === impl Key ===

impl Key {
    pub(crate) fn new(text: &str) -> Self {
        let place = Field::resolve(text)
            .map(Place::Field)
            .or_else(|| Group::resolve(text).map(Place::Group))
            .unwrap_or(Place::Nowhere);
        Self { text: text.into(), place }
    }

    /// The name as it is written, up to its first subscript.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it means for an Event.
    pub fn place(&self) -> Place {
        self.place
    }
}

// === impl Name ===

impl Name {
    /// Cuts a name, which the lexer has found to be well-formed.
    pub(crate) fn new(text: &str) -> Self {
        let Some(bracket) = text.find('[') else {
            return Self { key: Key::new(text), steps: Box::default() };
        };
        let mut steps = Vec::new();
        let (subscript, rest) = text[bracket..].split_once(']').expect("brackets are paired");
        steps.push(Step::Pick(Pick::new(&subscript[1..])));
        for part in rest.split('.').skip(1) {
            let (member, subscript) = part.split_once('[').unwrap_or((part, ""));
            steps.push(Step::Member(member.into()));
            if let Some(subscript) = subscript.strip_suffix(']') {
                steps.push(Step::Pick(Pick::new(subscript)));
            }
        }
        Self { key: Key::new(&text[..bracket]), steps: steps.into() }
    }
}

// === impl Pick ===

impl Pick {
    fn new(text: &str) -> Self {
        if text == "*" {
            return Self::Any;
        }
        let Some((from, to)) = text.split_once(':') else {
            return number(text).map_or(Self::TooLarge, Self::Index);
        };
        let from = if from.is_empty() { Some(0) } else { number(from) };
        match (from, to, number(to)) {
            (Some(from), "", _) => Self::Range(from, None),
            (Some(from), _, Some(to)) => Self::Range(from, Some(to)),
            _ => Self::TooLarge,
        }
    }
}

fn number(digits: &str) -> Option<usize> {
    digits.parse().ok().filter(|n| i64::try_from(*n).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_cut_at_its_first_subscript() {
        let name = Name::new("s.t[1:].u[*].v.");
        assert_eq!(name.key.as_str(), "s.t");
        assert_eq!(
            *name.steps,
            [
                Step::Pick(Pick::Range(1, None)),
                Step::Member("u".into()),
                Step::Pick(Pick::Any),
                Step::Member("v".into()),
                Step::Member("".into()),
            ]
        );
    }

    #[test]
    fn an_index_beyond_64_bits_is_kept_as_such() {
        assert_eq!(Pick::new("99999999999999999999"), Pick::TooLarge);
        assert_eq!(Pick::new("007"), Pick::Index(7));
        assert_eq!(Pick::new(":"), Pick::Range(0, None));
    }
}
