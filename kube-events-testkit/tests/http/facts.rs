//! What a real API server (1.37) does, and so this one.

use kube_events_testkit::{ApiServer, Expectation, Extent, Identity, Workload};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

use crate::client::{Client, event, names};

const EVENTS: &str = "/api/v1/namespaces/default/events";
const EVENTS_V1: &str = "/apis/events.k8s.io/v1/namespaces/default/events";
const RULES: &str = "/apis/events.kubesphere.io/v1alpha1/namespaces/default/rules";

async fn start() -> (ApiServer, Client) {
    let server = ApiServer::start().await.unwrap();
    let client = Client::of(&server);
    (server, client)
}

async fn with_events(names: &[&str]) -> (ApiServer, Client) {
    let (server, client) = start().await;
    for name in names {
        server.create_event(event(name)).unwrap();
    }
    (server, client)
}

fn rule() -> Value {
    json!({
        "apiVersion": "events.kubesphere.io/v1alpha1",
        "kind": "Rule",
        "metadata": {"name": "r", "finalizers": ["a/b"]},
        "spec": {"rules": []},
        "status": {"ignored": true},
    })
}

fn revision(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn errors_are_status_objects_with_the_real_codes_and_reasons() {
    let (_server, client) = with_events(&["e"]).await;
    for (path, code, reason, message) in [
        ("/api/v1/namespaces/default/events/nope", 404, "NotFound", "events \"nope\" not found"),
        ("/api/v1/foos", 404, "NotFound", "the server could not find the requested resource"),
        (
            "/api/v1/events?resourceVersion=99999",
            504,
            "Timeout",
            "Timeout: Too large resource version",
        ),
        ("/api/v1/events?resourceVersion=abc", 400, "BadRequest", "invalid resource version: "),
        (
            "/api/v1/events?resourceVersionMatch=Exact",
            422,
            "Invalid",
            "ListOptions.meta.k8s.io \"\" is invalid",
        ),
        ("/api/v1/events?continue=garbage", 400, "BadRequest", "invalid continue token: "),
        (
            "/api/v1/events?fieldSelector=foo%3Dbar",
            400,
            "BadRequest",
            "field label not supported: foo",
        ),
        (
            "/api/v1/events?labelSelector=%21%21%3Da",
            400,
            "BadRequest",
            "unable to parse requirement",
        ),
        (
            "/api/v1/events?watch=1&sendInitialEvents=true",
            422,
            "Invalid",
            "ListOptions.meta.k8s.io",
        ),
    ] {
        let (found, status) = client.get(path).await;
        assert_eq!((found, &status["kind"]), (code, &json!("Status")), "{path}");
        assert_eq!((&status["reason"], &status["code"]), (&json!(reason), &json!(code)), "{path}");
        assert!(status["message"].as_str().unwrap().starts_with(message), "{path}: {status}");
    }
    assert_eq!(client.get("/apis/nope.io/v1/foos").await.0, 404);
    let (code, status) = client.get("/api/v1/events?watch=1&resourceVersion=abc").await;
    assert_eq!((code, &status["reason"]), (500, &Value::Null));
}

#[tokio::test]
async fn a_new_event_gets_identity_and_defaults() {
    let (_server, client) = start().await;
    let given =
        json!({"metadata": {"generateName": "a."}, "involvedObject": {"namespace": "default"}});
    let (code, created) = client.post(EVENTS, &given).await;
    assert_eq!(code, 201);
    let name = created["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("a.") && name.len() == 7);
    assert_eq!(created["metadata"]["uid"].as_str().unwrap().len(), 36);
    for (field, value) in [
        ("source", json!({})),
        ("firstTimestamp", Value::Null),
        ("lastTimestamp", Value::Null),
        ("eventTime", Value::Null),
        ("reportingComponent", json!("")),
        ("reportingInstance", json!("")),
    ] {
        assert_eq!(created.get(field), Some(&value), "{field}");
    }
}

#[tokio::test]
async fn writes_that_cannot_be_are_refused() {
    let (_server, client) = with_events(&["e"]).await;
    let with = |patch: Value| {
        let mut object = event("x");
        json_patch::merge(&mut object, &patch);
        object
    };
    for (path, body, code, reason) in [
        (EVENTS, event("e"), 409, json!("AlreadyExists")),
        (EVENTS, with(json!({"involvedObject": {"namespace": "other"}})), 422, json!("Invalid")),
        (EVENTS, with(json!({"metadata": {"name": null}})), 422, json!("Invalid")),
        (EVENTS, with(json!({"metadata": {"namespace": "other"}})), 400, json!("BadRequest")),
        (EVENTS, with(json!({"metadata": {"resourceVersion": "5"}})), 500, Value::Null),
        (EVENTS, with(json!({"kind": "Pod"})), 400, json!("BadRequest")),
        (EVENTS, with(json!({"metadata": {"labels": "text"}})), 400, json!("BadRequest")),
        (EVENTS, json!([1]), 400, json!("BadRequest")),
        (EVENTS_V1, json!({"metadata": {"name": "n"}, "note": "x"}), 422, json!("Invalid")),
        (
            "/api/v1/namespaces/none/events",
            with(
                json!({"metadata": {"namespace": "none"}, "involvedObject": {"namespace": "none"}}),
            ),
            404,
            json!("NotFound"),
        ),
        (RULES, json!({"metadata": {"name": "x"}}), 400, json!("BadRequest")),
        ("/api/v1/events", event("x"), 405, json!("MethodNotAllowed")),
    ] {
        let (found, status) = client.post(path, &body).await;
        assert_eq!((found, &status["reason"]), (code, &reason), "{path} {body}: {status}");
    }
    let response =
        client.send(Method::POST, EVENTS, "application/json", "{nonsense").await.unwrap();
    assert_eq!(response.status(), 400);
    let response =
        client.send(Method::POST, EVENTS, "application/vnd.kubernetes.protobuf", "x").await;
    assert_eq!(response.unwrap().status(), 415);
}

#[tokio::test]
async fn watches_show_kind_and_version_first_and_lists_lack_them() {
    let (_server, client) = with_events(&["e"]).await;
    let (_, list) = client.raw("/api/v1/events").await;
    assert!(
        list.starts_with(
            r#"{"kind":"EventList","apiVersion":"v1","metadata":{"resourceVersion":""#
        ),
        "{list}"
    );
    assert!(
        list.contains(r#""items":[{"metadata":{"name":"e","namespace":"default","uid":""#),
        "{list}"
    );
    let lines = client.lines("/api/v1/events?watch=1&timeoutSeconds=1").await;
    assert!(lines[0].starts_with(
        r#"{"type":"ADDED","object":{"kind":"Event","apiVersion":"v1","metadata":{"name":"e""#
    ));
    let order = [
        "involvedObject",
        "reason",
        "message",
        "source",
        "firstTimestamp",
        "lastTimestamp",
        "count",
        "type",
        "eventTime",
        "reportingComponent",
    ];
    let places: Vec<_> =
        order.iter().map(|key| lines[0].find(&format!(",\"{key}\":")).unwrap()).collect();
    assert!(places.is_sorted(), "{}", lines[0]);
}

#[tokio::test]
async fn both_groups_show_the_same_event_in_their_words() {
    let (_server, client) = with_events(&["e"]).await;
    let (_, v1) = client.get(&format!("{EVENTS_V1}/e")).await;
    assert_eq!(v1["apiVersion"], "events.k8s.io/v1");
    for (field, value) in [
        ("regarding", json!({"kind": "Pod", "namespace": "default", "name": "web"})),
        ("note", json!("Started container web")),
        ("deprecatedSource", json!({"component": "kubelet", "host": "n1"})),
        ("deprecatedCount", json!(1)),
        ("deprecatedFirstTimestamp", json!("2026-01-01T00:00:00Z")),
        ("deprecatedLastTimestamp", json!("2026-01-01T00:00:01Z")),
        ("eventTime", Value::Null),
    ] {
        assert_eq!(v1.get(field), Some(&value), "{field}");
    }
    assert!(v1.get("reportingController").is_none() && v1.get("message").is_none());

    let new = json!({
        "metadata": {"name": "n"}, "eventTime": "2026-01-01T00:00:00.123456Z", "action": "Binding",
        "reportingController": "c", "reportingInstance": "i", "reason": "Scheduled", "note": "hello",
        "regarding": {"kind": "Pod", "namespace": "default", "name": "web"}, "type": "Normal",
        "series": {"count": 2, "lastObservedTime": "2026-01-01T00:00:00.123456Z"},
    });
    assert_eq!(client.post(EVENTS_V1, &new).await.0, 201);
    let (_, core) = client.get(&format!("{EVENTS}/n")).await;
    for (field, value) in [
        ("message", json!("hello")),
        ("reportingComponent", json!("c")),
        ("source", json!({})),
        ("firstTimestamp", Value::Null),
        ("series", new["series"].clone()),
        ("involvedObject", new["regarding"].clone()),
    ] {
        assert_eq!(core.get(field), Some(&value), "{field}");
    }
    let (_, list) =
        client.get("/apis/events.k8s.io/v1/events?fieldSelector=regarding.name%3Dweb").await;
    assert_eq!((names(&list), &list["items"][1]["note"]), (vec!["e", "n"], &json!("hello")));
    let lines = client.lines("/apis/events.k8s.io/v1/events?watch=1&timeoutSeconds=1").await;
    assert!(
        lines[0]
            .contains(r#""object":{"kind":"Event","apiVersion":"events.k8s.io/v1","metadata":"#)
    );
}

#[tokio::test]
async fn the_newer_group_is_strict() {
    let (_server, client) = with_events(&["e"]).await;
    let new = json!({
        "metadata": {"name": "n"}, "eventTime": "2026-01-01T00:00:00.123456Z", "action": "Binding",
        "reportingController": "c", "reportingInstance": "i", "reason": "Scheduled", "note": "hello",
        "regarding": {"kind": "Pod", "namespace": "default", "name": "web"}, "type": "Normal",
    });
    for (field, value) in [
        ("type", json!("Odd")),
        ("deprecatedCount", json!(1)),
        ("deprecatedSource", json!({"component": "c"})),
        ("series", json!({"count": 1, "lastObservedTime": "2026-01-01T00:00:00.123456Z"})),
    ] {
        let mut odd = new.clone();
        odd[field] = value;
        assert_eq!(client.post(EVENTS_V1, &odd).await.0, 422, "{field}");
    }
    assert_eq!(client.post(EVENTS_V1, &new).await.0, 201);
    for change in [json!({"deprecatedCount": 4}), json!({"note": "other"})] {
        let (code, answer) = client.merge(&format!("{EVENTS_V1}/e"), &change).await;
        let message = answer["message"].as_str().unwrap();
        assert!(code == 422 && message.ends_with("field is immutable"), "{code} {message}");
    }
    let again = json!({"series": {"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z"}});
    assert_eq!(client.merge(&format!("{EVENTS_V1}/n"), &again).await.0, 200);
}

/// A Lease is held by compare-and-swap: an update that names no version would take it from anybody.
#[tokio::test]
async fn a_lease_is_updated_only_by_its_version() {
    let (_server, client) = with_events(&[]).await;
    let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    let lease = json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}});
    assert_eq!(client.post(leases, &lease).await.0, 201);
    let (code, answer) = client.call(Method::PUT, &format!("{leases}/l"), &lease).await;
    let message = answer["message"].as_str().unwrap();
    assert!(code == 422 && message.ends_with("must be specified for an update"), "{message}");
    let mut new = lease.clone();
    new["metadata"] = json!({"name": "m", "resourceVersion": "5"});
    assert_eq!(client.call(Method::PUT, &format!("{leases}/m"), &new).await.0, 201);
}

#[tokio::test]
async fn pages_are_consistent_and_ordered_by_namespace_and_name() {
    let (server, client) = with_events(&["b", "a", "d", "c"]).await;
    let (_, first) = client.get("/api/v1/events?limit=2").await;
    assert_eq!(
        (names(&first), &first["metadata"]["remainingItemCount"]),
        (vec!["a", "b"], &json!(2))
    );
    server.create_event(event("bb")).unwrap();
    server.delete("Event", "default", "c").unwrap();
    let token = first["metadata"]["continue"].as_str().unwrap();
    let (_, second) = client.get(&format!("/api/v1/events?limit=2&continue={token}")).await;
    assert_eq!(names(&second), ["c", "d"], "the list is of the first page's moment");
    assert_eq!(revision(&first), revision(&second));
    assert!(second["metadata"].get("continue").is_none());
    let exact =
        format!("/api/v1/events?resourceVersion={}&resourceVersionMatch=Exact", revision(&first));
    assert_eq!(names(&client.get(&exact).await.1), ["a", "b", "c", "d"]);
    let (_, selected) = client.get("/api/v1/events?limit=1&fieldSelector=type%3DNormal").await;
    assert!(selected["metadata"].get("remainingItemCount").is_none());
}

#[tokio::test]
async fn an_expired_continue_gives_a_token_for_the_inconsistent_rest() {
    let (server, client) = with_events(&["a", "b", "c"]).await;
    let (_, first) = client.get("/api/v1/events?limit=1").await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    server.create_event(event("aa")).unwrap();
    server.compact();
    let (code, status) = client.get(&format!("/api/v1/events?limit=1&continue={token}")).await;
    assert_eq!((code, &status["reason"]), (410, &json!("Expired")));
    let token = status["metadata"]["continue"].as_str().unwrap();
    let (code, rest) = client.get(&format!("/api/v1/events?limit=1&continue={token}")).await;
    assert_eq!((code, names(&rest)), (200, vec!["aa"]), "as of now");
    let token = rest["metadata"]["continue"].as_str().unwrap();
    let (_, rest) = client.get(&format!("/api/v1/events?continue={token}")).await;
    assert_eq!(names(&rest), ["b", "c"]);
    let old = "/api/v1/events?resourceVersion=2&resourceVersionMatch=Exact";
    assert_eq!(client.get(old).await.0, 410);
}

#[tokio::test]
async fn a_watch_replays_history_and_goes_on() {
    let (server, client) = with_events(&["a"]).await;
    let since = server.resource_version();
    client.merge(&format!("{EVENTS}/a"), &json!({"count": 2})).await;
    let mut watch = client.watch(&format!("/api/v1/events?watch=1&resourceVersion={since}")).await;
    assert_eq!(watch.told().await.0, "MODIFIED");
    server.create_event(event("b")).unwrap();
    assert_eq!(watch.told().await.0, "ADDED");
    server.delete("Event", "default", "b").unwrap();
    let (kind, object) = watch.told().await;
    assert_eq!((kind.as_str(), revision(&object)), ("DELETED", server.resource_version()));
}

#[tokio::test]
async fn a_watch_from_before_compaction_gets_one_error_frame() {
    let (server, client) = with_events(&["a", "b"]).await;
    server.compact();
    let lines = client.lines("/api/v1/events?watch=1&resourceVersion=5").await;
    let expected = r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"The resourceVersion for the provided watch is too old.","reason":"Expired","code":410}}"#;
    assert_eq!(lines, [expected]);
    let now = server.resource_version();
    let path = format!("/api/v1/events?watch=1&timeoutSeconds=1&resourceVersion={now}");
    assert!(client.lines(&path).await.is_empty(), "nothing was missed since now");
}

