use std::sync::LazyLock;

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
    rbac::v1::{ClusterRoleBinding, RoleBinding},
};
use serde::{Serialize, de::DeserializeOwned};

use super::*;
use crate::object::Stored;

mod specs;

fn object<M: DeserializeOwned>(kind: &str, spec: &Value) -> M {
    let metadata = json!({"name": "events", "namespace": "logging", "uid": "u"});
    serde_json::from_value(json!({
        "apiVersion": "events.kubesphere.io/v1alpha1", "kind": kind,
        "metadata": metadata, "spec": spec,
    }))
    .unwrap()
}

/// With an API server that would be asked for ports by name, if anything was sent.
fn context() -> &'static Context {
    static CONTEXT: LazyLock<Context> = LazyLock::new(|| {
        drop(rustls::crypto::ring::default_provider().install_default());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _entered = runtime.enter();
        let config = kube::Config::new("http://nowhere.invalid".parse().unwrap());
        Context::default().client(config.try_into().unwrap())
    });
    &CONTEXT
}

/// What follows from a spec as it is stored, and what of that was adjusted.
fn of<M>(spec: &Value, settings: &Settings) -> Result<(Desired, Vec<String>), String>
where
    M: Managed + DeserializeOwned,
{
    let stored: Stored<M> = object(M::PROGRAM.kind, spec);
    let desired = stored.read?.desired(settings, context());
    Ok((desired.map_err(|error| error.to_string())?, stored.adjusted))
}

/// The same for either kind.
fn of_kind(
    kind: &str,
    spec: &Value,
    settings: &Settings,
) -> Result<(Desired, Vec<String>), String> {
    match kind {
        "Exporter" => of::<Exporter>(spec, settings),
        _ => of::<Ruler>(spec, settings),
    }
}

/// All specs, with their kinds and what is special about them.
fn specs() -> Vec<(&'static str, &'static str, Value)> {
    let exporters = specs::exporters().into_iter().map(|(name, spec)| ("Exporter", name, spec));
    let rulers = specs::rulers().into_iter().map(|(name, spec)| ("Ruler", name, spec));
    exporters.chain(rulers).collect()
}

/// An installation in the namespace of the objects.
fn namespaced() -> Settings {
    Settings { namespace: "logging".into(), namespaced: true, ..Settings::default() }
}

/// Gives the Services that sinks name a number as port, as a namespaced install asks for.
fn by_number(spec: &mut Value) {
    match spec {
        Value::Object(fields) => {
            if fields.contains_key("namespace") && fields.get("port").is_some_and(Value::is_string)
            {
                fields.insert("port".to_owned(), json!(443));
            }
            fields.values_mut().for_each(by_number);
        }
        Value::Array(items) => items.iter_mut().for_each(by_number),
        _ => {}
    }
}

fn all(settings: &Settings) -> Vec<(String, Desired, Vec<String>)> {
    let desired = |(kind, name, mut spec): (&str, _, _)| {
        if settings.namespaced {
            by_number(&mut spec);
        }
        let (desired, adjusted) = of_kind(kind, &spec, settings).unwrap();
        (format!("{}-{name}", kind.to_lowercase()), desired, adjusted)
    };
    specs().into_iter().map(desired).collect()
}

fn shown(desired: &Desired, adjusted: &[String]) -> String {
    let place = |child: &Child| {
        let namespace = child.namespace.as_deref().unwrap_or("-");
        format!("# {} {namespace}/{} ({:?})", child.resource.kind, child.name, child.ownership)
    };
    let text = |child: &Child| match &child.object {
        Some(object) => serde_saphyr::to_string(object).unwrap(),
        None => "absent\n".to_owned(),
    };
    let children =
        desired.children.iter().map(|child| format!("{}\n{}", place(child), text(child)));
    let about = format!("{:?}\nunrestricted: {:?}\n", desired.image, desired.unrestricted);
    let adjusted = adjusted.iter().map(|what| format!("adjusted: {what}\n"));
    adjusted.chain(children).fold(about, |all, next| all + &next)
}

#[test]
fn everything_that_follows_is_as_it_was_looked_at() {
    for (name, desired, adjusted) in all(&Settings::default()) {
        insta::assert_snapshot!(name, shown(&desired, &adjusted));
    }
    for (name, desired, adjusted) in all(&namespaced()) {
        if name.ends_with("with-everything") {
            let name = format!("{name}-in-one-namespace");
            insta::assert_snapshot!(name, shown(&desired, &adjusted));
        }
    }
}

