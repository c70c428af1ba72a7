//! Names in a condition, resolved before any Event is seen.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use kube_events_core::event::Path;

use crate::error::{Error, ErrorKind};
use crate::field::{Field, Group};
use crate::span::Span;
use crate::{lexer, path, suggest};

/// A name, cut into the key that is looked up and the steps from there into lists and objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) key: Key,
    pub(crate) steps: Box<[Step]>,
}

/// What a view of an Event is asked for: a name without subscripts.
///
/// Views of Events look at [`Key::place`] and never compare text; views of other data use
/// [`Key::as_str`]. What a JSONPath finds is not asked for by key, but in
/// [`Fields::json`](crate::Fields::json).
#[derive(Clone, Debug)]
pub struct Key {
    text: Box<str>,
    place: Place,
    detail: Detail,
}

/// What a place alone does not say.
#[derive(Clone, Debug)]
enum Detail {
    None,
    Member(Box<str>),
    Path(Arc<Path>),
}

/// Where in an Event a key points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Place {
    /// A field.
    Field(Field),
    /// A prefix of fields, which has no value.
    Group(Group),
    /// One label or annotation, [`Key::member`].
    Member(Map),
    /// How long ago something was, in seconds.
    Age(Moment),
    /// Whatever a JSONPath finds.
    Path,
    /// Nothing that Events show to conditions: always missing.
    Nowhere,
}

/// A map of an Event whose members a name can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Map {
    /// `metadata.labels`
    Labels,
    /// `metadata.annotations`
    Annotations,
}

/// A time of an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Moment {
    /// When it happened last: [`Event::when`](kube_events_core::Event::when).
    When,
    /// `firstTimestamp`
    First,
    /// `lastTimestamp`
    Last,
    /// `eventTime`
    EventTime,
    /// `series.lastObservedTime`
    LastObserved,
    /// `metadata.creationTimestamp`
    Creation,
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
        Self { text: text.into(), place, detail: Detail::None }
    }

    /// A name that stands alone and not in a condition: of a field, a label or an annotation.
    ///
    /// # Errors
    /// If it has a quoted member, and is neither a label nor an annotation.
    pub(crate) fn alone(text: &str) -> Result<Self, Error> {
        let (_, member) = text.split_at(text.find('[').unwrap_or(text.len()));
        if member.is_empty() || lexer::member_length(member) != member.len() {
            return Ok(Self::new(text));
        }
        Name::resolve(text, Span::new(0, text.len())).map(|name| name.key)
    }

    fn of(text: &str, place: Place, detail: Detail) -> Self {
        Self { text: text.into(), place, detail }
    }

    /// The name as it is written, up to its first subscript.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it means for an Event.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The name of the label or annotation, where the place is [`Place::Member`]; else `""`.
    pub fn member(&self) -> &str {
        match &self.detail {
            Detail::Member(member) => member,
            _ => "",
        }
    }

    /// The JSONPath, where the place is [`Place::Path`].
    pub fn path(&self) -> Option<&Path> {
        match &self.detail {
            Detail::Path(path) => Some(path),
            _ => None,
        }
    }
}

/// The text and the place say all.
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.place == other.place
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
        self.place.hash(state);
    }
}

// === impl Map ===

impl Map {
    /// The name in a condition.
    pub fn name(self) -> &'static str {
        match self {
            Self::Labels => "metadata.labels",
            Self::Annotations => "metadata.annotations",
        }
    }

    pub(crate) fn resolve(name: &str) -> Option<Self> {
        [Self::Labels, Self::Annotations].into_iter().find(|map| map.name() == name)
    }
}

// === impl Moment ===

impl Moment {
    /// The times that `age(…)` can be asked of.
    pub const NAMED: [Self; 5] =
        [Self::First, Self::Last, Self::EventTime, Self::LastObserved, Self::Creation];

    /// Where its text stands in the JSON of an Event of either API.
    pub(crate) fn pointers(self) -> &'static [&'static str] {
        match self {
            Self::When => &[],
            Self::First => &["/firstTimestamp", "/deprecatedFirstTimestamp"],
            Self::Last => &["/lastTimestamp", "/deprecatedLastTimestamp"],
            Self::EventTime => &["/eventTime"],
            Self::LastObserved => &["/series/lastObservedTime"],
            Self::Creation => &["/metadata/creationTimestamp"],
        }
    }

    /// The name in `age(…)`; that of the latest of them is empty.
    pub fn name(self) -> &'static str {
        match self {
            Self::When => "",
            Self::First => "firstTimestamp",
            Self::Last => "lastTimestamp",
            Self::EventTime => "eventTime",
            Self::LastObserved => "series.lastObservedTime",
            Self::Creation => "metadata.creationTimestamp",
        }
    }
}

// === impl Name ===

impl Name {
    /// Resolves a name in its canonical form, which stands at `span`.
    pub(crate) fn resolve(text: &str, span: Span) -> Result<Self, Error> {
        if text.starts_with('$') {
            return path::parse(text, span)
                .map(|path| Self::whole(Key::of(text, Place::Path, Detail::Path(Arc::new(path)))));
        }
        if let Some(time) = text.strip_prefix("age(").and_then(|rest| rest.strip_suffix(')')) {
            return Self::age(text, time, span);
        }
        match text.split_once("[\"").or_else(|| text.split_once("['")) {
            Some((map, key)) => Self::member(text, map, &key[..key.len() - 2], span),
            None => Ok(Self::new(text)),
        }
    }

    /// The age of an Event: how long ago it happened last.
    pub(crate) fn of_event_age() -> Self {
        Self::whole(Key::of("age", Place::Age(Moment::When), Detail::None))
    }

    fn whole(key: Key) -> Self {
        Self { key, steps: Box::default() }
    }

    fn age(text: &str, time: &str, span: Span) -> Result<Self, Error> {
        let moment = Moment::NAMED.into_iter().find(|moment| moment.name() == time);
        moment
            .map(|moment| Self::whole(Key::of(text, Place::Age(moment), Detail::None)))
            .ok_or_else(|| {
                let error = Error::new(ErrorKind::NotATime(time.to_owned()), span);
                match suggest::time(time) {
                    Some(time) => error
                        .help(format!("did you mean `age({time})`?"))
                        .replacement(format!("age({time})")),
                    None => error.help(format!(
                        "it is one of {}; `age` alone is how long ago it happened last",
                        Moment::NAMED.map(|it| format!("`{}`", it.name())).join(", ")
                    )),
                }
            })
    }

    fn member(text: &str, map: &str, key: &str, span: Span) -> Result<Self, Error> {
        let Some(map) = Map::resolve(map) else {
            let error = Error::new(ErrorKind::NoMembers, span);
            let plain = format!("{map}.{key}");
            return Err(if Field::resolve(&plain).is_some() {
                error.help(format!("did you mean `{plain}`?")).replacement(plain)
            } else {
                let path = map.split('.').fold("$".to_owned(), |path, part| path + "." + part);
                error.help(format!("a JSONPath reaches any other: `{path}['{key}']`"))
            });
        };
        Ok(Self::whole(Key::of(text, Place::Member(map), Detail::Member(key.into()))))
    }

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
