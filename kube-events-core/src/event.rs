//! Kubernetes Events of both APIs, as one immutable value.

mod decode;
#[cfg(feature = "kubernetes")]
mod k8s;
mod path;

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::{Arc, OnceLock},
};

use jiff::Timestamp;
use serde_json::Value;

pub use self::{
    decode::{DecodeError, Decoder},
    path::{Path, PathError},
};
use crate::{Item, ResourceVersion};

/// The API an Event's JSON was written for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Api {
    /// `v1`: `involvedObject`, `message`, `source`, `count`.
    #[default]
    CoreV1,
    /// `events.k8s.io/v1`: `regarding`, `note`, `reportingController`, `series`.
    EventsV1,
}

/// One state of one Kubernetes Event.
///
/// Opaque, immutable and cheap to clone (one [`Arc`]). It is decoded once from the JSON of either
/// API and keeps that JSON, without `metadata.managedFields`, for sinks that pass it on
/// ([`Event::json`]). The fields that nearly every user needs are found while decoding and cost
/// nothing to read; every other field is reached by [`Path`] or through [`Event::value`], which
/// parses the JSON when it is first asked for.
///
/// The accessors speak one vocabulary over both APIs, that of `core/v1`; absent text is `""`.
///
/// ```
/// use kube_events_core::Event;
///
/// let event = Event::decode(br#"{
///   "metadata": {"name": "web.17", "namespace": "shop", "uid": "a", "resourceVersion": "7"},
///   "regarding": {"kind": "Pod", "name": "web"}, "reason": "BackOff", "type": "Warning",
///   "note": "Back-off restarting failed container", "deprecatedCount": 4
/// }"#)?;
/// assert_eq!(event.involved_object().kind, "Pod");
/// assert_eq!(event.message(), "Back-off restarting failed container");
/// assert_eq!(event.occurrences(), 4);
/// assert_eq!(event.key().to_string(), "a/7");
/// # Ok::<_, kube_events_core::event::DecodeError>(())
/// ```
#[derive(Clone)]
pub struct Event(Arc<Inner>);

struct Inner {
    text: Box<str>,
    /// Where the object ends in `text` if what the cluster's name adds is left out.
    object_end: u32,
    /// The hot strings that are escaped in `text`, one after the other.
    unescaped: Box<str>,
    spans: [Span; Hot::COUNT],
    count: Option<i64>,
    series_count: Option<i64>,
    api: Api,
    value: OnceLock<Value>,
}

/// A hot string's place in `text`, or, from `text.len()` on, in `unescaped`.
#[derive(Clone, Copy, Default)]
struct Span {
    start: u32,
    len: u32,
}

/// The strings that are found while decoding.
#[derive(Clone, Copy)]
enum Hot {
    Name,
    Namespace,
    Uid,
    ResourceVersion,
    CreationTimestamp,
    ObjectKind,
    ObjectNamespace,
    ObjectName,
    ObjectUid,
    ObjectApiVersion,
    ObjectResourceVersion,
    ObjectFieldPath,
    Reason,
    Message,
    Type,
    Action,
    ReportingComponent,
    ReportingInstance,
    SourceComponent,
    SourceHost,
    FirstTimestamp,
    LastTimestamp,
    EventTime,
    LastObservedTime,
    Cluster,
}

/// What an Event is about: `involvedObject` in `core/v1`, `regarding` in `events.k8s.io/v1`.
///
/// Absent members are `""`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the members of core/v1 ObjectReference")]
pub struct ObjectReference<'a> {
    pub kind: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    pub uid: &'a str,
    pub api_version: &'a str,
    pub resource_version: &'a str,
    pub field_path: &'a str,
}

/// The identity of one state of one Event: which object, and which version of it.
///
/// Repeats of a delivery carry the same key, so any receiver can drop them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventKey {
    /// `metadata.uid`; empty if the JSON had none.
    pub uid: Box<str>,
    /// `metadata.resourceVersion`; empty if the JSON had none.
    pub resource_version: ResourceVersion,
}

