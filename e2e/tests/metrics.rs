//! A real Prometheus understands what the programs tell about themselves.

use anyhow::Result;
use e2e::{ControlPlane, Load, Part, Program, Prometheus, Settings, Target, until};
use kube_events_core::crd;
use serde_json::json;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_scrapes_exporter_and_ruler() -> Result<()> {
    let Some(assets) = Part::ControlPlane.find() else { return Ok(()) };
    let Some(prometheus) = Part::Prometheus.find() else { return Ok(()) };
    let Some(exporter) = Part::Program("kube-events-exporter").find() else { return Ok(()) };
    let Some(ruler) = Part::Program("kube-events-ruler").find() else { return Ok(()) };
    let dir = tempfile::Builder::new().prefix("metrics-").tempdir()?;
    let control_plane = ControlPlane::start(&assets, Settings::default()).await?;
    control_plane.install(&crd::all()).await?;
    let ruler = Program::start(&ruler, dir.path(), &control_plane, "{}", &[]).await?;
    let config = json!({
        "sinks": {"stdout": {}, "webhooks": [{"name": "ruler", "url": ruler.url("/events")}]},
    });
    let config = config.to_string();
    let exporter = Program::start(&exporter, dir.path(), &control_plane, &config, &[]).await?;
    let load = Load::new(control_plane.client().await?, &["one"], 8).await?;
    load.create(0, 100).await?;

    let target = |job: &str, program: &Program| Target {
        job: job.into(),
        address: program.address().into(),
    };
    let targets = [target("exporter", &exporter), target("ruler", &ruler)];
    let prometheus = Prometheus::start(&prometheus, &targets).await?;
    prometheus.scraped(LIMIT).await?;
    for (series, value) in [
        ("up{job=\"exporter\"}", 1.0),
        ("up{job=\"ruler\"}", 1.0),
        ("kube_events_received_total", 100.0),
        ("kube_events_delivered_total{lane=\"ruler\"}", 100.0),
        ("kube_events_delivered_total{lane=\"stdout\"}", 100.0),
        ("kube_events_lane_lag_events{lane=\"stdout\"}", 0.0),
        ("kube_events_ruler_received_total", 100.0),
        ("kube_events_ruler_rules", 0.0),
        ("kube_events_config_last_reload_successful{job=\"ruler\"}", 1.0),
    ] {
        let told = async || {
            let samples = prometheus.query(series).await?;
            let values: Vec<_> = samples.iter().map(|sample| sample.value).collect();
            Ok((values == [value]).then_some(()))
        };
        until(series, LIMIT, told).await?;
    }
    for (metric, type_) in [
        ("kube_events_received", "counter"),
        ("kube_events_delivered", "counter"),
        ("kube_events_lane_lag_events", "gauge"),
        ("kube_events_ring_bytes", "gauge"),
        ("kube_events_delivery_duration_seconds", "histogram"),
        ("kube_events_ruler_received", "counter"),
        ("kube_events_ruler_rules", "gauge"),
        ("kube_events_ruler_evaluation_duration_seconds", "histogram"),
        ("kube_events_config_last_reload_successful", "gauge"),
        ("kube_events_config_reload_failures", "counter"),
    ] {
        assert_eq!(prometheus.metric_type(metric).await?.as_deref(), Some(type_), "{metric}");
    }
    prometheus.stop().await?;
    exporter.stop().await?;
    ruler.stop().await?;
    control_plane.stop().await
}
