//! What a rule says is wrong, in the form that Alertmanager takes.

use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
};

use jiff::Timestamp;

use crate::{EventKey, Item};

/// An alert that an Event gave rise to.
///
/// ```
/// use kube_events_core::{Alert, Event};
///
/// let event = Event::decode(br#"{"metadata": {"uid": "a", "resourceVersion": "7"}}"#)?;
/// let mut alert = Alert::new(event.key(), "2026-01-02T03:04:05Z".parse().unwrap());
/// alert.labels.insert("alertname".into(), "PodBackOff".into());
/// assert_eq!(alert.ends_at, None, "a sink sets it when it sends");
/// # Ok::<_, kube_events_core::event::DecodeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// What tells this alert from others; Alertmanager takes equal labels for one alert.
    pub labels: BTreeMap<String, String>,
    /// What a person should know, such as `summary` and `message`.
    pub annotations: BTreeMap<String, String>,
    /// When what it tells of happened.
    pub starts_at: Timestamp,
    /// When it is over; `None`: a while after it is sent, as the sink is configured.
    pub ends_at: Option<Timestamp>,
    /// What tells each piece of news about an alert that is told more than once, that it fires on or
    /// is over, from repeats of one delivery: the end that it was given then. `None` if it is told once.
    pub news: Option<Timestamp>,
    /// A link to what gave rise to it.
    pub generator_url: Option<String>,
    /// The Event that gave rise to it.
    pub key: EventKey,
}

// === impl Alert ===

impl Alert {
    /// An alert without labels and annotations that ends as its sink is configured.
    pub fn new(key: EventKey, starts_at: Timestamp) -> Self {
        Self {
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            starts_at,
            ends_at: None,
            news: None,
            generator_url: None,
            key,
        }
    }

    /// A hash of the labels, the same in every process and version.
    ///
    /// It is computed as Prometheus does (64-bit FNV-1a over names and values in order, each
    /// followed by `0xff`), so that it equals the `fingerprint` of Alertmanager's API where no
    /// label had to be changed on the way.
    pub fn fingerprint(&self) -> u64 {
        self.labels.iter().flat_map(|(name, value)| [name, value]).fold(FNV_OFFSET, |hash, text| {
            text.bytes()
                .chain([0xff])
                .fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME))
        })
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

impl Item for Alert {
    fn size(&self) -> usize {
        const FRAME: usize = 120;
        let texts = self.labels.iter().chain(&self.annotations);
        FRAME + texts.map(|(name, value)| name.len() + value.len() + 6).sum::<usize>()
    }

    fn identify<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
        self.fingerprint().hash(state);
        // That it fires on, or that it is over, is news; an end that a sink sets is not.
        self.news.hash(state);
        // Without a uid the key says nothing: repeats of one alert differ in when it started.
        if self.key.uid.is_empty() {
            self.starts_at.hash(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ResourceVersion;

    fn alert(labels: &[(&str, &str)]) -> Alert {
        let key = EventKey { uid: "a".into(), resource_version: ResourceVersion::from("7") };
        let mut alert = Alert::new(key, Timestamp::UNIX_EPOCH);
        alert.labels = labels.iter().map(|&(name, value)| (name.into(), value.into())).collect();
        alert
    }

    #[test]
    fn the_fingerprint_is_the_one_of_prometheus() {
        // From the tests of prometheus/common, model/signature_test.go.
        let labels = [("name", "garland, briggs"), ("fear", "love is not enough")];
        assert_eq!(alert(&labels).fingerprint(), 5_799_056_148_416_392_346);
        assert_eq!(alert(&[]).fingerprint(), 14_695_981_039_346_656_037);
    }

    #[test]
    fn the_border_between_name_and_value_counts() {
        assert_ne!(alert(&[("ab", "c")]).fingerprint(), alert(&[("a", "bc")]).fingerprint());
    }
}
