//! The rules that counted before, of which something goes on when a set takes their place.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    RuleSet, Scope,
    rule::{Identity, Origin, Rule},
    work::Debt,
};

/// The rules of the set that a new one follows.
#[derive(Debug, Default)]
pub(crate) struct Before {
    objects: HashMap<String, HashMap<String, Vec<Arc<Rule>>>>,
    rules: HashSet<ByIdentity>,
    debts: HashMap<Scope, Debt>,
}

#[derive(Debug)]
struct ByIdentity(Arc<Rule>);

// === impl Before ===

impl Before {
    pub(crate) fn new(set: &RuleSet) -> Self {
        let mut this = Self { debts: set.debts().collect(), ..Self::default() };
        for rule in set.shared() {
            let objects = this.objects.entry(rule.namespace().to_owned()).or_default();
            objects.entry(rule.object().to_owned()).or_default().push(Arc::clone(rule));
            this.rules.insert(ByIdentity(Arc::clone(rule)));
        }
        this
    }

    /// The rules that counted of an object.
    pub(crate) fn object(&self, namespace: &str, object: &str) -> &[Arc<Rule>] {
        let object = self.objects.get(namespace).and_then(|objects| objects.get(object));
        object.map(Vec::as_slice).unwrap_or_default()
    }

    /// The rule that counted under this name, whatever its scope was.
    pub(crate) fn rule(&self, place: &Origin, name: &str) -> Option<&Arc<Rule>> {
        let rules = self.object(&place.holder.namespace, &place.holder.name).iter();
        let mut same =
            rules.filter(|rule| rule.name() == name && rule.origin().number == place.number);
        same.next()
    }

    /// What the rules of scopes have taken too much, and have still to pay off.
    pub(crate) fn debts(&self) -> impl Iterator<Item = (Scope, Debt)> {
        let owed = self.debts.iter().filter(|(_, debt)| debt.is_owed());
        owed.map(|(scope, debt)| (scope.clone(), *debt))
    }

    /// What the rules of a scope have taken too much.
    pub(crate) fn debt(&self, scope: &Scope) -> Option<Debt> {
        self.debts.get(scope).copied()
    }

    /// The rule that counted and is defined alike.
    pub(crate) fn same(&self, identity: &Identity) -> Option<&Arc<Rule>> {
        self.rules.get(identity).map(|ByIdentity(rule)| rule)
    }
}

// === impl ByIdentity ===

impl std::borrow::Borrow<Identity> for ByIdentity {
    fn borrow(&self) -> &Identity {
        self.0.identity()
    }
}

impl PartialEq for ByIdentity {
    fn eq(&self, other: &Self) -> bool {
        self.0.identity() == other.0.identity()
    }
}

impl Eq for ByIdentity {}

impl std::hash::Hash for ByIdentity {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.identity().hash(state);
    }
}
