//! What has to hold for a condition to be true, and the conditions that are found by it.

use std::borrow::Cow;

use hashbrown::HashMap;

use super::{Part, test::Asked};
use crate::{
    ast::{Ast, Comparison, Joint, NodeKind},
    field::Field,
    fields::Fields,
    name::{Key, Place},
    program::Predicate,
    value::Value,
};

/// Something of which a part has to hold for a condition to be true.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Access {
    /// Each is enough for the condition to be looked at.
    pub(super) any_of: Vec<Need>,
    /// How likely it is that one of them holds, of an Event of which nothing is known.
    likelihood: f32,
}

/// Something that an Event has or has not.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Need {
    /// The field is this text.
    Equal(Key, Box<str>),
    /// The field is a number in this relation to another one.
    Number(Key, Comparison, f64),
    /// The field contains this text.
    Contains(Key, Box<str>),
}

/// The most needs of one condition.
const MOST_NEEDS: usize = 64;

/// The shortest text that is worth looking for.
pub(super) const SHORTEST_NEEDLE: usize = 3;

// === impl Access ===

impl Access {
    /// What a whole condition needs, by what each of its tests needs; two ways if there are two: the best
    /// one by the equality of fields or by numbers, and the best one by texts within fields.
    pub(super) fn of(ast: &Ast, tests: &[Vec<Self>]) -> Vec<Self> {
        // Children come before their parents, so one pass from left to right meets them in order.
        let mut ways: Vec<Ways> = Vec::with_capacity(ast.nodes().len());
        let mut test = tests.iter();
        for node in ast.nodes() {
            let way = match node.kind {
                NodeKind::Test(_) => {
                    Ways { if_true: test.next().cloned().unwrap_or_default(), if_false: Vec::new() }
                }
                NodeKind::Not(inner) => {
                    let Ways { if_true, if_false } = std::mem::take(&mut ways[inner.index()]);
                    Ways { if_true: if_false, if_false: if_true }
                }
                NodeKind::Join(joint, left, right) => {
                    let left = std::mem::take(&mut ways[left.index()]);
                    let right = std::mem::take(&mut ways[right.index()]);
                    match joint {
                        Joint::And => Ways {
                            if_true: Self::either(left.if_true, right.if_true),
                            if_false: Self::both(&left.if_false, &right.if_false),
                        },
                        Joint::Or => Ways {
                            if_true: Self::both(&left.if_true, &right.if_true),
                            if_false: Self::either(left.if_false, right.if_false),
                        },
                    }
                }
            };
            ways.push(way);
        }
        std::mem::take(&mut ways[ast.root().index()]).if_true
    }

    /// What a test needs to be true, if it is asked for its own sake and not for its opposite.
    pub(super) fn of_test(test: &Asked, negated: bool) -> Vec<Self> {
        let Place::Field(field) = test.name().key.place() else { return Vec::new() };
        if negated || !test.name().steps.is_empty() {
            return Vec::new();
        }
        let key = &test.name().key;
        let equal = |text: &str| Need::Equal(key.clone(), text.into());
        let mut found = Vec::new();
        match test.predicate() {
            Some(Predicate::Text(Comparison::Equal, text)) => {
                found.extend(Self::new([equal(text)]));
            }
            Some(Predicate::In(texts)) => {
                found.extend(Self::new(texts.iter().map(|text| equal(text))));
            }
            Some(Predicate::Number(comparison, number))
                if field.is_number() && *comparison != Comparison::NotEqual && !number.is_nan() =>
            {
                found.extend(Self::new([Need::Number(key.clone(), *comparison, *number)]));
            }
            _ => {}
        }
        if field.is_number() {
            return found;
        }
        let others = test.needles().iter().map(String::as_str);
        let needles: Vec<_> = test.needle().into_iter().chain(others).collect();
        if needles.iter().all(|needle| needle.len() >= SHORTEST_NEEDLE) {
            let needs = needles.iter().map(|text| Need::Contains(key.clone(), (*text).into()));
            found.extend(Self::new(needs));
        }
        found
    }

    /// Whether it is by texts within fields.
    pub(super) fn is_by_needles(&self) -> bool {
        self.any_of.iter().any(|need| matches!(need, Need::Contains(..)))
    }

    fn new(needs: impl IntoIterator<Item = Need>) -> Option<Self> {
        let any_of: Vec<_> = needs.into_iter().take(MOST_NEEDS + 1).collect();
        let likelihood = any_of.iter().map(Need::likelihood).sum();
        (1..=MOST_NEEDS).contains(&any_of.len()).then_some(Self { any_of, likelihood })
    }

    /// The best of two lists of ways, each of which is needed.
    fn either(left: Vec<Self>, right: Vec<Self>) -> Vec<Self> {
        let mut best: Vec<Self> = Vec::with_capacity(2);
        for access in left.into_iter().chain(right) {
            let same =
                best.iter_mut().find(|other| other.is_by_needles() == access.is_by_needles());
            match same {
                Some(other) if access.likelihood < other.likelihood => *other = access,
                Some(_) => {}
                None => best.push(access),
            }
        }
        best
    }

