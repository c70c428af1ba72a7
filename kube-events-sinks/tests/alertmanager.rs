//! Alertmanager over real HTTP on the loopback interface.
#![allow(clippy::unwrap_used, reason = "a test ends there")]
#![cfg(feature = "alertmanager")]

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use kube_events_core::{
    Alert, Batch, Sink,
    contract::{Contract, Delivery, Sample},
    crd::sinks::Scheme,
    sink::SendErrorKind,
};
use kube_events_sinks::{
    alertmanager::{Alertmanager, AlertmanagerOptions, Endpoints, EndpointsError, Urls},
    http::HttpOptions,
};
use kube_events_testkit::{AlertmanagerReceiver, Receiver, Reply};

/// As long as a test may wait for what happens in the background.
const SOON: Duration = Duration::from_secs(20);

fn batch(numbers: impl IntoIterator<Item = usize>) -> Batch<Alert> {
    Batch::new(numbers.into_iter().map(Alert::sample).collect::<Vec<_>>()).unwrap()
}

fn alertmanager(endpoints: impl Endpoints + 'static, timeout: Duration) -> Alertmanager {
    let http = HttpOptions { timeout, ..HttpOptions::default() };
    Alertmanager::new(endpoints, &AlertmanagerOptions { http, ..AlertmanagerOptions::default() })
        .unwrap()
}

fn of(receivers: &[&Receiver], timeout: Duration) -> Alertmanager {
    let urls: Vec<_> = receivers.iter().map(|receiver| receiver.url()).collect();
    alertmanager(Urls::new(&urls).unwrap(), timeout)
}

fn ids(receiver: &Receiver) -> Vec<String> {
    receiver.accepted().iter().filter_map(Alert::found_in).collect()
}

async fn wait_for_ids(receiver: &Receiver, expected: &[&str]) {
    let wanted = |requests: &[kube_events_testkit::Recorded]| {
        let accepted = requests.iter().filter(|request| request.answered == Some(200));
        let items = accepted.flat_map(|request| request.json().unwrap());
        items.filter_map(|item| Alert::found_in(&item)).collect::<Vec<_>>() == expected
    };
    let found = receiver.wait_for(SOON, wanted).await;
    assert!(found.is_ok(), "{:?} instead of {expected:?}", ids(receiver));
}

