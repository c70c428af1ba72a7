//! What a daemon says of itself over HTTP.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use axum_server::Handle;
use http::{StatusCode, header::CONTENT_TYPE};
use hyper_util::rt::TokioTimer;
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::net::TcpListener;
use tower_http::{limit::RequestBodyLimitLayer, timeout::RequestBodyTimeoutLayer};
use tracing::info;

use crate::{Health, ListenAddress, ReloadHandle};

/// What Prometheus is told that it gets; it asks for this form first.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How long a new connection may take over its first request.
const FIRST_REQUEST: Duration = Duration::from_secs(30);

/// How long a connection may wait for the next request. Clients keep idle connections for 90 s as a
/// rule: they should be the ones that hang up, or a request may be lost in between.
const NEXT_REQUEST: Duration = Duration::from_secs(120);

/// How long a client may pause in the middle of a body.
const BODY_PAUSE: Duration = Duration::from_secs(30);

/// What the probes and `/-/reload` take; they need no body at all.
const BODY_LIMIT: usize = 64 * 1024;

/// How long requests may go on after the end of the program has begun.
const GRACE: Duration = Duration::from_secs(10);

/// The HTTP server of a daemon.
///
/// | path | answer |
/// |---|---|
/// | `GET /healthz` | 200 while the program lives |
/// | `GET /readyz` | 200, or 503 and which part is not ready and why |
/// | `GET /metrics` | the figures, in the `OpenMetrics` text form |
/// | `POST /-/reload` | 200 once the configuration was read again, or 500 and what is wrong |
///
/// Bodies of a program's own routes have no limit but those that they set themselves.
#[derive(Debug)]
pub struct Server {
    state: Shared,
    reload: Option<ReloadHandle>,
    routes: Router,
}

/// A server that listens, but does not answer yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    router: Router,
}

#[derive(Clone, Debug)]
struct Shared {
    health: Health,
    registry: Arc<Registry>,
}

// === impl Server ===

impl Server {
    /// A server that tells about these parts and figures.
    pub fn new(health: Health, registry: impl Into<Arc<Registry>>) -> Self {
        let state = Shared { health, registry: registry.into() };
        Self { state, reload: None, routes: Router::new() }
    }

    /// Adds `POST /-/reload`.
    #[must_use]
    pub fn reload(self, handle: ReloadHandle) -> Self {
        Self { reload: Some(handle), ..self }
    }

    /// Adds a program's own routes.
    #[must_use]
    pub fn routes(self, routes: Router) -> Self {
        Self { routes: self.routes.merge(routes), ..self }
    }

    /// Everything that the server serves.
    pub fn router(self) -> Router {
        let mut own = Router::new()
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(self.state);
        if let Some(handle) = self.reload {
            own = own.route("/-/reload", post(reload).with_state(handle));
        }
        own.layer(RequestBodyLimitLayer::new(BODY_LIMIT))
            .merge(self.routes)
            .layer(RequestBodyTimeoutLayer::new(BODY_PAUSE))
    }

    /// Listens.
    ///
    /// # Errors
    ///
    /// When nobody can listen at the address; the error names it.
    pub async fn bind(self, address: &ListenAddress) -> io::Result<Bound> {
        let listener = address.bind().await.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot listen at {address}: {error}"))
        })?;
        Ok(Bound { listener, router: self.router() })
    }
}

// === impl Bound ===

impl Bound {
    /// Where the server listens.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `shutdown`, and then for ten seconds more what has begun.
    ///
    /// # Errors
    ///
    /// Those of the operating system. Trouble with one connection is not one.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        info!(address = %self.local_addr()?, "serving probes and metrics");
        let handle = Handle::new();
        let mut server = axum_server::from_tcp(self.listener.into_std()?)?
            .handle(handle.clone())
            .first_request_timeout(FIRST_REQUEST);
        let mut http1 = server.http_builder().http1();
        http1.timer(TokioTimer::new()).header_read_timeout(NEXT_REQUEST);
        let mut serving = pin!(server.serve(self.router.into_make_service()));
        tokio::select! {
            biased;
            ended = &mut serving => return ended,
            () = shutdown => handle.graceful_shutdown(Some(GRACE)),
        }
        serving.await
    }
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(state): State<Shared>) -> (StatusCode, String) {
    if state.health.is_ready() {
        (StatusCode::OK, format!("{}ok\n", state.health))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("{}not ready\n", state.health))
    }
}

async fn metrics(State(state): State<Shared>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &state.registry) {
        Ok(()) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn reload(State(handle): State<ReloadHandle>) -> (StatusCode, String) {
    match handle.reload().await {
        Ok(()) => (StatusCode::OK, String::new()),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("failed to reload config: {error}\n"))
        }
    }
}

#[cfg(test)]
mod tests;
