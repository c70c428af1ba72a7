//! Each kind of trouble, as a client sees it.

use kube_events_testkit::{ApiServer, Fault, Status, Verb, WatchFault};
use serde_json::json;
use std::time::{Duration, Instant};

use crate::client::{Client, event};

const WATCH: &str = "/api/v1/events?watch=1";

async fn start() -> (ApiServer, Client) {
    let server = ApiServer::start().await.unwrap();
    let client = Client::of(&server);
    for name in ["a", "b", "c"] {
        server.create_event(event(name)).unwrap();
    }
    (server, client)
}

async fn is_answered(client: &Client, path: &str) -> bool {
    let request = client.send(reqwest::Method::GET, path, "", "");
    matches!(tokio::time::timeout(Duration::from_millis(100), request).await, Ok(Ok(_)))
}

#[tokio::test]
async fn a_dropped_connection_gives_no_answer_and_the_next_request_does() {
    let (server, client) = start().await;
    server.inject(Fault::drop_connection().on(Verb::Watch));
    let failed = client.send(reqwest::Method::GET, WATCH, "", "").await;
    assert!(failed.is_err());
    assert!(is_answered(&client, WATCH).await);
}

#[tokio::test]
async fn a_silent_connection_stays_open_without_an_answer() {
    let (server, client) = start().await;
    server.inject(Fault::silence().on(Verb::List));
    assert!(!is_answered(&client, "/api/v1/events").await);
    assert!(is_answered(&client, "/api/v1/events").await);
}

