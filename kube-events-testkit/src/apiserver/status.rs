//! `Status`, the object that says why a request failed.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use std::time::Duration;

use super::call::Call;
use super::resource::Resource;

/// An answer of kind `Status`, with its HTTP code.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    code: u16,
    body: Value,
    retry_after: Option<Duration>,
}

impl Status {
    /// A failure with the given HTTP code, reason (may be empty) and message.
    pub fn failure(code: u16, reason: &str, message: impl Into<String>) -> Self {
        let mut body = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message.into(),
            "code": code,
        });
        if !reason.is_empty() {
            body["reason"] = reason.into();
        }
        Self { code, body, retry_after: None }
    }

    /// A failure with the reason and message that a real server gives for `code`.
    pub fn of(code: u16) -> Self {
        let (reason, message) = match code {
            401 => ("Unauthorized", "Unauthorized"),
            403 => ("Forbidden", "forbidden"),
            404 => return Self::no_such_resource(),
            405 => return Self::method_not_allowed(),
            410 => ("Expired", TOO_OLD_LIST),
            429 => ("TooManyRequests", "Too many requests, please try again later."),
            503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
            504 => ("Timeout", "Timeout: request did not complete within the allotted timeout"),
            _ => ("InternalError", "Internal error occurred: fault injected"),
        };
        Self::failure(code, reason, message)
    }

    /// The failure with a `Retry-After` header.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.body["details"]["retryAfterSeconds"] = after.as_secs().into();
        self.retry_after = Some(after);
        self
    }

    /// HTTP code of the answer.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The `Status` object.
    pub fn object(&self) -> &Value {
        &self.body
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        super::encode::ordered(&mut out, &self.body, STATUS_ORDER);
        out
    }

    // === what goes wrong ===

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::failure(400, "BadRequest", message)
    }

    pub(crate) fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", resource.qualified());
        Self::failure(404, "NotFound", message).about(resource, name)
    }

    pub(crate) fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", resource.qualified());
        Self::failure(409, "AlreadyExists", message).about(resource, name)
    }

    pub(crate) fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.qualified());
        Self::failure(409, "Conflict", message).about(resource, name)
    }

    pub(crate) fn modified(resource: &Resource, name: &str) -> Self {
        let why = "the object has been modified; \
                   please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    /// Fields that an apply would change, by whoever owns them.
    pub(crate) fn apply_conflict(conflicts: &[(String, Vec<String>)]) -> Self {
        let total: usize = conflicts.iter().map(|(_, fields)| fields.len()).sum();
        let told = match conflicts {
            [(owner, fields)] if total == 1 => {
                format!("conflict: conflict with {owner}: {}", fields[0])
            }
            all => {
                let of = |(owner, fields): &(String, Vec<String>)| {
                    format!("\nconflicts with {owner}:\n- {}", fields.join("\n- "))
                };
                // The first one follows on the same line.
                format!(
                    "conflicts:{}",
                    all.iter().map(of).collect::<String>().replacen('\n', " ", 1)
                )
            }
        };
        let causes: Vec<Value> = conflicts
            .iter()
            .flat_map(|(owner, fields)| fields.iter().map(move |field| (owner, field)))
            .map(|(owner, field)| {
                let message = format!("conflict with {owner}");
                json!({"reason": "FieldManagerConflict", "message": message, "field": field})
            })
            .collect();
        Self::failure(409, "Conflict", format!("Apply failed with {total} {told}"))
            .with_details(json!({ "causes": causes }))
    }

    /// Whether another write came between: trying again from the new state can succeed.
    pub(crate) fn is_stale(&self) -> bool {
        self.code == 409 && self.body["details"]["causes"].is_null()
    }

    /// A request about `resource` that is not allowed.
    pub(crate) fn forbidden(call: &Call, resource: &str) -> Self {
        let (verb, group) = (call.verb.name(), &call.group);
        let of = match group.as_str() {
            "" => resource.to_owned(),
            group => format!("{resource}.{group}"),
        };
        let name = call.name.as_ref().map(|name| format!(" \"{name}\"")).unwrap_or_default();
        let place = match &call.namespace {
            Some(namespace) => format!("in the namespace \"{namespace}\""),
            None => "at the cluster scope".to_owned(),
        };
        let message = format!(
            "{of}{name} is forbidden: User \"testkit\" cannot {verb} resource \"{resource}\" in API \
             group \"{group}\" {place}"
        );
        let mut details = json!({"kind": call.plural});
        if let Some(name) = &call.name {
            details["name"] = name.as_str().into();
        }
        if !group.is_empty() {
            details["group"] = group.as_str().into();
        }
        Self::failure(403, "Forbidden", message).with_details(details)
    }

    pub(crate) fn namespace_terminating(resource: &Resource, name: &str, namespace: &str) -> Self {
        let message = format!(
            "{} \"{name}\" is forbidden: unable to create new content in namespace {namespace} \
             because it is being terminated",
            resource.qualified()
        );
        let mut status = Self::failure(403, "Forbidden", message).about(resource, name);
        status.body["details"]["causes"] = json!([{
            "reason": "NamespaceTerminating",
            "message": format!("namespace {namespace} is being terminated"),
            "field": "metadata.namespace",
        }]);
        status
    }

    /// 422 with one cause, for an object (`kind`, `name`) or for options.
    pub(crate) fn invalid(
        group: &str,
        kind: &str,
        name: &str,
        field: &str,
        (reason, what): (&str, &str),
    ) -> Self {
        let of = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let message = format!("{of} \"{name}\" is invalid: {field}: {what}");
        let mut status = Self::failure(422, "Invalid", message);
        let mut details = json!({
            "kind": kind,
            "causes": [{"reason": reason, "message": what, "field": field}],
        });
        for (key, value) in [("group", group), ("name", name)] {
            if !value.is_empty() {
                details[key] = value.into();
            }
        }
        status.body["details"] = details;
        status
    }

    pub(crate) fn no_such_resource() -> Self {
        let message = "the server could not find the requested resource";
        Self::failure(404, "NotFound", message).with_details(json!({}))
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::failure(405, "MethodNotAllowed", message).with_details(json!({}))
    }

    pub(crate) fn unsupported_media_type() -> Self {
        Self::failure(415, "UnsupportedMediaType", "415: Unsupported Media Type")
            .with_details(json!({}))
    }

    pub(crate) fn patch_rejected() -> Self {
        let message = "the server rejected our request due to an error in our request";
        Self::failure(422, "Invalid", message).with_details(json!({}))
    }

    /// A list or watch from a resourceVersion that is not reached yet.
    pub(crate) fn too_large(wanted: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {wanted}, current: {current}");
        Self::failure(504, "Timeout", message).with_details(json!({"causes": [
            {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
        ]}))
    }

    /// A list at a resourceVersion that history no longer holds.
    pub(crate) fn expired_list() -> Self {
        Self::of(410)
    }

    /// A watch from a resourceVersion that history no longer holds.
    pub(crate) fn expired_watch() -> Self {
        Self::failure(410, "Expired", "The resourceVersion for the provided watch is too old.")
    }

    /// The same, as the watch cache says it.
    pub(crate) fn expired_cache(wanted: u64, oldest: u64) -> Self {
        Self::failure(410, "Expired", format!("too old resource version: {wanted} ({oldest})"))
    }

    /// An old `continue`, with the token that goes on inconsistently.
    pub(crate) fn expired_continue(token: &str) -> Self {
        let mut status = Self::failure(410, "Expired", EXPIRED_CONTINUE);
        status.body["metadata"]["continue"] = token.into();
        status
    }

    /// The success that answers a DELETE.
    pub(crate) fn deleted(resource: &Resource, name: &str, uid: &str) -> Self {
        let body = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": {"name": name, "kind": resource.plural, "uid": uid},
        });
        let mut status = Self { code: 200, body, retry_after: None };
        if !resource.group.is_empty() {
            status.body["details"]["group"] = resource.group.into();
        }
        status
    }

    fn about(mut self, resource: &Resource, name: &str) -> Self {
        self.body["details"] = json!({"name": name, "kind": resource.plural});
        if !resource.group.is_empty() {
            self.body["details"]["group"] = resource.group.into();
        }
        self
    }

    fn with_details(mut self, details: Value) -> Self {
        self.body["details"] = details;
        self
    }
}

const STATUS_ORDER: &[&str] =
    &["kind", "apiVersion", "metadata", "status", "message", "reason", "details", "code"];

const TOO_OLD_LIST: &str = "The resourceVersion for the provided list is too old.";

// The text of the real server, whose clients are known to look at it.
const EXPIRED_CONTINUE: &str = "The provided continue parameter is too old to display a consistent \
list result. You can start a new list without the continue parameter, or use the continue token in \
this response to retrieve the remainder of the results. Continuing with the provided token results \
in an inconsistent list - objects that were created, modified, or deleted between the time the \
first chunk was returned and now may show up in the list.";

impl IntoResponse for Status {
    fn into_response(self) -> Response {
        let code = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (code, self.to_bytes()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(after) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs()));
        }
        response
    }
}
