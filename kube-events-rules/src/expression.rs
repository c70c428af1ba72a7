//! Templates with `{{ }}`.
//!
//! Any tenant may write one, and it is filled in where all alerts are made. So an expression is a
//! name, filters and a choice: nothing in it repeats, joins or nests, and what comes out is bounded.
//! Each name is looked up in what Events have when the template is read.

use std::{collections::BTreeMap, io, sync::LazyLock};

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value as Out};
use serde_json::Value as Json;

use crate::{
    error::{Error, ErrorKind},
    field::{Field, Group},
    fields::Fields,
    name::{Key, Map, Moment},
    span::Span,
    suggest,
    template::RenderError,
    value::Value,
};

/// Bytes of a template.
const MAX_TEMPLATE: usize = 16 << 10;

/// Bytes that come out of one.
const MAX_OUTPUT: usize = 64 << 10;

/// Bytes of what an Event has under all names of one, which are copied before the engine begins.
const MAX_INPUT: usize = 256 << 10;

/// Steps that the engine makes for one, which has one for each operation.
const FUEL: u64 = 10_000;

/// The only name under which the engine knows the template.
const NAME: &str = "template";

const FILTERS: [&str; 6] = ["default", "lower", "replace", "trim", "truncate", "upper"];

/// Words of expressions that are no names.
const KEYWORDS: [&str; 9] = ["if", "else", "and", "or", "not", "in", "true", "false", "none"];

/// Words and signs of one expression: the engine compiles what nests by recursion.
const MAX_TOKENS: usize = 100;

/// Filters of a template, each of which may copy all that an Event has for a name, without fuel.
const MAX_FILTERS: usize = 64;

/// A compiled template.
#[derive(Clone, Debug)]
pub(crate) struct Expressions {
    engine: Environment<'static>,
    names: Vec<Name>,
}

/// A name in a template, and what it stands for.
#[derive(Clone, Debug)]
enum Name {
    Field(Key),
    Map(Map),
    /// A time of the Event, as its text.
    Time(Moment),
    /// What the Event's JSON has under this name.
    Json(String),
}

// === impl Expressions ===

impl Expressions {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_TEMPLATE {
            let kind = ErrorKind::TooLong { length: text.len(), limit: MAX_TEMPLATE };
            return Err(Error::new(kind, Span::new(0, text.len())));
        }
        let names = Scanner::new(text).scan()?;
        let mut engine = ENGINE.clone();
        engine.add_template_owned(NAME, text.to_owned()).map_err(|error| {
            let place = error.range().unwrap_or(0..text.len());
            let why = error.detail().unwrap_or("this is no expression").to_owned();
            let error = Error::new(ErrorKind::Template(why), Span::new(place.start, place.end));
            error.help(
                "an expression is `{{ name }}`, `{{ name | filter }}` or `{{ a if b else c }}`",
            )
        })?;
        Ok(Self { engine, names })
    }

    pub(crate) fn render(&self, event: &(impl Fields + ?Sized)) -> Result<String, RenderError> {
        let mut members = Members::default();
        let mut room = Room(MAX_INPUT);
        for name in &self.names {
            name.add(&mut members, event, &mut room)?;
        }
        let template = self.engine.get_template(NAME).expect("it was added when it was read");
        let mut out = Bounded::default();
        // The engine keeps what the writer says to itself.
        let rendered = template.render_captured_to(members.value(), &mut out);
        match rendered {
            Err(_) if out.full => Err(RenderError(too_long())),
            Err(error) => Err(RenderError(error.to_string())),
            Ok(_) => Ok(String::from_utf8(out.text).expect("the engine writes whole strings")),
        }
    }
}