    /// The ways to find what needs one of two lists.
    fn both(left: &[Self], right: &[Self]) -> Vec<Self> {
        let (Some(left), Some(right)) = (Self::likeliest_last(left), Self::likeliest_last(right))
        else {
            return Vec::new();
        };
        Self::new(left.any_of.iter().chain(&right.any_of).cloned()).into_iter().collect()
    }

    fn likeliest_last(ways: &[Self]) -> Option<&Self> {
        ways.iter().min_by(|a, b| a.likelihood.total_cmp(&b.likelihood))
    }
}

/// What a part of a condition needs to be true, and to be false.
#[derive(Debug, Default)]
struct Ways {
    if_true: Vec<Access>,
    if_false: Vec<Access>,
}

// === impl Need ===

impl Need {
    /// The names of the field and the text that it has to be.
    pub(super) fn equality(&self) -> Option<(&str, &str)> {
        match self {
            Self::Equal(key, text) => Some((key.as_str(), text)),
            _ => None,
        }
    }

    /// By experience with the Events of clusters; only the order matters.
    fn likelihood(&self) -> f32 {
        match self {
            Self::Equal(_, text) if text.is_empty() => 0.9,
            Self::Equal(key, _) => match key.place() {
                Place::Field(Field::Type) => 0.5,
                Place::Field(Field::InvolvedObjectKind | Field::SourceComponent) => 0.3,
                Place::Field(Field::InvolvedObjectNamespace | Field::MetadataNamespace) => 0.06,
                Place::Field(Field::Reason) => 0.05,
                _ => 0.02,
            },
            Self::Number(_, Comparison::Equal, _) => 0.1,
            Self::Number(..) => 0.4,
            Self::Contains(_, text) => {
                if text.len() < 6 {
                    0.1
                } else {
                    0.04
                }
            }
        }
    }
}

/// The conditions that need a field to be one of some texts.
#[derive(Debug)]
pub(super) struct Equalities {
    key: Key,
    by_text: HashMap<Box<str>, Part>,
    conditions: Box<[u32]>,
}

/// The conditions that need a field to be a number in some range.
#[derive(Debug)]
pub(super) struct Ranges {
    key: Key,
    /// Sorted by the number that has to be exceeded, or reached.
    above: Box<[Bound]>,
    /// Sorted by the number that must not be reached, or exceeded.
    below: Box<[Bound]>,
    equal: Box<[Bound]>,
}

#[derive(Clone, Copy, Debug)]
struct Bound {
    number: f64,
    /// Whether the number itself is within.
    is_within: bool,
    condition: u32,
}

// === impl Equalities ===

impl Equalities {
    pub(super) fn new(key: Key, by_text: HashMap<Box<str>, Vec<u32>>) -> Self {
        let mut conditions = Vec::new();
        let by_text = by_text
            .into_iter()
            .map(|(text, found)| (text, Part::push(&mut conditions, found)))
            .collect();
        Self { key, by_text, conditions: conditions.into() }
    }

    pub(super) fn find(&self, fields: &(impl Fields + ?Sized)) -> &[u32] {
        let part = match fields.get(&self.key) {
            Some(Value::Text(Cow::Borrowed(text))) => self.by_text.get(text),
            Some(value) => self.by_text.get(&*value.as_text()),
            None => None,
        };
        part.map_or(&[], |part| &self.conditions[part.range()])
    }
}

// === impl Ranges ===

impl Ranges {
    pub(super) fn new(key: Key, needs: &[(Comparison, f64, u32)]) -> Self {
        let of = |wanted: &[Comparison]| {
            let found = needs.iter().filter(|(comparison, ..)| wanted.contains(comparison));
            let mut bounds: Vec<_> = found
                .map(|&(comparison, number, condition)| Bound {
                    number,
                    is_within: comparison.holds(&0, &0),
                    condition,
                })
                .collect();
            bounds.sort_by(|a, b| a.number.total_cmp(&b.number));
            bounds.into()
        };
        Self {
            key,
            above: of(&[Comparison::Greater, Comparison::GreaterOrEqual]),
            below: of(&[Comparison::Less, Comparison::LessOrEqual]),
            equal: of(&[Comparison::Equal]),
        }
    }

    pub(super) fn find(&self, fields: &(impl Fields + ?Sized)) -> impl Iterator<Item = u32> {
        let number = fields.get(&self.key).and_then(|value| value.as_number());
        // In no relation to any other number.
        let number = number.unwrap_or(f64::NAN);
        let is = move |bound: &Bound| Comparison::Equal.holds(&bound.number, &number);
        let within = move |bound: &&Bound| bound.is_within || !is(bound);
        let above = &self.above[..self.above.partition_point(|bound| bound.number <= number)];
        let below = &self.below[self.below.partition_point(|bound| bound.number < number)..];
        let below = if number.is_nan() { &[] } else { below };
        let start = self.equal.partition_point(|bound| bound.number < number);
        let equal = self.equal[start..].iter().take_while(move |bound| is(bound));
        let ordered = above.iter().chain(below).filter(within).chain(equal);
        ordered.map(|bound| bound.condition)
    }
}
