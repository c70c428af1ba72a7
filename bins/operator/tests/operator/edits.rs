//! Objects that change at random: after each change there is what a new operator would make in a new
//! cluster, whatever was there before.

use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use serde_json::{Value, json};

use crate::cluster::{Cluster, State, assert_same};

/// What was asked for at one moment: a spec for each object that there is.
type Declared = [(&'static str, &'static str, Option<Value>); 3];

const NAMESPACES: [&str; 3] = ["shop", "payments", "monitoring"];

fn maybe(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop_oneof![1 => Just(Value::Null), 1 => value]
}

fn one_of(values: &[Value]) -> impl Strategy<Value = Value> + use<> {
    prop::sample::select(values.to_vec())
}

fn subset(values: &[&'static str]) -> impl Strategy<Value = Value> + use<> {
    let values = values.to_vec();
    let most = values.len();
    prop::sample::subsequence(values, 0..=most).prop_map(|chosen| json!(chosen))
}

/// Settings that Exporters and Rulers have in common.
fn workload() -> impl Strategy<Value = Value> {
    let image = maybe(one_of(&[json!("a:1"), json!("kubesphere/kube-events-exporter:v0.6.0")]));
    let env = subset(&["A", "B", "C"]).prop_map(|names| {
        let names = names.as_array().unwrap().iter();
        names.map(|name| json!({"name": name, "value": "1"})).collect::<Value>()
    });
    let mounted = maybe(Just(json!({
        "volumes": [{"name": "data", "emptyDir": {}}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    })));
    let policy = maybe(one_of(&[
        json!({}),
        json!({"from": [{"namespaceSelector": {"matchLabels": {"team": "sre"}}}]}),
    ]));
    let budget = maybe(one_of(&[json!({"minAvailable": 1}), json!({"maxUnavailable": 1})]));
    let monitoring =
        maybe(one_of(&[json!({"enabled": false}), json!({"labels": {"release": "p"}})]));
    let placed = maybe(one_of(&[
        json!({"nodeSelector": {"disk": "ssd"}}),
        json!({"nodeSelector": {"zone": "a"}, "tolerations": [{"key": "k", "operator": "Exists"}]}),
        json!({"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 1, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname"}},
        ]}}}),
        json!({"imagePullSecrets": [{"name": "registry"}], "podAnnotations": {"a": "b"}}),
        json!({"resources": {"limits": {"memory": "64Mi"}}, "podLabels": {"c": "d"}}),
    ]));
    (image, env, mounted, policy, budget, monitoring, placed).prop_map(
        |(image, env, mounted, policy, budget, monitoring, placed)| {
            let mut spec = json!({
                "image": image, "env": env, "networkPolicy": policy,
                "podDisruptionBudget": budget, "monitoring": monitoring,
            });
            for fields in [mounted, placed] {
                spec.as_object_mut()
                    .unwrap()
                    .extend(fields.as_object().cloned().unwrap_or_default());
            }
            without_nulls(spec)
        },
    )
}

fn without_nulls(mut spec: Value) -> Value {
    spec.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    spec
}

fn webhook(namespace: &str) -> Value {
    json!({"service": {"namespace": namespace, "name": "hook", "port": "http"}})
}

fn exporter() -> impl Strategy<Value = Value> {
    let sinks = subset(&NAMESPACES).prop_map(|namespaces| {
        let namespaces = namespaces.as_array().unwrap().iter();
        let webhooks: Value =
            namespaces.map(|namespace| webhook(namespace.as_str().unwrap())).collect();
        json!({"stdout": {}, "webhooks": webhooks})
    });
    let checkpoint = maybe(Just(json!({"file": "/data/checkpoint.json"})));
    (workload(), subset(&NAMESPACES), sinks, checkpoint).prop_map(
        |(mut spec, namespaces, sinks, checkpoint)| {
            spec["namespaces"] = namespaces;
            spec["sinks"] = sinks;
            // It has to be in a volume, or nothing of the spec is carried out.
            if spec["volumeMounts"].is_array() {
                spec["checkpoint"] = checkpoint;
            }
            without_nulls(spec)
        },
    )
}

fn ruler() -> impl Strategy<Value = Value> {
    let sinks = one_of(&[
        json!({"stdout": {"type": "alert"}}),
        json!({"alertmanager": {"namespace": "monitoring", "name": "alertmanager"}}),
        json!({"alertmanagers": [{"namespace": "shop", "name": "a"}]}),
    ]);
    (workload(), 1..4, sinks).prop_map(|(mut spec, replicas, sinks)| {
        spec["replicas"] = json!(replicas);
        spec["sinks"] = sinks;
        spec
    })
}

/// A next moment: one object is changed, made, or deleted.
fn change(runner: &mut TestRunner, declared: &mut Declared) {
    let which = (0..declared.len()).new_tree(runner).unwrap().current();
    let there = prop::bool::weighted(0.8).new_tree(runner).unwrap().current();
    let (kind, _, spec) = &mut declared[which];
    let next = if *kind == "Exporter" {
        exporter().new_tree(runner).unwrap().current()
    } else {
        ruler().new_tree(runner).unwrap().current()
    };
    *spec = there.then_some(next);
}

async fn new_cluster() -> Cluster {
    let cluster = Cluster::new().await;
    for namespace in NAMESPACES {
        cluster.server.create_namespace(namespace);
    }
    cluster
}

/// Makes a cluster's objects as they are declared.
async fn declare(cluster: &Cluster, declared: &Declared) {
    for (kind, name, spec) in declared {
        match spec {
            Some(spec) if cluster.has(kind, name) => cluster.respecify(kind, name, spec).await,
            Some(spec) => cluster.create(kind, name, spec),
            None => drop(cluster.server.delete(kind, crate::cluster::NAMESPACE, name)),
        }
    }
    cluster.quiet().await;
}

/// What a new operator makes of it in a new cluster.
async fn afresh(declared: &Declared) -> State {
    let cluster = new_cluster().await;
    let _operator = cluster.start();
    declare(&cluster, declared).await;
    cluster.state()
}

#[tokio::test(start_paused = true)]
async fn what_is_there_is_what_is_declared_whatever_was_before() {
    const STEPS: usize = 40;
    let mut runner = TestRunner::deterministic();
    let cluster = new_cluster().await;
    let _operator = cluster.start();
    let mut declared: Declared =
        [("Exporter", "one", None), ("Exporter", "two", None), ("Ruler", "ruler", None)];
    let mut past = Vec::new();
    for step in 0..STEPS {
        change(&mut runner, &mut declared);
        declare(&cluster, &declared).await;
        let state = cluster.state();
        assert_same(&state, &afresh(&declared).await, &format!("step {step} to {declared:#?}"));
        past.push((declared.clone(), state));
        if step % 5 == 4 {
            let (before, was) = &past[step / 2];
            declare(&cluster, before).await;
            assert_same(&cluster.state(), was, &format!("back from step {step}"));
            declare(&cluster, &declared).await;
        }
    }
}
