//! The exporter between a real API server and two sinks: nothing missing, nothing twice, in order.

use anyhow::{Context as _, Result};
use e2e::{ControlPlane, Created, Load, Part, Program, Settings, until};
use kube_events_testkit::{Expectation, Identity, Receiver, Recorded};
use serde_json::{Value, json};
use std::{cell::Cell, fs, path::PathBuf, time::Duration};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(180);
const NAMESPACES: [&str; 3] = ["one", "two", "three"];
const PARALLEL: usize = 32;

/// A control plane, and what an exporter on it delivers to.
struct Place {
    binary: PathBuf,
    control_plane: ControlPlane,
    receiver: Receiver,
    dir: TempDir,
}

// === impl Place ===

impl Place {
    /// `None` when a part is missing.
    async fn find() -> Result<Option<Self>> {
        let Some(assets) = Part::ControlPlane.find() else { return Ok(None) };
        let Some(binary) = Part::Program("kube-events-exporter").find() else { return Ok(None) };
        let control_plane = ControlPlane::start(&assets, Settings::default()).await?;
        let receiver = Receiver::start().await?;
        let dir = tempfile::Builder::new().prefix("exporter-").tempdir()?;
        Ok(Some(Self { binary, control_plane, receiver, dir }))
    }

    async fn exporter(&self, flags: &[&str]) -> Result<Program> {
        let config = json!({
            "checkpoint": {"file": self.dir.path().join("checkpoint")},
            "sinks": {
                "stdout": {"format": "json"},
                "webhooks": [{"name": "receiver", "url": self.receiver.url()}],
            },
        });
        let config = config.to_string();
        Program::start(&self.binary, self.dir.path(), &self.control_plane, &config, flags).await
    }

    async fn load(&self) -> Result<Load> {
        let client = self.control_plane.client().await?;
        Ok(Load::new(client, &NAMESPACES, PARALLEL).await?.through_both_apis())
    }

    /// Waits until the webhook has at least so many lines.
    async fn received(&self, lines: usize) -> Result<()> {
        let counted = LineCount::default();
        let enough = |requests: &[Recorded]| counted.of(requests) >= lines;
        if let Err(requests) = self.receiver.wait_for(LIMIT, enough).await {
            anyhow::bail!("{} of {lines} lines came by HTTP", LineCount::default().of(&requests));
        }
        Ok(())
    }

    /// Waits until both sinks have at least so many lines.
    async fn arrived(&self, lines: usize) -> Result<()> {
        self.received(lines).await?;
        let enough = async || {
            let printed = self.stdout()?;
            let whole = printed.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            let printed = whole.filter(|line| is_of_the_workload(line.as_bytes())).count();
            Ok((printed >= lines).then_some(()))
        };
        until("every line is on stdout", LIMIT, enough).await
    }

    fn stdout(&self) -> Result<String> {
        let path = self.dir.path().join("kube-events-exporter.stdout");
        fs::read_to_string(path).context("stdout")
    }

    /// Both sinks got every state once, in order, in the form of the API `version`.
    fn check(&self, states: &[Created], version: &str) -> Result<()> {
        let printed = self.stdout()?;
        let printed: Vec<Value> =
            printed.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let expected = states.iter().map(identity).collect::<Result<Vec<_>>>()?;
        for (sink, events) in [("stdout", printed), ("webhook", self.receiver.accepted())] {
            assert!(events.iter().all(|event| event["apiVersion"] == version), "{sink}");
            let events =
                events.iter().filter(|event| is_of_the_workload(event.to_string().as_bytes()));
            let arrived: Vec<_> = events.filter_map(Identity::of).collect();
            let report = Expectation::EveryState.check(&expected, &arrived);
            assert!(report.is_perfect(), "{sink}: {report:?}");
        }
        Ok(())
    }
}

/// The lines of requests, each counted once however often it is asked for.
#[derive(Default)]
struct LineCount {
    requests: Cell<usize>,
    lines: Cell<usize>,
}

// === impl LineCount ===

impl LineCount {
    fn of(&self, requests: &[Recorded]) -> usize {
        let new = &requests[self.requests.replace(requests.len())..];
        let lines = |request: &Recorded| {
            let lines = request.body.split(|byte| *byte == b'\n');
            lines.filter(|line| !line.is_empty() && is_of_the_workload(line)).count()
        };
        self.lines.update(|before| before + new.iter().map(lines).sum::<usize>());
        self.lines.get()
    }
}

/// The API server writes Events of its own to `default`, when it is slow to start.
fn is_of_the_workload(event: &[u8]) -> bool {
    const DEFAULT: &[u8] = br#""namespace":"default""#;
    !event.windows(DEFAULT.len()).any(|part| part == DEFAULT)
}

fn identity(state: &Created) -> Result<Identity> {
    Ok(Identity::new(state.uid.as_str(), state.resource_version.parse()?))
}

/// Creates Events, a quarter of which happen again: half of them before the other half is created.
async fn write(load: Load, events: usize) -> Result<Vec<Created>> {
    let mut states = Vec::new();
    for half in 0..2 {
        let created = load.create(half * events / 2, events / 2).await?;
        let repeated = load.repeat(&created[..events / 8]).await?;
        states.extend(created.into_iter().chain(repeated));
    }
    Ok(states)
}

async fn survive_a_restart_of_the_api_server(
    events: usize,
    flags: &[&str],
    version: &str,
    in_order: bool,
) -> Result<()> {
    let Some(mut place) = Place::find().await? else { return Ok(()) };
    let exporter = place.exporter(flags).await?;
    let writing = tokio::spawn(write(place.load().await?, events));
    place.received(events / 4).await?;
    assert!(!writing.is_finished(), "the restart would come too late");
    if in_order {
        place.control_plane.restart_api_server().await?;
    } else {
        place.control_plane.kill_api_server().await?;
        place.control_plane.start_api_server().await?;
    }

    let states = writing.await??;
    assert_eq!(states.len(), events + events / 4);
    place.arrived(states.len()).await?;
    for reason in ["expired", "went_back"] {
        let gaps = format!("kube_events_gaps_total{{reason=\"{reason}\"}}");
        assert_eq!(exporter.metric(&gaps).await?, Some(0.0), "{reason}");
    }
    exporter.stop().await?;
    place.check(&states, version)?;
    place.control_plane.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_events_arrive_once_though_the_api_server_restarts() -> Result<()> {
    survive_a_restart_of_the_api_server(20_000, &[], "v1", true).await
}

/// Lines break off in the middle of whatever they carry.
#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_once_though_the_api_server_is_killed() -> Result<()> {
    survive_a_restart_of_the_api_server(4_000, &[], "v1", false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn events_in_the_newer_form_arrive_once_though_the_api_server_restarts() -> Result<()> {
    let flags = ["--event.version=eventsv1"];
    survive_a_restart_of_the_api_server(2_000, &flags, "events.k8s.io/v1", true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_exporter_loses_and_repeats_nothing() -> Result<()> {
    let Some(place) = Place::find().await? else { return Ok(()) };
    let load = place.load().await?;
    let exporter = place.exporter(&[]).await?;
    let mut states = load.create(0, 300).await?;
    place.arrived(states.len()).await?;
    exporter.stop().await?;

    let repeated = load.repeat(&states[..100]).await?;
    states.extend(repeated);
    states.extend(load.create(300, 300).await?);
    let exporter = place.exporter(&[]).await?;
    states.extend(load.create(600, 100).await?);
    place.arrived(states.len()).await?;
    exporter.stop().await?;
    place.check(&states, "v1")?;
    place.control_plane.stop().await
}
