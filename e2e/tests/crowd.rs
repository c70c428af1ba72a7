//! Many objects at once: they are all looked after soon, in little memory, and then nothing is written any more.

use anyhow::{Context as _, Result, ensure};
use e2e::{Operator, Settings, until};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Resource,
    api::{Patch, PatchParams, PostParams},
    core::NamespaceResourceScope,
    runtime::{WatchStreamExt as _, watcher},
};
use kube_events_core::crd::{Exporter, Rule, Ruler};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    fs,
    path::Path,
    pin::pin,
    time::Duration,
};
use tokio::time::{Instant, timeout};

const LIMIT: Duration = Duration::from_secs(120);

const NAMESPACES: usize = 100;
const RULES: usize = 900;
const OF_EACH: usize = 50;

/// What the operator may take at most.
const MEMORY: u64 = 64 << 20;

/// The API server's own record of what the operator wrote. Its Lease it has to renew.
const AUDIT: &str = r"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  resources: [{group: coordination.k8s.io}]
- level: Metadata
  users: ['system:serviceaccount:kubesphere-logging-system:kube-events-operator']
  verbs: [create, update, patch, delete]
- level: None
";

/// How often what was written since the start, by resource.
fn writes(audit: &Path) -> Result<BTreeMap<String, usize>> {
    let mut writes = BTreeMap::new();
    for line in fs::read_to_string(audit)?.lines() {
        let record: Value = serde_json::from_str(line)?;
        let resource = &record["objectRef"]["resource"];
        // Questions are posted, too, and what was refused was not written.
        let refused = record["responseStatus"]["code"].as_u64().is_some_and(|code| code >= 300);
        if !refused && resource != "selfsubjectaccessreviews" {
            *writes.entry(resource.to_string()).or_default() += 1;
        }
    }
    Ok(writes)
}

/// Creates an object of each number below `count`, in the namespaces by turns.
async fn create<K>(operator: &Operator, count: usize, spec: fn(usize) -> Value) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    K: Clone + Debug + DeserializeOwned + Serialize,
{
    let objects = stream::iter(0..count).map(|number| async move {
        let object: K = serde_json::from_value(json!({
            "apiVersion": K::api_version(&()), "kind": K::kind(&()),
            "metadata": {"name": format!("{}-{number}", K::kind(&()).to_lowercase())},
            "spec": spec(number),
        }))?;
        let api = operator.api::<K>(&namespace(number));
        api.create(&PostParams::default(), &object).await?;
        anyhow::Ok(())
    });
    objects.buffer_unordered(16).try_collect().await
}

fn namespace(number: usize) -> String {
    format!("tenant-{}", number % NAMESPACES)
}

fn rule(number: usize) -> Value {
    json!({"rules": [{
        "name": format!("Rule{number}"), "type": "alert", "enable": true,
        "condition": format!("type=\"Warning\" and reason=\"BackOff\" and count>{number}"),
    }]})
}

