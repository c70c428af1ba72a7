//! What the API server refuses by itself when the bundle is installed: schemas, CEL and policies.

use anyhow::{Context as _, Result, ensure};
use e2e::{Operator, Settings, until};
use k8s_openapi::api::{
    core::v1::Namespace,
    rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{
        ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams,
    },
};
use serde_json::{Value, json};
use std::time::Duration;

/// How long the API server may take for a change of rights or of policies.
const LIMIT: Duration = Duration::from_secs(20);

const NAMESPACE: &str = Operator::NAMESPACE;

/// Creates an object, but for keeping it.
async fn offer(client: &Client, object: &Value) -> Result<DynamicObject, kube::Error> {
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let offered = serde_json::from_value(object.clone()).map_err(kube::Error::SerdeError)?;
    api(client, object).create(&params, &offered).await
}

fn api(client: &Client, object: &Value) -> Api<DynamicObject> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let kind = GroupVersionKind::gvk("events.kubesphere.io", "v1alpha1", kind);
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or(NAMESPACE);
    Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk(&kind))
}

fn object(kind: &str, namespace: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "events.kubesphere.io/v1alpha1", "kind": kind,
        "metadata": {"name": "offered", "namespace": namespace}, "spec": spec,
    })
}

fn exporter(spec: &Value) -> Value {
    object("Exporter", NAMESPACE, spec)
}

fn rule(condition: &str) -> Value {
    json!({"name": "A", "type": "alert", "enable": true, "condition": condition})
}

fn scoped(namespace: &str, labels: &Value) -> Value {
    let mut object = object("Rule", namespace, &json!({"rules": [rule("count > 1")]}));
    object["metadata"]["labels"] = labels.clone();
    object
}

/// Objects, and what the API server says of them; nothing where it takes them.
fn offers() -> Vec<(Value, &'static str)> {
    let webhook = |webhook: Value| exporter(&json!({"sinks": {"webhooks": [webhook]}}));
    let ruler = |sinks: Value| object("Ruler", NAMESPACE, &json!({ "sinks": sinks }));
    let rules = |rules: Vec<Value>| object("Rule", "shop", &json!({ "rules": rules }));
    let named = |kind: &str, name: &str| {
        let mut object = object(kind, NAMESPACE, &json!({}));
        object["metadata"]["name"] = json!(name);
        object
    };
    let headers = |count: usize| {
        let headers: Value = (0..count).map(|n| (format!("x-{n}"), json!("v"))).collect();
        webhook(json!({"url": "https://hook.example", "headers": headers}))
    };
    let service = json!({"namespace": "n", "name": "s"});
    let url = "https://hook.example";
    let secret = json!({"secretKeyRef": {"name": "s", "key": "k"}});
    let scope = "kubesphere.io/rule-scope";
    let many = |count: usize| (0..count).map(|n| json!(format!("n{n}"))).collect::<Vec<_>>();
    let labels = |count: usize| (0..count).map(|n| (format!("l{n}"), json!("v"))).collect();
    vec![
        (webhook(json!({"url": url})), ""),
        (webhook(json!({"service": service})), ""),
        (webhook(json!({})), "exactly one of url and service"),
        (webhook(json!({"url": url, "service": service})), "exactly one of url and service"),
        (webhook(json!({"url": url, "bearerToken": secret})), ""),
        (webhook(json!({"url": url, "bearerToken": "secret"})), "bearerToken"),
        (
            webhook(json!({"url": url, "bearerToken": {"value": "secret"}})),
            "spec.sinks.webhooks[0].bearerToken.secretKeyRef: Required",
        ),
        (ruler(json!({"alertmanager": {"namespace": "n", "name": "a"}})), ""),
        (ruler(json!({"stdout": {"type": "pigeon"}})), "spec.sinks.stdout.type"),
        (exporter(&json!({"startFrom": "then"})), "spec.startFrom"),
        (named("Exporter", &"x".repeat(64)), "63 characters"),
        (named("Ruler", &"x".repeat(64)), "63 characters"),
        (named("Exporter", "a.b"), ""),
        (named("Ruler", "a.b"), "becomes that of a Service"),
        (named("Ruler", "1a"), "becomes that of a Service"),
        (headers(32), ""),
        (headers(33), "must have at most 32 items"),
        (exporter(&json!({"namespaces": many(3)})), ""),
        (exporter(&json!({"namespaces": many(100)})), ""),
        (exporter(&json!({"namespaces": many(101)})), "must have at most 100 items"),
        (exporter(&json!({"namespaces": ["A b"]})), "spec.namespaces[0]"),
        (rules(vec![rule("count > 1"); 500]), ""),
        (rules(vec![rule("count > 1"); 501]), "must have at most 500 items"),
        (rules(vec![rule(&" ".repeat(16_385))]), "spec.rules[0].condition: Too long"),
        (rules(vec![rule(&" ".repeat(16_384))]), ""),
        (rules(vec![rule(&"\u{4e8b}".repeat(5_462))]), "a condition has 16384 bytes at most"),
        (rules(vec![rule(&"\u{4e8b}".repeat(5_461))]), ""),
        (rules(vec![json!({"condition": "count > 1"})]), ""),
        (scoped("shop", &json!({})), ""),
        (scoped("shop", &json!({scope: "namespace"})), ""),
        (scoped("shop", &json!({scope: "cluster"})), "belongs in the namespace kubesphere-logging"),
        (scoped("shop", &json!({scope: ""})), "there is no scope ''"),
        (scoped("shop", &labels(64)), ""),
        (scoped("shop", &labels(65)), "a Rule has 64 labels at most"),
        (scoped(NAMESPACE, &json!({scope: "cluster"})), ""),
        (
            scoped(NAMESPACE, &json!({scope: "workspace"})),
            "needs the label kubesphere.io/workspace",
        ),
        (scoped(NAMESPACE, &json!({scope: "workspace", "kubesphere.io/workspace": "w"})), ""),
    ]
}