#[tokio::test]
async fn a_watch_from_the_future_is_silent() {
    let (server, client) = with_events(&["a"]).await;
    let future = server.resource_version() + 100;
    let path = format!("/api/v1/events?watch=1&timeoutSeconds=1&resourceVersion={future}");
    let (lines, ()) = tokio::join!(client.lines(&path), async {
        server.create_event(event("b")).unwrap();
    });
    assert!(lines.is_empty(), "{lines:?}");
}

#[tokio::test]
async fn a_streaming_list_ends_with_an_annotated_bookmark() {
    let (server, client) = with_events(&["a", "b"]).await;
    let path = "/api/v1/events?watch=1&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let lines = client.lines(path).await;
    let now = server.resource_version();
    let bookmark = format!(
        r#"{{"type":"BOOKMARK","object":{{"kind":"Event","apiVersion":"v1","metadata":{{"resourceVersion":"{now}","annotations":{{"k8s.io/initial-events-end":"true"}}}},"involvedObject":{{}},"source":{{}},"firstTimestamp":null,"lastTimestamp":null,"eventTime":null,"reportingComponent":"","reportingInstance":""}}}}"#
    );
    assert_eq!((lines.len(), lines[2].clone()), (3, bookmark));
}

#[tokio::test]
async fn periodic_bookmarks_come_where_there_is_a_watch_cache_and_not_for_events() {
    let every = Duration::from_millis(20);
    let server = ApiServer::builder().bookmark_interval(every).start().await.unwrap();
    let client = Client::of(&server);
    let options = "watch=1&timeoutSeconds=1&allowWatchBookmarks=true";
    assert!(client.lines(&format!("/api/v1/events?{options}")).await.is_empty());
    let lines = client.lines(&format!("/api/v1/configmaps?{options}")).await;
    assert!(
        lines[0].starts_with(r#"{"type":"BOOKMARK","object":{"kind":"ConfigMap""#),
        "{lines:?}"
    );
}

#[tokio::test]
async fn an_object_that_leaves_the_selection_is_told_as_deleted_as_it_last_fitted() {
    let (server, client) = start().await;
    let mut labelled = event("a");
    labelled["metadata"]["labels"] = json!({"a": "b"});
    server.create_event(labelled).unwrap();
    let since = server.resource_version();
    for value in ["c", "b"] {
        client.merge(&format!("{EVENTS}/a"), &json!({"metadata": {"labels": {"a": value}}})).await;
    }
    let path = format!("/api/v1/events?watch=1&labelSelector=a%3Db&resourceVersion={since}");
    let mut watch = client.watch(&path).await;
    let (kind, left) = watch.told().await;
    assert_eq!((kind.as_str(), &left["metadata"]["labels"]["a"]), ("DELETED", &json!("b")));
    assert_eq!(revision(&left), since + 1);
    assert_eq!(watch.told().await.0, "ADDED");
}

#[tokio::test]
async fn the_time_to_live_ends_in_a_deletion() {
    let ttl = Some(Duration::from_millis(30));
    let server = ApiServer::builder().event_ttl(ttl).start().await.unwrap();
    let client = Client::of(&server);
    let mut watch = client.watch("/api/v1/events?watch=1").await;
    server.create_event(event("a")).unwrap();
    assert_eq!(watch.told().await.0, "ADDED");
    assert_eq!(watch.told().await.0, "DELETED");
    assert!(server.events().is_empty());
}

#[tokio::test]
async fn a_stale_update_conflicts_and_a_fresh_one_counts_on() {
    let (_server, client) = start().await;
    let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    let (_, lease) = client
        .post(leases, &json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}}))
        .await;
    let mut next = lease.clone();
    next["spec"]["holderIdentity"] = "b".into();
    let path = format!("{leases}/l");
    let (code, updated) = client.call(Method::PUT, &path, &next).await;
    assert_eq!(code, 200);
    assert!(revision(&updated) > revision(&lease));
    let (code, status) = client.call(Method::PUT, &path, &next).await;
    assert_eq!((code, &status["reason"]), (409, &json!("Conflict")));
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .starts_with("Operation cannot be fulfilled on leases.coordination.k8s.io \"l\"")
    );
    let (_, same) = client.call(Method::PUT, &path, &updated).await;
    assert_eq!(revision(&same), revision(&updated), "what changes nothing writes nothing");
    let missing = json!({"metadata": {"name": "none"}});
    assert_eq!(client.call(Method::PUT, &format!("{leases}/none"), &missing).await.0, 201);
    let maps = "/api/v1/namespaces/default/configmaps/none";
    assert_eq!(client.call(Method::PUT, maps, &missing).await.0, 404);
}

