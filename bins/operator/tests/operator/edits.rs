//! Objects that change at random: after some changes there is what a new operator would make in a new
//! cluster, whatever was there before, and however far it was when the next change came.

use std::{
    env,
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Value, json};

use crate::cluster::{Cluster, NAMESPACE, State, assert_same};

/// Names a seed in place of a random one.
const SEED: &str = "KUBE_EVENTS_EDITS_SEED";

const NAMESPACES: [&str; 3] = ["shop", "payments", "monitoring"];

/// All objects that there may be. Two of them ask for children of the same names.
const OBJECTS: [(&str, &str); 6] = [
    ("Exporter", "one"),
    ("Exporter", "two"),
    ("Ruler", "one"),
    ("Ruler", "ruler"),
    ("Rule", "rule"),
    ("Rule", "other"),
];

/// Longer than an object waits that cannot have its children.
const PATIENCE: Duration = Duration::from_secs(40);

/// An object that was asked for.
#[derive(Clone, Debug)]
struct Asked {
    spec: Value,
    /// When it was made: of two of one name, the older one counts.
    since: usize,
}

/// What was asked for at one moment.
type Declared = [Option<Asked>; OBJECTS.len()];

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
    let selector = maybe(Just(json!({"matchLabels": {"team": "nobody"}})));
    (workload(), 1..4, sinks, selector).prop_map(|(mut spec, replicas, sinks, selector)| {
        spec["replicas"] = json!(replicas);
        spec["sinks"] = sinks;
        spec["ruleSelector"] = selector;
        without_nulls(spec)
    })
}

fn rule() -> impl Strategy<Value = Value> {
    let condition = prop::sample::select(vec!["count > 3", "reason = \"BackOff\"", "count >"]);
    let rule = |(name, condition, enable): (&str, &str, bool)| json!({"name": name, "type": "alert", "enable": enable, "condition": condition});
    let rules =
        ["A", "B"].map(|name| (Just(name), condition.clone(), any::<bool>()).prop_map(rule));
    rules.prop_map(|rules| json!({ "rules": rules }))
}

/// A sequence that a seed makes.
struct Edits(TestRunner);

// === impl Edits ===

impl Edits {
    fn seeded(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        Self(TestRunner::new_with_rng(ProptestConfig::default(), random))
    }

    fn draw<T: std::fmt::Debug>(&mut self, strategy: impl Strategy<Value = T>) -> T {
        strategy.new_tree(&mut self.0).unwrap().current()
    }

    /// A next moment: an object is changed, made, or deleted.
    fn change(&mut self, declared: &mut Declared, now: usize) {
        let which = self.draw(0..OBJECTS.len());
        let there = self.draw(prop::bool::weighted(0.8));
        let spec = match OBJECTS[which].0 {
            "Exporter" => self.draw(exporter()),
            "Ruler" => self.draw(ruler()),
            _ => self.draw(rule()),
        };
        let since = declared[which].as_ref().map_or(now, |asked| asked.since);
        declared[which] = there.then_some(Asked { spec, since });
    }
}

async fn new_cluster() -> Cluster {
    let cluster = Cluster::new().await;
    for namespace in NAMESPACES {
        cluster.server.create_namespace(namespace);
    }
    cluster
}

/// Makes a cluster's objects as they are declared, and waits for nothing.
async fn declare(cluster: &Cluster, declared: &Declared) {
    let mut objects: Vec<_> = OBJECTS.iter().zip(declared).collect();
    objects.sort_by_key(|(_, asked)| asked.as_ref().map(|asked| asked.since));
    for ((kind, name), asked) in objects {
        let made = |asked: &Asked| {
            let created = jiff::Timestamp::from_second(asked.since.try_into().unwrap()).unwrap();
            json!({
                "name": name, "namespace": NAMESPACE, "creationTimestamp": created,
                "uid": format!("uid-of-{kind}-{name}-{}", asked.since),
            })
        };
        let there = cluster.has(kind, name).then(|| cluster.get(kind, name));
        let same = asked
            .as_ref()
            .zip(there.as_ref())
            .is_some_and(|(asked, there)| there["metadata"]["uid"] == made(asked)["uid"]);
        if there.is_some() && !same {
            cluster.server.delete(kind, NAMESPACE, name).unwrap();
        }
        match asked {
            Some(asked) if same => cluster.respecify(kind, name, &asked.spec).await,
            Some(asked) => {
                let object = json!({
                    "apiVersion": "events.kubesphere.io/v1alpha1", "kind": kind,
                    "metadata": made(asked), "spec": asked.spec,
                });
                cluster.server.create(object).unwrap();
            }
            None => {}
        }
    }
}

/// Waits until everything is done.
async fn done(cluster: &Cluster) {
    // Nobody tells an object when it can have its children.
    cluster.pass(PATIENCE).await;
}

/// Lets the operator write so often, if it has so much to write.
async fn writes(cluster: &Cluster, writes: usize) {
    const LOOKS: usize = 50;
    let wanted = cluster.writes().len() + writes;
    for _ in 0..LOOKS {
        if cluster.writes().len() >= wanted {
            return;
        }
        cluster.client.apiserver_version().await.unwrap();
    }
}

/// What a new operator makes of it in a new cluster.
async fn afresh(declared: &Declared) -> State {
    let cluster = new_cluster().await;
    declare(&cluster, declared).await;
    let _operator = cluster.start();
    done(&cluster).await;
    cluster.state()
}

/// Changes, one after another or before the last one is carried out; every now and then all goes back to
/// what it was long before.
async fn hold_for(seed: u64, steps: usize) {
    // Shown if it fails.
    eprintln!("{SEED}={seed}");
    let mut edits = Edits::seeded(seed);
    let cluster = new_cluster().await;
    let _operator = cluster.start();
    let mut declared = Declared::default();
    let mut past = Vec::new();
    for step in 0..steps {
        past.push(declared.clone());
        for change in 0..edits.draw(1..4_usize) {
            edits.change(&mut declared, step * 10 + change);
            declare(&cluster, &declared).await;
            writes(&cluster, edits.draw(0..8_usize)).await;
        }
        if step % 5 == 4 {
            for (place, (asked, before)) in declared.iter_mut().zip(&past[step / 2]).enumerate() {
                let since = asked.as_ref().map_or(step * 10 + 4 + place, |asked| asked.since);
                *asked = before.clone().map(|before| Asked { since, ..before });
            }
            declare(&cluster, &declared).await;
        }
        done(&cluster).await;
        let when = format!("seed {seed}, step {step} to {declared:#?}");
        assert_same(&cluster.state(), &afresh(&declared).await, &when);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_there_is_what_is_declared_whatever_was_before() {
    for seed in 1..=2 {
        hold_for(seed, 10).await;
    }
}

#[tokio::test(start_paused = true)]
async fn so_it_is_with_a_seed_that_nobody_chose() {
    let seed = env::var(SEED).map(|seed| seed.parse().unwrap());
    hold_for(seed.unwrap_or_else(|_| RandomState::new().hash_one(0)), 10).await;
}
