//! The rules of a cluster, as the ruler follows them.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::time::Duration;

use kube::{Client, Config, core::Selector};
use kube_events_rules::{
    Limits, Problem, RuleSet,
    live::{self, LiveOptions},
};
use kube_events_testkit::ApiServer;
use serde_json::{Value, json};
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(20);

fn rule(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "events.kubesphere.io/v1alpha1", "kind": "Rule",
        "metadata": {"name": name, "namespace": "shop"}, "spec": spec,
    })
}

#[tokio::test]
async fn an_object_that_cannot_be_read_hides_no_other() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let server = ApiServer::builder().start().await.unwrap();
    server.create_namespace("shop");
    server.create(rule("strange", &json!({"rules": "text"}))).unwrap();
    let good = |name: &str| {
        json!({"rules": [
            {"name": name, "type": "alert", "enable": true, "condition": "count > 3"},
        ]})
    };
    let mut listed = rule("good", &good("Listed"));
    listed["status"] = json!({"conditions": "of another release"});
    server.create(listed).unwrap();
    let client = Client::try_from(Config::new(server.url().parse().unwrap())).unwrap();
    let options = LiveOptions {
        namespace: None,
        rules_namespace: "rules".to_owned(),
        rule_selector: Selector::default(),
        rule_namespace_selector: Selector::default(),
        limits: Limits::default(),
        before: RuleSet::default(),
    };
    let (mut rules, work) = live::rules(client, options);
    let work = tokio::spawn(work);
    for (count, next) in [(1, "watched"), (2, "last")] {
        let wanted =
            rules.wait_for(|set| set.as_ref().is_some_and(|it| it.rules().count() == count));
        timeout(LIMIT, wanted).await.unwrap().unwrap();
        server
            .create(rule(&format!("strange-{next}"), &json!({"rules": [{"labels": 1}]})))
            .unwrap();
        server.create(rule(next, &good("Watched"))).unwrap();
    }
    let wanted = rules.wait_for(|set| set.as_ref().is_some_and(|it| it.rules().count() == 3));
    let set = timeout(LIMIT, wanted).await.unwrap().unwrap().clone().unwrap();
    let problems: Vec<_> = set.problems().iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(
        problems[0].starts_with("Rule shop/strange: the object cannot be read: "),
        "{problems:?}"
    );
    assert!(set.problems().iter().all(Problem::is_error));
    work.abort();
}