#[tokio::test]
async fn a_delayed_request_is_answered_late() {
    let (server, client) = start().await;
    server.inject(Fault::delay(Duration::from_millis(80)));
    let start = Instant::now();
    assert_eq!(client.get("/api/v1/events").await.0, 200);
    assert!(start.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn any_status_can_be_answered() {
    let (server, client) = start().await;
    for code in [401, 403, 410, 429, 500, 503] {
        server.inject(Fault::answer(Status::of(code)).path("/events"));
        let (found, status) = client.get("/api/v1/events").await;
        assert_eq!((found, status["code"].as_u64()), (code, Some(u64::from(code))));
    }
    let busy = Status::of(429).with_retry_after(Duration::from_secs(7));
    server.inject(Fault::answer(busy));
    let response = client.send(reqwest::Method::GET, "/api", "", "").await.unwrap();
    assert_eq!(response.headers()["retry-after"], "7");
    assert_eq!(client.get("/api").await.0, 200);
}

#[tokio::test]
async fn a_continue_can_be_declared_expired() {
    let (server, client) = start().await;
    let (_, first) = client.get("/api/v1/events?limit=1").await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    server.inject(Fault::expire_continue());
    let path = format!("/api/v1/events?limit=1&continue={token}");
    let (code, status) = client.get(&path).await;
    assert_eq!(code, 410);
    let token = status["metadata"]["continue"].as_str().unwrap();
    assert_eq!(client.get(&format!("/api/v1/events?continue={token}")).await.0, 200);
}

#[tokio::test]
async fn a_truncated_line_breaks_off_after_whole_ones() {
    let (server, client) = start().await;
    server.inject(Fault::watch(2, WatchFault::Truncate));
    let mut watch = client.watch(WATCH).await;
    assert_eq!((watch.told().await.0, watch.told().await.0), ("ADDED".into(), "ADDED".into()));
    assert!(watch.next().await.unwrap().is_err(), "the connection broke");
    let rest = String::from_utf8(watch.rest.clone()).unwrap();
    assert!(rest.starts_with(r#"{"type":"ADDED","object":{"#) && !rest.ends_with('\n'), "{rest}");
}

#[tokio::test]
async fn garbage_comes_between_two_whole_lines() {
    let (server, client) = start().await;
    server.inject(Fault::watch(1, WatchFault::Garbage("{not json".into())));
    let mut watch = client.watch(WATCH).await;
    assert_eq!(watch.told().await.1["metadata"]["name"], "a");
    assert!(watch.next().await.unwrap().is_err());
    assert_eq!(watch.told().await.1["metadata"]["name"], "b");
    assert_eq!(watch.told().await.1["metadata"]["name"], "c");
}

#[tokio::test]
async fn an_error_frame_ends_a_watch() {
    let (server, client) = start().await;
    let mut watch =
        client.watch(&format!("{WATCH}&resourceVersion={}", server.resource_version())).await;
    server.break_watches(WatchFault::Error(Status::of(500)));
    let (kind, status) = watch.told().await;
    assert_eq!((kind.as_str(), status["code"].as_u64()), ("ERROR", Some(500)));
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn running_watches_can_end_or_break_or_fall_silent() {
    let (server, client) = start().await;
    let live = format!("{WATCH}&resourceVersion={}", server.resource_version());
    let mut watch = client.watch(&live).await;
    server.drop_watches();
    assert!(watch.next().await.is_none(), "an orderly end");
    let mut watch = client.watch(&live).await;
    server.break_watches(WatchFault::Abort);
    assert!(watch.next().await.unwrap().is_err());
    let mut watch = client.watch(&live).await;
    server.break_watches(WatchFault::Silence);
    server.create_event(event("d")).unwrap();
    let next = tokio::time::timeout(Duration::from_millis(100), watch.next()).await;
    assert!(next.is_err(), "still open, and nothing comes");
}

#[tokio::test]
async fn a_restart_breaks_connections_and_keeps_port_and_state() {
    let (server, client) = start().await;
    let mut watch =
        client.watch(&format!("{WATCH}&resourceVersion={}", server.resource_version())).await;
    server.go_down().await;
    assert!(watch.next().await.unwrap().is_err());
    assert!(client.send(reqwest::Method::GET, "/api/v1/events", "", "").await.is_err());
    server.come_back().await.unwrap();
    let (_, list) = client.get("/api/v1/events").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 3);
    server.restart().await.unwrap();
    assert_eq!(client.get("/api/v1/events").await.0, 200);
}

#[tokio::test]
async fn requests_are_logged_counted_and_waited_for() {
    let (server, client) = start().await;
    client.get("/api/v1/events?limit=1").await;
    client.get("/api/v1/nope").await;
    let answered = |code| {
        server.wait_for_requests(Duration::from_secs(5), move |all| {
            all.iter().any(|request| request.status() == Some(code))
        })
    };
    let requests = answered(404).await.unwrap();
    assert_eq!(
        (requests[0].path.as_str(), requests[0].query.as_str()),
        ("/api/v1/events", "limit=1")
    );
    assert_eq!((requests[0].verb, requests[0].status()), (Verb::List, Some(200)));
    assert_eq!(server.count(Verb::List), 2);
    server.clear_requests();
    assert_eq!(server.count(Verb::List), 0);
}

#[tokio::test]
async fn a_stopped_server_ends_its_watches_in_order() {
    let (server, client) = start().await;
    let mut watch =
        client.watch(&format!("{WATCH}&resourceVersion={}", server.resource_version())).await;
    server.stop().await;
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn a_client_ends_right_after_its_write() {
    let (server, client) = start().await;
    server.inject(Fault::die().on_writes().skip(1));
    let maps = "/api/v1/namespaces/default/configmaps";
    let create = async |name: &str| {
        let object = json!({"metadata": {"name": name}}).to_string();
        client.send(reqwest::Method::POST, maps, "application/json", &object).await
    };
    assert_eq!(create("first").await.unwrap().status(), 201);
    let dying = async {
        tokio::select! {
            _ = create("second") => panic!("an answer came"),
            () = server.wait_for_death() => {}
        }
    };
    dying.await;
    assert!(server.get("ConfigMap", "default", "second").is_ok(), "it was carried out");
    assert!(!is_answered(&client, maps).await);
    server.clear_faults();
    assert!(is_answered(&client, maps).await);
    let writes = server.requests();
    assert_eq!(writes.iter().filter(|request| request.is_write()).count(), 2);
}
