//! From requests to answers.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;
use std::future::pending;
use std::sync::Arc;

use super::Shared;
use super::access::REVIEWS;
use super::call::{Call, Verb};
use super::discovery;
use super::faults::{Action, WatchFault};
use super::list;
use super::log::{RequestRecord, user, user_agent};
use super::object::{Author, Part};
use super::patch::Patch;
use super::resource::Resource;
use super::status::Status;
use super::storage::Stored;
use super::view::View;
use super::write::{DeleteOptions, Deleted, Place};
use crate::listener::Connection;

/// The largest object that is taken, as etcd's limit.
const MAX_BODY: usize = 3 * 1024 * 1024;

/// A fault that the watch handler is to cause.
#[derive(Debug, Clone)]
struct Planned(usize, WatchFault);

pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let ok = || get(|| async { "ok" });
    Router::new()
        .route("/healthz", ok())
        .route("/livez", ok())
        .route("/readyz", ok())
        .route("/version", get(|| async { json(StatusCode::OK, &discovery::version()) }))
        .route("/api", get(core))
        .route("/apis", get(groups))
        .route(REVIEWS, post(review))
        .fallback(resource)
        .layer(from_fn_with_state(Arc::clone(shared), observe))
        .with_state(Arc::clone(shared))
}

fn json(code: StatusCode, body: &Value) -> Response {
    (code, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

// === log and faults, around everything ===

async fn observe(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let call = Call::parse(request.method(), request.uri());
    let client = user_agent(&request).to_owned();
    if shared.faults.is_dead(&client) {
        return pending().await;
    }
    let record = shared.log.begin(RequestRecord::new(call.verb, &request));
    let from = (client.as_str(), user(&request));
    let action = shared.faults.strike(&call, from, request.uri().path());
    let dies = matches!(action, Some(Action::Die));
    if dies {
        shared.faults.end(&client);
    }
    let response = match action {
        None => None,
        Some(action) => act(action, &call, &mut request).await,
    };
    request.extensions_mut().insert(Arc::new(call));
    let response = match response {
        Some(response) => response,
        None => next.run(request).await,
    };
    shared.log.end(&record, response.status().as_u16());
    if dies {
        shared.faults.tell_death();
        return pending().await;
    }
    response
}

async fn act(action: Action, call: &Call, request: &mut Request) -> Option<Response> {
    match action {
        Action::Drop => {
            if let Some(Connection(close)) = request.extensions().get() {
                close.cancel();
            }
            pending().await
        }
        Action::Silence => pending().await,
        Action::Die => None,
        Action::Delay(time) => {
            tokio::time::sleep(time).await;
            None
        }
        Action::Answer(status) => Some(status.into_response()),
        Action::ExpireContinue => call.param("continue").map(|t| list::expire(t).into_response()),
        Action::Watch { after_lines, fault } => {
            request.extensions_mut().insert(Planned(after_lines, fault));
            None
        }
    }
}

async fn review(State(shared): State<Arc<Shared>>, body: Body) -> Response {
    let reviewed = async {
        let review = serde_json::from_slice(&read(body).await?);
        let review = review.map_err(|error| Status::bad_request(error.to_string()))?;
        Ok::<_, Status>(shared.access.review(review))
    };
    match reviewed.await {
        Ok(review) => json(StatusCode::CREATED, &review),
        Err(status) => status.into_response(),
    }
}

// === discovery ===

fn wants_aggregated(headers: &HeaderMap) -> bool {
    accept(headers).contains("as=APIGroupDiscoveryList")
}

fn accept(headers: &HeaderMap) -> &str {
    headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("")
}

fn aggregated(shared: &Shared, core: bool) -> Response {
    let content_type = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let body = discovery::aggregated(&shared.served(), core).to_string();
    ([(header::CONTENT_TYPE, content_type), (header::VARY, "Accept")], body).into_response()
}

async fn core(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if wants_aggregated(&headers) {
        return aggregated(&shared, true);
    }
    json(StatusCode::OK, &discovery::core_versions(&shared.address.to_string()))
}

async fn groups(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if wants_aggregated(&headers) {
        return aggregated(&shared, false);
    }
    json(StatusCode::OK, &discovery::groups(&shared.served()))
}

fn describe(shared: &Shared, call: &Call, path: &str) -> Option<Response> {
    let resources = shared.served();
    let found = match path.trim_matches('/').split('/').collect::<Vec<_>>().as_slice() {
        ["api", version] => discovery::resource_list(&resources, "", version),
        ["apis", group] => discovery::one_group(&resources, group),
        ["apis", group, version] => discovery::resource_list(&resources, group, version),
        _ => None,
    };
    let found = found.filter(|_| call.verb == Verb::Other)?;
    Some(json(StatusCode::OK, &found))
}

// === resources ===

async fn resource(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let Some(call) = request.extensions().get::<Arc<Call>>().cloned() else {
        return Status::of(500).into_response();
    };
    if let Some(response) = describe(&shared, &call, request.uri().path()) {
        return response;
    }
    let mut resources = shared.served();
    resources.retain(|r| r.group == call.group && r.version == call.version);
    if resources.is_empty() {
        return (StatusCode::NOT_FOUND, "404 page not found\n").into_response();
    }
    let row = resources.iter().find(|r| r.plural == call.plural);
    let answer = match row {
        Some(row) => Answer::new(&shared, row, &call).run(request).await,
        None => Err(Status::no_such_resource()),
    };
    answer.unwrap_or_else(Status::into_response)
}

/// One request about a resource that exists.
struct Answer<'a> {
    shared: &'a Arc<Shared>,
    resource: &'a Resource,
    call: &'a Call,
    part: Part,
}

impl<'a> Answer<'a> {
    fn new(shared: &'a Arc<Shared>, resource: &'a Resource, call: &'a Call) -> Self {
        let part = if call.subresource.is_some() { Part::Status } else { Part::Main };
        Self { shared, resource, call, part }
    }

    async fn run(&self, request: Request) -> Result<Response, Status> {
        self.check()?;
        self.shared.access.check(self.call)?;
        let (head, body) = request.into_parts();
        let view = self.view(&head.headers);
        let author = self.author(&head.headers);
        let call = self.call;
        match call.verb {
            Verb::List => return self.shared.list(view, call),
            Verb::Watch => {
                let fault = head.extensions.get::<Planned>().cloned().map(|p| (p.0, p.1));
                return self.shared.watch(view, call, fault);
            }
            _ => {}
        }
        let body = read(body).await?;
        if call.param("dryRun") == Some("All") && self.is_new() {
            let given = serde_json::from_slice(&body).unwrap_or_default();
            return Ok(json(StatusCode::CREATED, &given));
        }
        match call.verb {
            Verb::Get => self.get().map(|stored| object(view, StatusCode::OK, &stored)),
            Verb::Create => {
                let given = self.parse(&head.headers, &body)?;
                let namespace = call.namespace.as_deref();
                let created = self.shared.create(self.resource, namespace, given, &author);
                created.map(|stored| object(view, StatusCode::CREATED, &stored))
            }
            Verb::Update => {
                let given = self.parse(&head.headers, &body)?;
                let updated = self.shared.update(&self.place(), given, self.part, &author);
                updated.map(|(stored, new)| object(view, code(new), &stored))
            }
            Verb::Patch => {
                let patch = Patch::parse(content_type(&head.headers), &body, call)?;
                let patched = self.shared.patch(&self.place(), &patch, self.part, &author);
                patched.map(|(stored, new)| object(view, code(new), &stored))
            }
            Verb::Delete => self.delete(view, &body),
            Verb::DeleteCollection => self.delete_collection(view, &body),
            _ => Err(Status::method_not_allowed()),
        }
    }

    fn check(&self) -> Result<(), Status> {
        let named = matches!(self.call.verb, Verb::Get | Verb::Update | Verb::Patch | Verb::Delete);
        match self.call.subresource.as_deref() {
            Some("status") if !self.resource.status => Err(Status::no_such_resource()),
            Some("status") if self.call.verb == Verb::Delete => Err(Status::method_not_allowed()),
            Some("status") | None => match self.resource.namespaced {
                false if self.call.namespace.is_some() => Err(Status::no_such_resource()),
                true if self.call.namespace.is_none() && named => Err(Status::no_such_resource()),
                true if self.call.namespace.is_none() && self.call.verb == Verb::Create => {
                    Err(Status::method_not_allowed())
                }
                _ => Ok(()),
            },
            Some(_) => Err(Status::no_such_resource()),
        }
    }

    /// Whether what is written is not there yet.
    fn is_new(&self) -> bool {
        let place = self.place();
        match self.call.verb {
            Verb::Create => true,
            Verb::Update | Verb::Patch => {
                self.shared.store.get(self.resource, &place.key()).is_none()
            }
            _ => false,
        }
    }

    fn view(&self, headers: &HeaderMap) -> View {
        let accept = accept(headers);
        let metadata_only = accept.contains("as=PartialObjectMetadata");
        View { resource: *self.resource, metadata_only }
    }

    fn author(&self, headers: &HeaderMap) -> Author {
        let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let agent = agent.and_then(|agent| agent.split('/').next()).unwrap_or("unknown");
        let manager = self.call.param("fieldManager").unwrap_or(agent).to_owned();
        Author { manager, trusted: false }
    }

    fn place(&self) -> Place<'_> {
        Place {
            resource: self.resource,
            namespace: self.call.namespace.as_deref(),
            name: self.call.name.as_deref().unwrap_or(""),
        }
    }

    fn parse(&self, headers: &HeaderMap, body: &[u8]) -> Result<Value, Status> {
        let kind = content_type(headers);
        if !kind.is_empty() && !kind.starts_with("application/json") {
            return Err(Status::unsupported_media_type());
        }
        serde_json::from_slice(body).map_err(|error| {
            let kind = self.resource.kind;
            let text = String::from_utf8_lossy(body);
            Status::bad_request(format!(
                "the object provided is unrecognized (must be of type {kind}): \
                 couldn't get version/kind; json parse error: {error} ({})",
                text.chars().take(40).collect::<String>()
            ))
        })
    }

    fn get(&self) -> Result<Arc<Stored>, Status> {
        let place = self.place();
        let found = self.shared.store.get(self.resource, &place.key());
        found.ok_or_else(|| Status::not_found(self.resource, place.name))
    }

    fn options(&self, body: &[u8]) -> DeleteOptions {
        DeleteOptions::parse(body, self.call.param("propagationPolicy"))
    }

    fn delete(&self, view: View, body: &[u8]) -> Result<Response, Status> {
        let place = self.place();
        Ok(match self.shared.delete(&place, &self.options(body))? {
            Deleted::Gone(gone) => {
                Status::deleted(self.resource, place.name, &gone.uid).into_response()
            }
            Deleted::Marked(stored) => object(view, StatusCode::OK, &stored),
        })
    }

    /// Answers with the list of what is deleted, as it was.
    fn delete_collection(&self, view: View, body: &[u8]) -> Result<Response, Status> {
        let answer = self.shared.list(view, self.call)?;
        let selector = list::selector(&view, self.call)?;
        let range = super::storage::Range::new(self.call.namespace.as_deref());
        let (objects, ..) = self.shared.store.current(self.resource, &range);
        for held in objects.iter().filter(|held| selector.matches(&held.body)) {
            let (namespace, name) = match held.key.split_once('/') {
                Some((namespace, name)) if self.resource.namespaced => (Some(namespace), name),
                _ => (None, &*held.key),
            };
            let place = Place { resource: self.resource, namespace, name };
            match self.shared.delete(&place, &self.options(body)) {
                Err(status) if status.code() != 404 => return Err(status),
                _ => {}
            }
        }
        Ok(answer)
    }
}

async fn read(body: Body) -> Result<Bytes, Status> {
    let body = Limited::new(body, MAX_BODY).collect().await;
    body.map(http_body_util::Collected::to_bytes).map_err(|_| {
        Status::failure(413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728")
    })
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("")
}

fn code(created: bool) -> StatusCode {
    if created { StatusCode::CREATED } else { StatusCode::OK }
}

fn object(view: View, code: StatusCode, stored: &Stored) -> Response {
    let mut out = Vec::with_capacity(stored.body.len() + 64);
    view.object(&mut out, stored);
    out.push(b'\n');
    (code, [(header::CONTENT_TYPE, "application/json")], out).into_response()
}
