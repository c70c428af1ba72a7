//! `POST /events`, and what other rulers forward.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::State,
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
    routing::post,
};
use kube_events_core::{event::Decoder, metrics::RulerMetrics};
use serde::Serialize;
use tokio::sync::Semaphore;
use tower_http::decompression::RequestDecompressionLayer;

use crate::{
    engine::{Engine, Refusal},
    intake::{Intake, Rejected},
    peer::PATH,
};

/// The largest body that is read, in bytes, unpacked.
pub const MAX_BODY: usize = 16 << 20;

/// Requests that are read and delivered at once; the others wait before their bodies are read, so
/// that bodies take at most this times [`MAX_BODY`].
const MAX_IN_FLIGHT: usize = 16;

#[derive(Clone)]
struct Context {
    engine: Engine,
    decoder: Decoder,
    metrics: RulerMetrics,
    in_flight: Arc<Semaphore>,
    /// Of those that other rulers forward: two that wait for each other must not hold each other up.
    forwarded: Arc<Semaphore>,
}

/// Who sends Events.
#[derive(Clone, Copy)]
enum Sender {
    Source,
    /// Another ruler, to which nothing is forwarded.
    Ruler,
}

/// The answer to a request: how many Events were taken, and what was not one.
#[derive(Debug, Serialize)]
struct Answer {
    accepted: usize,
    rejected: Vec<Rejected>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The routes that take Events for this engine.
pub fn events(engine: Engine, decoder: Decoder, metrics: RulerMetrics) -> Router {
    let [in_flight, forwarded] = [(); 2].map(|()| Arc::new(Semaphore::new(MAX_IN_FLIGHT)));
    Router::new()
        .route("/events", post(receive))
        .route(PATH, post(receive_forwarded))
        .layer(RequestDecompressionLayer::new())
        .with_state(Context { engine, decoder, metrics, in_flight, forwarded })
}

async fn receive(State(context): State<Context>, body: Body) -> Response {
    let _permit = context.in_flight.acquire().await.expect("the semaphore is never closed");
    answer(&context, Sender::Source, body).await
}

async fn receive_forwarded(State(context): State<Context>, body: Body) -> Response {
    let _permit = context.forwarded.acquire().await.expect("the semaphore is never closed");
    answer(&context, Sender::Ruler, body).await
}

async fn answer(context: &Context, sender: Sender, body: Body) -> Response {
    let body = match to_bytes(body, MAX_BODY).await {
        Ok(body) => body,
        Err(error) => return unreadable(&error),
    };
    let Intake { events, rejected, too_long } = Intake::read(&body, &context.decoder);
    drop(body);
    context.metrics.received(events.len(), rejected.len());
    if events.is_empty() {
        let error = (rejected.is_empty()).then(|| "there is no Event in the body".to_owned());
        let answer = Answer { accepted: 0, rejected, error };
        let status = if too_long { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::BAD_REQUEST };
        return (status, Json(answer)).into_response();
    }
    let processed = match sender {
        Sender::Source => context.engine.process(&events).await,
        Sender::Ruler => context.engine.process_forwarded(&events).await,
    };
    match processed {
        Ok(()) => Json(Answer { accepted: events.len(), rejected, error: None }).into_response(),
        Err(refusal) => later(&refusal),
    }
}

/// The body is too large, or its sender stopped or sent what cannot be unpacked.
fn unreadable(error: &axum::Error) -> Response {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            let text =
                format!("the body has more than {MAX_BODY} bytes; send fewer Events at once\n");
            return (StatusCode::PAYLOAD_TOO_LARGE, text).into_response();
        }
        cause = error.source();
    }
    (StatusCode::BAD_REQUEST, format!("the body cannot be read: {error}\n")).into_response()
}

fn later(refusal: &Refusal) -> Response {
    let after = match refusal {
        Refusal::NoRules | Refusal::WarmingUp | Refusal::NotForwarded => Duration::from_secs(1),
        Refusal::Undelivered { after } => *after,
    };
    let answer = Answer { accepted: 0, rejected: Vec::new(), error: Some(refusal.to_string()) };
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, Json(answer)).into_response();
    let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    response
}
