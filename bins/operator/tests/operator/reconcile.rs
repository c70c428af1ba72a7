//! From objects to children and status.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::{Cluster, NAMESPACE, exporter, ruler};

#[tokio::test(start_paused = true)]
async fn objects_become_what_they_ask_for() {
    let cluster = Cluster::new().await;
    cluster.create("Exporter", "exporter", &exporter());
    cluster.create("Ruler", "ruler", &ruler());
    let _operator = cluster.started().await;
    let expected = [
        "ClusterRoleBinding /kube-events-exporter:exporter:logging:exporter",
        "ClusterRoleBinding /kube-events-ruler:ruler:logging:ruler",
        "ConfigMap logging/exporter",
        "ConfigMap logging/ruler",
        "Deployment logging/exporter",
        "Deployment logging/ruler",
        "NetworkPolicy logging/ruler",
        "PodDisruptionBudget logging/ruler",
        "PodMonitor logging/exporter",
        "PodMonitor logging/ruler",
        "PrometheusRule logging/exporter",
        "PrometheusRule logging/ruler",
        "RoleBinding logging/kube-events-ruler-lease:ruler:logging:ruler",
        "RoleBinding logging/kube-events-service-reader:exporter:logging:exporter",
        "RoleBinding monitoring/kube-events-service-reader:ruler:logging:ruler",
        "Service logging/ruler",
        "ServiceAccount logging/exporter",
        "ServiceAccount logging/ruler",
    ];
    // The namespace of the Alertmanager is not there yet.
    let without = |name: &&&str| !name.contains("monitoring/");
    assert_eq!(cluster.places(), expected.iter().filter(without).copied().collect::<Vec<_>>());
    assert_eq!(cluster.condition("Ruler", "ruler", "Degraded"), "NoNamespace");
    cluster.server.create_namespace("monitoring");
    cluster.pass(Duration::from_secs(60)).await;
    assert_eq!(cluster.places(), expected);
    assert_eq!(cluster.condition("Ruler", "ruler", "Degraded"), "!AsExpected");
}

