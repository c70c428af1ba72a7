//! What the Prometheus operator is told: what to scrape, and what to alert on.

use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use super::{Child, Parent, merge};
use crate::names;

pub(crate) const GROUP: &str = "monitoring.coreos.com";
pub(crate) const VERSION: &str = "v1";

const POD_MONITOR: &str = "PodMonitor";
const PROMETHEUS_RULE: &str = "PrometheusRule";

/// The kinds that a cluster knows or not.
pub(crate) fn kinds() -> Vec<ApiResource> {
    let kinds = [POD_MONITOR, PROMETHEUS_RULE];
    kinds.map(|kind| ApiResource::from_gvk(&gvk(kind))).into()
}

fn gvk(kind: &str) -> GroupVersionKind {
    GroupVersionKind::gvk(GROUP, VERSION, kind)
}

/// A `PodMonitor` and a `PrometheusRule`, where a cluster knows them.
pub(super) fn children(parent: &Parent<'_>) -> Vec<Child> {
    let monitoring = parent.workload.monitoring.clone().unwrap_or_default();
    let place = |kind: &str, spec: Value| {
        let object = monitoring.enabled.then(|| {
            let mut labels = json!(monitoring.labels);
            merge(&mut labels, parent.labels());
            json!({"metadata": {"labels": labels}, "spec": spec})
        });
        parent.foreign(&gvk(kind), object)
    };
    vec![place(POD_MONITOR, pod_monitor(parent)), place(PROMETHEUS_RULE, alerts(parent))]
}

/// A pattern of the names of a Deployment's pods. The name of a `ReplicaSet` ends with a hash of at most 10
/// characters; of that name with a dash behind it pods have the first 58 characters, and 5 of their own:
/// <https://pkg.go.dev/k8s.io/apiserver/pkg/storage/names>.
fn pods_of(deployment: &str) -> String {
    const KEPT: usize = 58;
    // Of which no words can be made.
    const SAFE: &str = "[b-df-hj-np-tv-xz24-9]";
    const WHOLE: usize = KEPT - "-7c5ddbdf54-".len();
    let escaped = |name: &str| name.replace('.', "[.]");
    match (deployment.get(..KEPT), deployment.len()) {
        (Some(kept), _) => format!("{}{SAFE}{{5}}", escaped(kept)),
        (None, ..=WHOLE) => format!("{}-{SAFE}{{1,10}}-{SAFE}{{5}}", escaped(deployment)),
        (None, _) => format!("{}-{SAFE}{{0,10}}-?{SAFE}{{5}}", escaped(deployment)),
    }
}

fn pod_monitor(parent: &Parent<'_>) -> Value {
    json!({
        "selector": {"matchLabels": parent.selector()},
        "podMetricsEndpoints": [{"port": names::PORT_NAME, "path": "/metrics"}],
    })
}

/// What docs/metrics.md says should be alerted on.
fn alerts(parent: &Parent<'_>) -> Value {
    let of = format!("namespace=\"{}\",pod=~\"{}\"", parent.namespace, pods_of(parent.name));
    let alert = |name: &str, expression: String, minutes: u32, summary: &str| {
        json!({
            "alert": name,
            "expr": expression,
            "for": format!("{minutes}m"),
            "labels": {"severity": "warning"},
            "annotations": {"summary": summary},
        })
    };
    let mut rules = vec![alert(
        "KubeEventsConfigNotInForce",
        format!("kube_events_config_last_reload_successful{{{of}}} == 0"),
        5,
        "a changed configuration is wrong and not in force",
    )];
    if parent.program == names::EXPORTER {
        rules.extend([
            alert(
                "KubeEventsLaneLagging",
                format!("kube_events_lane_lag_events{{{of}}} > 5000"),
                10,
                "a sink does not keep up; the log names the reason",
            ),
            alert(
                "KubeEventsGap",
                format!("increase(kube_events_gaps_total{{{of}}}[1h]) > 0"),
                0,
                "Events may be missing; the log says between which resourceVersions",
            ),
            alert(
                "KubeEventsRejected",
                format!("rate(kube_events_rejected_total{{{of}}}[5m]) > 0"),
                5,
                "a receiver refuses Events for good",
            ),
        ]);
    } else {
        rules.extend([
            alert(
                "KubeEventsRuleProblems",
                format!("kube_events_ruler_rule_problems{{{of}}} > 0"),
                15,
                "a rule does not count; its status says why",
            ),
            alert(
                "KubeEventsRulerLost",
                format!("rate(kube_events_ruler_lost_total{{{of}}}[5m]) > 0"),
                5,
                "an optional sink loses items",
            ),
            alert(
                "KubeEventsNoActiveRuler",
                format!("absent(kube_events_ruler_active{{{of}}} == 1)"),
                10,
                "no ruler is active, so rules that count, wait or recover tell nothing",
            ),
        ]);
    }
    json!({"groups": [{"name": format!("kube-events-{}", parent.name), "rules": rules}]})
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::pods_of;

    /// A pod's name, as Kubernetes makes it of a Deployment's and its `ReplicaSet`'s.
    fn pod(deployment: &str) -> String {
        let replica_set = format!("{deployment}-7c5ddbdf54");
        let base: String = format!("{replica_set}-").chars().take(58).collect();
        base + "x2x8k"
    }

    #[test]
    fn alerts_are_about_the_pods_of_their_own_deployment() {
        // Prometheus anchors its patterns.
        let of = |deployment: &str| Regex::new(&format!("^(?:{})$", pods_of(deployment))).unwrap();
        for length in [1, 40, 46, 47, 48, 56, 57, 58, 59, 63] {
            let name = "e".repeat(length);
            assert!(of(&name).is_match(&pod(&name)), "{length}: {}", pod(&name));
        }
        assert!(of("a.b").is_match(&pod("a.b")));
        assert!(!of("a.b").is_match(&pod("a-b")));
        assert!(!of("a").is_match(&pod("a-b")));
        assert!(!of("a-b").is_match(&pod("a")));
        assert!(!of("a").is_match(&pod("b")));
        let short = "e".repeat(46);
        for added in ["bcdef", "abcdefghij", "abcdefghij-x"] {
            let long = format!("{short}-{added}");
            assert!(!of(&short).is_match(&pod(&long)), "{}", pod(&long));
            assert!(!of(&long).is_match(&pod(&short)));
        }
    }
}
