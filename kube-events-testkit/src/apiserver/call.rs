//! What a request asks for, read from its method and address.

use http::{Method, Uri};
use std::collections::HashMap;

/// What a request does, in Kubernetes' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verb {
    /// GET of one object.
    Get,
    /// GET of a collection.
    List,
    /// GET of a collection with `watch=1`.
    Watch,
    /// POST.
    Create,
    /// PUT.
    Update,
    /// PATCH.
    Patch,
    /// DELETE of one object.
    Delete,
    /// DELETE of a collection.
    DeleteCollection,
    /// Anything that is not about an object: discovery, health, version, questions about rights.
    Other,
}

impl Verb {
    /// Whether it asks for a change.
    pub fn is_write(self) -> bool {
        use Verb::{Create, Delete, DeleteCollection, Patch, Update};
        matches!(self, Create | Update | Patch | Delete | DeleteCollection)
    }

    /// As roles name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Other => "",
        }
    }
}

/// A request's target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) verb: Verb,
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
    pub(crate) query: HashMap<String, String>,
}

impl Call {
    pub(crate) fn parse(method: &Method, uri: &Uri) -> Self {
        let query = uri.query().unwrap_or("").as_bytes();
        let query = form_urlencoded::parse(query).into_owned().collect();
        let segments: Vec<&str> = uri.path().split('/').filter(|s| !s.is_empty()).collect();
        let (group, version, rest) = match segments.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => ("", "", &[] as &[&str]),
        };
        let (namespace, path) = match rest {
            ["namespaces", name, plural, rest @ ..]
                if !matches!(*plural, "status" | "finalize") =>
            {
                (Some(*name), [&[*plural], rest].concat())
            }
            _ => (None, rest.to_vec()),
        };
        let segment = |index: usize| path.get(index).map(|s| (*s).to_owned());
        let mut call = Self {
            verb: Verb::Other,
            group: group.to_owned(),
            version: version.to_owned(),
            plural: segment(0).unwrap_or_default(),
            namespace: namespace.map(str::to_owned),
            name: segment(1),
            subresource: segment(2),
            query,
        };
        call.verb = call.find_verb(method);
        call
    }

    fn find_verb(&self, method: &Method) -> Verb {
        let named = self.name.is_some();
        match *method {
            _ if self.plural.is_empty() || self.group == "authorization.k8s.io" => Verb::Other,
            Method::GET if named => Verb::Get,
            Method::GET if self.flag("watch") => Verb::Watch,
            Method::GET => Verb::List,
            Method::POST if !named => Verb::Create,
            Method::PUT if named => Verb::Update,
            Method::PATCH if named => Verb::Patch,
            Method::DELETE if named => Verb::Delete,
            Method::DELETE => Verb::DeleteCollection,
            _ => Verb::Other,
        }
    }

    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.query.get(name).map(String::as_str), Some("1" | "true"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: &Method, uri: &'static str) -> Call {
        Call::parse(method, &Uri::from_static(uri))
    }

    #[test]
    fn addresses_are_read_as_the_api_conventions_say() {
        for (method, uri, verb, namespace, plural, name) in [
            (Method::GET, "/api/v1/events?limit=5", Verb::List, None, "events", None),
            (Method::GET, "/api/v1/events?watch=1", Verb::Watch, None, "events", None),
            (Method::GET, "/api/v1/namespaces/a/events", Verb::List, Some("a"), "events", None),
            (Method::PUT, "/api/v1/namespaces/a", Verb::Update, None, "namespaces", Some("a")),
            (
                Method::PATCH,
                "/api/v1/namespaces/a/status",
                Verb::Patch,
                None,
                "namespaces",
                Some("a"),
            ),
            (
                Method::DELETE,
                "/apis/events.k8s.io/v1/namespaces/a/events/b",
                Verb::Delete,
                Some("a"),
                "events",
                Some("b"),
            ),
            (Method::GET, "/readyz", Verb::Other, None, "", None),
        ] {
            let call = parse(&method, uri);
            let found = (call.verb, call.namespace.as_deref(), &*call.plural, call.name.as_deref());
            assert_eq!(found, (verb, namespace, plural, name), "{uri}");
        }
    }
}
