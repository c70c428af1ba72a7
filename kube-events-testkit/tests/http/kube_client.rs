//! The `kube` client is at home on the embedded server.

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event};
use k8s_openapi::api::events::v1::Event as EventV1;
use kube::api::{
    DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchEvent,
    WatchParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client, Config, Discovery};
use kube_events_testkit::{ApiServer, Extent, Workload};
use serde_json::json;
use std::pin::pin;

use crate::client::{PATIENCE, event};

async fn start() -> (ApiServer, Client) {
    drop(rustls::crypto::ring::default_provider().install_default());
    let server = ApiServer::start().await.unwrap();
    let client = Client::try_from(Config::new(server.url().parse().unwrap())).unwrap();
    (server, client)
}

fn rules(client: &Client) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("events.kubesphere.io", "v1alpha1", "Rule");
    Api::default_namespaced_with(client.clone(), &ApiResource::from_gvk(&kind))
}

fn rule(name: &str) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "events.kubesphere.io/v1alpha1", "kind": "Rule",
        "metadata": {"name": name}, "spec": {"rules": []},
    }))
    .unwrap()
}

#[tokio::test]
async fn typed_and_dynamic_objects_are_created_read_changed_and_deleted() {
    let (_server, client) = start().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let map: ConfigMap =
        serde_json::from_value(json!({"metadata": {"name": "c"}, "data": {"a": "b"}})).unwrap();
    let created = maps.create(&PostParams::default(), &map).await.unwrap();
    let mut stale = created.clone();
    stale.metadata.resource_version = Some("1".to_owned());
    let error = maps.replace("c", &PostParams::default(), &stale).await.unwrap_err();
    assert!(
        matches!(error, kube::Error::Api(status) if status.code == 409 && status.reason == "Conflict")
    );
    maps.delete("c", &DeleteParams::default()).await.unwrap();
    assert!(maps.get_opt("c").await.unwrap().is_none());

    let rules = rules(&client);
    let apply = PatchParams::apply("test").force();
    rules.patch("r", &apply, &Patch::Apply(&rule("r"))).await.unwrap();
    let status = json!({"status": {"ready": true}});
    let patched =
        rules.patch_status("r", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    assert_eq!(patched.data["status"]["ready"], true);
    assert_eq!(rules.get_metadata("r").await.unwrap().metadata.generation, Some(1));
}

#[tokio::test]
async fn events_of_both_groups_are_read_as_their_types() {
    let (server, client) = start().await;
    Workload::seeded(5).drive(&server, 1_000_000, Extent::Steps(1_000), |_| {}).await.unwrap();
    let core: Api<Event> = Api::all(client.clone());
    let (mut params, mut total) = (ListParams::default().limit(100), 0);
    loop {
        let page = core.list(&params).await.unwrap();
        total += page.items.len();
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    assert_eq!(total, server.events().len());
    let new: Api<EventV1> = Api::all(client.clone());
    let list = new.list(&ListParams::default()).await.unwrap();
    assert_eq!(list.items.len(), total);
    assert!(list.iter().any(|event| event.event_time.is_some() && event.series.is_some()));
    let mut watch = pin!(core.watch(&WatchParams::default(), "0").await.unwrap());
    let first = watch.try_next().await.unwrap().unwrap();
    assert!(matches!(first, WatchEvent::Added(event) if event.metadata.uid.is_some()));
}

#[tokio::test]
async fn the_watcher_follows_config_maps_and_custom_resources() {
    let (server, client) = start().await;
    for mode in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let maps: Api<ConfigMap> = Api::all(client.clone());
        let name = format!("m{}", server.resource_version());
        let mut seen = pin!(watcher(maps, mode).applied_objects());
        server
            .create(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}))
            .unwrap();
        let found = async {
            while let Some(map) = seen.try_next().await.unwrap() {
                if map.metadata.name.as_deref() == Some(&name) {
                    return;
                }
            }
            panic!("the stream ended");
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap();
    }
    server.create(serde_json::to_value(rule("first")).unwrap()).unwrap();
    let mut events = pin!(watcher(rules(&client), watcher::Config::default()));
    let mut seen = Vec::new();
    while seen.len() < 5 {
        let event = tokio::time::timeout(PATIENCE, events.next()).await.unwrap().unwrap();
        seen.push(match event.unwrap() {
            watcher::Event::Init => "init",
            watcher::Event::InitApply(_) => "init-apply",
            watcher::Event::InitDone => {
                server.create(serde_json::to_value(rule("second")).unwrap()).unwrap();
                server.delete("Rule", "default", "first").unwrap();
                "init-done"
            }
            watcher::Event::Apply(_) => "apply",
            watcher::Event::Delete(_) => "delete",
        });
    }
    assert_eq!(seen, ["init", "init-apply", "init-done", "apply", "delete"]);
}