#[test]
fn one_namespace_is_enough() {
    for (name, desired, _) in all(&namespaced()) {
        for child in &desired.children {
            assert_eq!(child.namespace.as_deref(), Some("logging"), "{name}: {}", child.name);
            assert_eq!(child.ownership, Ownership::Object, "{name}: {}", child.name);
        }
    }
}

/// Fields that are Kubernetes' own as a whole, and the older form of `alertmanagers`.
const WHOLE: [&str; 16] = [
    "affinity",
    "containerSecurityContext",
    "env",
    "imagePullSecrets",
    "livenessProbe",
    "networkPolicy.from",
    "readinessProbe",
    "resources",
    "ruleNamespaceSelector",
    "ruleSelector",
    "securityContext",
    "sinks.alertmanager",
    "tolerations",
    "topologySpreadConstraints",
    "volumeMounts",
    "volumes",
];

/// The paths of all fields below a field of a schema.
fn fields(path: &str, schema: &Value) -> Vec<String> {
    let own = [&schema["properties"], &schema["items"]["properties"]];
    let Some(own) = own.into_iter().find_map(Value::as_object) else { return vec![path.into()] };
    if WHOLE.contains(&path) {
        return vec![path.into()];
    }
    let dot = if path.is_empty() { "" } else { "." };
    own.iter().flat_map(|(name, schema)| fields(&format!("{path}{dot}{name}"), schema)).collect()
}

/// Takes a field away wherever it is; whether it was anywhere.
fn remove(value: &mut Value, path: &str) -> bool {
    match (value, path.split_once('.')) {
        (Value::Array(items), _) => {
            items.iter_mut().filter_map(|item| remove(item, path).then_some(())).count() > 0
        }
        (Value::Object(fields), None) => fields.remove(path).is_some(),
        (Value::Object(fields), Some((name, rest))) => {
            fields.get_mut(name).is_some_and(|field| remove(field, rest))
        }
        _ => false,
    }
}

#[test]
fn every_field_of_the_schema_is_in_a_snapshot_and_matters() {
    for definition in kube_events_core::crd::all() {
        let kind = definition.spec.names.kind.clone();
        if kind == "Rule" {
            continue;
        }
        let definition = serde_json::to_value(definition).unwrap();
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let fields = fields("", &schema["properties"]["spec"]);
        assert!(fields.len() > 60, "{fields:?}");
        let settings = Settings::default();
        let follows = |spec: &Value| {
            of_kind(&kind, spec, &settings).map(|(desired, adjusted)| shown(&desired, &adjusted))
        };
        let specs = specs().into_iter().filter(|(of, ..)| *of == kind);
        let specs: Vec<_> = specs.map(|(_, _, spec)| (follows(&spec), spec)).collect();
        // Something else follows from a spec without it.
        let matters = |field: &String| {
            specs.iter().any(|(with, spec)| {
                let mut spec = spec.clone();
                remove(&mut spec, field) && follows(&spec) != *with
            })
        };
        let lost: Vec<_> = fields.iter().filter(|field| !matters(field)).collect();
        assert!(lost.is_empty(), "{kind}: {lost:#?}");
    }
}

/// A field that its type does not have would be dropped without a word.
fn is_whole<K: DeserializeOwned + Serialize>(object: &Value) {
    let typed: K = serde_json::from_value(object.clone()).unwrap();
    let mut written = serde_json::to_value(&typed).unwrap();
    let mut object = object.clone();
    for value in [&mut written, &mut object] {
        without_nulls(value);
        value.as_object_mut().unwrap().retain(|key, _| !["apiVersion", "kind"].contains(&&**key));
    }
    assert_eq!(written, object);
}

fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

#[test]
fn every_field_is_known_to_its_type() {
    let children =
        all(&Settings::default()).into_iter().flat_map(|(_, desired, _)| desired.children);
    for Child { resource, object, .. } in children {
        let Some(object) = object else { continue };
        match resource.kind.as_str() {
            "Deployment" => is_whole::<Deployment>(&object),
            "ConfigMap" => is_whole::<ConfigMap>(&object),
            "Service" => is_whole::<Service>(&object),
            "ServiceAccount" => is_whole::<ServiceAccount>(&object),
            "NetworkPolicy" => is_whole::<NetworkPolicy>(&object),
            "PodDisruptionBudget" => is_whole::<PodDisruptionBudget>(&object),
            "ClusterRoleBinding" => is_whole::<ClusterRoleBinding>(&object),
            "RoleBinding" => is_whole::<RoleBinding>(&object),
            "PodMonitor" | "PrometheusRule" => {}
            other => panic!("{other} is not looked at"),
        }
    }
}

