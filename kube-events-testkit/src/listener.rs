//! The socket and the connections on it.

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// Closes the connection that a request came on.
#[derive(Debug, Clone)]
pub(crate) struct Connection(pub(crate) CancellationToken);

/// How long running requests may take after the end was announced.
const GRACE: Duration = Duration::from_secs(2);

/// A listening socket with its task, which owns the tasks of all connections.
#[derive(Debug)]
pub(crate) struct Listener {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Listener {
    pub(crate) fn start(listener: TcpListener, router: Router) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(accept(listener, router, stop.clone()));
        Self { stop, task }
    }

    /// Closes the socket and lets running requests end.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        // An aborted task is an ended one.
        drop((&mut self.task).await);
    }

    /// Closes the socket and breaks every connection.
    pub(crate) async fn abort(mut self) {
        self.task.abort();
        drop((&mut self.task).await);
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Binds a port of the loopback interface; waits where the port was in use a moment ago.
pub(crate) async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    const ATTEMPTS: u32 = 50;
    for _ in 0..ATTEMPTS {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && address.port() != 0 => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            result => return result,
        }
    }
    TcpListener::bind(address).await
}

async fn accept(listener: TcpListener, router: Router, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, router.clone(), stop.clone()));
                }
                Err(error) => tracing::debug!(%error, "connection not accepted"),
            },
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, ended).await.is_err() {
        connections.shutdown().await;
    }
}

async fn serve(stream: TcpStream, router: Router, stop: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY not set");
    }
    let close = CancellationToken::new();
    let service = TowerToHyperService::new(router.layer(Extension(Connection(close.clone()))));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        result = connection.as_mut() => return tell(result),
        () = close.cancelled() => return,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        result = connection => tell(result),
        () = close.cancelled() => {}
    }
}

fn tell(result: hyper::Result<()>) {
    if let Err(error) = result {
        tracing::trace!(%error, "connection ended");
    }
}
