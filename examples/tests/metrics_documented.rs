//! docs/metrics.md lists every metric, and none that is not there.

#![allow(clippy::unwrap_used, reason = "it is how a test fails")]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use kube_events_core::{
    Batch, Event, Gap, Pipeline,
    gap::GapReason,
    metrics::{
        ConfigMetrics, OperatorMetrics, PipelineMetrics, RuleFigures, RuleLabels, RulerMetrics,
    },
    pipeline::LaneOptions,
    sink_fn,
    source::Observed,
};
use prometheus_client::{encoding::text::encode, registry::Registry};

const DOCUMENT: &str = include_str!("../../docs/metrics.md");

/// The type of a metric and its labels, by its name.
type Metrics = BTreeMap<String, (String, BTreeSet<String>)>;

#[tokio::test(start_paused = true)]
async fn every_metric_is_in_the_table_with_its_type_and_labels() {
    let exposed = exposed(&everything().await);
    assert!(exposed.len() > 20, "{exposed:?}");
    assert_eq!(exposed, documented());
}

/// The text that Prometheus scrapes from all programs, each metric with at least one value.
async fn everything() -> String {
    let mut registry = Registry::default();
    ConfigMetrics::register(&mut registry).succeeded();
    let ruler = RulerMetrics::register(&mut registry);
    ruler.sink("lane");
    ruler.lost("lane", 1);
    ruler.suppressed("lane", 1);
    let matched = RuleFigures { last_match: Some(Timestamp::UNIX_EPOCH), ..RuleFigures::default() };
    ruler.objects([(RuleLabels::new("shop", "web"), matched)].into());
    let operator = OperatorMetrics::register(&mut registry);
    operator.reconciled("Rule", Duration::ZERO, true);
    operator.wrote("Rule", 1);
    operator.managed("Rule", 1);
    pipeline(PipelineMetrics::register(&mut registry)).await;
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    text
}

/// Runs until each figure of a pipeline was told.
async fn pipeline(metrics: PipelineMetrics) {
    let gap = Gap {
        reason: GapReason::Expired,
        from: None,
        to: None,
        since: None,
        until: Timestamp::UNIX_EPOCH,
    };
    let event = Event::decode(br#"{"metadata": {"uid": "a"}}"#).unwrap();
    let observed = [Ok(Observed::Gap(gap)), Ok(Observed::Event(event))];
    let sink = sink_fn(|_: Batch<Event>| async { Ok(()) });
    Pipeline::new(stream::iter(observed).chain(stream::pending()))
        .metrics(metrics)
        .lane("lane", sink, LaneOptions::default())
        .run(tokio::time::sleep(Duration::from_secs(60)))
        .await;
}

fn exposed(text: &str) -> Metrics {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types
        .map(|(name, kind)| {
            let total = if kind == "counter" { "_total" } else { "" };
            (format!("{name}{total}"), (kind.to_owned(), labels(text, name)))
        })
        .collect()
}

/// The labels of all samples of a metric; `le` is the form of a histogram.
fn labels(text: &str, name: &str) -> BTreeSet<String> {
    let samples = text.lines().filter_map(|line| {
        let (sample, labels) = line.split_once('}')?.0.split_once('{')?;
        let rest = sample.strip_prefix(name)?;
        ["", "_total", "_bucket", "_sum", "_count"].contains(&rest).then_some(labels)
    });
    samples
        .flat_map(|labels| labels.split(','))
        .filter_map(|label| Some(label.split_once('=')?.0.to_owned()))
        .filter(|label| label != "le")
        .collect()
}

/// The rows `| name | type | labels | … |`; tables of expressions are none.
fn documented() -> Metrics {
    let words = |cell: &str| -> BTreeSet<String> {
        let words = cell.split(',').map(|word| word.trim().replace('`', ""));
        words.filter(|word| !word.is_empty()).collect()
    };
    let rows = DOCUMENT.lines().filter_map(|line| {
        let cells: Vec<_> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
        let [name, kind, labels, _, ""] = cells[..] else { return None };
        let name = name.strip_prefix('`')?.strip_suffix('`')?;
        Some((name.to_owned(), (kind.to_owned(), words(labels))))
    });
    rows.collect()
}
