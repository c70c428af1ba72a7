//! Bytes to [`Event`], in one pass.

use std::{borrow::Cow, marker::PhantomData, ops::Range, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::value::RawValue;

use super::{Api, Event, Hot, Inner, Span};

/// Why bytes are not an Event, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct DecodeError {
    /// The line, from 1.
    pub line: usize,
    /// The column in bytes, from 1.
    pub column: usize,
    /// What is wrong there.
    pub reason: String,
}

/// Decodes Events, and writes into each what its source knows beside the JSON.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    api: Option<Api>,
    /// `,"cluster":"…"`, and where the name stands in it if it needs no escapes.
    cluster: Option<(Box<str>, Box<str>)>,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default)]
    kind: Text<'a>,
    #[serde(borrow, default, rename = "apiVersion")]
    api_version: Text<'a>,
    #[serde(borrow, default)]
    metadata: Object<Metadata<'a>>,
    #[serde(borrow, default, rename = "involvedObject")]
    involved_object: Object<Reference<'a>>,
    #[serde(borrow, default)]
    regarding: Object<Reference<'a>>,
    #[serde(borrow, default)]
    reason: Text<'a>,
    #[serde(borrow, default)]
    message: Text<'a>,
    #[serde(borrow, default)]
    note: Text<'a>,
    #[serde(borrow, default)]
    source: Object<Source<'a>>,
    #[serde(borrow, default, rename = "deprecatedSource")]
    deprecated_source: Object<Source<'a>>,
    #[serde(borrow, default, rename = "firstTimestamp", alias = "deprecatedFirstTimestamp")]
    first_timestamp: Text<'a>,
    #[serde(borrow, default, rename = "lastTimestamp", alias = "deprecatedLastTimestamp")]
    last_timestamp: Text<'a>,
    #[serde(borrow, default, rename = "eventTime")]
    event_time: Text<'a>,
    #[serde(default, alias = "deprecatedCount")]
    count: Option<i64>,
    #[serde(borrow, default, rename = "type")]
    type_: Text<'a>,
    #[serde(borrow, default)]
    series: Object<Series<'a>>,
    #[serde(borrow, default)]
    action: Text<'a>,
    #[serde(borrow, default, rename = "reportingComponent", alias = "reportingController")]
    reporting_component: Text<'a>,
    #[serde(borrow, default, rename = "reportingInstance")]
    reporting_instance: Text<'a>,
    #[serde(borrow, default)]
    cluster: Text<'a>,
    #[serde(borrow, default, rename = "Event")]
    wrapped: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Metadata<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    namespace: Text<'a>,
    #[serde(borrow, default)]
    uid: Text<'a>,
    #[serde(borrow, default, rename = "resourceVersion")]
    resource_version: Text<'a>,
    #[serde(borrow, default, rename = "creationTimestamp")]
    creation_timestamp: Text<'a>,
    #[serde(borrow, default, rename = "managedFields", deserialize_with = "raw")]
    managed_fields: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Reference<'a> {
    #[serde(borrow, default)]
    kind: Text<'a>,
    #[serde(borrow, default)]
    namespace: Text<'a>,
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    uid: Text<'a>,
    #[serde(borrow, default, rename = "apiVersion")]
    api_version: Text<'a>,
    #[serde(borrow, default, rename = "resourceVersion")]
    resource_version: Text<'a>,
    #[serde(borrow, default, rename = "fieldPath")]
    field_path: Text<'a>,
}

#[derive(Deserialize, Default)]
struct Source<'a> {
    #[serde(borrow, default)]
    component: Text<'a>,
    #[serde(borrow, default)]
    host: Text<'a>,
}

#[derive(Deserialize, Default)]
struct Series<'a> {
    #[serde(default)]
    count: Option<i64>,
    #[serde(borrow, default, rename = "lastObservedTime")]
    last_observed_time: Text<'a>,
}

/// An object, or `null`. Derived structs alone would take an array as well.
struct Object<T>(Option<T>);

/// A string, or `null`; borrowed where the JSON holds it without escapes.
#[derive(Default)]
struct Text<'a>(Cow<'a, str>);

// === impl Decoder ===

