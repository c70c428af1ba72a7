//! Webhooks over real HTTP on the loopback interface.
#![allow(clippy::unwrap_used, reason = "a test ends there")]
#![cfg(feature = "webhook")]

use std::{
    collections::HashSet,
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use kube_events_core::{
    Alert, Batch, Event, Notification, SendError, Sink,
    contract::{Contract, Delivery, Sample},
    crd::sinks::{BasicAuth, Compression, EventFormat},
    sink::{Retry, RetryPolicy, SendErrorKind},
};
use kube_events_sinks::{
    encode::Encoding,
    http::HttpOptions,
    webhook::{Webhook, WebhookOptions},
};
use kube_events_testkit::{Receiver, Recorded, Reply};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// A receiver that refuses what it is told to.
struct Destination {
    receiver: Receiver,
    refused: Arc<Mutex<HashSet<String>>>,
    away: Arc<Mutex<bool>>,
}

impl Destination {
    async fn start<T: Sample>() -> Self {
        let receiver = Receiver::start().await.unwrap();
        let (refused, away) = (Arc::<Mutex<HashSet<String>>>::default(), Arc::default());
        let (bad, gone) = (Arc::clone(&refused), Arc::<Mutex<bool>>::clone(&away));
        receiver.usually(move |request| {
            let ids = request.json().unwrap();
            let mut ids = ids.iter().filter_map(T::found_in);
            match (*gone.lock().unwrap(), ids.any(|id| bad.lock().unwrap().contains(&id))) {
                (true, _) => Reply::status(503),
                (_, true) => Reply::status(422),
                _ => Reply::status(200),
            }
        });
        Self { receiver, refused, away }
    }

    fn deliveries(&self) -> Vec<Delivery> {
        self.receiver.requests().iter().map(delivery).collect()
    }
}

fn delivery(request: &Recorded) -> Delivery {
    Delivery {
        key: request.header("idempotency-key").map(ToOwned::to_owned),
        items: request.json().unwrap(),
        accepted: request.answered == Some(200),
    }
}

fn batch<T: Sample>(len: usize) -> Batch<T> {
    Batch::new((0..len).map(T::sample).collect::<Vec<_>>()).unwrap()
}

fn webhook(url: &str, change: impl FnOnce(&mut WebhookOptions)) -> Webhook {
    let mut options = WebhookOptions::default();
    change(&mut options);
    Webhook::new(url, &options).unwrap()
}

fn http(change: impl FnOnce(&mut HttpOptions)) -> impl FnOnce(&mut WebhookOptions) {
    move |options| change(&mut options.http)
}

fn texts(error: &SendError) -> String {
    let mut texts = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        texts = format!("{texts}: {error}");
        cause = error.source();
    }
    texts
}

async fn keeps_the_contract<T: Sample + kube_events_sinks::encode::Encode>(
    change: fn(&mut WebhookOptions),
) {
    let contract = Contract::<T, _, _>::new(
        async move || {
            let destination = Destination::start::<T>().await;
            (webhook(&destination.receiver.url(), change), destination)
        },
        async |destination: &Destination| destination.deliveries(),
    );
    let report = contract
        .refusing(|destination, id| {
            destination.refused.lock().unwrap().insert(id.to_owned());
        })
        .failing(
            |destination| *destination.away.lock().unwrap() = true,
            |destination| *destination.away.lock().unwrap() = false,
        )
        .run()
        .await;
    assert_eq!(report.skipped, []);
}

#[tokio::test]
async fn a_webhook_of_events_keeps_the_contract() {
    keeps_the_contract::<Event>(|_| {}).await;
}

#[tokio::test]
async fn a_webhook_of_wrapped_events_in_gzip_keeps_the_contract() {
    keeps_the_contract::<Event>(|options| {
        options.compression = Compression::Gzip;
        options.encoding = Encoding { format: EventFormat::Wrapped, ..Encoding::default() };
    })
    .await;
}

#[tokio::test]
async fn a_webhook_of_notifications_keeps_the_contract() {
    keeps_the_contract::<Notification>(|_| {}).await;
}

#[tokio::test]
async fn a_webhook_of_alerts_keeps_the_contract() {
    keeps_the_contract::<Alert>(|_| {}).await;
}