/// Specs as people write them, and what the API server says of them; nothing where it takes them.
const SPECS: &[(&str, &str, &str)] = &[
    // Addresses.
    ("Exporter", "sinks: {webhooks: [{url: 'HTTPS://hook.example:8443/a?b'}]}", ""),
    ("Exporter", "sinks: {webhooks: [{url: hook.example/a}]}", "begin with http:// or https://"),
    (
        "Exporter",
        "sinks: {webhooks: [{url: 'ftp://hook.example'}]}",
        "begin with http:// or https://",
    ),
    ("Exporter", "sinks: {webhooks: [{url: '', service: {namespace: ns, name: s}}]}", ""),
    (
        "Exporter",
        "sinks: {webhooks: [{service: {namespace: ns, name: a/b}}]}",
        "letters, digits and dashes",
    ),
    ("Ruler", "sinks: {alertmanager: {urls: ['am:9093']}}", "begin with http:// or https://"),
    ("Ruler", "sinks: {alertmanager: {urls: ['http://am:9093']}}", ""),
    ("Ruler", "sinks: {alertmanager: {urls: ['http://am'], port: 9093}}", "write them into urls"),
    (
        "Ruler",
        "sinks: {alertmanagers: [{namespace: ns, name: a, scheme: https}]}",
        "needs tls.serverName",
    ),
    (
        "Ruler",
        "sinks: {alertmanagers: [{namespace: ns, name: a, scheme: https, tls: {insecureSkipVerify: true}}]}",
        "",
    ),
    ("Ruler", "sinks: {alertmanager: {namespace: '', name: a}}", "letters, digits and dashes"),
    // Ports.
    ("Exporter", "sinks: {webhooks: [{service: {namespace: ns, name: s, port: 65535}}]}", ""),
    ("Exporter", "sinks: {webhooks: [{service: {namespace: ns, name: s, port: '8443'}}]}", ""),
    ("Exporter", "sinks: {webhooks: [{service: {namespace: ns, name: s, port: web}}]}", ""),
    (
        "Exporter",
        "sinks: {webhooks: [{service: {namespace: ns, name: s, port: 0}}]}",
        "from 1 to 65535",
    ),
    (
        "Exporter",
        "sinks: {webhooks: [{service: {namespace: ns, name: s, port: 65536}}]}",
        "from 1 to 65535",
    ),
    (
        "Exporter",
        "sinks: {webhooks: [{service: {namespace: ns, name: s, port: '70000'}}]}",
        "from 1 to 65535",
    ),
    (
        "Ruler",
        "sinks: {alertmanager: {namespace: ns, name: a, targetPort: 'a b'}}",
        "the name of a port",
    ),
    ("Exporter", "sinks: {webhooks: [{service: {namespace: ns, name: s, port: 8080-Tcp}}]}", ""),
    (
        "Exporter",
        "sinks: {webhooks: [{service: {namespace: ns, name: s, port: '012345678901234'}}]}",
        "from 1 to 65535",
    ),
    (
        "Exporter",
        "sinks: {webhooks: [{service: {namespace: ns, name: s, port: ''}}]}",
        "from 1 to 65535",
    ),
    (
        "Exporter",
        "sinks: {webhooks: [{service: {namespace: ns, name: s, port: 0123456789-abcde}}]}",
        "service.port: Too long",
    ),
    // Times and sizes.
    ("Exporter", "sinks: {webhooks: [{url: 'http://a', timeout: 1m30s}]}", ""),
    ("Exporter", "sinks: {webhooks: [{url: 'http://a', timeout: soon}]}", "a duration like 10s"),
    ("Exporter", "sinks: {webhooks: [{url: 'http://a', timeout: 0s}]}", "longer than nothing"),
    (
        "Ruler",
        "sinks: {alertmanager: {urls: ['http://a'], maxAlertAge: 99999999w}}",
        "a duration like 10s",
    ),
    ("Exporter", "sinks: {files: [{path: /f, maxSize: 100Mi, maxAge: 1.5h, maxFiles: 3}]}", ""),
    ("Exporter", "sinks: {files: [{path: /f, maxSize: 4096}]}", ""),
    ("Exporter", "sinks: {files: [{path: /f, maxSize: 0}]}", "a number of bytes like 100Mi"),
    ("Exporter", "sinks: {files: [{path: /f, maxSize: -1}]}", "a number of bytes like 100Mi"),
    ("Exporter", "sinks: {files: [{path: /f, maxSize: 0Mi}]}", "a number of bytes like 100Mi"),
    ("Exporter", "sinks: {files: [{path: /f, maxSize: 100 MB}]}", "a number of bytes like 100Mi"),
    ("Exporter", "sinks: {files: [{path: /f, maxSize: '1024'}]}", ""),
    ("Exporter", "sinks: {files: [{path: /f, maxSize: 999999Ti}]}", ""),
    (
        "Exporter",
        "sinks: {files: [{path: /f, maxSize: 1000000Ti}]}",
        "a number of bytes like 100Mi",
    ),
    ("Exporter", "sinks: {files: [{path: /f, maxSize: 1m0k}]}", "a number of bytes like 100Mi"),
    ("Exporter", "sinks: {files: [{path: /f, maxSize: Mi}]}", "a number of bytes like 100Mi"),
    ("Exporter", "sinks: {files: [{path: /f, maxFiles: 0}]}", "greater than or equal to 1"),
    ("Ruler", "replicas: 101", "less than or equal to 100"),
    ("Ruler", "replicas: -1", "greater than or equal to 0"),
    ("Exporter", "terminationGracePeriodSeconds: -1", "greater than or equal to 0"),
    // Files.
    ("Exporter", "sinks: {files: [{path: f}]}", "begin with a slash"),
    (
        "Exporter",
        "sinks: {webhooks: [{url: 'http://a', bearerTokenFile: token}]}",
        "begin with a slash",
    ),
    (
        "Exporter",
        "sinks: {webhooks: [{url: 'http://a', tls: {caFile: ca.pem}}]}",
        "begin with a slash",
    ),
    ("Exporter", "checkpoint: {file: c.json}", "begin with a slash"),
    ("Exporter", "volumes: [{name: config, emptyDir: {}}]", "give yours another name"),
    ("Exporter", "volumes: [{name: data, emptyDir: {}}]", ""),
    // Names.
    (
        "Exporter",
        "sinks: {webhooks: [{name: a, url: 'http://a'}, {name: b, url: 'http://b'}, {url: 'http://c'}]}",
        "",
    ),
    (
        "Exporter",
        "sinks: {webhooks: [{name: a, url: 'http://a'}, {name: a, url: 'http://b'}]}",
        "two sinks have one name",
    ),
    (
        "Exporter",
        "sinks: {webhooks: [{name: a, url: 'http://a'}], files: [{name: a, path: /f}]}",
        "two sinks have one name",
    ),
    (
        "Exporter",
        "sinks: {stdout: {}, files: [{name: stdout, path: /f}]}",
        "two sinks have one name",
    ),
    ("Exporter", "sinks: {files: [{path: /f}, {path: /f, name: b}]}", "two sinks write one file"),
    ("Exporter", "sinks: {files: [{path: /f, name: ' '}]}", "more than spaces"),
    (
        "Ruler",
        "sinks: {alertmanager: {lane: a, urls: ['http://a']}, alertmanagers: [{lane: a, urls: ['http://b']}]}",
        "two sinks have one name",
    ),
    (
        "Ruler",
        "sinks: {alertmanager: {lane: a, urls: ['http://a']}, webhooks: [{type: alert, name: a, url: 'http://b'}]}",
        "two sinks have one name",
    ),
    // Secrets.
    ("Exporter", "sinks: {webhooks: [{url: 'http://a', headers: {x-tenant: shop}}]}", ""),
    (
        "Exporter",
        "sinks: {webhooks: [{url: 'http://a', headers: {Authorization: Bearer x}}]}",
        "use bearerToken or basicAuth.password with a secretKeyRef",
    ),
    (
        "Ruler",
        "sinks: {webhooks: [{type: alert, url: 'http://a', headers: {cookie: a=b}}]}",
        "would be in plain text",
    ),
    (
        "Ruler",
        "sinks: {alertmanager: {urls: ['http://a'], headers: {PROXY-authorization: x}}}",
        "would be in plain text",
    ),
    (
        "Exporter",
        "sinks: {webhooks: [{url: 'http://a', basicAuth: {username: u, passwordFile: /p, password: {secretKeyRef: {name: s, key: k}}}}]}",
        "beside passwordFile",
    ),
    (
        "Exporter",
        "sinks: {webhooks: [{url: 'http://a', tls: {certFile: /c}}]}",
        "its key belong together",
    ),
    (
        "Exporter",
        "sinks: {webhooks: [{url: 'http://a', bearerToken: {secretKeyRef: {name: S_x, key: t}}}]}",
        "bearerToken.secretKeyRef.name",
    ),
    (
        "Exporter",
        "sinks: {webhooks: [{url: 'http://a', bearerToken: {secretKeyRef: {name: s, key: ../t}}}]}",
        "bearerToken.secretKeyRef.key",
    ),
    (
        "Exporter",
        "sinks: {webhooks: [{url: 'http://a', bearerToken: {secretKeyRef: {name: s.x, key: .t-_1}}}]}",
        "",
    ),
    // Quantities.
    ("Exporter", "resources: {limits: {memory: abc}}", "spec.resources.limits.memory"),
    ("Ruler", "resources: {requests: {cpu: 1 Gi}}", "spec.resources.requests.cpu"),
    (
        "Ruler",
        "resources: {requests: {cpu: 1, memory: 1.5Gi}, limits: {cpu: 500m, memory: 1e3}}",
        "",
    ),
    // Enums.
    ("Exporter", "eventVersion: corev2", "spec.eventVersion"),
    ("Exporter", "imagePullPolicy: Often", "spec.imagePullPolicy"),
    (
        "Exporter",
        "sinks: {webhooks: [{url: 'http://a', compression: zip}]}",
        "spec.sinks.webhooks[0].compression",
    ),
    (
        "Exporter",
        "sinks: {webhooks: [{url: 'http://a', format: json}]}",
        "spec.sinks.webhooks[0].format",
    ),
    (
        "Exporter",
        "sinks: {webhooks: [{service: {namespace: ns, name: s, scheme: ftp}}]}",
        "spec.sinks.webhooks[0].service.scheme",
    ),
    ("Exporter", "sinks: {stdout: {format: xml}}", "spec.sinks.stdout.format"),
    ("Rule", "rules: [{name: A, condition: count > 1, type: page}]", ""),
    ("Rule", "rules: [{name: A, condition: count > 1, enable: 'yes'}]", "spec.rules[0].enable"),
];

