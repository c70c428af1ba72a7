//! From a list along subscripts and members to the values that a test is made on.
//!
//! `[*]` asks for some element, `[n]` and `[a:b]` for every one of those that they pick. What a
//! list does not have is false, what is no list or object cannot be decided.

use serde_json::Value as Json;

use crate::name::{Pick, Step};
use crate::verdict::Reason;

/// How the elements of a list count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quantifier {
    Some,
    Every,
}

/// Tests what the steps, the first of which is a subscript, pick from a list.
pub(crate) fn list(
    list: Option<&[Json]>,
    steps: &[Step],
    test: &impl Fn(&Json) -> Result<bool, Reason>,
) -> Result<bool, Reason> {
    let list = list.ok_or(Reason::NotAList)?;
    let Some((Step::Pick(pick), rest)) = steps.split_first() else {
        unreachable!("a key is followed by a subscript");
    };
    if list.is_empty() {
        return Ok(false);
    }
    let (picked, quantifier) = picked(list, *pick)?;
    elements(picked, quantifier, rest, test)
}

/// The elements that a subscript picks. Bounds beyond the list are clipped.
fn picked(list: &[Json], pick: Pick) -> Result<(&[Json], Quantifier), Reason> {
    match pick {
        Pick::Any => Ok((list, Quantifier::Some)),
        Pick::Index(at) => Ok((list.get(at..=at).unwrap_or_default(), Quantifier::Every)),
        Pick::Range(from, to) => {
            let range = from.min(list.len())..to.map_or(list.len(), |to| to.min(list.len()));
            let elements = list.get(range).ok_or(Reason::ReversedRange)?;
            Ok((elements, Quantifier::Every))
        }
        Pick::TooLarge => Err(Reason::SubscriptTooLarge),
    }
}

fn elements(
    picked: &[Json],
    quantifier: Quantifier,
    steps: &[Step],
    test: &impl Fn(&Json) -> Result<bool, Reason>,
) -> Result<bool, Reason> {
    if picked.is_empty() {
        return Ok(false);
    }
    for element in picked {
        let next = element_of(element, quantifier, steps, test)?;
        match (quantifier, next) {
            (Quantifier::Some, Outcome::Is(true)) => return Ok(true),
            (_, Outcome::Ends) | (Quantifier::Every, Outcome::Is(false)) => return Ok(false),
            _ => {}
        }
    }
    Ok(quantifier == Quantifier::Every)
}

/// What one element says.
enum Outcome {
    Is(bool),
    /// The list in it has nothing to pick, which makes the whole list false.
    Ends,
}

fn element_of(
    element: &Json,
    quantifier: Quantifier,
    steps: &[Step],
    test: &impl Fn(&Json) -> Result<bool, Reason>,
) -> Result<Outcome, Reason> {
    let Some((Step::Member(member), rest)) = steps.split_first() else {
        return test(element).map(Outcome::Is);
    };
    let object = element.as_object().ok_or(Reason::NotAnObject)?;
    let value = match object.get(&**member) {
        None if quantifier == Quantifier::Every => return Ok(Outcome::Is(false)),
        value => value.unwrap_or(&Json::Null),
    };
    let Some((Step::Pick(pick), rest)) = rest.split_first() else {
        return elements(std::slice::from_ref(value), Quantifier::Some, rest, test)
            .map(Outcome::Is);
    };
    let inner = value.as_array().ok_or(Reason::NotAList)?;
    let (inner, quantifier) = picked(inner, *pick)?;
    if inner.is_empty() {
        return Ok(Outcome::Ends);
    }
    elements(inner, quantifier, rest, test).map(Outcome::Is)
}
