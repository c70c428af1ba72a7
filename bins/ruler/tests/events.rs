//! `POST /events`, from the request to what sinks got.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::{io::Write as _, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use kube_events_core::{
    crd::{RuleSpec, sinks::RulerSinks},
    event::Decoder,
    metrics::RulerMetrics,
};
use kube_events_ruler::{Engine, MAX_BODY, MAX_LINE, events};
use kube_events_rules::{RuleSet, Scope};
use kube_events_sinks::{Context, SinkConfig as _};
use kube_events_testkit::{Receiver, Reply};
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt as _;

struct Ruler {
    routes: Router,
    engine: Engine,
    _rules: watch::Sender<Option<RuleSet>>,
}

fn rules() -> RuleSet {
    let spec: RuleSpec = serde_json::from_value(json!({"rules": [
        {"name": "BackOff", "type": "alert", "enable": true, "condition": "reason = \"BackOff\""},
        {"name": "Seen", "type": "notification", "enable": true, "condition": "reason exists"},
    ]}))
    .unwrap();
    let mut rules = RuleSet::builder();
    rules.add("system", "rules", &Scope::Cluster, &spec);
    rules.build()
}

async fn ruler(sinks: Value, rules: Option<RuleSet>) -> Ruler {
    let metrics = RulerMetrics::default();
    let (sender, receiver) = watch::channel(rules);
    let engine = Engine::new(receiver, metrics.clone());
    let sinks: RulerSinks = serde_json::from_value(sinks).unwrap();
    engine.replace_lanes(sinks.build(&Context::default()).unwrap()).await;
    let routes = events(engine.clone(), Decoder::default(), metrics);
    Ruler { routes, engine, _rules: sender }
}

fn event(n: u32) -> String {
    json!({"metadata": {"uid": n.to_string(), "resourceVersion": n.to_string()},
        "involvedObject": {"kind": "Pod", "name": format!("web-{n}"), "namespace": "shop"},
        "reason": "BackOff"})
    .to_string()
}

