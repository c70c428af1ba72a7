use axum::body::Body;
use http::{Method, Request, header::ALLOW};
use http_body_util::BodyExt as _;
use kube_events_core::metrics::ConfigMetrics;
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    join,
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::*;
use futures::{FutureExt as _, future::ready};

use crate::ConfigFile;

async fn ask(router: &Router, method: Method, path: &str) -> (Response, String) {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (Response::from_parts(parts, Body::empty()), String::from_utf8(body.to_vec()).unwrap())
}

async fn get_status(router: &Router, path: &str) -> (StatusCode, String) {
    let (response, body) = ask(router, Method::GET, path).await;
    (response.status(), body)
}

#[tokio::test]
async fn readiness_names_the_part_that_is_not_ready() {
    let health = Health::default();
    let router = Server::new(health.clone(), Registry::default()).router();
    let watch = health.part("watch");
    let lane = health.part("lane/archive");
    watch.ready();
    lane.not_ready("503 from the receiver");
    assert_eq!(
        get_status(&router, "/readyz").await,
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "[-] lane/archive: 503 from the receiver\n[+] watch\nnot ready\n".to_owned()
        )
    );
    assert_eq!(get_status(&router, "/healthz").await.0, StatusCode::OK);
    lane.ready();
    assert_eq!(get_status(&router, "/readyz").await.0, StatusCode::OK);
}

#[tokio::test]
async fn metrics_are_open_metrics() {
    let mut registry = Registry::default();
    ConfigMetrics::register(&mut registry).succeeded();
    let router = Server::new(Health::default(), registry).router();
    let (response, body) = ask(&router, Method::GET, "/metrics").await;
    assert_eq!(response.headers()[CONTENT_TYPE], OPEN_METRICS);
    assert!(body.contains("\nkube_events_config_last_reload_successful 1\n"), "{body}");
    assert!(body.ends_with("# EOF\n"), "{body}");
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(rename = "cluster")]
    _cluster: String,
}

#[tokio::test]
async fn a_reload_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, "cluster: a\n").unwrap();
    let file =
        ConfigFile::open(&path, ConfigMetrics::default(), |_: Settings| ready(Ok(())).boxed());
    let file = file.await.unwrap();
    let router = Server::new(Health::default(), Registry::default()).reload(file.handle()).router();
    let shutdown = CancellationToken::new();
    let asking = async {
        let (response, body) = ask(&router, Method::POST, "/-/reload").await;
        assert_eq!((response.status(), body.as_str()), (StatusCode::OK, ""));
        std::fs::write(&path, "cluster: a\nclutser: b\n").unwrap();
        let (response, body) = ask(&router, Method::POST, "/-/reload").await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(body.starts_with("failed to reload config: "), "{body}");
        assert!(body.contains("unknown field `clutser`"), "{body}");
        let (response, _) = ask(&router, Method::GET, "/-/reload").await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[ALLOW], "POST");
        shutdown.cancel();
    };
    join!(file.watch(shutdown.cancelled()), asking);
}

#[tokio::test]
async fn a_program_has_routes_of_its_own() {
    let own = Router::new().route("/events", post(|body: String| async move { body }));
    let router = Server::new(Health::default(), Registry::default()).routes(own).router();
    let request = Request::post("/events").body(Body::from("line")).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "line");
    assert_eq!(get_status(&router, "/nowhere").await.0, StatusCode::NOT_FOUND);
    assert_eq!(get_status(&router, "/healthz").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_request_that_has_begun_is_answered_before_the_end() {
    let (begun, reached) = tokio::sync::oneshot::channel::<()>();
    let begun = Arc::new(std::sync::Mutex::new(Some(begun)));
    let shutdown = CancellationToken::new();
    let end = shutdown.clone();
    let slow = async move || {
        begun.lock().unwrap().take().unwrap().send(()).unwrap();
        end.cancelled().await;
        "late"
    };
    let own = Router::new().route("/slow", get(move || async move { slow().await }));
    let address: ListenAddress = "127.0.0.1:0".parse().unwrap();
    let server = Server::new(Health::default(), Registry::default()).routes(own);
    let bound = server.bind(&address).await.unwrap();
    let address = bound.local_addr().unwrap();
    let asking = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        reached.await.unwrap();
        shutdown.cancel();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let (served, answer) = join!(bound.serve(shutdown.cancelled()), asking);
    served.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("late"), "{answer}");
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let address: ListenAddress = "127.0.0.1:0".parse().unwrap();
    let server = || Server::new(Health::default(), Registry::default());
    let first = server().bind(&address).await.unwrap();
    let taken: ListenAddress = first.local_addr().unwrap().to_string().parse().unwrap();
    let error = server().bind(&taken).await.unwrap_err();
    assert!(error.to_string().contains(&format!("cannot listen at {taken}")), "{error}");
}