#[tokio::test]
async fn custom_resources_have_status_generation_and_finalizers() {
    let (_server, client) = start().await;
    let (code, created) = client.post(RULES, &rule()).await;
    assert_eq!(
        (code, &created["metadata"]["generation"], created.get("status")),
        (201, &json!(1), None)
    );
    let path = format!("{RULES}/r");
    let (_, object) = client
        .merge(&format!("{path}/status"), &json!({"spec": {"x": 1}, "status": {"ok": 1}}))
        .await;
    assert_eq!((&object["spec"], &object["status"]), (&json!({"rules": []}), &json!({"ok": 1})));
    let (_, object) = client.merge(&path, &json!({"spec": {"x": 1}, "status": {"ok": 2}})).await;
    assert_eq!(
        (&object["metadata"]["generation"], &object["status"]["ok"]),
        (&json!(2), &json!(1))
    );

    let (_, text) = client.raw("/apis/events.kubesphere.io/v1alpha1/rules").await;
    assert!(text.starts_with(r#"{"apiVersion":"events.kubesphere.io/v1alpha1","items":[{"apiVersion":"events.kubesphere.io/v1alpha1","kind":"Rule","metadata":{"creationTimestamp":"#), "{text}");

    let (code, marked) = client.call(Method::DELETE, &path, &json!({})).await;
    assert_eq!(code, 200);
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    let (_, freed) = client.merge(&path, &json!({"metadata": {"finalizers": null}})).await;
    assert_eq!(revision(&freed), revision(&marked));
    assert_eq!(client.get(&path).await.0, 404);
}

#[tokio::test]
async fn patches_of_every_kind_work() {
    let (_server, client) = start().await;
    let map = "/api/v1/namespaces/default/configmaps/c";
    let apply = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}});
    let kind = "application/apply-patch+yaml";
    assert_eq!(client.typed(Method::PATCH, map, kind, &apply).await.0, 422);
    let named = format!("{map}?fieldManager=fm");
    let (code, created) = client.typed(Method::PATCH, &named, kind, &apply).await;
    assert_eq!(code, 201);
    let entry = &created["metadata"]["managedFields"][0];
    assert_eq!((&entry["manager"], &entry["operation"]), (&json!("fm"), &json!("Apply")));
    assert_eq!(entry["fieldsV1"], json!({"f:data": {"f:a": {}}}));
    let (code, again) = client.typed(Method::PATCH, &named, kind, &apply).await;
    assert_eq!((code, revision(&again)), (200, revision(&created)));

    let replace = json!([{"op": "test", "path": "/data/a", "value": "b"}, {"op": "add", "path": "/data/c", "value": "d"}]);
    let kind = "application/json-patch+json";
    let (code, patched) = client.typed(Method::PATCH, map, kind, &replace).await;
    assert_eq!((code, &patched["data"]), (200, &json!({"a": "b", "c": "d"})));
    let failing = json!([{"op": "test", "path": "/data/a", "value": "x"}]);
    assert_eq!(client.typed(Method::PATCH, map, kind, &failing).await.0, 422);
    let strategic = "application/strategic-merge-patch+json";
    let (_, patched) =
        client.typed(Method::PATCH, map, strategic, &json!({"data": {"a": null}})).await;
    assert_eq!(patched["data"], json!({"c": "d"}));
    assert_eq!(client.typed(Method::PATCH, map, "text/plain", &json!({})).await.0, 415);
    assert_eq!(client.merge("/api/v1/namespaces/default/configmaps/none", &json!({})).await.0, 404);
}

