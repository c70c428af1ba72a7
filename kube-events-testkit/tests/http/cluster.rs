//! What belongs to a cluster beside its objects: owners, namespaces, rights, kinds.

use kube_events_testkit::{ApiServer, Resource};
use reqwest::Method;
use serde_json::json;

use crate::client::Client;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn start() -> (ApiServer, Client) {
    let server = ApiServer::start().await.unwrap();
    let client = Client::of(&server);
    (server, client)
}

#[tokio::test]
async fn an_object_whose_owner_is_gone_goes() {
    let (server, client) = start().await;
    let owner = json!({"apiVersion": "v1", "kind": "Secret", "name": "s", "uid": "nobody"});
    let object = json!({"metadata": {"name": "c", "ownerReferences": [owner]}});
    assert_eq!(client.post(MAPS, &object).await.0, 201);
    assert!(server.get("ConfigMap", "default", "c").is_err());
}

#[tokio::test]
async fn a_namespace_that_ends_is_emptied_before_it_goes() {
    let (_server, client) = start().await;
    let namespace = json!({"metadata": {"name": "n", "finalizers": ["a.b/c"]}});
    client.post("/api/v1/namespaces", &namespace).await;
    let maps = "/api/v1/namespaces/n/configmaps";
    assert_eq!(client.post(maps, &json!({"metadata": {"name": "before"}})).await.0, 201);
    client.call(Method::DELETE, "/api/v1/namespaces/n", &json!({})).await;
    assert_eq!(client.get(&format!("{maps}/before")).await.0, 404);
    client.merge("/api/v1/namespaces/n", &json!({"metadata": {"finalizers": null}})).await;
    assert_eq!(client.get("/api/v1/namespaces/n").await.0, 404);
}

#[tokio::test]
async fn rights_are_asked_for_and_denied() {
    let (server, client) = start().await;
    let reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let may_list = async |resource: &str| {
        let attributes = json!({"verb": "list", "group": "", "resource": resource});
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        });
        let (code, answer) = client.post(reviews, &review).await;
        assert_eq!(code, 201);
        answer["status"]["allowed"].as_bool().unwrap()
    };
    assert!(may_list("secrets").await);
    server.deny("list", "", "secrets");
    assert!(!may_list("secrets").await && may_list("configmaps").await);
    let (code, status) = client.get("/api/v1/namespaces/default/secrets").await;
    let message = "secrets is forbidden: User \"testkit\" cannot list resource \"secrets\" in API \
                   group \"\" in the namespace \"default\"";
    assert_eq!((code, &status["message"]), (403, &json!(message)));
    server.allow_everything();
    assert!(may_list("secrets").await);
    assert_eq!(client.get("/api/v1/namespaces/default/secrets").await.0, 200);
}

#[tokio::test]
async fn a_kind_can_come_later() {
    const MONITORS: Resource = Resource::custom(
        "monitoring.coreos.com",
        "v1",
        "podmonitors",
        "podmonitor",
        "PodMonitor",
        &["pmon"],
    );
    let server = ApiServer::builder().resource_later(MONITORS).start().await.unwrap();
    let client = Client::of(&server);
    let path = "/apis/monitoring.coreos.com/v1/podmonitors";
    assert_eq!(client.raw(path).await, (404, "404 page not found\n".to_owned()));
    assert_eq!(client.get("/apis/monitoring.coreos.com").await.0, 404);
    server.serve("PodMonitor");
    assert_eq!(client.get(path).await.0, 200);
    assert_eq!(client.get("/apis/monitoring.coreos.com").await.0, 200);
}
