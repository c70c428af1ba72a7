//! The real servers start, do what the other tests take for granted, and stop.

use anyhow::Result;
use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use e2e::{Alertmanager, ControlPlane, Load, Part, Prometheus, Settings, Target, until};
use k8s_openapi::api::core::v1::Event;
use kube::{Api, api::ListParams};
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};
use serde_json::json;
use std::{collections::BTreeSet, time::Duration};
use tokio::net::TcpListener;

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn events_survive_a_restart_of_the_api_server() -> Result<()> {
    let Some(assets) = Part::ControlPlane.find() else { return Ok(()) };
    let mut control_plane = ControlPlane::start(&assets, Settings::default()).await?;
    let load = Load::new(control_plane.client().await?, &["one", "two"], 8).await?;
    let mut created = load.create(0, 10).await?;

    let url = control_plane.url();
    control_plane.restart_api_server().await?;
    assert_eq!(control_plane.url(), url);
    created.sort();
    assert_eq!(stored(&control_plane).await?, keys(&created));

    let repeated = load.repeat(&created[..3]).await?;
    assert!(repeated.iter().all(|event| event.count == 2));
    assert!(stored(&control_plane).await?.is_superset(&keys(&repeated)));
    control_plane.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_loses_nothing_when_the_api_server_is_killed_in_the_middle() -> Result<()> {
    let Some(assets) = Part::ControlPlane.find() else { return Ok(()) };
    let mut control_plane = ControlPlane::start(&assets, Settings::default()).await?;
    let load = Load::new(control_plane.client().await?, &["one"], 8).await?;
    let created = tokio::spawn(async move { load.create_evenly(0, 400, 200).await });

    let begun = async || Ok((stored(&control_plane).await?.len() >= 50).then_some(()));
    until("the first events are stored", LIMIT, begun).await?;
    control_plane.kill_api_server().await?;
    control_plane.start_api_server().await?;

    let created = created.await??;
    assert_eq!(created.len(), 400);
    assert_eq!(stored(&control_plane).await?, keys(&created));
    control_plane.stop().await
}

#[tokio::test]
async fn alertmanager_takes_an_alert_and_refuses_a_bad_one() -> Result<()> {
    let Some(program) = Part::Alertmanager.find() else { return Ok(()) };
    let alertmanager = Alertmanager::start(&program).await?;
    assert!(alertmanager.alerts().await?.is_empty());

    alertmanager.post(&json!([{"labels": {"alertname": "PodCrashes", "pod": "web-0"}}])).await?;
    let fires = async || Ok(alertmanager.alerts().await?.pop());
    let alert = until("the alert fires", LIMIT, fires).await?;
    assert_eq!(alert["labels"], json!({"alertname": "PodCrashes", "pod": "web-0"}));

    let error = alertmanager.post(&json!([{"labels": {"not a name": "x"}}])).await.unwrap_err();
    assert!(error.to_string().starts_with("400"), "{error}");
    alertmanager.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_reads_what_the_metrics_crate_writes() -> Result<()> {
    let Some(program) = Part::Prometheus.find() else { return Ok(()) };
    let target = Target { job: "ours".into(), address: serve_metrics().await? };
    let prometheus = Prometheus::start(&program, &[target]).await?;
    prometheus.scraped(LIMIT).await?;

    let counter = prometheus.query("e2e_deliveries_total{job=\"ours\"}").await?;
    assert_eq!(counter.iter().map(|s| s.value).collect::<Vec<_>>(), [3.0]);
    assert_eq!(prometheus.metric_type("e2e_lag").await?.as_deref(), Some("gauge"));
    assert!(prometheus.query("no_such_metric").await?.is_empty());
    prometheus.stop().await
}

async fn stored(control_plane: &ControlPlane) -> Result<BTreeSet<(String, String)>> {
    let api = Api::<Event>::all(control_plane.client().await?);
    let ours = ListParams::default().fields("source=kubelet");
    let events = api.list(&ours).await?.items.into_iter();
    Ok(events
        .filter_map(|event| Some((event.metadata.uid?, event.metadata.resource_version?)))
        .collect())
}

fn keys(created: &[e2e::Created]) -> BTreeSet<(String, String)> {
    created.iter().map(|c| (c.uid.clone(), c.resource_version.clone())).collect()
}

async fn serve_metrics() -> Result<String> {
    let (deliveries, lag) = (Counter::<u64>::default(), Gauge::<i64>::default());
    let mut registry = Registry::default();
    registry.register("e2e_deliveries", "What was delivered", deliveries.clone());
    registry.register("e2e_lag", "How far behind", lag);
    deliveries.inc_by(3);
    let mut text = String::new();
    encode(&mut text, &registry)?;

    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let answer = get(move || async move { ([(CONTENT_TYPE, content_type)], text) });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let server = axum::serve(listener, Router::new().route("/metrics", answer));
    tokio::spawn(server.into_future());
    Ok(address)
}