/// Why a spec cannot be carried out.
fn refusal(kind: &str, spec: &Value, settings: &Settings) -> String {
    of_kind(kind, spec, settings).err().unwrap_or_default()
}

#[test]
fn names_and_places_that_are_taken_are_refused() {
    let data = json!({"name": "data", "emptyDir": {}});
    let token = json!({"secretKeyRef": {"name": "archive", "key": "token"}});
    let sinks = json!({"webhooks": [{"url": "https://a.example/", "bearerToken": token}]});
    for (spec, expected) in [
        (json!({"volumes": [data, data]}), "volumes: there are two with the name data"),
        (
            json!({"sinks": sinks, "volumes": [{"name": "secret-0", "emptyDir": {}}]}),
            "volumes: there are two with the name secret-0",
        ),
        (
            json!({"volumes": [data], "volumeMounts": [
                {"name": "data", "mountPath": "/etc/events-exporter/config"},
            ]}),
            "volumeMounts: there are two with the mountPath /etc/events-exporter/config",
        ),
    ] {
        let refusal = refusal("Exporter", &spec, &Settings::default());
        assert!(refusal.starts_with(expected), "{refusal}");
    }
}

#[test]
fn a_port_that_cannot_be_looked_up_is_refused() {
    let service = |namespace: &str| json!({"namespace": namespace, "name": "hook", "port": "web"});
    let webhook = |namespace: &str| json!({"webhooks": [{"service": service(namespace)}]});
    let rulers = |namespace: &str| json!({"alertmanagers": [service(namespace)]});
    for (kind, elsewhere, own, field) in [
        ("Exporter", webhook("shop"), webhook("logging"), "sinks.webhooks[0].service.port: web"),
        ("Ruler", rulers("shop"), rulers("logging"), "sinks.alertmanagers[0].port: web"),
    ] {
        let refusal = |sinks: &Value, settings: &Settings| {
            refusal(kind, &json!({ "sinks": sinks }), settings)
        };
        let told = refusal(&elsewhere, &namespaced());
        assert!(told.starts_with(field) && told.contains("in the namespace shop"), "{told}");
        assert_eq!(refusal(&own, &namespaced()), "");
        assert_eq!(refusal(&elsewhere, &Settings::default()), "");
    }
}

#[test]
fn of_variables_of_one_name_the_last_one_counts() {
    let variable = |name: &str, value: &str| json!({"name": name, "value": value});
    let spec = json!({"env": [variable("A", "1"), variable("B", "1"), variable("A", "2")]});
    let (desired, _) = of_kind("Exporter", &spec, &Settings::default()).unwrap();
    let mut children = desired.children.into_iter();
    let deployment = children.find(|child| child.resource.kind == "Deployment").unwrap();
    let pod = &deployment.object.unwrap()["spec"]["template"]["spec"];
    let env = &pod["containers"][0]["env"];
    assert_eq!(env, &json!([variable("B", "1"), variable("A", "2")]));
}

#[test]
fn what_the_api_server_fills_in_changes_no_pod() {
    fn deployment<M: Managed + DeserializeOwned>(kind: &str, spec: &Value) -> Option<Value> {
        let object: M = object(kind, spec);
        let desired = object.desired(&Settings::default(), &Context::default()).unwrap();
        let mut children = desired.children.into_iter();
        children.find(|child| child.resource.kind == "Deployment")?.object
    }
    let plain = json!({"sinks": {"stdout": {"type": "alert"}}});
    let mut filled = plain.clone();
    filled["replicas"] = json!(1);
    filled["terminationGracePeriodSeconds"] = json!(30);
    filled["sinks"]["stdout"] = json!({"type": "alert", "required": true, "format": "auto"});
    assert_eq!(deployment::<Ruler>("Ruler", &plain), deployment::<Ruler>("Ruler", &filled));
    let plain = json!({});
    let filled = json!({
        "eventVersion": "corev1", "startFrom": "held", "terminationGracePeriodSeconds": 30,
    });
    let before = deployment::<Exporter>("Exporter", &plain);
    assert!(before.is_some());
    assert_eq!(before, deployment::<Exporter>("Exporter", &filled));
}