impl Hot {
    const COUNT: usize = Hot::Cluster as usize + 1;
}

// === impl Event ===

impl Event {
    /// Decodes the JSON of one Event of either API, flat or wrapped as `{"Event": …, "cluster": …}`.
    ///
    /// # Errors
    /// If the bytes are not one JSON object, if it is of another kind than `Event`, or if a field
    /// of an Event has a value of the wrong type. The error says where.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Decoder::default().decode(bytes)
    }

    /// The JSON object on one line, as it arrived, but for `metadata.managedFields`, which is cut
    /// out, and `kind`, `apiVersion` and `cluster`, which the [`Decoder`] may have added.
    pub fn json(&self) -> &str {
        &self.0.text
    }

    /// The object of [`Event::json`] without its closing brace and without an added `cluster`.
    pub fn open_json(&self) -> &str {
        &self.0.text[..self.0.object_end as usize]
    }

    /// The whole JSON as a value, parsed when it is first asked for.
    ///
    /// It is `null` for JSON that nests deeper than 128 levels or has a number beyond 64-bit
    /// floats outside the fields that the accessors read.
    pub fn value(&self) -> &Value {
        self.0.value.get_or_init(|| serde_json::from_str(&self.0.text).unwrap_or_default())
    }

    /// The API the JSON was written for.
    pub fn api(&self) -> Api {
        self.0.api
    }

    /// The identity of this state of this Event.
    pub fn key(&self) -> EventKey {
        EventKey { uid: self.uid().into(), resource_version: self.resource_version().into() }
    }

    /// The name of the cluster that it comes from, if the JSON or the [`Decoder`] says so.
    #[inline]
    pub fn cluster(&self) -> Option<&str> {
        Some(self.hot(Hot::Cluster)).filter(|name| !name.is_empty())
    }

    /// `metadata.name`.
    #[inline]
    pub fn name(&self) -> &str {
        self.hot(Hot::Name)
    }

    /// `metadata.namespace`.
    #[inline]
    pub fn namespace(&self) -> &str {
        self.hot(Hot::Namespace)
    }

    /// `metadata.uid`.
    #[inline]
    pub fn uid(&self) -> &str {
        self.hot(Hot::Uid)
    }

    /// `metadata.resourceVersion`; compare with [`ResourceVersion::compare`].
    #[inline]
    pub fn resource_version(&self) -> &str {
        self.hot(Hot::ResourceVersion)
    }

    /// `involvedObject`, or `regarding`.
    #[expect(clippy::inline_always, reason = "who takes one member should pay for one")]
    #[inline(always)]
    pub fn involved_object(&self) -> ObjectReference<'_> {
        ObjectReference {
            kind: self.hot(Hot::ObjectKind),
            namespace: self.hot(Hot::ObjectNamespace),
            name: self.hot(Hot::ObjectName),
            uid: self.hot(Hot::ObjectUid),
            api_version: self.hot(Hot::ObjectApiVersion),
            resource_version: self.hot(Hot::ObjectResourceVersion),
            field_path: self.hot(Hot::ObjectFieldPath),
        }
    }

    /// `reason`: why the action was taken, in a word, such as `BackOff`.
    #[inline]
    pub fn reason(&self) -> &str {
        self.hot(Hot::Reason)
    }

    /// `message`, or `note`.
    #[inline]
    pub fn message(&self) -> &str {
        self.hot(Hot::Message)
    }

    /// `type`: `Normal` or `Warning`.
    #[inline]
    pub fn type_(&self) -> &str {
        self.hot(Hot::Type)
    }

    /// `action`: what was done or failed.
    #[inline]
    pub fn action(&self) -> &str {
        self.hot(Hot::Action)
    }

    /// `reportingComponent`, or `reportingController`.
    #[inline]
    pub fn reporting_component(&self) -> &str {
        self.hot(Hot::ReportingComponent)
    }

    /// `reportingInstance`.
    #[inline]
    pub fn reporting_instance(&self) -> &str {
        self.hot(Hot::ReportingInstance)
    }

    /// `source.component`, or `deprecatedSource.component`.
    #[inline]
    pub fn source_component(&self) -> &str {
        self.hot(Hot::SourceComponent)
    }

    /// `source.host`, or `deprecatedSource.host`.
    #[inline]
    pub fn source_host(&self) -> &str {
        self.hot(Hot::SourceHost)
    }

    /// `count`, or `deprecatedCount`.
    #[inline]
    pub fn count(&self) -> Option<i64> {
        self.0.count
    }

    /// `series.count`.
    #[inline]
    pub fn series_count(&self) -> Option<i64> {
        self.0.series_count
    }

    /// How often it has happened so far: `series.count`, else `count`, and at least once.
    #[inline]
    pub fn occurrences(&self) -> u64 {
        let count = self.0.series_count.or(self.0.count).unwrap_or(1);
        u64::try_from(count).unwrap_or(1).max(1)
    }

    /// When it happened last: the first that is there and readable of `series.lastObservedTime`,
    /// `lastTimestamp`, `eventTime`, `firstTimestamp` and `metadata.creationTimestamp`.
    pub fn when(&self) -> Option<Timestamp> {
        [
            Hot::LastObservedTime,
            Hot::LastTimestamp,
            Hot::EventTime,
            Hot::FirstTimestamp,
            Hot::CreationTimestamp,
        ]
        .into_iter()
        // Most Events have few of them, and an error about the absent ones would cost more than the time.
        .filter(|field| !self.hot(*field).is_empty())
        .find_map(|field| self.hot(field).parse().ok())
    }

    /// When it happened first: the first that is there and readable of `firstTimestamp`, `eventTime`
    /// and `metadata.creationTimestamp`.
    pub fn since(&self) -> Option<Timestamp> {
        [Hot::FirstTimestamp, Hot::EventTime, Hot::CreationTimestamp]
            .into_iter()
            .find_map(|field| self.hot(field).parse().ok())
    }

    #[expect(clippy::inline_always, reason = "the field is known to nearly every caller")]
    #[inline(always)]
    fn hot(&self, field: Hot) -> &str {
        let Span { start, len } = self.0.spans[field as usize];
        let (start, len) = (start as usize, len as usize);
        // Never outside, but an accessor that cannot panic costs nothing where its result is not used.
        let text = match start.checked_sub(self.0.text.len()) {
            None => self.0.text.get(start..start + len),
            Some(start) => self.0.unescaped.get(start..start + len),
        };
        text.unwrap_or_default()
    }
}