/// A spec, and what the API server makes of it.
const FILLED: &[(&str, &str, &str)] = &[
    (
        "Exporter",
        "sinks: {stdout: {}, files: [{path: /f}], webhooks: [{service: {namespace: ns, name: s}}]}",
        "{eventVersion: corev1, startFrom: held, terminationGracePeriodSeconds: 30, sinks: {
            stdout: {format: auto}, files: [{path: /f, compress: false}], webhooks: [{
                compression: none, format: flat, timeout: 30s,
                service: {namespace: ns, name: s, path: /, scheme: http},
        }]}}",
    ),
    (
        "Ruler",
        "sinks: {alertmanager: {namespace: ns, name: a}}",
        "{replicas: 1, terminationGracePeriodSeconds: 30, warmUp: true, sinks: {alertmanager: {
            namespace: ns, name: a, scheme: http, required: true, timeout: 10s, alertDuration: 5m,
        }}}",
    ),
    ("Rule", "rules: [{condition: count > 1}]", "{rules: [{condition: count > 1, enable: false}]}"),
];

fn written(kind: &str, spec: &str) -> Result<Value> {
    Ok(object(kind, "shop", &serde_saphyr::from_str(spec).with_context(|| spec.to_owned())?))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_refused_and_says_why() -> Result<()> {
    let Some(cluster) = Operator::find(Settings::default()).await? else { return Ok(()) };
    let client = cluster.client();
    create::<Namespace>(&Api::all(client.clone()), &json!({"metadata": {"name": "shop"}})).await?;
    let specs = SPECS.iter().map(|(kind, spec, refusal)| Ok((written(kind, spec)?, *refusal)));
    let specs = specs.collect::<Result<Vec<_>>>()?;
    let mut wrong = Vec::new();
    for (object, refusal) in offers().into_iter().chain(specs) {
        let told = match offer(&client, &object).await {
            Ok(_) if refusal.is_empty() => continue,
            Err(error) if !refusal.is_empty() && error.to_string().contains(refusal) => continue,
            Ok(_) => format!("taken, without {refusal:?}"),
            Err(error) => error.to_string(),
        };
        let object = object.to_string().chars().take(400).collect::<String>();
        wrong.push(format!("{object}: {}", told.chars().take(800).collect::<String>()));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (kind, spec, filled) in FILLED {
        let stored = offer(&client, &written(kind, spec)?).await?;
        let expected: Value = serde_saphyr::from_str(filled)?;
        ensure!(stored.data["spec"] == expected, "{spec}: {}", stored.data["spec"]);
    }
    passwords(&cluster).await?;
    reach(&cluster).await?;
    a_rule_from_before_can_be_changed_but_for_its_scope(&cluster).await
}

/// Passwords in addresses are taken, as the Go project took them, but not without a word.
async fn passwords(cluster: &Operator) -> Result<()> {
    for (kind, spec, field) in [
        ("Exporter", "sinks: {webhooks: [{url: 'http://me:secret@a'}]}", "webhooks"),
        ("Ruler", "sinks: {webhooks: [{type: alert, url: 'http://me:secret@a'}]}", "webhooks"),
        ("Ruler", "sinks: {alertmanagers: [{urls: ['http://a', 'http://me@b']}]}", "alertmanagers"),
        ("Ruler", "sinks: {alertmanager: {urls: ['http://me@b/']}}", "alertmanager"),
    ] {
        let object = written(kind, spec)?;
        let warned = async || {
            let told = warnings(cluster, &object).await?;
            Ok(told
                .contains(&format!("an address in spec.sinks.{field} names a user"))
                .then_some(()))
        };
        until("the API server warns", LIMIT, warned).await?;
    }
    for spec in ["sinks: {webhooks: [{url: 'http://a/@b?c@d'}]}", "{}"] {
        let told = warnings(cluster, &written("Exporter", spec)?).await?;
        ensure!(told.is_empty(), "{spec}: {told}");
    }
    Ok(())
}

/// What kubectl shows beside the result.
async fn warnings(cluster: &Operator, object: &Value) -> Result<String> {
    let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
    let path = format!("/apis/events.kubesphere.io/v1alpha1/namespaces/shop/{kind}s?dryRun=All");
    let request = http::Request::post(path)
        .header("content-type", "application/json")
        .body(kube::client::Body::from(serde_json::to_vec(object)?))?;
    let answer = cluster.client().send(request).await?;
    ensure!(answer.status().is_success(), "{object}: {}", answer.status());
    let told = answer.headers().get_all("warning").iter();
    Ok(told.filter_map(|warning| warning.to_str().ok()).collect())
}

/// Whoever may write Exporters exports no more than they may see.
async fn reach(cluster: &Operator) -> Result<()> {
    let client = cluster.client();
    let writer = json!({
        "metadata": {"name": "writer"},
        "rules": [{
            "apiGroups": ["events.kubesphere.io"], "resources": ["exporters", "rulers"], "verbs": ["*"],
        }],
    });
    create::<ClusterRole>(&Api::all(client.clone()), &writer).await?;
    let bind = |name: &str, kind: &str| {
        json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "bob"}],
        })
    };
    create::<RoleBinding>(&cluster.api("shop"), &bind("writer", "ClusterRole")).await?;
    let bob = cluster.client_as("bob").await?;
    let take = async |namespaces: Value| {
        offer(&bob, &object("Exporter", "shop", &json!({ "namespaces": namespaces }))).await
    };
    ensure!(take(json!(["shop"])).await.is_err(), "bob sees no Events yet");
    // As many as the policy can ask for.
    let more = (2..24).map(|n| format!("seen-{n}"));
    let seen: Vec<_> = ["shop", "default"].map(str::to_owned).into_iter().chain(more).collect();
    for namespace in &seen {
        if namespace.starts_with("seen-") {
            let named = json!({"metadata": {"name": namespace}});
            create::<Namespace>(&Api::all(client.clone()), &named).await?;
        }
        let reader = json!({
            "metadata": {"name": "reader"},
            "rules": [{"apiGroups": [""], "resources": ["events"], "verbs": ["list"]}],
        });
        create::<Role>(&cluster.api(namespace), &reader).await?;
        create::<RoleBinding>(&cluster.api(namespace), &bind("reader", "Role")).await?;
    }
    let allowed = async || Ok(take(json!(seen)).await.is_ok().then_some(()));
    until("the rights are known", LIMIT, allowed).await?;
    for (namespaces, refusal) in [
        (json!([]), "in all namespaces, or in those that spec.namespaces names"),
        (json!(["shop", "default", "kube-system"]), "not so in spec.namespaces[2]"),
        (json!((0..25).map(|n| format!("n{n}")).collect::<Vec<_>>()), "24 at most"),
    ] {
        let refused = take(namespaces).await.err().context("bob exports what he may not see")?;
        ensure!(refused.to_string().contains(refusal), "{refused}");
    }
    lookups(&bob, cluster, &bind).await?;
    rulers(&bob, cluster, &bind).await
}