impl Decoder {
    /// A decoder for objects that do not say their kind and API, as the items of a list.
    pub fn new(api: Api) -> Self {
        Self { api: Some(api), cluster: None }
    }

    /// Adds `"cluster": name` to every Event that has none.
    #[must_use]
    pub fn cluster(mut self, name: &str) -> Self {
        let quoted = serde_json::Value::from(name).to_string();
        self.cluster = Some((format!(",\"cluster\":{quoted}").into(), name.into()));
        self
    }

    /// Decodes the JSON of one Event.
    ///
    /// # Errors
    /// As [`Event::decode`].
    pub fn decode(&self, bytes: &[u8]) -> Result<Event, DecodeError> {
        let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, &error))?;
        let (event, end) = self.decode_prefix(text)?;
        match text.as_bytes()[end..].iter().position(|byte| !byte.is_ascii_whitespace()) {
            None => Ok(event),
            Some(rest) => Err(DecodeError::at(text, end + rest, "text after the end of the Event")),
        }
    }

    /// Decodes the Event that `text` begins with, and says where it ends.
    ///
    /// # Errors
    /// As [`Event::decode`].
    pub fn decode_prefix(&self, text: &str) -> Result<(Event, usize), DecodeError> {
        let start = text.len() - text.trim_ascii_start().len();
        // Derived structs can be read from arrays, too.
        if text[start..].starts_with('[') {
            return Err(DecodeError::at(text, start, "this is an array, not an Event"));
        }
        if start == text.len() {
            return Err(DecodeError::at(text, start, "there is no JSON here"));
        }
        let mut json = serde_json::Deserializer::from_str(text);
        // Read directly, as an iterator would move the many fields twice more.
        let fields = Fields::deserialize(&mut json)?;
        let end = json.into_iter::<IgnoredAny>().byte_offset();
        let event = match fields.wrapped {
            Some(inner) => self.unwrap(text, inner.get(), &fields.cluster.0)?,
            None => self.build(text, start..end, &fields)?,
        };
        Ok((event, end))
    }

    fn unwrap(&self, text: &str, inner: &str, cluster: &str) -> Result<Event, DecodeError> {
        let decoder = if cluster.is_empty() { self.clone() } else { self.clone().cluster(cluster) };
        let (event, _) = decoder.decode_prefix(inner).map_err(|error| {
            DecodeError::at(text, offset(text, inner), format!("the wrapped Event: {error}"))
        })?;
        Ok(event)
    }

    fn build(
        &self,
        text: &str,
        object: Range<usize>,
        fields: &Fields<'_>,
    ) -> Result<Event, DecodeError> {
        let fail = |reason: String| Err(DecodeError::at(text, object.start, reason));
        if !fields.kind.0.is_empty() && fields.kind.0 != "Event" {
            return fail(format!("this is a {}, not an Event", fields.kind.0));
        }
        if u32::try_from(object.len() + 1024).is_err() {
            return fail("an Event of more than 4 GiB".into());
        }
        Ok(Builder::new(self, text, object, fields).finish(fields))
    }
}

/// Copies the object's text once, leaving out and putting in, and keeps track of where things are.
struct Builder<'a> {
    /// The object in the text that it came in.
    source: &'a str,
    origin: usize,
    text: String,
    /// What was put before the first member.
    added: usize,
    /// What was left out, in `source`.
    cut: Range<usize>,
    object_end: usize,
    unescaped: String,
    spans: [Span; Hot::COUNT],
    api: Api,
}