#[tokio::test]
async fn deletion_answers_with_a_status_and_takes_what_is_owned() {
    let (server, client) = start().await;
    let owner = server
        .create(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}}))
        .unwrap();
    let uid = &owner["metadata"]["uid"];
    let reference = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid});
    server.create(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "owned", "ownerReferences": [reference]}})).unwrap();
    let path = "/api/v1/namespaces/default/configmaps/owner";
    let wrong = json!({"preconditions": {"uid": "nope"}});
    assert_eq!(client.call(Method::DELETE, path, &wrong).await.0, 409);
    let (code, status) = client.call(Method::DELETE, path, &json!({})).await;
    assert_eq!(
        (code, &status["details"]),
        (200, &json!({"name": "owner", "kind": "configmaps", "uid": uid}))
    );
    assert_eq!(client.get("/api/v1/namespaces/default/secrets/owned").await.0, 404);
    server.create_event(event("a")).unwrap();
    let (code, list) = client.call(Method::DELETE, EVENTS, &json!({})).await;
    assert_eq!((code, names(&list)), (200, vec!["a"]));
    assert!(server.events().is_empty());
    server.create(rule()).unwrap();
    server.update(json!({"apiVersion": "events.kubesphere.io/v1alpha1", "kind": "Rule", "metadata": {"name": "r", "finalizers": null}})).unwrap();
    server.delete("Namespace", "", "default").unwrap();
    assert!(server.get("Rule", "default", "r").is_err(), "a namespace goes with what lives in it");
}