/// The engine without any template.
static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut engine = Environment::empty();
    engine.set_undefined_behavior(UndefinedBehavior::Chainable);
    engine.set_fuel(Some(FUEL));
    engine.set_recursion_limit(50);
    engine.set_auto_escape_callback(|_| AutoEscape::None);
    engine.add_filter("lower", |text: Out| text.to_string().to_lowercase());
    engine.add_filter("upper", |text: Out| text.to_string().to_uppercase());
    engine.add_filter("trim", |text: Out| text.to_string().trim().to_owned());
    engine.add_filter("truncate", truncate);
    engine.add_filter("replace", replace);
    engine.add_filter("default", default);
    engine
});

/// At most so many characters, of which `…` is the last one if some are left out.
fn truncate(text: &Out, most: usize) -> String {
    let text = text.to_string();
    if text.chars().count() <= most {
        return text;
    }
    text.chars().take(most.saturating_sub(1)).chain(Some('…').filter(|_| most > 0)).collect()
}

fn replace(text: &Out, from: &str, to: &str) -> Result<String, minijinja::Error> {
    let text = text.to_string();
    let found = if from.is_empty() { 0 } else { text.matches(from).count() };
    if text.len() + found * to.len() > MAX_OUTPUT {
        return Err(minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, too_long()));
    }
    Ok(if found == 0 { text } else { text.replace(from, to) })
}

/// The other value where the first one is missing or empty.
fn default(value: Out, other: Out) -> Out {
    let empty = value.is_undefined() || value.is_none() || value.as_str() == Some("");
    if empty { other } else { value }
}

fn too_long() -> String {
    format!("it has more than {MAX_OUTPUT} bytes")
}

