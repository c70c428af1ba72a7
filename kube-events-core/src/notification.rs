//! An Event that somebody asked to hear of.

use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
};

use serde::{Deserialize, Serialize};

use crate::{Event, Item};

/// An Event that notification rules matched; it is sent once and says which did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The Event.
    pub event: Event,
    /// The rules that matched it.
    pub rules: Vec<MatchedRule>,
}

/// A rule that matched, as receivers of a [`Notification`] see it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchedRule {
    /// The rule's name.
    pub name: String,
    /// The namespace of the Rule object that holds it.
    pub namespace: String,
    /// The name of that object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// Why it fired, of a rule that counts or waits: `5 occurrences in 10m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// The rule's labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The rule's annotations, filled in for this Event.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Item for Notification {
    fn size(&self) -> usize {
        self.event.size() + self.rules.iter().map(MatchedRule::size).sum::<usize>()
    }

    fn identify<H: Hasher>(&self, state: &mut H) {
        self.event.identify(state);
        for rule in &self.rules {
            (&rule.namespace, &rule.object, &rule.name).hash(state);
        }
    }
}

impl MatchedRule {
    fn size(&self) -> usize {
        const FRAME: usize = 60;
        let texts = self.labels.iter().chain(&self.annotations);
        let texts: usize = texts.map(|(name, value)| name.len() + value.len() + 6).sum();
        let because = self.because.as_ref().map_or(0, String::len);
        FRAME + self.name.len() + self.namespace.len() + self.object.len() + because + texts
    }
}
