//! What a file of tests says.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use kube_events_core::{Event, crd::duration};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Value, json};
use serde_saphyr::{Location, Spanned};

use super::super::source::NAMESPACE;

/// A file of tests.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TestFile {
    /// Files and folders with Rules, from the folder of the file of tests.
    #[serde(default)]
    pub(super) rule_files: Vec<PathBuf>,
    /// Whether the usual rules count, too.
    #[serde(default)]
    pub(super) defaults: bool,
    /// The only namespace whose Rules may reach beyond it.
    #[serde(default = "rules_namespace")]
    pub(super) rules_namespace: String,
    /// The labels of namespaces.
    #[serde(default)]
    pub(super) namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// How long an alert fires that has no end of its own: `alertDuration` of the sink.
    #[serde(default = "alert_duration")]
    pub(super) alert_duration: Offset,
    pub(super) tests: Vec<Test>,
}

/// One test: what happens, and what has to follow.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Test {
    pub(super) name: Spanned<String>,
    #[serde(default)]
    pub(super) events: Vec<Given>,
    pub(super) expect: Vec<Expectation>,
}

/// An Event, in short or as a whole.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Given {
    /// When it happens, and is received.
    pub(super) at: Spanned<Offset>,
    /// When it happened first; else as the repetitions before it say.
    first_at: Option<Offset>,
    r#type: Option<String>,
    reason: Option<String>,
    object: Option<ObjectName>,
    container: Option<String>,
    message: Option<String>,
    count: Option<u64>,
    component: Option<String>,
    host: Option<String>,
    /// All of it, in JSON's form.
    event: Option<Value>,
}

/// What has to hold at a point in time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expectation {
    pub(super) at: Spanned<Offset>,
    /// Alerts that fire, and those that ended since the point before.
    #[serde(default)]
    pub(super) alerts: Vec<ExpectedAlert>,
    /// Notifications since the point before.
    #[serde(default)]
    pub(super) notifications: Vec<ExpectedNotification>,
    /// Events that rules of the type `drop` took since the point before.
    #[serde(default)]
    pub(super) drops: Vec<ExpectedDrop>,
    /// Whether there may be more than is listed.
    #[serde(default)]
    pub(super) others: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedAlert {
    pub(super) rule: Spanned<String>,
    #[serde(default)]
    pub(super) state: AlertState,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) sinks: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum AlertState {
    #[default]
    Firing,
    Resolved,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedNotification {
    pub(super) rule: Spanned<String>,
    pub(super) object: Option<ObjectName>,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) sinks: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedDrop {
    pub(super) rule: Spanned<String>,
    pub(super) object: Option<ObjectName>,
}

/// A time since the start of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Offset(pub(super) Duration);

/// `Pod/shop/web`, or `Node/worker-1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ObjectName {
    kind: String,
    namespace: String,
    name: String,
}

/// A mistake, and where in the file it is.
#[derive(Debug)]
pub(super) struct Mistake(pub(super) Location, pub(super) String);

/// When every test begins.
const START: &str = "2026-01-01T00:00:00Z";

/// The longest time that a test takes.
const MOST: Duration = Duration::from_secs(3660 * 24 * 3600);

/// Where Events hold times.
const TIMES: [&str; 8] = [
    "/firstTimestamp",
    "/lastTimestamp",
    "/eventTime",
    "/series/lastObservedTime",
    "/deprecatedFirstTimestamp",
    "/deprecatedLastTimestamp",
    "/metadata/creationTimestamp",
    "/metadata/deletionTimestamp",
];

fn rules_namespace() -> String {
    NAMESPACE.to_owned()
}

fn alert_duration() -> Offset {
    Offset(Duration::from_secs(300))
}

// === impl Test ===

impl Test {
    /// The Events, with the times at which they come, in the order of these.
    ///
    /// # Errors
    /// The first that is no Event.
    pub(super) fn events(&self) -> Result<Vec<(Timestamp, Event)>, Mistake> {
        let mut given: Vec<_> = self.events.iter().collect();
        given.sort_by_key(|given| given.at.value);
        let mut writer = Writer::default();
        given.iter().map(|given| Ok((given.at.value.time(), writer.event(given)?))).collect()
    }

    /// What is expected, in the order of times.
    ///
    /// # Errors
    /// If nothing is, or something happens after it.
    pub(super) fn expectations(&self) -> Result<Vec<&Expectation>, Mistake> {
        let mut expectations: Vec<_> = self.expect.iter().collect();
        expectations.sort_by_key(|expectation| expectation.at.value);
        let Some(last) = expectations.last() else {
            let message = "nothing is expected: add a point in time to `expect`".to_owned();
            return Err(Mistake(self.name.referenced, message));
        };
        match self.events.iter().find(|given| given.at.value > last.at.value) {
            Some(late) => {
                let message =
                    "nothing is expected after this Event: add a point in time to `expect`";
                Err(Mistake(late.at.referenced, message.to_owned()))
            }
            None => Ok(expectations),
        }
    }
}

// === impl Given ===