#[tokio::test]
async fn metadata_alone_can_be_asked_for() {
    let (server, client) = with_events(&["a"]).await;
    let response = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/api/v1/events", server.url());
    let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let list: Value =
        response.get(url).header("accept", accept).send().await.unwrap().json().await.unwrap();
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(
        (&list["items"][0]["kind"], list["items"][0].get("reason")),
        (&json!("PartialObjectMetadata"), None)
    );
    drop(client);
}

#[tokio::test]
async fn discovery_knows_every_resource() {
    let (_server, client) = start().await;
    for (path, kind) in [
        ("/version", ""),
        ("/api", "APIVersions"),
        ("/apis", "APIGroupList"),
        ("/apis/events.k8s.io", "APIGroup"),
        ("/api/v1", "APIResourceList"),
        ("/apis/events.kubesphere.io/v1alpha1", "APIResourceList"),
    ] {
        let (code, found) = client.get(path).await;
        assert_eq!((code, found["kind"].as_str().unwrap_or("")), (200, kind), "{path}");
    }
    for path in ["/healthz", "/livez", "/readyz"] {
        assert_eq!(client.raw(path).await, (200, "ok".to_owned()));
    }
}

#[tokio::test]
async fn resource_versions_can_jump_back() {
    let (server, client) = with_events(&["a"]).await;
    let backup = server.snapshot();
    let then = server.resource_version();
    server.create_event(event("b")).unwrap();
    server.delete("Event", "default", "a").unwrap();
    server.restore(&backup);
    assert_eq!(
        (server.resource_version(), names(&client.get("/api/v1/events").await.1)),
        (then, vec!["a"])
    );
    server.create_event(event("c")).unwrap();
    server.rewind(then).unwrap();
    assert_eq!(names(&client.get("/api/v1/events").await.1), ["a"]);
}

