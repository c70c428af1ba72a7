//! LIST: pages, the tokens between them, and bodies that are never whole in memory.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures::stream;
use http::header;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::sync::Arc;

use super::Shared;
use super::call::Call;
use super::selectors::Selector;
use super::status::Status;
use super::storage::{Page, Range, Stored};
use super::view::{Frame, View};

/// Size of one chunk of a body.
const CHUNK: usize = 64 * 1024;

/// What a `continue` token says: go on after `start` as of revision `rv`, or as of now if negative.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Token {
    v: String,
    rv: i64,
    start: String,
}

impl Token {
    fn new(rv: i64, last: &str, range: &str) -> Self {
        let start = format!("{}\0", last.strip_prefix(range).unwrap_or(last));
        Self { v: "meta.k8s.io/v1".to_owned(), rv, start }
    }

    fn encode(&self) -> String {
        let json = serde_json::to_vec(self).expect("a token is JSON");
        BASE64_URL_SAFE_NO_PAD.encode(json)
    }

    fn decode(text: &str) -> Result<Self, Status> {
        let bad = |why: String| {
            Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
        };
        let text = text.trim_end_matches('=');
        let json = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|error| bad(error.to_string()))?;
        serde_json::from_slice(&json).map_err(|error| bad(error.to_string()))
    }

    /// The key to go on after.
    fn after(&self, range: &str) -> String {
        format!("{range}{}", self.start.trim_end_matches('\0'))
    }
}

/// A LIST's parameters.
struct Query {
    selector: Selector,
    revision: Option<u64>,
    token: Option<Token>,
    limit: Option<usize>,
}

impl Query {
    fn parse(view: &View, call: &Call, current: u64) -> Result<Self, Status> {
        let selector = selector(view, call)?;
        let token = call.param("continue").map(Token::decode).transpose()?;
        let limit = call.param("limit").map(limit).transpose()?.flatten();
        let revision = match &token {
            Some(token) => u64::try_from(token.rv).ok(),
            None => revision(call, current)?,
        };
        Ok(Self { selector, revision, token, limit })
    }
}

pub(super) fn selector(view: &View, call: &Call) -> Result<Selector, Status> {
    Selector::parse(&view.resource, call.param("labelSelector"), call.param("fieldSelector"))
}

fn limit(text: &str) -> Result<Option<usize>, Status> {
    let limit: usize = text.parse().map_err(|_| {
        Status::bad_request(format!("strconv.ParseInt: parsing \"{text}\": invalid syntax"))
    })?;
    Ok(Some(limit).filter(|limit| *limit > 0))
}

fn forbidden(field: &str, what: &str) -> Status {
    let why = ("FieldValueForbidden", what);
    Status::invalid("meta.k8s.io", "ListOptions", "", field, why)
}

/// The revision that a list without a token must be of; none is now.
fn revision(call: &Call, current: u64) -> Result<Option<u64>, Status> {
    let rule = call.param("resourceVersionMatch");
    let Some(text) = call.param("resourceVersion") else {
        return match rule {
            Some(_) => Err(forbidden(
                "resourceVersionMatch",
                "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
            )),
            None => Ok(None),
        };
    };
    let wanted = text.parse::<u64>().map_err(|_| {
        Status::bad_request(format!("invalid resource version: {}", not_a_number(text)))
    })?;
    if wanted > current {
        return Err(Status::too_large(wanted, current));
    }
    match rule {
        Some("Exact") if wanted == 0 => Err(forbidden(
            "resourceVersionMatch",
            "Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
        )),
        Some("Exact") => Ok(Some(wanted)),
        Some("NotOlderThan") | None => Ok(None),
        Some(other) => Err(forbidden(
            "resourceVersionMatch",
            &format!(
                "Unsupported value: \"{other}\": supported values: \"Exact\", \"NotOlderThan\""
            ),
        )),
    }
}

pub(super) fn not_a_number(text: &str) -> String {
    format!(
        "resourceVersion: Invalid value: \"{text}\": strconv.ParseUint: parsing \"{text}\": \
         invalid syntax"
    )
}

impl Shared {
    pub(crate) fn list(&self, view: View, call: &Call) -> Result<Response, Status> {
        let query = Query::parse(&view, call, self.store.revision())?;
        let prefix = call.namespace.as_ref().map_or_else(String::new, |ns| format!("{ns}/"));
        let range = Range::new(call.namespace.as_deref());
        let after = query.token.as_ref().map(|token| token.after(&prefix));
        let page = self.store.page(
            &view.resource,
            &range,
            query.revision,
            after.as_deref(),
            query.limit,
            |stored| query.selector.matches(&stored.body),
        );
        let page = page.map_err(|_| expired(query.token.as_ref()))?;
        let token = page.last.as_deref().map(|last| next_token(&page, last, &prefix));
        // A count would be wrong where a selector may pass over what remains.
        let remaining = query.selector.is_empty().then_some(page.remaining);
        let frame =
            view.list_frame(page.revision, token.as_deref().map(|token| (token, remaining)));
        Ok(respond(view, page.objects, frame))
    }
}

fn next_token(page: &Page, last: &str, prefix: &str) -> String {
    let revision = i64::try_from(page.revision).unwrap_or(i64::MAX);
    Token::new(revision, last, prefix).encode()
}

/// The 410 that an old token gets, and the token to go on with inconsistently.
fn expired(token: Option<&Token>) -> Status {
    match token {
        Some(token) => Status::expired_continue(&Token { rv: -1, ..token.clone() }.encode()),
        None => Status::expired_list(),
    }
}

/// The answer to a token that a fault declares expired.
pub(super) fn expire(token: &str) -> Status {
    Token::decode(token).map_or_else(|status| status, |token| expired(Some(&token)))
}

fn respond(view: View, objects: Vec<Arc<Stored>>, frame: Frame) -> Response {
    let chunks = Chunks { view, objects: objects.into_iter(), frame, part: Part::Head };
    let chunks = chunks.map(Ok::<_, Infallible>);
    let headers =
        [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache, private")];
    (headers, Body::from_stream(stream::iter(chunks))).into_response()
}

/// A list's body, made as it is read.
struct Chunks {
    view: View,
    objects: std::vec::IntoIter<Arc<Stored>>,
    frame: Frame,
    part: Part,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Head,
    FirstItem,
    Items,
    Done,
}

impl Chunks {
    fn write(&mut self, out: &mut Vec<u8>) {
        if self.part == Part::Head {
            out.extend_from_slice(self.frame.head.as_bytes());
            self.part = Part::FirstItem;
        }
        while out.len() < CHUNK {
            let Some(object) = self.objects.next() else {
                out.extend_from_slice(self.frame.tail.as_bytes());
                self.part = Part::Done;
                return;
            };
            if self.part == Part::Items {
                out.push(b',');
            }
            self.part = Part::Items;
            self.view.item(out, &object);
        }
    }
}

impl Iterator for Chunks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.part == Part::Done {
            return None;
        }
        let mut out = Vec::with_capacity(CHUNK + 8 * 1024);
        self.write(&mut out);
        Some(out.into())
    }
}