#[tokio::test]
async fn the_watcher_gets_over_a_restart_with_compaction() {
    let (server, client) = start().await;
    let events: Api<Event> = Api::all(client);
    let mut seen =
        pin!(watcher(events, watcher::Config::default()).default_backoff().touched_objects());
    server.create_event(event("before")).unwrap();
    let first = tokio::time::timeout(PATIENCE, seen.try_next()).await;
    assert!(first.is_ok());
    server.go_down().await;
    server.create_event(event("meanwhile")).unwrap();
    server.compact();
    server.come_back().await.unwrap();
    let found = async {
        loop {
            if let Some(Ok(event)) = seen.next().await
                && event.metadata.name.as_deref() == Some("meanwhile")
            {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap();
}

#[tokio::test]
async fn metadata_watches_and_leases_work() {
    let (_server, client) = start().await;
    let spaces: Api<PartialObjectMeta<k8s_openapi::api::core::v1::Namespace>> =
        Api::all(client.clone());
    let mut found = pin!(watcher(spaces, watcher::Config::default()).applied_objects());
    let first = tokio::time::timeout(PATIENCE, found.try_next()).await.unwrap().unwrap().unwrap();
    assert_eq!(first.metadata.name.as_deref(), Some("default"));

    let leases: Api<Lease> = Api::default_namespaced(client);
    let lease: Lease = serde_json::from_value(json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "me", "leaseDurationSeconds": 15}})).unwrap();
    let mut held = leases.create(&PostParams::default(), &lease).await.unwrap();
    held.metadata.annotations.get_or_insert_default().insert("cursor".to_owned(), "7".to_owned());
    let renewed = leases.replace("l", &PostParams::default(), &held).await.unwrap();
    assert!(leases.replace("l", &PostParams::default(), &held).await.is_err());
    assert_eq!(renewed.metadata.annotations.unwrap()["cursor"], "7");
}

#[tokio::test]
async fn discovery_finds_our_kinds() {
    let (_server, client) = start().await;
    assert_eq!(client.apiserver_version().await.unwrap().minor, "37");
    for discovery in [
        Discovery::new(client.clone()).run().await.unwrap(),
        Discovery::new(client.clone()).run_aggregated().await.unwrap(),
    ] {
        let kind = GroupVersionKind::gvk("events.kubesphere.io", "v1alpha1", "Exporter");
        let (resource, capabilities) = discovery.resolve_gvk(&kind).unwrap();
        assert_eq!(resource.plural, "exporters");
        assert!(capabilities.subresources.iter().any(|(sub, _)| sub.plural == "status"));
    }
}

#[tokio::test]
async fn the_kubeconfig_leads_to_the_server() {
    let (server, _) = start().await;
    let kubeconfig = Kubeconfig::from_yaml(&server.kubeconfig()).unwrap();
    let config =
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    assert_eq!(config.cluster_url.to_string().trim_end_matches('/'), server.url());
}