/// Whoever may write Rulers sees no more by them, and takes no other's Leases.
async fn rulers(
    bob: &Client,
    cluster: &Operator,
    bind: &impl Fn(&str, &str) -> Value,
) -> Result<()> {
    let ruler = async |replicas: i32| {
        offer(bob, &object("Ruler", "shop", &json!({ "replicas": replicas }))).await
    };
    let refused = ruler(1).await.err().context("bob sees all Rules")?.to_string();
    ensure!(refused.contains("allowed to list Events and Rules"), "{refused}");
    let sees_all = json!({
        "metadata": {"name": "sees-all"},
        "rules": [
            {"apiGroups": [""], "resources": ["events", "namespaces"], "verbs": ["list"]},
            {"apiGroups": ["events.kubesphere.io"], "resources": ["rules"], "verbs": ["list"]},
        ],
    });
    create::<ClusterRole>(&Api::all(cluster.client()), &sees_all).await?;
    let binding = bind("sees-all", "ClusterRole");
    create::<ClusterRoleBinding>(&Api::all(cluster.client()), &binding).await?;
    let allowed = async |replicas: i32| {
        let taken = async || Ok(ruler(replicas).await.is_ok().then_some(()));
        until("the rights are known", LIMIT, taken).await
    };
    allowed(1).await?;
    let refused = ruler(2).await.err().context("bob's pods take Leases")?.to_string();
    ensure!(refused.contains("create and update Leases"), "{refused}");
    let leases = json!({
        "metadata": {"name": "leases"},
        "rules": [{
            "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create", "update"],
        }],
    });
    create::<Role>(&cluster.api("shop"), &leases).await?;
    create::<RoleBinding>(&cluster.api("shop"), &bind("leases", "Role")).await?;
    allowed(2).await
}