impl Ruler {
    async fn send(&self, request: Request<Body>) -> (StatusCode, Option<String>, Value) {
        let answer = self.routes.clone().oneshot(request).await.unwrap();
        let after = answer.headers().get("retry-after").map(|it| it.to_str().unwrap().to_owned());
        let status = answer.status();
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        (status, after, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn post(&self, body: impl Into<Body>) -> (StatusCode, Option<String>, Value) {
        self.send(Request::post("/events").body(body.into()).unwrap()).await
    }
}

#[tokio::test]
async fn good_lines_are_accepted_and_bad_ones_are_told() {
    let alerts = Receiver::start().await.unwrap();
    let sinks = json!({"webhooks": [{"type": "alert", "url": alerts.url()}]});
    let ruler = ruler(sinks, Some(rules())).await;
    let (status, _, answer) = ruler.post(format!("{}\nnonsense\n{}", event(1), event(2))).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!((&answer["accepted"], &answer["rejected"][0]["line"]), (&json!(2), &json!(2)));
    assert_eq!(alerts.accepted().len(), 2, "200 says that the sink has them");
    let (status, _, answer) = ruler.post("nonsense").await;
    assert_eq!((status, &answer["accepted"]), (StatusCode::BAD_REQUEST, &json!(0)));
    assert_eq!(ruler.post("").await.0, StatusCode::BAD_REQUEST);
    let long = format!("\"{}\"", "x".repeat(MAX_LINE));
    let (status, _, answer) = ruler.post(format!("{long}\n")).await;
    let reason = answer["rejected"][0]["error"].as_str().unwrap();
    assert_eq!(
        (status, reason.contains("that a line may have")),
        (StatusCode::PAYLOAD_TOO_LARGE, true)
    );
    let (status, _, answer) = ruler.post(format!("{long}\n{}", event(3))).await;
    assert_eq!(
        (status, &answer["accepted"]),
        (StatusCode::OK, &json!(1)),
        "its neighbour is not held up"
    );
}

#[tokio::test]
async fn a_retry_goes_only_to_the_sinks_that_still_lack_it() {
    let (good, bad) = (Receiver::start().await.unwrap(), Receiver::start().await.unwrap());
    bad.reply(Reply::status(503).retry_after(Duration::from_secs(7)));
    let sinks = json!({"webhooks": [
        {"type": "alert", "url": good.url()}, {"type": "notification", "url": bad.url()}]});
    let ruler = ruler(sinks, Some(rules())).await;
    let (status, after, _) = ruler.post(event(1)).await;
    assert_eq!((status, after.as_deref()), (StatusCode::SERVICE_UNAVAILABLE, Some("7")));
    assert_eq!(ruler.post(event(1)).await.0, StatusCode::OK);
    assert_eq!(ruler.post(event(1)).await.0, StatusCode::OK);
    assert_eq!((good.accepted().len(), bad.accepted().len()), (1, 1));
}

#[tokio::test]
async fn an_optional_sink_holds_up_nobody() {
    let (required, optional) = (Receiver::start().await.unwrap(), Receiver::start().await.unwrap());
    optional.usually(|_| Reply::hang());
    let sinks = json!({"webhooks": [{"type": "alert", "url": required.url()},
        {"type": "alert", "url": optional.url(), "required": false}]});
    let ruler = ruler(sinks, Some(rules())).await;
    let sent = tokio::time::timeout(Duration::from_secs(5), ruler.post(event(1))).await;
    assert_eq!(sent.unwrap().0, StatusCode::OK);
    assert_eq!(required.accepted().len(), 1);
}

/// Two senders' Events go to a sink in one request; a failure in the middle of a search has to be remembered for each.
#[tokio::test]
async fn what_a_sink_has_of_a_search_that_failed_is_not_sent_again() {
    let alerts = Receiver::start().await.unwrap();
    let asked = std::sync::atomic::AtomicUsize::new(0);
    alerts.usually(move |request| {
        let number = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let bad = String::from_utf8_lossy(&request.body).contains("web-4\"");
        Reply::status(if number == 3 {
            503
        } else if bad {
            400
        } else {
            200
        })
    });
    let sinks = json!({"webhooks": [{"type": "alert", "url": alerts.url()}]});
    let ruler = ruler(sinks, Some(rules())).await;
    let body: Vec<_> = (1..=4).map(event).collect();
    assert_eq!(ruler.post(body.join("\n")).await.0, StatusCode::SERVICE_UNAVAILABLE);
    let more = [body, vec![event(5)]].concat().join("\n");
    assert_eq!(ruler.post(more).await.0, StatusCode::OK);
    let mut pods: Vec<_> = alerts.accepted().iter().map(|it| it["labels"]["pod"].clone()).collect();
    pods.sort_by_key(ToString::to_string);
    assert_eq!(pods, ["web-1", "web-2", "web-3", "web-5"]);
}

#[tokio::test]
async fn what_a_sink_refuses_for_good_is_not_sent_again() {
    let alerts = Receiver::start().await.unwrap();
    alerts.reject_bodies_with("web-2");
    let sinks = json!({"webhooks": [{"type": "alert", "url": alerts.url()}]});
    let ruler = ruler(sinks, Some(rules())).await;
    let body = [event(1), event(2), event(3)].join("\n");
    assert_eq!(ruler.post(body.clone()).await.0, StatusCode::OK);
    assert_eq!(alerts.accepted().len(), 2);
    alerts.clear();
    assert_eq!(ruler.post(body).await.0, StatusCode::OK);
    assert!(alerts.requests().is_empty());
}

#[tokio::test]
async fn events_wait_for_the_rules() {
    let ruler = ruler(json!({}), None).await;
    let (status, after, answer) = ruler.post(event(1)).await;
    assert_eq!((status, after.as_deref()), (StatusCode::SERVICE_UNAVAILABLE, Some("1")));
    assert!(answer["error"].as_str().unwrap().contains("rules have not been read"), "{answer}");
}

#[tokio::test]
async fn a_packed_body_is_unpacked_and_one_that_is_too_large_is_refused() {
    let ruler = ruler(json!({}), Some(rules())).await;
    let packed = |body: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(body).unwrap();
        let body = Body::from(encoder.finish().unwrap());
        Request::post("/events").header("content-encoding", "gzip").body(body).unwrap()
    };
    let (status, _, answer) = ruler.send(packed(event(1).as_bytes())).await;
    assert_eq!((status, &answer["accepted"]), (StatusCode::OK, &json!(1)));
    let bomb = vec![b' '; MAX_BODY + 1];
    assert_eq!(ruler.send(packed(&bomb)).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(ruler.post(bomb).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn new_sinks_take_over_what_their_namesakes_have() {
    let alerts = Receiver::start().await.unwrap();
    let sinks = json!({"webhooks": [{"type": "alert", "url": alerts.url()}]});
    let ruler = ruler(sinks.clone(), Some(rules())).await;
    assert_eq!(ruler.post(event(1)).await.0, StatusCode::OK);
    let sinks: RulerSinks = serde_json::from_value(sinks).unwrap();
    ruler.engine.replace_lanes(sinks.build(&Context::default()).unwrap()).await;
    assert_eq!(ruler.post([event(1), event(2)].join("\n")).await.0, StatusCode::OK);
    assert_eq!(alerts.accepted().len(), 2);
}