/// A text that does not grow beyond [`MAX_OUTPUT`].
#[derive(Default)]
struct Bounded {
    text: Vec<u8>,
    full: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.full |= self.text.len() + bytes.len() > MAX_OUTPUT;
        if self.full {
            return Err(io::Error::other(too_long()));
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// === impl Name ===

impl Name {
    /// What the longest beginning of a dotted name stands for.
    fn resolve(dotted: &str) -> Option<Self> {
        let first = dotted.split('.').next().unwrap_or_default();
        let map = [Map::Labels, Map::Annotations].into_iter().find(|map| {
            let rest = dotted.strip_prefix(map.name());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        if first == "event" {
            return Some(Self::Json(dotted.to_owned()));
        }
        if let Some(map) = map {
            return Some(Self::Map(map));
        }
        if let Some(moment) = Moment::NAMED.into_iter().find(|it| it.name() == dotted) {
            return Some(Self::Time(moment));
        }
        Field::resolve(dotted).map(|_| Self::Field(Key::new(dotted)))
    }

    fn add(
        &self,
        members: &mut Members,
        event: &(impl Fields + ?Sized),
        room: &mut Room,
    ) -> Result<(), RenderError> {
        let json = || event.json().unwrap_or(&Json::Null);
        let (path, value) = match self {
            Self::Field(key) => {
                let value = event.get(key).map(|value| room.field(value)).transpose()?;
                (key.as_str(), value)
            }
            Self::Map(map) => {
                let pointer = format!("/{}", map.name().replace('.', "/"));
                (map.name(), room.at(json(), &pointer)?)
            }
            Self::Time(moment) => {
                let text = moment.pointers().iter().find_map(|at| json().pointer(at)?.as_str());
                (moment.name(), text.map(Out::from))
            }
            // No more than what is named: Events may be large.
            Self::Json(dotted) => {
                let pointer = dotted.trim_start_matches("event").replace('.', "/");
                (dotted.as_str(), room.at(json(), &pointer)?)
            }
        };
        members.insert(path, value.unwrap_or(Out::UNDEFINED));
        Ok(())
    }
}

/// For how many bytes there is room.
struct Room(usize);

// === impl Room ===

impl Room {
    fn take(&mut self, bytes: usize) -> Result<(), RenderError> {
        let why = || RenderError(format!("it names more than {MAX_INPUT} bytes of the Event"));
        self.0 = self.0.checked_sub(bytes).ok_or_else(why)?;
        Ok(())
    }

    fn at(&mut self, json: &Json, pointer: &str) -> Result<Option<Out>, RenderError> {
        json.pointer(pointer).map(|json| self.converted(json)).transpose()
    }

    /// A field as it is printed: numbers without an exponent.
    fn field(&mut self, value: Value<'_>) -> Result<Out, RenderError> {
        Ok(match value {
            #[allow(clippy::cast_possible_truncation, reason = "whole and within the bounds")]
            Value::Number(number) if number.fract() == 0.0 && number.abs() < 1e15 => {
                Out::from(number as i64)
            }
            Value::Number(number) => Out::from(number),
            Value::Json(json) => self.converted(json)?,
            text @ Value::Text(_) => {
                let text = text.as_text();
                self.take(text.len())?;
                Out::from(text.into_owned())
            }
        })
    }

    /// The recursion is bounded by `serde_json`, which refuses to parse deeper than 128 levels.
    fn converted(&mut self, json: &Json) -> Result<Out, RenderError> {
        self.take(1)?;
        Ok(match json {
            Json::Null => Out::UNDEFINED,
            Json::Bool(bool) => Out::from(*bool),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Out::from(whole),
                (None, number) => Out::from(number.unwrap_or(f64::NAN)),
            },
            Json::String(text) => {
                self.take(text.len())?;
                Out::from(text.as_str())
            }
            Json::Array(list) => {
                let items = list.iter().map(|item| self.converted(item));
                Out::from(items.collect::<Result<Vec<_>, _>>()?)
            }
            Json::Object(map) => {
                let members = map.iter().map(|(name, value)| {
                    self.take(name.len())?;
                    Ok((name.clone(), self.converted(value)?))
                });
                Out::from(members.collect::<Result<BTreeMap<_, _>, _>>()?)
            }
        })
    }
}

/// Values by dotted names, to be reached member by member.
#[derive(Default)]
struct Members(BTreeMap<String, Member>);

enum Member {
    Value(Out),
    Members(Members),
}

impl Members {
    fn insert(&mut self, path: &str, value: Out) {
        match path.split_once('.') {
            None => drop(self.0.insert(path.to_owned(), Member::Value(value))),
            Some((first, rest)) => {
                let inner = self.0.entry(first.to_owned());
                let inner = inner.or_insert_with(|| Member::Members(Self::default()));
                if let Member::Members(inner) = inner {
                    inner.insert(rest, value);
                }
            }
        }
    }

    fn value(self) -> Out {
        let members = self.0.into_iter().map(|(name, member)| match member {
            Member::Value(value) => (name, value),
            Member::Members(members) => (name, members.value()),
        });
        Out::from(members.collect::<BTreeMap<_, _>>())
    }
}

/// Finds what a template names, and what it may not have.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
    names: BTreeMap<&'a str, Name>,
    filters: usize,
}

// === impl Scanner ===

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0, names: BTreeMap::new(), filters: 0 }
    }

    fn scan(mut self) -> Result<Vec<Name>, Error> {
        while let Some(brace) = self.rest().find('{') {
            self.at += brace;
            let rest = self.rest();
            if rest.starts_with("{{") {
                self.expression()?;
            } else if rest.starts_with("{%") || rest.starts_with("{#") {
                let help = "a text has expressions only; a choice is `{{ a if b else c }}`";
                return Err(self.error(2, "there are no statements or comments here").help(help));
            } else {
                self.at += 1;
            }
        }
        Ok(self.names.into_values().collect())
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn error(&self, length: usize, why: impl Into<String>) -> Error {
        Error::new(ErrorKind::Template(why.into()), Span::new(self.at, self.at + length))
    }

    /// From `{{` to the `}}` that ends it.
    fn expression(&mut self) -> Result<(), Error> {
        let start = self.at;
        self.at += 2;
        let mut before = ' ';
        for _ in 0..MAX_TOKENS {
            self.at += self.rest().len() - self.rest().trim_start().len();
            let rest = self.rest();
            let Some(first) = rest.chars().next() else {
                self.at = start;
                return Err(self.error(2, "this is never closed").help("close it with `}}`"));
            };
            let length = match first {
                '}' if rest.starts_with("}}") => {
                    self.at += 2;
                    return Ok(());
                }
                '"' | '\'' => self.string(first)?,
                'a'..='z' | 'A'..='Z' | '_' => self.word(before)?,
                '0'..='9' => {
                    rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len()
                }
                '|' | '(' | ')' | '[' | ']' | ',' | '.' | '<' | '>' | '=' | '!' | '-' => 1,
                c => {
                    let help = "an expression is names, strings, numbers, filters and comparisons";
                    return Err(self.error(c.len_utf8(), format!("unexpected `{c}`")).help(help));
                }
            };
            self.at += length;
            before = first;
        }
        self.at = start;
        let why = format!("an expression has at most {MAX_TOKENS} words and signs");
        Err(self.error(2, why).help("make two of it"))
    }

    fn string(&self, quote: char) -> Result<usize, Error> {
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => drop(chars.next()),
                c if c == quote => return Ok(at + 1),
                _ => {}
            }
        }
        Err(self.error(1, "this string has no closing quote").help("close it before the `}}`"))
    }

    /// A name with its members, a filter or a keyword; what stands before it says which.
    fn word(&mut self, before: char) -> Result<usize, Error> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let rest = self.rest();
        let dotted = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
        let dotted = dotted.trim_end_matches('.');
        let called = rest[dotted.len()..].trim_start().starts_with('(');
        match before {
            '|' if FILTERS.contains(&dotted) && self.filters == MAX_FILTERS => {
                let why = format!("a template has at most {MAX_FILTERS} filters");
                return Err(self.error(dotted.len(), why).help("make two annotations of it"));
            }
            '|' if FILTERS.contains(&dotted) => self.filters += 1,
            '|' => {
                let error = self.error(dotted.len(), format!("there is no filter `{dotted}`"));
                let near = suggest::nearest(dotted, FILTERS.into_iter());
                return Err(match near {
                    Some(near) => error.help(format!("did you mean `{near}`?")).replacement(near),
                    None => error.help(format!("there are `{}`", FILTERS.join("`, `"))),
                });
            }
            '.' | ']' | ')' => {}
            _ if KEYWORDS.contains(&dotted) => {}
            _ if called => {
                let error = self.error(dotted.len(), "there are no functions here");
                return Err(error.help("a filter stands after the value: `message | truncate(80)`"));
            }
            _ => {
                let name = Name::resolve(dotted).ok_or_else(|| self.unknown(dotted))?;
                self.names.insert(dotted, name);
            }
        }
        Ok(dotted.len())
    }

    fn unknown(&self, name: &str) -> Error {
        let error = self.error(name.len(), format!("Events have no field `{name}`"));
        if Group::resolve(name).is_some() {
            return error
                .help(format!("name a member of it: `{name}.…`; `event` is all of the JSON"));
        }
        match suggest::field(name) {
            Some((_, Some(field))) => {
                error.help(format!("did you mean `{field}`?")).replacement(field)
            }
            _ => error.help(format!("the JSON of the Event may have it: `event.{name}`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{JsonEvent, Template};

    fn rendered(template: &str) -> Result<String, RenderError> {
        let event = json!({
            "message": "Back-off \"x\" <y>", "count": 1_000_000, "lastTimestamp": "2026-01-01T00:00:00Z",
            "involvedObject": {"name": "web-1"}, "reason": "",
            "metadata": {"labels": {"app": "web", "a.b/c": "d"}, "finalizers": ["f", "g"]},
        });
        Template::parse(template)
            .unwrap_or_else(|error| panic!("{}", error.render(template)))
            .render(&JsonEvent::new(&event))
    }

    #[test]
    fn expressions_are_filled_in() {
        for (template, expected) in [
            ("{{ message }}", "Back-off \"x\" <y>"),
            ("100% %message {{ involvedObject.name }}.", "100% %message web-1."),
            ("{{ count }} {{occurrences}}", "1000000 1000000"),
            ("{{ metadata.labels[\"a.b/c\"] }}{{ metadata.labels.app }}", "dweb"),
            ("[{{ metadata.labels['no'] }}{{ related.name }}{{ eventTime }}]", "[]"),
            ("{{ lastTimestamp }}", "2026-01-01T00:00:00Z"),
            ("{{ message | truncate(5) | upper }}", "BACK…"),
            ("{{ reason | default('none') }}", "none"),
            ("{{ 'many' if count > 3 else 'few' }}", "many"),
            ("{{ message | replace('Back', 'Front') | lower | trim }}", "front-off \"x\" <y>"),
            ("{{ event.metadata.finalizers[1] }}", "g"),
            ("{{ event.metadata.labels.app }}{{ event.metadata.labels['a.b/c'] }}", "webd"),
            (
                "{{ event.reason }}{{ event.no.such.thing }}{{ event.message | truncate(4) }}",
                "Bac…",
            ),
            ("{{ event.count }}{{ event['count'] }}{{ event.count }}", "100000010000001000000"),
            ("{{ \"{{ }}\" }}", "{{ }}"),
            ("{a} {{ message and 'yes' or 'no' }}", "{a} yes"),
        ] {
            assert_eq!(rendered(template).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_where_it_is() {
        for (template, place, expected) in [
            ("a {{ mesage }}", "mesage", "did you mean `message`?"),
            ("{{ involvedObject }}", "involvedObject", "name a member"),
            ("{{ foo.bar }}", "foo.bar", "`event.foo.bar`"),
            ("{{ message | uper }}", "uper", "did you mean `upper`?"),
            ("{{ message | tojson }}", "tojson", "there are `default`"),
            ("{{ range(5) }}", "range", "a filter stands after"),
            ("{{ message * 5 }}", "*", "an expression is names"),
            ("{{ message ~ message }}", "~", "an expression is names"),
            ("{% for x in y %}{{ x }}{% endfor %}", "{%", "expressions only"),
            ("{{ message", "{{", "close it"),
            ("{{ 'a }}", "'", "close it"),
            ("{{ message | }}", "}}", "an expression is `{{ name }}`"),
        ] {
            let error = Template::parse(template).unwrap_err();
            assert_eq!(error.span().of(template), place, "{}", error.render(template));
            assert!(
                error.suggestion().unwrap_or_default().contains(expected),
                "{}",
                error.render(template)
            );
        }
        assert!(Template::parse(&format!("{{{{ {} }}}}", "not ".repeat(200))).is_err());
        let filters = |count| "{{ message | upper }}".repeat(count);
        assert!(Template::parse(&filters(MAX_FILTERS)).is_ok());
        let error = Template::parse(&filters(MAX_FILTERS + 1)).unwrap_err();
        assert!(error.to_string().contains("at most 64 filters"), "{error}");
    }

    #[test]
    fn what_goes_in_is_bounded() {
        let event = json!({"message": "short", "data": vec!["x"; MAX_INPUT]});
        let rendered = |text: &str| Template::parse(text).unwrap().render(&JsonEvent::new(&event));
        let error = rendered("{{ event['message'] }}").unwrap_err();
        assert!(error.to_string().contains("more than 262144 bytes of the Event"), "{error}");
        assert_eq!(rendered("{{ event.message }}").as_deref(), Ok("short"));
    }

    #[test]
    fn what_comes_out_is_bounded() {
        let event = json!({"message": "a".repeat(4_000)});
        for long in
            ["{{ message }}".repeat(20), "{{ message | replace('a', 'bbbbbbbbbbbbbbbb') }}".into()]
        {
            let template = Template::parse(&long).unwrap();
            let error = template.render(&JsonEvent::new(&event)).unwrap_err();
            assert!(error.to_string().contains("more than 65536 bytes"), "{long}: {error}");
        }
    }
}