/// The pods get no Services by their account that its writer may not get.
async fn lookups(
    bob: &Client,
    cluster: &Operator,
    bind: &impl Fn(&str, &str) -> Value,
) -> Result<()> {
    let to = |namespace: &str, port: Value| json!({"service": {"namespace": namespace, "name": "s", "port": port}});
    let exporter = |webhooks: &[Value]| {
        let spec = json!({"namespaces": ["shop"], "sinks": {"webhooks": webhooks}});
        object("Exporter", "shop", &spec)
    };
    let by_name = |namespace: &str| to(namespace, json!("http"));
    let refused = async |offered: &Value, refusal: &str| {
        let error = offer(bob, offered).await.err().context("bob gets what he may not see")?;
        ensure!(error.to_string().contains(refusal), "{error}");
        anyhow::Ok(())
    };
    // A port by its number is found without looking it up.
    offer(bob, &exporter(&[to("default", json!(80))])).await?;
    refused(&exporter(&[by_name("shop")]), "not so in the namespace shop").await?;
    let services = json!({
        "metadata": {"name": "services"},
        "rules": [
            {"apiGroups": [""], "resources": ["services"], "verbs": ["get"]},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list"]},
        ],
    });
    create::<Role>(&cluster.api("shop"), &services).await?;
    create::<RoleBinding>(&cluster.api("shop"), &bind("services", "Role")).await?;
    let many = vec![by_name("shop"); 32];
    let allowed = async || Ok(offer(bob, &exporter(&many)).await.is_ok().then_some(()));
    until("the rights are known", LIMIT, allowed).await?;
    let elsewhere = exporter(&[by_name("shop"), by_name("default")]);
    refused(&elsewhere, "not so in the namespace default").await?;
    let spread: Vec<_> = (0..13).map(|n| by_name(&format!("n{n}"))).collect();
    refused(&exporter(&spread), "12 at most").await?;

    // As many as may be asked for one by one, all of them allowed.
    for n in 0..12 {
        let name = format!("n{n}");
        let namespace = json!({"metadata": {"name": name}});
        create::<Namespace>(&Api::all(cluster.client()), &namespace).await?;
        create::<Role>(&cluster.api(&name), &services).await?;
        create::<RoleBinding>(&cluster.api(&name), &bind("services", "Role")).await?;
    }
    let most = exporter(&spread[..12]);
    let allowed = async || Ok(offer(bob, &most).await.is_ok().then_some(()));
    until("the rights in twelve namespaces are known", LIMIT, allowed).await?;

    // Whoever may see all Rules may still not see all Services, nor namespaces.
    let reader = json!({
        "metadata": {"name": "all-reader"},
        "rules": [
            {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
            {"apiGroups": ["events.kubesphere.io"], "resources": ["rules"], "verbs": ["list"]},
        ],
    });
    create::<ClusterRole>(&Api::all(cluster.client()), &reader).await?;
    let everywhere = bind("all-reader", "ClusterRole");
    create::<ClusterRoleBinding>(&Api::all(cluster.client()), &everywhere).await?;
    let alertmanager = |namespace: &str| json!({"namespace": namespace, "name": "a"});
    let ruler = |sinks: Value| object("Ruler", "shop", &json!({ "sinks": sinks }));
    let own = ruler(json!({"alertmanager": alertmanager("shop")}));
    let mut everything = exporter(&[]);
    everything["spec"]["namespaces"] = json!([]);
    let known = async || Ok(offer(bob, &everything).await.is_ok().then_some(()));
    until("the rights are known", LIMIT, known).await?;
    refused(&own, "allowed to list namespaces").await?;
    let lister = json!({
        "metadata": {"name": "lister"},
        "rules": [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list"]}],
    });
    create::<ClusterRole>(&Api::all(cluster.client()), &lister).await?;
    let listing = bind("lister", "ClusterRole");
    create::<ClusterRoleBinding>(&Api::all(cluster.client()), &listing).await?;
    let allowed = async || Ok(offer(bob, &own).await.is_ok().then_some(()));
    until("the rights are known", LIMIT, allowed).await?;
    for sinks in [
        json!({"alertmanager": alertmanager("monitoring")}),
        json!({"alertmanagers": [alertmanager("shop"), alertmanager("monitoring")]}),
    ] {
        refused(&ruler(sinks), "not so in the namespace monitoring").await?;
    }
    unchanged(bob, cluster, &elsewhere).await?;
    let bindings = Api::<ClusterRoleBinding>::all(cluster.client());
    bindings.delete("all-reader", &DeleteParams::default()).await?;
    let forgotten = async || Ok(offer(bob, &own).await.is_err().then_some(()));
    until("the rights are gone", LIMIT, forgotten).await
}

/// What somebody else was allowed to write is not refused while its spec stays.
async fn unchanged(bob: &Client, cluster: &Operator, object: &Value) -> Result<()> {
    let there = api(&cluster.client(), object);
    there.create(&PostParams::default(), &serde_json::from_value(object.clone())?).await?;
    let theirs = api(bob, object);
    let params = PatchParams { dry_run: true, ..PatchParams::default() };
    let patch = async |patch: Value| theirs.patch("offered", &params, &Patch::Merge(patch)).await;
    patch(json!({"metadata": {"labels": {"team": "sre"}}})).await?;
    let refused = patch(json!({"spec": {"cluster": "c"}})).await.err().context("a new spec")?;
    ensure!(refused.to_string().contains("not so in the namespace default"), "{refused}");
    there.delete("offered", &DeleteParams::default()).await.map(drop)?;
    Ok(())
}

async fn a_rule_from_before_can_be_changed_but_for_its_scope(cluster: &Operator) -> Result<()> {
    let client = cluster.client();
    let policy = ApiResource::from_gvk(&GroupVersionKind::gvk(
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingAdmissionPolicyBinding",
    ));
    let bindings = Api::<DynamicObject>::all_with(client.clone(), &policy);
    let mut binding = bindings.get("kube-events-rule-scope").await?;
    bindings.delete(&binding.name_any(), &DeleteParams::default()).await?;
    let scope = "kubesphere.io/rule-scope";
    let misplaced = scoped("shop", &json!({scope: "cluster"}));
    let rules = api(&client, &misplaced);
    let (creation, misplaced) = (PostParams::default(), serde_json::from_value(misplaced)?);
    let taken = async || Ok(rules.create(&creation, &misplaced).await.is_ok().then_some(()));
    until("the policy is out of force", LIMIT, taken).await?;
    binding.metadata.resource_version = None;
    bindings.create(&PostParams::default(), &binding).await?;

    let params = PatchParams::default();
    let asking = PatchParams { dry_run: true, ..PatchParams::default() };
    let refused = async || {
        let patch = json!({"metadata": {"labels": {scope: "workspace"}}});
        Ok(rules.patch("offered", &asking, &Patch::Merge(patch)).await.err())
    };
    let refused = until("the policy is in force again", LIMIT, refused).await?.to_string();
    ensure!(refused.contains("belongs in the namespace"), "{refused}");
    let patch = json!({"metadata": {"labels": {"team": "sre"}}, "spec": {"rules": []}});
    rules.patch("offered", &params, &Patch::Merge(patch)).await?;
    let patch = json!({"metadata": {"labels": {scope: null}}});
    rules.patch("offered", &params, &Patch::Merge(patch)).await.map(drop)?;
    Ok(())
}

async fn create<K>(api: &Api<K>, object: &Value) -> Result<()>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug,
    K: serde::de::DeserializeOwned + serde::Serialize,
{
    api.create(&PostParams::default(), &serde_json::from_value(object.clone())?).await?;
    Ok(())
}