#[tokio::test]
async fn a_request_is_lines_of_json_with_the_usual_headers() {
    let receiver = Receiver::start().await.unwrap();
    let url = format!("{}/events?tenant=a", receiver.url());
    let sink = webhook(
        &url,
        http(|options| drop(options.headers.insert("X-Tenant".into(), "shop".into()))),
    );
    let batch = batch::<Event>(2);
    sink.send(&batch).await.unwrap();
    let requests = receiver.requests();
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!(
        (request.method.as_str(), &*request.path, &*request.query),
        ("POST", "/events", "tenant=a")
    );
    for (name, value) in [
        ("content-type", Some("application/json")),
        ("user-agent", Some(concat!("kube-events/", env!("CARGO_PKG_VERSION")))),
        ("idempotency-key", Some(&*batch.idempotency_key())),
        ("x-tenant", Some("shop")),
        ("content-encoding", None),
        ("authorization", None),
    ] {
        assert_eq!(request.header(name), value, "{name}");
    }
    let lines = format!("{}\n{}\n", batch[0].json(), batch[1].json());
    assert_eq!(request.header("content-length"), Some(&*lines.len().to_string()));
    assert_eq!(request.body, lines.as_bytes());
}

#[tokio::test]
async fn statuses_mean_what_the_table_says() {
    let receiver = Receiver::start().await.unwrap();
    let sink = webhook(&receiver.url(), |_| {});
    for status in [200, 201, 202, 204] {
        receiver.reply(Reply::status(status));
        sink.send(&batch::<Event>(1)).await.unwrap();
    }
    for status in [400, 413, 422] {
        receiver.reply(Reply::status(status));
        let error = sink.send(&batch::<Event>(1)).await.unwrap_err();
        assert_eq!(*error.kind(), SendErrorKind::Reject { items: None }, "{status}");
    }
    for status in [301, 302, 401, 403, 404, 408, 409, 429, 500, 502, 503, 504] {
        receiver.reply(Reply::status(status));
        let error = sink.send(&batch::<Event>(1)).await.unwrap_err();
        assert_eq!(*error.kind(), SendErrorKind::Retry { after: None }, "{status}");
    }
}

#[tokio::test]
async fn a_batch_that_is_too_large_arrives_in_parts_and_in_order() {
    let receiver = Receiver::start().await.unwrap();
    receiver.usually(|request| match request.json().unwrap().len() {
        0..=3 => Reply::status(200),
        _ => Reply::status(413),
    });
    webhook(&receiver.url(), |_| {}).send(&batch::<Event>(10)).await.unwrap();
    let ids: Vec<_> = receiver.accepted().iter().filter_map(Event::found_in).collect();
    assert_eq!(ids, batch::<Event>(10).iter().map(Event::id).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_answer_says_how_long_to_wait() {
    let receiver = Receiver::start().await.unwrap();
    let sink = webhook(&receiver.url(), |_| {});
    receiver.reply(Reply::status(429).retry_after(Duration::from_secs(7)));
    let error = sink.send(&batch::<Event>(3)).await.unwrap_err();
    let after = Some(Duration::from_secs(7));
    assert_eq!(*error.kind(), SendErrorKind::Retry { after });
}

#[tokio::test]
async fn an_error_tells_the_beginning_of_the_answer_and_no_secret() {
    let receiver = Receiver::start().await.unwrap();
    let echo = |request: &Recorded| {
        let sent = request.header("authorization").unwrap_or_default();
        let (path, query) = (&request.path, &request.query);
        let rest = "x".repeat(100_000);
        Reply::status(500).body(format!("you sent {sent} to {path} and {query}\n{rest}"))
    };
    receiver.usually(echo);
    let url = receiver.url().replace("http://", "http://me:hunter22@") + "/hooks/SECRET?key=SECRET";
    let error = webhook(&url, |_| {}).send(&batch::<Event>(1)).await.unwrap_err();
    let told = texts(&error);
    let expected = format!(
        "not delivered: {} answered 500 Internal Server Error: you sent Basic *** to *** and *** xxx",
        receiver.url()
    );
    assert!(told.starts_with(&expected), "{told}");
    assert!(told.len() < 350, "{told}");
    assert_eq!(receiver.requests()[0].header("authorization"), Some("Basic bWU6aHVudGVyMjI="));
}

#[tokio::test]
async fn a_closed_port_can_be_tried_again_and_shows_no_path() {
    let receiver = Receiver::start().await.unwrap();
    let origin = receiver.url();
    receiver.go_down().await;
    let url = origin.replace("http://", "http://me:hunter22@") + "/hooks/SECRET";
    let error = webhook(&url, |_| {}).send(&batch::<Event>(1)).await.unwrap_err();
    assert!(error.is_retry());
    let told = texts(&error);
    assert!(told.starts_with(&format!("not delivered: no answer from {origin}: ")), "{told}");
    assert!(!told.contains("SECRET") && !told.contains("hunter22"), "{told}");
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    let receiver = Receiver::start().await.unwrap();
    receiver.reply(Reply::hang());
    let sink =
        webhook(&receiver.url(), http(|options| options.timeout = Duration::from_millis(50)));
    let error = sink.send(&batch::<Event>(1)).await.unwrap_err();
    assert!(error.is_retry());
    assert_eq!(texts(&error), "not delivered: no answer within 50ms");
    let sink = webhook(&receiver.url(), |_| {});
    sink.send(&batch::<Event>(1)).await.unwrap();
}

/// A receiver that has accepted, and then forgets to end its answer.
#[tokio::test]
async fn an_answer_that_does_not_end_counts_by_its_status() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let answer = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 1 << 16];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n";
        stream.write_all(head).await.unwrap();
        stream
    });
    webhook(&url, |_| {}).send(&batch::<Event>(1)).await.unwrap();
    answer.await.unwrap();
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let receiver = Receiver::start().await.unwrap();
    receiver.reply(Reply::status(307));
    webhook(&receiver.url(), |_| {}).send(&batch::<Event>(1)).await.unwrap_err();
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test]
async fn a_token_that_changes_is_used_at_once() {
    let (dir, receiver) = (tempfile::tempdir().unwrap(), Receiver::start().await.unwrap());
    let path = dir.path().join("token");
    let file = path.clone();
    let sink = webhook(&receiver.url(), http(|options| options.bearer_token_file = Some(file)));
    let error = sink.send(&batch::<Event>(1)).await.unwrap_err();
    assert!(error.is_retry() && texts(&error).contains("cannot read"), "{error:?}");
    for token in ["first", "second"] {
        fs::write(&path, format!("{token}\n")).unwrap();
        sink.send(&batch::<Event>(1)).await.unwrap();
    }
    let sent: Vec<_> = receiver
        .requests()
        .iter()
        .map(|request| request.header("authorization").unwrap().to_owned())
        .collect();
    assert_eq!(sent, ["Bearer first", "Bearer second"]);
}