impl Item for Event {
    fn size(&self) -> usize {
        self.0.text.len()
    }

    fn identify<H: Hasher>(&self, state: &mut H) {
        self.uid().hash(state);
        self.resource_version().hash(state);
        // Not every sender gives one; then the text is all there is.
        if self.uid().is_empty() {
            self.0.text.hash(state);
        }
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Event").field(&self.json()).finish()
    }
}

/// Events are equal if their JSON is.
impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.json() == other.json()
    }
}

impl Eq for Event {}

// === impl EventKey ===

impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.uid, self.resource_version)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn event(value: &Value) -> Event {
        Event::decode(value.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn managed_fields_are_cut_out_wherever_they_stand() {
        for (text, expected) in [
            (
                r#"{"metadata":{"managedFields":[{"a":"]"}],"name":"x"},"reason":"R"}"#,
                r#"{"metadata":{"name":"x"},"reason":"R"}"#,
            ),
            (
                r#"{"metadata":{"name":"x" , "managedFields" : [ ] },"reason":"R"}"#,
                r#"{"metadata":{"name":"x"  },"reason":"R"}"#,
            ),
            (
                r#"{"metadata":{"managedFields":null},"reason":"R"}"#,
                r#"{"metadata":{},"reason":"R"}"#,
            ),
            (
                r#"{"reason":"R","metadata":{"uid":"u","managedFields":[1],"name":"x"}}"#,
                r#"{"reason":"R","metadata":{"uid":"u","name":"x"}}"#,
            ),
        ] {
            let event = Event::decode(text.as_bytes()).unwrap();
            assert_eq!(event.json(), expected);
            assert_eq!(event.reason(), "R");
            assert!(["x", ""].contains(&event.name()));
        }
    }

    #[test]
    fn both_apis_have_one_vocabulary() {
        let core = event(&json!({"involvedObject": {"kind": "Pod", "name": "p", "fieldPath": "f"},
            "message": "m", "count": 3, "source": {"component": "c", "host": "h"},
            "reportingComponent": "rc", "reportingInstance": "ri", "lastTimestamp": "2026-01-02T03:04:05Z"}));
        let events = event(&json!({"regarding": {"kind": "Pod", "name": "p", "fieldPath": "f"},
            "note": "m", "deprecatedCount": 3, "deprecatedSource": {"component": "c", "host": "h"},
            "reportingController": "rc", "reportingInstance": "ri", "deprecatedLastTimestamp": "2026-01-02T03:04:05Z"}));
        assert_eq!((core.api(), events.api()), (Api::CoreV1, Api::EventsV1));
        assert_eq!(core.involved_object(), events.involved_object());
        for read in [
            Event::message,
            Event::source_component,
            Event::source_host,
            Event::reporting_component,
            Event::reporting_instance,
        ] {
            assert!(!read(&core).is_empty());
            assert_eq!(read(&core), read(&events));
        }
        assert_eq!((core.occurrences(), core.when()), (events.occurrences(), events.when()));
    }

    #[test]
    fn the_time_is_the_latest_that_is_known() {
        let all = [
            ("series", json!({"lastObservedTime": "2026-01-01T00:00:05.000000Z"})),
            ("lastTimestamp", json!("2026-01-01T00:00:04Z")),
            ("eventTime", json!("2026-01-01T00:00:03.000000Z")),
            ("firstTimestamp", json!("2026-01-01T00:00:02Z")),
            ("metadata", json!({"creationTimestamp": "2026-01-01T00:00:01Z"})),
        ];
        for from in 0..all.len() {
            let members =
                all[from..].iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
            let when = event(&Value::Object(members.collect())).when().unwrap();
            assert_eq!(when.to_string(), format!("2026-01-01T00:00:0{}Z", 5 - from));
        }
        assert_eq!(event(&json!({"lastTimestamp": null, "eventTime": "soon"})).when(), None);
        let whole =
            event(&Value::Object(all.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()));
        assert_eq!(whole.since().unwrap().to_string(), "2026-01-01T00:00:02Z");
    }

    #[test]
    fn escaped_text_is_read_unescaped_and_passed_on_as_it_was() {
        let text = r#"{"metadata":{"managedFields":[],"name":"n"},"message":"say \"hi\"\n\u00e9","reason":"a\/b"}"#;
        let event = Event::decode(text.as_bytes()).unwrap();
        assert_eq!((event.message(), event.reason()), ("say \"hi\"\né", "a/b"));
        assert!(event.json().contains(r#""say \"hi\"\n\u00e9""#));
    }

    #[test]
    fn a_list_item_gets_its_kind_and_its_cluster() {
        let decoder = Decoder::new(Api::CoreV1).cluster("north \"1\"");
        let event = decoder
            .decode(br#"{"metadata":{"name":"x","managedFields":[]},"reason":"R"}"#)
            .unwrap();
        assert_eq!(
            event.json(),
            r#"{"kind":"Event","apiVersion":"v1","metadata":{"name":"x"},"reason":"R","cluster":"north \"1\""}"#
        );
        assert_eq!(
            event.open_json(),
            r#"{"kind":"Event","apiVersion":"v1","metadata":{"name":"x"},"reason":"R""#
        );
        assert_eq!(
            (event.name(), event.reason(), event.cluster()),
            ("x", "R", Some("north \"1\""))
        );
        let kept =
            decoder.decode(br#"{"kind":"Event","apiVersion":"v1","cluster":"south"}"#).unwrap();
        assert_eq!(kept.json(), r#"{"kind":"Event","apiVersion":"v1","cluster":"south"}"#);
        assert_eq!(
            decoder.decode(b"{ }").unwrap().json(),
            r#"{"kind":"Event","apiVersion":"v1","cluster":"north \"1\""}"#
        );
    }

    #[test]
    fn a_wrapped_event_is_unwrapped() {
        let event =
            Event::decode(br#"{"Event":{"metadata":{"name":"x"}},"cluster":"north"}"#).unwrap();
        assert_eq!(event.json(), r#"{"metadata":{"name":"x"},"cluster":"north"}"#);
        assert_eq!((event.name(), event.cluster()), ("x", Some("north")));
    }

    #[test]
    fn an_event_over_many_lines_is_passed_on_as_one() {
        let event =
            Event::decode(b"{\n  \"reason\": \"R\",\r\n  \"message\": \"a\\nb\"\n}").unwrap();
        assert!(!event.json().contains(['\n', '\r']));
        assert_eq!((event.reason(), event.message()), ("R", "a\nb"));
    }

    #[test]
    fn bad_input_is_an_error_that_says_where() {
        for (text, line, column, reason) in [
            (&b""[..], 1, 1, "no JSON"),
            (b"{\n \"reason\": 5}", 2, 12, "expected a string"),
            (b" []", 1, 2, "this is an array"),
            (br#"{"kind":"Pod"}"#, 1, 1, "this is a Pod"),
            (br#"{"metadata":{}} x"#, 1, 17, "after the end"),
            (b"{\"reason\":\"\xff\"}", 1, 12, "UTF-8"),
            (br#"{"count":1e999}"#, 1, 14, "number"),
            (br#"{"metadata":[]}"#, 1, 12, "expected an object"),
            (br#"{"reason":"a","reason":"b"}"#, 1, 0, "duplicate field"),
            (br#"{"message":"\ud800"}"#, 1, 0, "hex escape"),
            (br#"{"reason":"a"#, 1, 12, "EOF"),
        ] {
            let error = Event::decode(text).unwrap_err();
            assert!(error.reason.contains(reason), "{error}");
            assert!(error.line == line && (column == 0 || error.column == column), "{error}");
        }
    }

    #[test]
    fn a_deep_document_is_decoded_and_has_no_value() {
        let text =
            format!(r#"{{"reason":"R","x":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        let event = Event::decode(text.as_bytes()).unwrap();
        assert_eq!((event.reason(), event.value()), ("R", &Value::Null));
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[a-z\"\\\\{},:]{0,6}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_field_is_kept_but_managed_fields(
            before in json_value(), managed in json_value(), after in json_value(),
            message in ".*", name in "[a-z]*", pretty: bool,
        ) {
            let whole = json!({"kind": "Event", "apiVersion": "v1", "aa": before, "message": message,
                "metadata": {"labels": before, "managedFields": managed, "name": name, "zz": after}, "zz": after});
            let text = if pretty { format!("{whole:#}") } else { whole.to_string() };
            let event = Event::decode(text.as_bytes()).unwrap();
            let mut expected = whole;
            expected["metadata"].as_object_mut().unwrap().remove("managedFields");
            prop_assert_eq!(event.value(), &expected);
            prop_assert_eq!((event.message(), event.name()), (&*message, &*name));
            let again = Event::decode(event.json().as_bytes()).unwrap();
            prop_assert_eq!(again.json(), event.json());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, text in "[\\[\\]{}\",:a-z0-9\\\\ ]*") {
            drop(Event::decode(&bytes));
            drop(Event::decode(text.as_bytes()));
        }
    }
}
