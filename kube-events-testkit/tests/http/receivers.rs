//! Receivers as a sender sees them.

use flate2::Compression;
use flate2::write::GzEncoder;
use kube_events_testkit::{AlertmanagerReceiver, Identity, Receiver, Recorded, Reply};
use serde_json::{Value, json};
use std::io::Write;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(5);

fn http() -> reqwest::Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn post(url: &str, body: impl Into<reqwest::Body>) -> reqwest::Result<reqwest::Response> {
    http().post(url).body(body).send().await
}

#[tokio::test]
async fn requests_are_recorded_unpacked_and_answered_as_told() {
    let receiver = Receiver::start().await.unwrap();
    receiver.reply(Reply::status(503).retry_after(Duration::from_secs(2)));
    receiver.reply_statuses([404]);
    let lines = "{\"metadata\":{\"uid\":\"a\",\"resourceVersion\":\"1\"}}\n{\"metadata\":{\"uid\":\"b\",\"resourceVersion\":\"2\"}}\n";
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(lines.as_bytes()).unwrap();
    let busy = post(&receiver.url(), lines).await.unwrap();
    assert_eq!(
        (busy.status().as_u16(), &busy.headers()["retry-after"]),
        (503, &"2".parse().unwrap())
    );
    assert_eq!(post(&receiver.url(), lines).await.unwrap().status(), 404);
    let url = format!("{}/hook?x=1", receiver.url());
    let request =
        http().post(url).header("content-encoding", "gzip").body(packed.finish().unwrap());
    assert_eq!(request.send().await.unwrap().status(), 200);
    let requests = receiver.wait_for(SOON, |all| all.len() == 3).await.unwrap();
    assert_eq!((requests[2].path.as_str(), requests[2].query.as_str()), ("/hook", "x=1"));
    assert_eq!((requests[0].answered, &*requests[2].body), (Some(503), lines.as_bytes()));
    assert_eq!(receiver.identities(), [Identity::new("a", 1), Identity::new("b", 2)]);
}

#[tokio::test]
async fn a_body_with_the_marker_is_rejected() {
    let receiver = Receiver::start().await.unwrap();
    receiver.reject_bodies_with("poison");
    assert_eq!(post(&receiver.url(), "a poison b").await.unwrap().status(), 400);
    assert_eq!(post(&receiver.url(), "a b").await.unwrap().status(), 200);
}

#[tokio::test]
async fn hanging_and_dropped_requests_get_no_answer() {
    let receiver = Receiver::start().await.unwrap();
    receiver.reply(Reply::drop_connection());
    assert!(post(&receiver.url(), "x").await.is_err());
    receiver.reply(Reply::hang());
    let url = receiver.url();
    let unanswered = |all: &[Recorded]| all.iter().filter(|it| it.answered.is_none()).count();
    tokio::select! {
        answer = post(&url, "x") => panic!("{answer:?}"),
        both = receiver.wait_for(SOON, |all| unanswered(all) == 2) => drop(both.unwrap()),
    }
}

#[tokio::test]
async fn a_receiver_that_is_down_refuses_connections_until_it_comes_back() {
    let receiver = Receiver::start().await.unwrap();
    receiver.go_down().await;
    assert!(post(&receiver.url(), "x").await.is_err());
    receiver.come_back().await.unwrap();
    assert_eq!(post(&receiver.url(), "x").await.unwrap().status(), 200);
}

#[tokio::test]
async fn waiting_ends_with_what_arrived_when_the_time_is_over() {
    let receiver = Receiver::start().await.unwrap();
    post(&receiver.url(), "x").await.unwrap();
    let short = receiver.wait_for(Duration::from_millis(20), |all| all.len() > 1).await;
    assert_eq!(short.unwrap_err().len(), 1);
}

#[tokio::test]
async fn an_alertmanager_keeps_the_good_alerts_of_a_bad_batch() {
    let alertmanager = AlertmanagerReceiver::start().await.unwrap();
    let url = format!("{}/api/v2/alerts", alertmanager.url());
    let batch = json!([{"labels": {"alertname": "good"}}, {"labels": {"bad name": "x"}}]);
    assert_eq!(post(&url, batch.to_string()).await.unwrap().status(), 400);
    let again = json!([{"labels": {"alertname": "good"}, "annotations": {"summary": "s"}}]);
    assert_eq!(post(&url, again.to_string()).await.unwrap().status(), 200);
    let held: Vec<Value> = http().get(&url).send().await.unwrap().json().await.unwrap();
    assert_eq!((held.len(), &held[0]["annotations"]["summary"]), (1, &json!("s")));
    assert_eq!(alertmanager.alerts().len(), 1);
    alertmanager.receiver().reply_statuses([500]);
    assert_eq!(post(&url, again.to_string()).await.unwrap().status(), 500);
    let ready = http().get(format!("{}/-/ready", alertmanager.url())).send().await.unwrap();
    assert_eq!(ready.status(), 200);
}