#[tokio::test]
async fn events_written_in_bulk_look_as_those_written_over_http() {
    let (server, client) = start().await;
    let steps: Vec<_> = Workload::seeded(3).take(2_000).collect();
    let identities = server.write_events(steps.iter().map(kube_events_testkit::Step::event));
    assert_eq!(identities.len(), steps.len());
    assert!(identities.is_sorted_by_key(|identity| identity.resource_version));
    // The last step of all is the last of its Event.
    let draft = steps[steps.len() - 1].event();
    let (_, bulk) =
        client.get(&format!("/api/v1/namespaces/{}/events/{}", draft.namespace, draft.name)).await;
    let mut json = draft.to_json();
    json["metadata"]["name"] = "copy".into();
    let (code, posted) =
        client.post(&format!("/api/v1/namespaces/{}/events", draft.namespace), &json).await;
    assert_eq!(code, 201, "{posted}");
    let keys = |event: &Value| event.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!((keys(&bulk), keys(&bulk["metadata"])), (keys(&posted), keys(&posted["metadata"])));
}

#[tokio::test]
async fn a_live_watch_tells_every_state_once_and_in_order() {
    const STEPS: usize = 3_000;
    let (server, client) = start().await;
    let now = server.resource_version();
    let mut watch = client.watch(&format!("/api/v1/events?watch=1&resourceVersion={now}")).await;
    let mut created = Vec::new();
    let mut workload = Workload::seeded(11);
    let drive = workload.drive(&server, 20_000, Extent::Steps(STEPS), |batch| {
        created.extend_from_slice(batch);
    });
    let read = async {
        let mut told = Vec::new();
        while told.len() < STEPS {
            told.push(Identity::of(&watch.told().await.1).unwrap());
        }
        told
    };
    let (driven, told) = tokio::join!(drive, read);
    assert_eq!(driven.unwrap(), STEPS);
    assert_eq!(told, created, "one watch tells all changes in their order");
    let report = Expectation::EveryState.check(&created, &told);
    assert!(report.is_perfect(), "{report:?}");
    let listed = server.event_identities();
    assert!(Expectation::LatestState.check(&created, &listed).is_perfect());
}