impl<'a> Builder<'a> {
    fn new(decoder: &Decoder, text: &'a str, object: Range<usize>, fields: &Fields<'_>) -> Self {
        let source = &text[object.start..object.end];
        let api = api_of(fields, decoder.api);
        let cut = fields
            .metadata
            .0
            .as_ref()
            .and_then(|metadata| metadata.managed_fields)
            .map_or(0..0, |value| member(source, offset(text, value.get()) - object.start, value));
        let cluster = decoder.cluster.as_ref().filter(|_| fields.cluster.0.is_empty());
        let room = source.len() + 64 + cluster.map_or(0, |(member, _)| member.len());
        let mut copy = String::with_capacity(room - cut.len());
        if decoder.api.is_some() {
            copy.push_str(missing_type(fields, api));
        }
        let body = if copy.is_empty() { source } else { source[1..].trim_ascii_start() };
        // An object without a member needs no comma.
        let body_start = source.len() - body.len();
        if body_start > 0 && body == "}" {
            copy.pop();
        }
        let added = copy.len();
        copy.push_str(&source[body_start..cut.start.max(body_start)]);
        copy.push_str(&source[cut.end.max(body_start)..source.len() - 1]);
        let object_end = copy.len();
        let mut this = Self {
            source,
            origin: text.as_ptr() as usize + object.start,
            text: copy,
            added,
            cut,
            object_end,
            unescaped: String::new(),
            spans: [Span::default(); Hot::COUNT],
            api,
        };
        this.added = this.added.wrapping_sub(body_start);
        if let Some((member, name)) = cluster {
            this.text.push_str(member);
            this.text.push('}');
            this.unescape(Hot::Cluster, name);
        } else {
            this.text.push('}');
        }
        this
    }

    fn finish(mut self, fields: &Fields<'_>) -> Event {
        self.place(Hot::Cluster, &fields.cluster);
        if let Some(metadata) = &fields.metadata.0 {
            self.metadata(metadata);
        }
        if let Some(object) = fields.involved_object.0.as_ref().or(fields.regarding.0.as_ref()) {
            self.involved_object(object);
        }
        if let Some(source) = fields.source.0.as_ref().or(fields.deprecated_source.0.as_ref()) {
            self.place(Hot::SourceComponent, &source.component);
            self.place(Hot::SourceHost, &source.host);
        }
        self.place(Hot::Reason, &fields.reason);
        self.place(Hot::Message, &fields.message);
        self.place(Hot::Message, &fields.note);
        self.place(Hot::Type, &fields.type_);
        self.place(Hot::Action, &fields.action);
        self.place(Hot::ReportingComponent, &fields.reporting_component);
        self.place(Hot::ReportingInstance, &fields.reporting_instance);
        self.place(Hot::FirstTimestamp, &fields.first_timestamp);
        self.place(Hot::LastTimestamp, &fields.last_timestamp);
        self.place(Hot::EventTime, &fields.event_time);
        let mut series_count = None;
        if let Some(series) = &fields.series.0 {
            series_count = series.count;
            self.place(Hot::LastObservedTime, &series.last_observed_time);
        }
        one_line(&mut self.text);
        Event(Arc::new(Inner {
            object_end: small(self.object_end),
            text: self.text.into_boxed_str(),
            unescaped: self.unescaped.into_boxed_str(),
            spans: self.spans,
            count: fields.count,
            series_count,
            api: self.api,
            value: std::sync::OnceLock::new(),
        }))
    }

    fn metadata(&mut self, metadata: &Metadata<'_>) {
        self.place(Hot::Name, &metadata.name);
        self.place(Hot::Namespace, &metadata.namespace);
        self.place(Hot::Uid, &metadata.uid);
        self.place(Hot::ResourceVersion, &metadata.resource_version);
        self.place(Hot::CreationTimestamp, &metadata.creation_timestamp);
    }

    fn involved_object(&mut self, object: &Reference<'_>) {
        self.place(Hot::ObjectKind, &object.kind);
        self.place(Hot::ObjectNamespace, &object.namespace);
        self.place(Hot::ObjectName, &object.name);
        self.place(Hot::ObjectUid, &object.uid);
        self.place(Hot::ObjectApiVersion, &object.api_version);
        self.place(Hot::ObjectResourceVersion, &object.resource_version);
        self.place(Hot::ObjectFieldPath, &object.field_path);
    }

    /// Notes where a string stands in the copy; an absent one changes nothing.
    fn place(&mut self, field: Hot, text: &Text<'_>) {
        match &text.0 {
            text if text.is_empty() => {}
            Cow::Borrowed(text) => {
                let start = text.as_ptr() as usize - self.origin;
                debug_assert!(start + text.len() <= self.source.len());
                let gone = if start >= self.cut.end { self.cut.len() } else { 0 };
                let start = start.wrapping_add(self.added) - gone;
                self.spans[field as usize] = Span { start: small(start), len: small(text.len()) };
            }
            Cow::Owned(text) => self.unescape(field, text),
        }
    }