#[tokio::test(start_paused = true)]
async fn the_status_says_how_the_pods_are() {
    let cluster = Cluster::new().await;
    cluster.create(
        "Exporter",
        "exporter",
        &json!({"image": "kubesphere/kube-events-exporter:v0.6.0"}),
    );
    let _operator = cluster.started().await;
    let is = |condition: &str| cluster.condition("Exporter", "exporter", condition);
    assert_eq!(is("Available"), "!NoPodReady");
    assert_eq!(is("Progressing"), "RollingOut");
    assert_eq!(is("Degraded"), "!AsExpected");
    assert_eq!(is("ImageReplaced"), "GoProjectImage");
    let counts = json!({
        "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1,
    });
    cluster.tell_status("apps/v1", "Deployment", "exporter", &counts).await;
    cluster.quiet().await;
    assert_eq!(is("Available"), "PodsReady");
    assert_eq!(is("Progressing"), "!Settled");
    let status = cluster.get("Exporter", "exporter")["status"].clone();
    assert_eq!((&status["readyReplicas"], &status["observedGeneration"]), (&json!(1), &json!(1)));
    let refused = "pods \"exporter-1-x\" is forbidden: exceeded quota: pods";
    let failing = json!({"conditions": [
        {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": refused},
    ]});
    cluster.tell_status("apps/v1", "Deployment", "exporter", &failing).await;
    cluster.quiet().await;
    assert_eq!(is("Degraded"), "ReplicaFailure");
    assert_eq!(cluster.message("Exporter", "exporter", "Degraded"), refused);
    cluster.tell_status("apps/v1", "Deployment", "exporter", &json!({"conditions": []})).await;
    cluster.quiet().await;
    assert_eq!(is("Degraded"), "!AsExpected");
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_cannot_work_changes_nothing_but_the_status() {
    let cluster = Cluster::new().await;
    cluster.create("Exporter", "exporter", &exporter());
    let _operator = cluster.started().await;
    let before = cluster.get("ConfigMap", "exporter");
    let wrong = json!({"sinks": {"webhooks": [{"url": "nowhere"}]}});
    cluster.respecify("Exporter", "exporter", &wrong).await;
    cluster.quiet().await;
    assert_eq!(cluster.condition("Exporter", "exporter", "Degraded"), "InvalidConfig");
    let message = cluster.message("Exporter", "exporter", "Degraded");
    assert!(message.starts_with("sinks.webhooks[0].url: "), "{message}");
    assert_eq!(cluster.get("ConfigMap", "exporter"), before);
    cluster.respecify("Exporter", "exporter", &exporter()).await;
    cluster.quiet().await;
    assert_eq!(cluster.condition("Exporter", "exporter", "Degraded"), "!AsExpected");
}

#[tokio::test(start_paused = true)]
async fn what_only_the_pods_would_refuse_never_reaches_them() {
    let cluster = Cluster::new().await;
    cluster.create("Exporter", "exporter", &exporter());
    cluster.create("Ruler", "ruler", &ruler());
    let _operator = cluster.started().await;
    let state = |kind: &str, name: &str| cluster.get(kind, name)["data"].clone();
    let before = (state("ConfigMap", "exporter"), state("ConfigMap", "ruler"));
    let file = |path: &str| json!({"sinks": {"files": [{"type": "alert", "path": path}]}});
    for (kind, name, wrong, field) in [
        ("Exporter", "exporter", json!({"labelSelector": "!!x"}), "labelSelector: "),
        ("Exporter", "exporter", json!({"fieldSelector": "nofield"}), "fieldSelector: "),
        ("Exporter", "exporter", json!({"checkpoint": {"file": "/data/c"}}), "checkpoint.file: "),
        ("Ruler", "ruler", file("/data/alerts"), "sinks.files[0].path: "),
        ("Ruler", "ruler", file("alerts"), "sinks.files[0].path: "),
    ] {
        cluster.respecify(kind, name, &wrong).await;
        cluster.quiet().await;
        assert_eq!(cluster.condition(kind, name, "Degraded"), "InvalidConfig", "{wrong}");
        let message = cluster.message(kind, name, "Degraded");
        assert!(message.starts_with(field), "{message}");
        assert_eq!(
            (state("ConfigMap", "exporter"), state("ConfigMap", "ruler")),
            before,
            "{wrong}"
        );
    }
    let right = json!({
        "checkpoint": {"file": "/data/c"},
        "volumes": [{"name": "data", "emptyDir": {}}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    });
    cluster.respecify("Exporter", "exporter", &right).await;
    cluster.quiet().await;
    assert_eq!(cluster.condition("Exporter", "exporter", "Degraded"), "!AsExpected");
}

#[tokio::test(start_paused = true)]
async fn what_the_go_project_took_goes_on_and_is_told() {
    let cluster = Cluster::new().await;
    let service = json!({"namespace": NAMESPACE, "name": "ruler", "port": 8443, "path": "events"});
    let webhooks = json!([{"url": "http://archive.example/", "service": service}, {}]);
    cluster.create("Exporter", "exporter", &json!({"sinks": {"webhooks": webhooks}}));
    let alertmanager = json!({"namespace": NAMESPACE, "name": "alertmanager"});
    let sinks = json!({
        "alertmanager": alertmanager, "alertmanagers": [alertmanager], "stdout": {"type": "Alert"},
        "webhooks": [{"type": "", "url": "http://chat.example/"}],
    });
    cluster.create("Ruler", "ruler", &json!({ "sinks": sinks }));
    let _operator = cluster.started().await;
    for (kind, name) in [("Exporter", "exporter"), ("Ruler", "ruler")] {
        assert_eq!(cluster.condition(kind, name, "Degraded"), "!AsExpected");
        assert_eq!(cluster.condition(kind, name, "Adjusted"), "GoProjectSinks");
        assert!(cluster.has("Deployment", name));
    }
    let config = |name: &str, file: &str| {
        cluster.get("ConfigMap", name)["data"][file].as_str().unwrap().to_owned()
    };
    let written = config("exporter", "events-exporter.yaml");
    assert!(written.contains("archive.example") && !written.contains("8443"), "{written}");
    let written = config("ruler", "events-ruler.yaml");
    assert_eq!(written.matches("name: alertmanager").count(), 1, "{written}");
    assert!(!written.contains("stdout") && !written.contains("chat.example"), "{written}");
    let message = cluster.message("Ruler", "ruler", "Adjusted");
    for field in ["sinks.alertmanager ", "sinks.stdout ", "sinks.webhooks[0] "] {
        assert!(message.contains(field), "{message}");
    }
    cluster.respecify("Exporter", "exporter", &exporter()).await;
    cluster.quiet().await;
    assert_eq!(cluster.condition("Exporter", "exporter", "Adjusted"), "");
}

#[tokio::test(start_paused = true)]
async fn what_another_release_wrote_is_told_and_holds_nothing_else_up() {
    let cluster = Cluster::new().await;
    let _operator = cluster.started().await;
    cluster.create("Ruler", "later", &json!({"sinks": {"pigeons": []}}));
    cluster.create("Rule", "later", &json!({"rules": "text"}));
    cluster.create("Rule", "rule", &json!({"rules": []}));
    cluster.create("Ruler", "ruler", &ruler());
    cluster.quiet().await;
    assert_eq!(cluster.condition("Ruler", "later", "Degraded"), "InvalidConfig");
    assert_eq!(cluster.condition("Ruler", "later", "Progressing"), "!Blocked");
    let message = cluster.message("Ruler", "later", "Degraded");
    assert!(message.starts_with("spec.sinks.pigeons: unknown field `pigeons`"), "{message}");
    assert!(cluster.has("Deployment", "ruler"));
    assert_eq!(cluster.condition("Rule", "later", "Accepted"), "!InvalidRule");
    assert_eq!(cluster.condition("Rule", "rule", "Accepted"), "Accepted");
    let told = cluster.server.resource_version();
    cluster.pass(Duration::from_secs(600)).await;
    assert_eq!(cluster.server.resource_version(), told);
}

#[tokio::test(start_paused = true)]
async fn a_status_that_cannot_be_read_is_written_anew_and_holds_nothing_else_up() {
    let cluster = Cluster::new().await;
    let _operator = cluster.started().await;
    for (kind, spec) in [("Exporter", exporter()), ("Rule", json!({"rules": []}))] {
        cluster.create(kind, "later", &spec);
        let status = json!({"conditions": [{"type": "Later", "since": 1}]});
        cluster.tell_status("events.kubesphere.io/v1alpha1", kind, "later", &status).await;
    }
    cluster.create("Rule", "rule", &json!({"rules": []}));
    cluster.create("Ruler", "ruler", &ruler());
    cluster.quiet().await;
    assert!(cluster.has("Deployment", "later") && cluster.has("Deployment", "ruler"));
    assert_eq!(cluster.condition("Exporter", "later", "Degraded"), "!AsExpected");
    assert_eq!(cluster.condition("Rule", "later", "Accepted"), "Accepted");
    assert_eq!(cluster.condition("Rule", "rule", "Accepted"), "Accepted");
}

#[tokio::test(start_paused = true)]
async fn each_thing_that_was_done_is_an_event_of_its_own() {
    let cluster = Cluster::new().await;
    cluster.create("Exporter", "exporter", &exporter());
    let _operator = cluster.started().await;
    let notes = || {
        let events = cluster.server.list("Event").unwrap();
        let told = events.iter().map(|event| {
            (event["message"].as_str().unwrap().to_owned(), event["series"]["count"].clone())
        });
        told.collect::<Vec<_>>()
    };
    let created = notes();
    assert_eq!(created.len(), 1);
    for replicas in [7, 8] {
        let hand = json!({"spec": {"replicas": replicas}});
        cluster.edit("apps/v1", "Deployment", "exporter", &hand).await;
        cluster.quiet().await;
    }
    let mut told = notes();
    told.retain(|it| !created.contains(it));
    assert_eq!(told, [("Changed Deployment exporter".to_owned(), json!(2))]);
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_does_not_know_everything_yet_ends_at_once() {
    let cluster = Cluster::new().await;
    cluster.server.deny("list", "", "namespaces");
    cluster.create("Rule", "rule", &json!({"rules": []}));
    let operator = cluster.started().await;
    assert_eq!(cluster.condition("Rule", "rule", "Accepted"), "", "the namespaces are not known");
    let asked = tokio::time::Instant::now();
    operator.stop().await;
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_rule_is_told_whether_it_counts_and_who_looks_at_it() {
    let cluster = Cluster::new().await;
    let rule = |condition: &str| {
        json!({"rules": [
            {"name": "A", "type": "alert", "enable": true, "condition": condition},
        ]})
    };
    cluster.create("Rule", "rule", &rule("reason = \"BackOff\" And count > 3"));
    let _operator = cluster.started().await;
    assert_eq!(cluster.condition("Rule", "rule", "Accepted"), "!InvalidRule");
    assert!(cluster.message("Rule", "rule", "Accepted").contains('^'));
    assert_eq!(cluster.condition("Rule", "rule", "Programmed"), "!NoRuler");
    cluster.respecify("Rule", "rule", &rule("count > 3")).await;
    let selecting = json!({"ruleSelector": {"matchLabels": {"team": "sre"}}, "sinks": {"stdout": {"type": "alert"}}});
    cluster.create("Ruler", "ruler", &selecting);
    cluster.quiet().await;
    assert_eq!(cluster.condition("Rule", "rule", "Accepted"), "Accepted");
    assert_eq!(cluster.condition("Rule", "rule", "Programmed"), "!NoRuler");
    cluster.respecify("Ruler", "ruler", &json!({"sinks": {"stdout": {"type": "alert"}}})).await;
    cluster.quiet().await;
    assert_eq!(cluster.condition("Rule", "rule", "Programmed"), "!NoRulerReady");
    let message = cluster.message("Rule", "rule", "Programmed");
    assert_eq!(message, "looked at by logging/ruler, without a pod that is ready");
    cluster.ready("ruler", 1).await;
    assert_eq!(cluster.condition("Rule", "rule", "Programmed"), "Programmed");
    cluster.ready("ruler", 0).await;
    assert_eq!(cluster.condition("Rule", "rule", "Programmed"), "!NoRulerReady");
    cluster.server.delete("Ruler", NAMESPACE, "ruler").unwrap();
    cluster.quiet().await;
    assert_eq!(cluster.condition("Rule", "rule", "Programmed"), "!NoRuler");
}

#[tokio::test(start_paused = true)]
async fn of_a_ruler_whose_spec_is_not_in_force_nobody_knows_what_it_looks_at() {
    let cluster = Cluster::new().await;
    let rule = json!({"name": "A", "type": "alert", "enable": true, "condition": "count > 3"});
    cluster.create("Rule", "rule", &json!({"rules": [rule]}));
    let spec = json!({"sinks": {"stdout": {"type": "alert"}}});
    cluster.create("Ruler", "ruler", &spec);
    let _operator = cluster.started().await;
    cluster.ready("ruler", 1).await;
    for wrong in [json!({"sinks": {"pigeons": []}}), json!({"ruleSelector": 1})] {
        cluster.respecify("Ruler", "ruler", &wrong).await;
        cluster.quiet().await;
        assert_eq!(cluster.condition("Ruler", "ruler", "Available"), "PodsReady");
        assert_eq!(cluster.condition("Rule", "rule", "Programmed"), "?RulerDegraded");
    }
    cluster.create("Ruler", "other", &spec);
    cluster.quiet().await;
    cluster.ready("other", 1).await;
    assert_eq!(cluster.condition("Rule", "rule", "Programmed"), "Programmed");
    let message = cluster.message("Rule", "rule", "Programmed");
    assert_eq!(message, "looked at by logging/other");
    cluster.ready("ruler", 0).await;
    cluster.ready("other", 0).await;
    assert_eq!(cluster.condition("Rule", "rule", "Programmed"), "!NoRulerReady");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_behind_all_rules_of_somebody_else() {
    let cluster = Cluster::new().await;
    let rule = |condition: &str| json!({"rules": [{"name": "A", "type": "alert", "enable": true, "condition": condition}]});
    for n in 0..12 {
        let slow = format!("message regex \"\\pL{{10}}{n}\"");
        cluster.create("Rule", &format!("slow-{n}"), &rule(&slow));
    }
    cluster.server.create_namespace("shop");
    cluster.create_in("shop", "Rule", "quick", &rule("count > 3"));
    let _operator = cluster.started().await;
    let writes = cluster.writes();
    let told: Vec<_> = writes.iter().filter(|it| it.path.contains("/rules/")).collect();
    assert_eq!(told.len(), 13);
    let quick = told.iter().position(|it| it.path.contains("/rules/quick/")).unwrap();
    assert!(quick < 3, "{quick} others first");

    let reads = || {
        let requests = cluster.server.requests();
        requests.iter().filter(|it| it.path.contains("/rules/") && !it.is_write()).count()
    };
    assert_eq!(reads(), 13);
    cluster.create("Ruler", "ruler", &json!({"sinks": {"stdout": {"type": "alert"}}}));
    cluster.quiet().await;
    assert_eq!(cluster.condition("Rule", "slow-0", "Programmed"), "!NoRulerReady");
    assert_eq!(reads(), 13, "none was compiled again");
}

#[tokio::test(start_paused = true)]
async fn of_a_rule_object_that_is_partly_wrong_the_rest_is_told_to_count() {
    let cluster = Cluster::new().await;
    let rule = |name: &str, enable: bool, condition: &str| json!({"name": name, "type": "alert", "enable": enable, "condition": condition});
    let (good, bad, off) =
        (rule("A", true, "count > 3"), rule("B", true, "count >"), rule("C", false, "count > 3"));
    cluster.create("Rule", "rule", &json!({"rules": [good, bad, off]}));
    cluster.create("Ruler", "ruler", &json!({"sinks": {"stdout": {"type": "alert"}}}));
    let _operator = cluster.started().await;
    cluster.ready("ruler", 1).await;
    assert_eq!(cluster.condition("Rule", "rule", "Accepted"), "!InvalidRule");
    assert_eq!(cluster.condition("Rule", "rule", "Programmed"), "PartlyProgrammed");
    let message = cluster.message("Rule", "rule", "Programmed");
    assert_eq!(message, "1 of 2 enabled rules count; looked at by logging/ruler");
    cluster.respecify("Rule", "rule", &json!({"rules": [bad]})).await;
    cluster.quiet().await;
    assert_eq!(cluster.condition("Rule", "rule", "Programmed"), "!NotAccepted");
}

#[tokio::test(start_paused = true)]
async fn what_the_limits_of_all_rulers_refuse_is_told_not_to_count() {
    let cluster = Cluster::new().await;
    let rule = |name: &str, condition: &str| json!({"name": name, "type": "alert", "enable": true, "condition": condition});
    let (short, long) = (rule("A", "count > 3"), rule("B", "reason = \"BackOff\""));
    cluster.create("Rule", "rule", &json!({"rules": [short, long]}));
    let sinks = json!({"stdout": {"type": "alert"}});
    let limited = |limits: serde_json::Value| json!({"sinks": sinks, "limits": limits});
    cluster.create("Ruler", "ruler", &limited(json!({"conditionSize": "16"})));
    let _operator = cluster.started().await;
    cluster.ready("ruler", 1).await;
    assert_eq!(cluster.condition("Rule", "rule", "Accepted"), "Accepted");
    assert_eq!(cluster.condition("Rule", "rule", "Programmed"), "PartlyProgrammed");
    let message = cluster.message("Rule", "rule", "Programmed");
    assert_eq!(message, "1 of 2 enabled rules count; looked at by logging/ruler");

    cluster.respecify("Ruler", "ruler", &limited(json!({"conditionSize": "4"}))).await;
    cluster.quiet().await;
    assert_eq!(cluster.condition("Rule", "rule", "Programmed"), "!BeyondLimits");

    cluster.create("Ruler", "usual", &json!({"sinks": sinks}));
    cluster.quiet().await;
    assert_eq!(cluster.condition("Rule", "rule", "Programmed"), "!BeyondLimits");
    cluster.ready("usual", 1).await;
    assert_eq!(cluster.condition("Rule", "rule", "Programmed"), "Programmed");
}

#[tokio::test(start_paused = true)]
async fn a_further_ruler_that_is_ready_is_no_write_to_a_rule() {
    let cluster = Cluster::new().await;
    let spec = json!({"sinks": {"stdout": {"type": "alert"}}});
    for name in ["a", "b", "c", "d"] {
        cluster.create("Ruler", name, &spec);
    }
    let rule = json!({"name": "A", "type": "alert", "enable": true, "condition": "count > 3"});
    cluster.create("Rule", "rule", &json!({"rules": [rule]}));
    let _operator = cluster.started().await;
    cluster.ready("d", 1).await;
    assert_eq!(cluster.condition("Rule", "rule", "Programmed"), "Programmed");
    let message = cluster.message("Rule", "rule", "Programmed");
    assert_eq!(message, "looked at by logging/a, logging/b, logging/c and others");
    let told = cluster.get("Rule", "rule");
    cluster.ready("a", 1).await;
    cluster.ready("d", 0).await;
    assert_eq!(cluster.get("Rule", "rule"), told);
}

/// None of it is a new generation.
#[tokio::test(start_paused = true)]
async fn a_rule_is_judged_anew_when_its_labels_its_lints_or_itself_are_others() {
    let cluster = Cluster::new().await;
    let of = |condition: &str| {
        json!({"rules": [
            {"name": "A", "type": "alert", "enable": true, "condition": condition},
        ]})
    };
    cluster.create("Rule", "rule", &of(r#"reason regex "BackOff""#));
    let _operator = cluster.started().await;
    assert_eq!(cluster.condition("Rule", "rule", "Accepted"), "AcceptedWithHints");
    let edit = async |metadata: Value| {
        let patch = json!({ "metadata": metadata });
        cluster.edit("events.kubesphere.io/v1alpha1", "Rule", "rule", &patch).await;
        cluster.quiet().await;
    };
    let lint = "literal-regex";
    edit(json!({"annotations": {"events.kubesphere.io/allow-lints": lint}})).await;
    assert_eq!(cluster.condition("Rule", "rule", "Accepted"), "Accepted");
    edit(json!({"labels": {"kubesphere.io/rule-scope": "cluster"}})).await;
    assert_eq!(cluster.condition("Rule", "rule", "Accepted"), "!ScopeInWrongPlace");
    cluster.server.delete("Rule", NAMESPACE, "rule").unwrap();
    let metadata = json!({"name": "rule", "namespace": NAMESPACE, "uid": "another"});
    let rule = json!({
        "apiVersion": "events.kubesphere.io/v1alpha1", "kind": "Rule",
        "metadata": metadata, "spec": of("count >"),
    });
    cluster.server.create(rule).unwrap();
    cluster.quiet().await;
    assert_eq!(cluster.condition("Rule", "rule", "Accepted"), "!InvalidRule");
}

#[tokio::test(start_paused = true)]
async fn a_rule_hears_of_the_labels_of_its_namespace() {
    let cluster = Cluster::new().await;
    let selector = json!({"matchLabels": {"team": "sre"}});
    cluster.create("Ruler", "ruler", &json!({"ruleNamespaceSelector": selector, "sinks": {}}));
    cluster.create("Rule", "rule", &json!({"rules": []}));
    let _operator = cluster.started().await;
    assert_eq!(cluster.condition("Rule", "rule", "Programmed"), "!NoRuler");
    let mut namespace = cluster.server.get("Namespace", "", NAMESPACE).unwrap();
    namespace["metadata"]["labels"]["team"] = json!("sre");
    cluster.server.update(namespace).unwrap();
    cluster.quiet().await;
    assert_eq!(cluster.condition("Rule", "rule", "Programmed"), "!NoRulerReady");
}