impl Given {
    fn is_short(&self) -> bool {
        let Self { r#type, reason, container, message, component, host, .. } = self;
        let texts = [r#type, reason, container, message, component, host];
        let numbers = self.count.is_some() || self.first_at.is_some();
        numbers || self.object.is_some() || texts.iter().any(|text| text.is_some())
    }
}

/// Makes Events as a cluster does: what happens again is the same Event, with a higher `count`.
#[derive(Debug, Default)]
struct Writer {
    version: u64,
    known: HashMap<Vec<Option<String>>, Known>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    number: usize,
    count: u64,
    first: Timestamp,
}

// === impl Writer ===

impl Writer {
    fn event(&mut self, given: &Given) -> Result<Event, Mistake> {
        self.version += 1;
        let json = match &given.event {
            Some(_) if given.is_short() => {
                let message = "beside `event` there is nothing but `at`: write it into the Event";
                return Err(Mistake(given.at.referenced, message.to_owned()));
            }
            Some(whole) => self.whole(whole, given.at.value.time()),
            None => self.short(given),
        };
        Event::decode(json.to_string().as_bytes()).map_err(|error| {
            Mistake(given.at.referenced, format!("this is no Event: {}", error.reason))
        })
    }

    fn short(&mut self, given: &Given) -> Value {
        let at = given.at.value.time();
        let object = given.object.clone().unwrap_or_else(ObjectName::none);
        let texts = [&given.r#type, &given.reason, &given.message, &given.container];
        let texts = texts.into_iter().chain([&given.component, &given.host]).cloned();
        let key = texts.chain([Some(object.to_string())]).collect();
        let number = self.known.len() + 1;
        let known = self.known.entry(key).or_insert(Known { number, count: 0, first: at });
        known.count = given.count.unwrap_or(known.count + 1);
        known.first = given.first_at.map_or(known.first, Offset::time);
        let namespace = if object.namespace.is_empty() { "default" } else { &object.namespace };
        let field = given.container.as_ref().map(|name| format!("spec.containers{{{name}}}"));
        json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": format!("{}.{}", object.name, known.number),
                "namespace": namespace,
                "uid": format!("event-{}", known.number),
                "resourceVersion": self.version.to_string(),
            },
            "involvedObject": {
                "kind": object.kind,
                "namespace": object.namespace,
                "name": object.name,
                "fieldPath": field.unwrap_or_default(),
            },
            "type": given.r#type.as_deref().unwrap_or("Normal"),
            "reason": given.reason.as_deref().unwrap_or_default(),
            "message": given.message.as_deref().unwrap_or_default(),
            "source": {
                "component": given.component.as_deref().unwrap_or_default(),
                "host": given.host.as_deref().unwrap_or_default(),
            },
            "count": known.count,
            "firstTimestamp": known.first.to_string(),
            "lastTimestamp": at.to_string(),
        })
    }

    /// An Event that happens at another time than it says, all of its times moved by as much.
    fn whole(&self, whole: &Value, at: Timestamp) -> Value {
        let mut event = whole.clone();
        let Some(members) = event.as_object_mut() else { return event };
        let metadata = members.entry("metadata").or_insert_with(|| json!({}));
        if let Some(metadata) = metadata.as_object_mut() {
            let version = self.version;
            metadata.entry("uid").or_insert_with(|| format!("whole-{version}").into());
            metadata.entry("resourceVersion").or_insert_with(|| version.to_string().into());
        }
        let when = Event::decode(event.to_string().as_bytes()).ok().and_then(|it| it.when());
        let Some(when) = when else {
            event["lastTimestamp"] = at.to_string().into();
            return event;
        };
        let by = at.duration_since(when);
        for place in TIMES {
            let Some(time) = event.pointer_mut(place) else { continue };
            let moved = time.as_str().and_then(|text| text.parse::<Timestamp>().ok());
            if let Some(moved) = moved.and_then(|it| it.checked_add(by).ok()) {
                *time = moved.to_string().into();
            }
        }
        event
    }
}

// === impl Offset ===

impl Offset {
    pub(super) fn time(self) -> Timestamp {
        let offset = SignedDuration::try_from(self.0).unwrap_or(SignedDuration::MAX);
        start().checked_add(offset).unwrap_or(Timestamp::MAX)
    }

    pub(super) fn written(self) -> String {
        duration::format(self.0)
    }
}

/// When every test begins.
pub(super) fn start() -> Timestamp {
    START.parse().expect("it is a time")
}

impl<'de> Deserialize<'de> for Offset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let error =
            || format!("`{text}` is no time since the start: write it as `90s`, `5m` or `1h30m`");
        let offset = duration::parse(&text).map_err(|_| D::Error::custom(error()))?;
        if offset > MOST { Err(D::Error::custom(error())) } else { Ok(Self(offset)) }
    }
}

// === impl ObjectName ===

impl ObjectName {
    fn none() -> Self {
        Self { kind: String::new(), namespace: String::new(), name: String::new() }
    }
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, namespace, name } = self;
        match &**namespace {
            "" => write!(f, "{kind}/{name}"),
            namespace => write!(f, "{kind}/{namespace}/{name}"),
        }
    }
}

impl From<&Event> for ObjectName {
    fn from(event: &Event) -> Self {
        let object = event.involved_object();
        let [kind, namespace, name] =
            [object.kind, object.namespace, object.name].map(str::to_owned);
        Self { kind, namespace, name }
    }
}

impl<'de> Deserialize<'de> for ObjectName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parts: Vec<_> = text.split('/').collect();
        let (kind, namespace, name) = match parts[..] {
            [kind, name] => (kind, "", name),
            [kind, namespace, name] if !namespace.is_empty() => (kind, namespace, name),
            _ => ("", "", ""),
        };
        if kind.is_empty() || name.is_empty() {
            let forms = "write `Kind/namespace/name`, or `Kind/name` of what has no namespace";
            return Err(D::Error::custom(format!("`{text}` is no object: {forms}")));
        }
        let [kind, namespace, name] = [kind, namespace, name].map(str::to_owned);
        Ok(Self { kind, namespace, name })
    }
}