    fn unescape(&mut self, field: Hot, text: &str) {
        let start = self.text.len() + self.unescaped.len();
        self.unescaped.push_str(text);
        self.spans[field as usize] = Span { start: small(start), len: small(text.len()) };
    }
}

fn api_of(fields: &Fields<'_>, default: Option<Api>) -> Api {
    match &*fields.api_version.0 {
        "events.k8s.io/v1" => Api::EventsV1,
        "v1" => Api::CoreV1,
        _ if fields.regarding.0.is_some() => Api::EventsV1,
        _ => default.unwrap_or_default(),
    }
}

/// The members that say what the object is, where it does not.
fn missing_type(fields: &Fields<'_>, api: Api) -> &'static str {
    match (fields.kind.0.is_empty(), fields.api_version.0.is_empty(), api) {
        (true, true, Api::CoreV1) => r#"{"kind":"Event","apiVersion":"v1","#,
        (true, true, Api::EventsV1) => r#"{"kind":"Event","apiVersion":"events.k8s.io/v1","#,
        (true, false, _) => r#"{"kind":"Event","#,
        (false, true, Api::CoreV1) => r#"{"apiVersion":"v1","#,
        (false, true, Api::EventsV1) => r#"{"apiVersion":"events.k8s.io/v1","#,
        (false, false, _) => "",
    }
}

/// The extent of the member whose value stands at `start`, with its name and one comma.
fn member(text: &str, start: usize, value: &RawValue) -> Range<usize> {
    let bytes = text.as_bytes();
    let end = start + value.get().len();
    let name = text[..start].trim_ascii_end().len() - 1; // the colon
    let name_end = text[..name].trim_ascii_end().len() - 1; // the closing quote
    let name_start = text[..name_end].rfind('"').expect("a member has a name");
    let before = text[..name_start].trim_ascii_end().len();
    if bytes[before - 1] == b',' {
        return before - 1..end;
    }
    let after = text.len() - text[end..].trim_ascii_start().len();
    if bytes[after] == b',' { name_start..after + 1 } else { name_start..end }
}

/// Line breaks in JSON stand between tokens only, where a blank does as well.
fn one_line(text: &mut String) {
    if memchr::memchr2(b'\n', b'\r', text.as_bytes()).is_some() {
        *text = text.replace(['\n', '\r'], " ");
    }
}

/// A `null` is a value here too: it has a place in the text.
fn raw<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

fn offset(text: &str, part: &str) -> usize {
    part.as_ptr() as usize - text.as_ptr() as usize
}

fn small(n: usize) -> u32 {
    u32::try_from(n).expect("the length of an Event is checked before it is built")
}

fn not_utf8(bytes: &[u8], error: &std::str::Utf8Error) -> DecodeError {
    let text = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
    DecodeError::at(&text, text.len(), "this byte is not UTF-8")
}

// === impl DecodeError ===

impl DecodeError {
    fn at(text: &str, offset: usize, reason: impl Into<String>) -> Self {
        let before = &text.as_bytes()[..offset];
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        Self {
            line: memchr::memchr_iter(b'\n', before).count() + 1,
            column: offset - line_start + 1,
            reason: reason.into(),
        }
    }
}

impl From<serde_json::Error> for DecodeError {
    fn from(error: serde_json::Error) -> Self {
        let whole = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let reason = whole.strip_suffix(&place).unwrap_or(&whole).to_owned();
        Self { line: error.line(), column: error.column(), reason }
    }
}

// === impl Object ===

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_option(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_none<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }
}

// === impl Text ===

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_option(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string")
    }

    fn visit_none<E>(self) -> Result<Text<'de>, E> {
        Ok(Text::default())
    }

    fn visit_unit<E>(self) -> Result<Text<'de>, E> {
        Ok(Text::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Text<'de>, D::Error> {
        deserializer.deserialize_str(self)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Text<'de>, E> {
        if text.len() > u32::MAX as usize / 64 {
            return Err(E::custom("a string of more than 64 MiB"));
        }
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}