/// Replicas that come and go.
#[derive(Clone, Default)]
struct Changing(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl Endpoints for Changing {
    async fn urls(&self) -> Result<Vec<String>, EndpointsError> {
        match self.0.lock().unwrap().clone() {
            urls if urls.is_empty() => Err(EndpointsError("nobody is there".into())),
            urls => Ok(urls),
        }
    }

    fn scheme(&self) -> Scheme {
        Scheme::Http
    }
}

#[tokio::test]
async fn alertmanager_keeps_the_contract() {
    type Refused = Arc<Mutex<HashSet<String>>>;
    let contract = Contract::<Alert, _, _>::new(
        async || {
            let (receiver, refused) = (Receiver::start().await.unwrap(), Refused::default());
            let bad = Arc::clone(&refused);
            receiver.usually(move |request| {
                let bad = bad.lock().unwrap();
                let items = request.json().unwrap();
                let mut ids = items.iter().filter_map(Alert::found_in);
                match ids.find(|id| bad.contains(id) || bad.contains("everything")) {
                    Some(_) if bad.contains("everything") => Reply::status(503),
                    Some(_) => Reply::status(400),
                    None => Reply::status(200),
                }
            });
            (of(&[&receiver], SOON), (receiver, refused))
        },
        async |(receiver, _): &(Receiver, Refused)| {
            let delivery = |request: &kube_events_testkit::Recorded| Delivery {
                key: request.header("idempotency-key").map(ToOwned::to_owned),
                items: request.json().unwrap(),
                accepted: request.answered == Some(200),
            };
            receiver.requests().iter().map(delivery).collect()
        },
    );
    let report = contract
        .refusing(|(_, refused), id| {
            refused.lock().unwrap().insert(id.to_owned());
        })
        .failing(
            |(_, refused)| {
                refused.lock().unwrap().insert("everything".to_owned());
            },
            |(_, refused)| refused.lock().unwrap().clear(),
        )
        .run()
        .await;
    assert_eq!(report.skipped, []);
}

#[tokio::test]
async fn alerts_have_the_form_that_alertmanager_takes() {
    let server = AlertmanagerReceiver::start().await.unwrap();
    let sink = of(&[server.receiver()], SOON);
    let mut alert = Alert::sample(1);
    alert.labels.insert("app.kubernetes.io/name".into(), "web".into());
    alert.labels.insert("severity".into(), String::new());
    let before = Timestamp::now();
    sink.send(&Batch::new(vec![alert]).unwrap()).await.unwrap();
    let alerts = server.alerts();
    let labels = serde_json::json!({"alertname": "sample1", "app_kubernetes_io_name": "web"});
    assert_eq!(alerts[0]["labels"], labels);
    let end: Timestamp = alerts[0]["endsAt"].as_str().unwrap().parse().unwrap();
    let five = SignedDuration::from_mins(5);
    assert!(end >= before + five && end <= Timestamp::now() + five, "{end}");
    let request = &server.receiver().requests()[0];
    assert_eq!(
        (&*request.path, request.header("content-type")),
        ("/api/v2/alerts", Some("application/json"))
    );
}

#[tokio::test]
async fn a_bad_alert_is_named_and_its_neighbours_arrive() {
    let server = AlertmanagerReceiver::start().await.unwrap();
    let sink = of(&[server.receiver()], SOON);
    let mut alerts: Vec<_> = (0..5).map(Alert::sample).collect();
    alerts[3].labels = [("empty".into(), String::new())].into();
    let error = sink.send(&Batch::new(alerts).unwrap()).await.unwrap_err();
    assert_eq!(*error.kind(), SendErrorKind::Reject { items: Some(vec![3]) });
    assert_eq!(server.alerts().len(), 4);
}

#[tokio::test]
async fn every_replica_gets_every_alert() {
    let [a, b] = [Receiver::start().await.unwrap(), Receiver::start().await.unwrap()];
    let sink = of(&[&a, &b], SOON);
    sink.send(&batch(0..3)).await.unwrap();
    for receiver in [&a, &b] {
        wait_for_ids(receiver, &["sample0", "sample1", "sample2"]).await;
    }
}

#[tokio::test]
async fn a_replica_that_hangs_delays_nobody() {
    let [good, bad] = [Receiver::start().await.unwrap(), Receiver::start().await.unwrap()];
    bad.usually(|_| Reply::hang());
    let sink = of(&[&bad, &good], Duration::from_secs(3600));
    for n in 0..5 {
        sink.send(&batch([n])).await.unwrap();
    }
    assert_eq!(ids(&good).len(), 5);
    assert!(bad.requests().len() <= 1, "there is one request at a time");
}

#[tokio::test]
async fn a_replica_that_hangs_does_not_hold_up_a_refusal_for_long() {
    let [strict, hanging] = [Receiver::start().await.unwrap(), Receiver::start().await.unwrap()];
    strict.reject_bodies_with("sample2");
    hanging.usually(|_| Reply::hang());
    let sink = of(&[&strict, &hanging], Duration::from_secs(3600));
    let error = sink.send(&batch([1, 2])).await.unwrap_err();
    assert_eq!(*error.kind(), SendErrorKind::Reject { items: Some(vec![1]) });
    sink.send(&batch([3])).await.unwrap();
}

#[tokio::test]
async fn what_each_of_two_replicas_refuses_the_other_has() {
    let [one, two] = [Receiver::start().await.unwrap(), Receiver::start().await.unwrap()];
    one.reject_bodies_with("sample1\"");
    two.reject_bodies_with("sample2\"");
    of(&[&one, &two], SOON).send(&batch([1, 2])).await.unwrap();
}

#[tokio::test]
async fn more_alerts_than_a_queue_holds_all_arrive() {
    let receiver = Receiver::start().await.unwrap();
    of(&[&receiver], SOON).send(&batch(0..5000)).await.unwrap();
    assert_eq!(ids(&receiver).into_iter().collect::<HashSet<_>>().len(), 5000);
}

#[tokio::test]
async fn a_replica_that_comes_back_gets_what_still_fires_once() {
    let [good, away] = [Receiver::start().await.unwrap(), Receiver::start().await.unwrap()];
    away.go_down().await;
    let sink = of(&[&good, &away], SOON);
    sink.send(&batch([1, 2])).await.unwrap();
    sink.send(&batch([2, 3])).await.unwrap();
    away.come_back().await.unwrap();
    wait_for_ids(&away, &["sample1", "sample2", "sample3"]).await;
    assert_eq!(ids(&good), ["sample1", "sample2", "sample2", "sample3"]);
}

#[tokio::test]
async fn a_new_replica_hears_what_fires() {
    let [old, new] = [Receiver::start().await.unwrap(), Receiver::start().await.unwrap()];
    let endpoints = Changing::default();
    endpoints.0.lock().unwrap().push(old.url());
    let sink = alertmanager(endpoints.clone(), SOON);
    sink.send(&batch([1, 2])).await.unwrap();
    *endpoints.0.lock().unwrap() = vec![new.url()];
    sink.send(&batch([3])).await.unwrap();
    wait_for_ids(&new, &["sample1", "sample2", "sample3"]).await;
    assert_eq!(ids(&old), ["sample1", "sample2"]);
}

#[tokio::test]
async fn while_no_replica_is_known_alerts_can_be_tried_again() {
    let sink = alertmanager(Changing::default(), SOON);
    let error = sink.send(&batch([1])).await.unwrap_err();
    assert!(error.is_retry(), "{error:?}");
}

#[tokio::test]
async fn when_all_replicas_fail_the_shortest_wait_counts() {
    let [a, b] = [Receiver::start().await.unwrap(), Receiver::start().await.unwrap()];
    a.usually(|_| Reply::status(429).retry_after(Duration::from_secs(9)));
    b.usually(|_| Reply::status(503).retry_after(Duration::from_secs(4)));
    let error = of(&[&a, &b], SOON).send(&batch([1])).await.unwrap_err();
    let SendErrorKind::Retry { after: Some(after) } = error.kind() else { panic!("{error:?}") };
    assert!(*after <= Duration::from_secs(4) && !after.is_zero(), "{after:?}");
}

#[tokio::test]
async fn what_one_replica_refuses_and_another_takes_is_delivered() {
    let [strict, lax] = [Receiver::start().await.unwrap(), Receiver::start().await.unwrap()];
    strict.usually(|_| Reply::status(400));
    lax.usually(|_| Reply::status(200).delay(Duration::from_millis(50)));
    of(&[&strict, &lax], SOON).send(&batch([1, 2])).await.unwrap();
    assert_eq!(ids(&lax), ["sample1", "sample2"]);
}

#[tokio::test]
async fn the_end_brings_what_still_waits() {
    let [good, slow] = [Receiver::start().await.unwrap(), Receiver::start().await.unwrap()];
    slow.usually(|_| Reply::status(200).delay(Duration::from_millis(100)));
    let sink = of(&[&good, &slow], SOON);
    for n in 0..3 {
        sink.send(&batch([n])).await.unwrap();
    }
    sink.close().await.unwrap();
    assert_eq!(ids(&slow), ["sample0", "sample1", "sample2"]);
}

#[cfg(feature = "kubernetes")]
mod in_a_cluster {
    use kube_events_core::{
        Event,
        crd::sinks::{ExporterSinks, RulerSinks},
    };
    use kube_events_sinks::{Context, SinkConfig};
    use kube_events_testkit::ApiServer;
    use serde_json::json;

    use super::*;

    fn client(url: &str) -> kube::Client {
        drop(rustls::crypto::ring::default_provider().install_default());
        kube::Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap()
    }

    #[tokio::test]
    async fn the_replicas_of_a_service_are_its_ready_endpoints() {
        let [ready, unready] = [Receiver::start().await.unwrap(), Receiver::start().await.unwrap()];
        let server = ApiServer::start().await.unwrap();
        let client = client(&server.url());
        for (receiver, is_ready) in [(&ready, true), (&unready, false)] {
            let slice: k8s_openapi::api::discovery::v1::EndpointSlice =
                serde_json::from_value(json!({
                    "metadata": {
                        "name": format!("am-{}", receiver.port()),
                        "labels": {"kubernetes.io/service-name": "am"},
                    },
                    "addressType": "IPv4",
                    "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": is_ready}}],
                    "ports": [{"name": "web", "port": receiver.port()}],
                }))
                .unwrap();
            kube::Api::namespaced(client.clone(), "default")
                .create(&kube::api::PostParams::default(), &slice)
                .await
                .unwrap();
        }
        let sinks: RulerSinks =
            serde_json::from_value(json!({"alertmanager": {"namespace": "default", "name": "am"}}))
                .unwrap();
        let lanes = sinks.build(&Context::default().client(client)).unwrap();
        lanes.alerts[0].sink.send(&batch([1])).await.unwrap();
        assert_eq!((ids(&ready).len(), unready.requests().len()), (1, 0));
    }

    #[tokio::test]
    async fn a_webhook_finds_a_port_by_its_name() {
        let api = Receiver::start().await.unwrap();
        let service = json!({"spec": {"ports": [
            {"name": "metrics", "port": 9090}, {"name": "web", "port": 8081},
        ]}});
        api.usually(move |request| match &*request.path {
            "/api/v1/namespaces/shop/services/hook" => Reply::status(200).body(service.to_string()),
            _ => Reply::status(404),
        });
        let context = Context::default().client(client(&api.url()));
        for (port, expected) in [
            ("web", "no answer from http://hook.shop.svc:8081"),
            ("other", "the Service shop/hook has no port \"other\""),
        ] {
            let service = json!({"namespace": "shop", "name": "hook", "port": port, "path": "/x"});
            let sinks: ExporterSinks =
                serde_json::from_value(json!({"webhooks": [{"service": service}]})).unwrap();
            let lanes = sinks.build(&context).unwrap();
            let event = Batch::new(vec![Event::sample(1)]).unwrap();
            let error = lanes[0].sink.send(&event).await.unwrap_err();
            assert!(error.is_retry());
            let cause = std::error::Error::source(&error).unwrap();
            assert!(cause.to_string().starts_with(expected), "{cause}");
        }
    }

    #[tokio::test]
    async fn without_an_answer_of_the_api_server_the_service_s_name_counts() {
        let api = Receiver::start().await.unwrap();
        api.usually(|_| Reply::status(403));
        let sinks: RulerSinks = serde_json::from_value(
            json!({"alertmanager": {"namespace": "shop", "name": "am", "port": 9093}}),
        )
        .unwrap();
        let lanes = sinks.build(&Context::default().client(client(&api.url()))).unwrap();
        let error = lanes.alerts[0].sink.send(&batch([1])).await.unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("no answer from http://am.shop.svc:9093"), "{cause}");
    }
}