#[tokio::test]
async fn a_password_comes_from_a_file() {
    let (dir, receiver) = (tempfile::tempdir().unwrap(), Receiver::start().await.unwrap());
    let path = dir.path().join("password");
    fs::write(&path, "hunter22\n").unwrap();
    let basic = BasicAuth { username: "me".into(), password_file: Some(path), password: None };
    let sink = webhook(&receiver.url(), http(|options| options.basic_auth = Some(basic)));
    sink.send(&batch::<Event>(1)).await.unwrap();
    assert_eq!(receiver.requests()[0].header("authorization"), Some("Basic bWU6aHVudGVyMjI="));
}

#[tokio::test]
async fn gzip_is_smaller_and_says_so() {
    let receiver = Receiver::start().await.unwrap();
    let sink = webhook(&receiver.url(), |options| options.compression = Compression::Gzip);
    for _ in 0..2 {
        sink.send(&batch::<Event>(100)).await.unwrap();
    }
    for request in receiver.requests() {
        assert_eq!(request.header("content-encoding"), Some("gzip"));
        let length: usize = request.header("content-length").unwrap().parse().unwrap();
        assert!(length * 5 < request.body.len(), "{length} of {}", request.body.len());
        assert_eq!(request.json().unwrap().len(), 100);
    }
}

#[tokio::test]
async fn retries_bring_everything_there_once() {
    let receiver = Receiver::start().await.unwrap();
    receiver.reply_statuses([503, 500, 404]);
    receiver.reply(Reply::drop_connection());
    let policy = RetryPolicy { min_delay: Duration::from_millis(1), ..RetryPolicy::default() };
    let sink = Retry::new(webhook(&receiver.url(), |_| {}), policy);
    sink.send(&batch::<Event>(5)).await.unwrap();
    let requests = receiver.requests();
    assert_eq!((requests.len(), receiver.accepted().len()), (5, 5));
    let keys: HashSet<_> =
        requests.iter().map(|request| request.header("idempotency-key")).collect();
    assert_eq!(keys.len(), 1);
}
