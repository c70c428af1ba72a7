//! What clients may do: everything, but for what a test denies.

use serde_json::{Value, json};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::call::Call;
use super::object::metadata_mut;
use super::server::ApiServer;
use super::status::Status;

/// Where clients ask what they may do.
pub(crate) const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/// A verb on a resource; `*` is every verb.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Right {
    verb: String,
    group: String,
    resource: String,
}

/// What is denied.
#[derive(Debug, Default)]
pub(crate) struct Access(Mutex<Vec<Right>>);

/// # Rights
impl ApiServer {
    /// Takes a right from all clients: their reviews of it (`SelfSubjectAccessReview`) say no, and
    /// their requests get a 403. `resource` is a plural, or a plural with `/status`; `verb` is as in
    /// a role, `*` for all.
    pub fn deny(&self, verb: &str, group: &str, resource: &str) {
        let [verb, group, resource] = [verb, group, resource].map(str::to_owned);
        self.shared.access.lock().push(Right { verb, group, resource });
    }

    /// Gives all rights back.
    pub fn allow_everything(&self) {
        self.shared.access.lock().clear();
    }
}

// === impl Access ===

impl Access {
    /// # Errors
    /// The call is about something that is denied.
    pub(crate) fn check(&self, call: &Call) -> Result<(), Status> {
        let resource = with_part(&call.plural, call.subresource.as_deref().unwrap_or(""));
        if self.allows(call.verb.name(), &call.group, &resource) {
            return Ok(());
        }
        Err(Status::forbidden(call, &resource))
    }

    /// The answer to a `SelfSubjectAccessReview`.
    pub(crate) fn review(&self, mut review: Value) -> Value {
        let asked = &review["spec"]["resourceAttributes"];
        let text = |key: &str| asked[key].as_str().unwrap_or("");
        let resource = with_part(text("resource"), text("subresource"));
        let allowed = self.allows(text("verb"), text("group"), &resource);
        review["status"] = json!({ "allowed": allowed });
        metadata_mut(&mut review);
        review
    }

    fn allows(&self, verb: &str, group: &str, resource: &str) -> bool {
        let denies = |right: &Right| {
            let of_verb = right.verb == "*" || right.verb == verb;
            of_verb && right.group == group && right.resource == resource
        };
        !self.lock().iter().any(denies)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Right>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn with_part(resource: &str, part: &str) -> String {
    if part.is_empty() { resource.to_owned() } else { format!("{resource}/{part}") }
}