/// Waits until so many objects say that they are as they have to be, in these words.
async fn settled<K>(operator: &Operator, count: usize, condition: [&str; 3]) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    K: Clone + Debug + DeserializeOwned + Serialize + Send + 'static,
{
    let [kind, wanted, message] = condition;
    let all = Api::<K>::all(operator.client());
    let mut seen = pin!(watcher(all, watcher::Config::default()).touched_objects());
    let mut settled = BTreeSet::new();
    let all_settled = async {
        while settled.len() < count {
            let object = seen.try_next().await?.context("the watch ended")?;
            let object = serde_json::to_value(object)?;
            let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
            let holds = conditions.any(|held| {
                held["type"] == kind && held["status"] == wanted && held["message"] == message
            });
            let name = object["metadata"]["name"].to_string();
            if holds {
                settled.insert(name)
            } else {
                settled.remove(&name)
            };
        }
        anyhow::Ok(())
    };
    let in_time = timeout(LIMIT, all_settled).await;
    in_time.with_context(|| format!("{} of {count} are {kind}={wanted}", settled.len()))?
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_is_served_and_then_left_in_peace() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (policy, audit) = (dir.path().join("policy.yaml"), dir.path().join("audit.jsonl"));
    fs::write(&policy, AUDIT)?;
    let flags = vec![
        format!("--audit-policy-file={}", policy.display()),
        format!("--audit-log-path={}", audit.display()),
        "--audit-log-mode=blocking".to_owned(),
    ];
    let settings = Settings { flags, unlimited: true, ..Settings::default() };
    let Some(operator) = Operator::find(settings).await? else { return Ok(()) };
    let namespaces = Api::<Namespace>::all(operator.client());
    for number in 0..NAMESPACES {
        let named = serde_json::from_value(json!({"metadata": {"name": namespace(number)}}))?;
        namespaces.create(&PostParams::default(), &named).await?;
    }

    let begun = Instant::now();
    create::<Rule>(&operator, RULES, rule).await?;
    create::<Exporter>(&operator, OF_EACH, |_| json!({"sinks": {"stdout": {}}})).await?;
    let ruler = |_| json!({"sinks": {"stdout": {"type": "alert"}}});
    create::<Ruler>(&operator, OF_EACH, ruler).await?;
    let created = begun.elapsed();
    // A Rule names the first three of all Rulers, so its last word is that it knows them all. There
    // are no pods.
    let by = "looked at by tenant-0/ruler-0, tenant-1/ruler-1, tenant-10/ruler-10 and others, \
        without a pod that is ready";
    settled::<Rule>(&operator, RULES, ["Programmed", "False", by]).await?;
    settled::<Exporter>(&operator, OF_EACH, ["Degraded", "False", ""]).await?;
    settled::<Ruler>(&operator, OF_EACH, ["Degraded", "False", ""]).await?;
    let settled_after = begun.elapsed();

    // Each is looked at once more, for a reason that changes nothing.
    let before = writes(&audit)?;
    // A Rule is looked at for reasons of its own, and the last looks may still be under way.
    let (mut looks, mut still) = (looks(&operator).await?, 0);
    let stands = async || {
        let before = std::mem::replace(&mut looks, self::looks(&operator).await?);
        still = if before.total_cmp(&looks).is_eq() { still + 1 } else { 0 };
        Ok((still > 20).then_some(()))
    };
    until("nobody looks", LIMIT, stands).await?;
    let touch = json!({"metadata": {"annotations": {"touched": "by hand"}}});
    for number in 0..OF_EACH {
        let (params, patch) = (PatchParams::default(), Patch::Merge(&touch));
        let (namespace, number) = (namespace(number), number);
        operator
            .api::<Exporter>(&namespace)
            .patch(&format!("exporter-{number}"), &params, &patch)
            .await?;
        operator
            .api::<Ruler>(&namespace)
            .patch(&format!("ruler-{number}"), &params, &patch)
            .await?;
    }
    let wanted = looks + 2.0 * f64::from(u32::try_from(OF_EACH)?);
    let looked = async || Ok((self::looks(&operator).await? >= wanted).then_some(()));
    until("each is looked at again", LIMIT, looked).await?;
    ensure!(writes(&audit)? == before, "{:?} after {before:?}", writes(&audit)?);

    let memory = operator.process().usage()?.peak_rss;
    eprintln!(
        "{RULES} Rules, {OF_EACH} Exporters, {OF_EACH} Rulers: created in {created:?}, settled after \
         {settled_after:?}, {} MiB at most; writes: {before:?}",
        memory >> 20,
    );
    ensure!(memory <= MEMORY, "{} MiB", memory >> 20);
    Ok(())
}

/// How often the operator has looked at an Exporter or a Ruler.
async fn looks(operator: &Operator) -> Result<f64> {
    let metrics = operator.metrics().await?;
    let lines = metrics.lines().filter(|line| {
        line.starts_with("kube_events_operator_reconciles_total")
            && ["Exporter", "Ruler"].iter().any(|kind| line.contains(&format!("kind=\"{kind}\"")))
    });
    let values = lines
        .map(|line| line.rsplit(' ').next().context("no value")?.parse::<f64>().context("a value"));
    values.sum()
}
