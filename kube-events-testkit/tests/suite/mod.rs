//! What a real API server (1.37) does with what is applied: run on the embedded one, and by
//! `e2e/tests/testkit.rs` on a real one.

use http::{Method, Request};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";

/// A namespace of its own for each fact.
struct Place {
    client: Client,
    namespace: &'static str,
}

// === impl Place ===

impl Place {
    async fn new(client: &Client, namespace: &'static str) -> Self {
        let place = Self { client: client.clone(), namespace };
        let object = json!({"metadata": {"name": namespace}});
        let (code, _) = place.post("/api/v1/namespaces", &object).await;
        assert_eq!(code, 201, "{namespace}");
        place
    }

    fn map(&self) -> String {
        format!("/api/v1/namespaces/{}/configmaps/c", self.namespace)
    }

    fn deployment(&self) -> String {
        format!("/apis/apps/v1/namespaces/{}/deployments/d", self.namespace)
    }

    async fn call(&self, method: Method, path: &str, kind: &str, body: &Value) -> (u16, Value) {
        let request = Request::builder().method(method).uri(path).header("content-type", kind);
        let request = request.body(Body::from(body.to_string().into_bytes())).unwrap();
        let response = self.client.send(request).await.unwrap();
        let code = response.status().as_u16();
        let body = response.into_body().collect_bytes().await.unwrap();
        (code, serde_json::from_slice(&body).unwrap())
    }

    async fn post(&self, path: &str, object: &Value) -> (u16, Value) {
        self.call(Method::POST, path, "application/json", object).await
    }

    async fn apply(&self, path: &str, manager: &str, object: &Value) -> (u16, Value) {
        self.call(Method::PATCH, &format!("{path}?fieldManager={manager}"), APPLY, object).await
    }

    async fn force(&self, path: &str, manager: &str, object: &Value) -> (u16, Value) {
        let path = format!("{path}?force=true&fieldManager={manager}");
        self.call(Method::PATCH, &path, APPLY, object).await
    }

    /// A change that a person makes.
    async fn edit(&self, path: &str, patch: &Value) -> (u16, Value) {
        self.call(Method::PATCH, &format!("{path}?fieldManager=hand"), MERGE, patch).await
    }
}

fn map(data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data})
}

fn deployment(containers: &Value) -> Value {
    let labels = json!({"a": "b"});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        },
    })
}

/// What the containers of a Deployment have of their own, without the server's defaults.
fn containers(deployment: &Value) -> Value {
    const OWN: [&str; 4] = ["name", "image", "env", "tty"];
    let mut containers = deployment["spec"]["template"]["spec"]["containers"].clone();
    for container in containers.as_array_mut().unwrap() {
        container.as_object_mut().unwrap().retain(|key, _| OWN.contains(&key.as_str()));
    }
    containers
}

/// Who owns what, one line each.
fn owners(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let line = |entry: &Value| {
        let text = |key: &str| entry[key].as_str().unwrap_or("").to_owned();
        format!("{} {} {}", text("manager"), text("operation"), entry["fieldsV1"])
    };
    // The order is that of their times, which have seconds only.
    let mut lines: Vec<_> = entries.map(line).collect();
    lines.sort();
    lines
}

fn entry<'a>(object: &'a Value, manager: &str) -> &'a Value {
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    entries.iter().find(|entry| entry["manager"] == manager).unwrap()
}

pub(crate) async fn what_is_no_longer_applied_goes_unless_another_manager_owns_it(client: &Client) {
    let at = Place::new(client, "apply-less").await;
    let path = at.map();
    at.apply(&path, "one", &map(&json!({"a": "1", "b": "1"}))).await;
    at.apply(&path, "two", &map(&json!({"a": "1"}))).await;
    let (code, object) = at.apply(&path, "one", &map(&json!({"c": "1"}))).await;
    assert_eq!((code, &object["data"]), (200, &json!({"a": "1", "c": "1"})));
    let expected = [r#"one Apply {"f:data":{"f:c":{}}}"#, r#"two Apply {"f:data":{"f:a":{}}}"#];
    assert_eq!(owners(&object), expected);
    let (_, object) = at.apply(&path, "one", &map(&json!({}))).await;
    assert_eq!(object["data"], json!({"a": "1"}));
    let (_, object) = at.apply(&path, "two", &map(&json!({}))).await;
    assert_eq!(object.get("data"), None, "nothing empty stays behind");
}

pub(crate) async fn an_update_takes_fields_and_a_forced_apply_takes_them_back(client: &Client) {
    let at = Place::new(client, "apply-back").await;
    let path = at.map();
    let ours = map(&json!({"a": "1", "b": "1"}));
    at.apply(&path, "one", &ours).await;
    let (_, object) = at.edit(&path, &json!({"data": {"a": "2", "z": "1"}})).await;
    let expected =
        [r#"hand Update {"f:data":{"f:a":{},"f:z":{}}}"#, r#"one Apply {"f:data":{"f:b":{}}}"#];
    assert_eq!(owners(&object), expected);

    let (code, status) = at.apply(&path, "one", &ours).await;
    let message = "Apply failed with 1 conflict: conflict with \"hand\" using v1: .data.a";
    assert_eq!((code, &status["reason"]), (409, &json!("Conflict")));
    assert_eq!(status["message"], message);
    let cause = json!({
        "reason": "FieldManagerConflict", "field": ".data.a",
        "message": "conflict with \"hand\" using v1",
    });
    assert_eq!(status["details"]["causes"], json!([cause]));
    let more = map(&json!({"a": "1", "z": "2"}));
    let (_, status) = at.apply(&path, "one", &more).await;
    let message =
        "Apply failed with 2 conflicts: conflicts with \"hand\" using v1:\n- .data.a\n- .data.z";
    assert_eq!(status["message"], message);

    let (code, object) = at.force(&path, "one", &ours).await;
    assert_eq!((code, &object["data"]), (200, &json!({"a": "1", "b": "1", "z": "1"})));
    let expected =
        [r#"hand Update {"f:data":{"f:z":{}}}"#, r#"one Apply {"f:data":{"f:a":{},"f:b":{}}}"#];
    assert_eq!(owners(&object), expected);
}

pub(crate) async fn a_new_label_is_owned_with_the_map_that_holds_it(client: &Client) {
    let at = Place::new(client, "apply-labels").await;
    let mut object = map(&json!({"a": "1"}));
    object["metadata"]["labels"] = json!({"ours": "1"});
    let path = at.map();
    let (_, object) = at.apply(&path, "one", &object).await;
    let expected = [r#"one Apply {"f:data":{"f:a":{}},"f:metadata":{"f:labels":{"f:ours":{}}}}"#];
    assert_eq!(owners(&object), expected);
    let patch = json!({"metadata": {"annotations": {"k": "v"}, "labels": {"theirs": "1"}}});
    let (_, object) = at.edit(&path, &patch).await;
    let annotations = r#""f:annotations":{".":{},"f:k":{}}"#;
    let theirs =
        format!(r#"hand Update {{"f:metadata":{{{annotations},"f:labels":{{"f:theirs":{{}}}}}}}}"#);
    assert_eq!(owners(&object)[0], theirs);
}

pub(crate) async fn the_same_again_writes_nothing(client: &Client) {
    let at = Place::new(client, "apply-again").await;
    let object = map(&json!({"a": "1"}));
    let (code, created) = at.apply(&at.map(), "one", &object).await;
    assert_eq!(code, 201);
    assert_eq!(at.apply(&at.map(), "one", &object).await, (200, created.clone()));
    let (_, shared) = at.apply(&at.map(), "two", &object).await;
    assert_ne!(shared["metadata"]["resourceVersion"], created["metadata"]["resourceVersion"]);
}

pub(crate) async fn items_are_merged_by_their_keys(client: &Client) {
    let at = Place::new(client, "apply-items").await;
    let path = at.deployment();
    let ours = json!([{"name": "a", "image": "1", "env": [{"name": "E", "value": "1"}]}]);
    at.apply(&path, "one", &deployment(&ours)).await;
    let hand = json!([
        {"name": "a", "image": "1", "env": [{"name": "E", "value": "1"}], "tty": true},
        {"name": "side", "image": "s"},
    ]);
    let hand = json!({"spec": {"template": {"spec": {"containers": hand}}}});
    at.edit(&path, &hand).await;
    let less = json!([{"name": "a", "image": "2"}, {"name": "b", "image": "1"}]);
    let (_, object) = at.apply(&path, "one", &deployment(&less)).await;
    let expected = json!([
        {"name": "a", "image": "2", "tty": true},
        {"name": "side", "image": "s"},
        {"name": "b", "image": "1"},
    ]);
    assert_eq!(containers(&object), expected);
    assert_eq!(object["metadata"]["generation"], 3);

    // An item that nobody applies any more goes as a whole, with what others put into it.
    let other = json!([{"name": "b", "image": "1"}]);
    let (_, object) = at.apply(&path, "one", &deployment(&other)).await;
    let expected = json!([{"name": "side", "image": "s"}, {"name": "b", "image": "1"}]);
    assert_eq!(containers(&object), expected);
    let order = json!([
        {"name": "side", "image": "s"}, {"name": "n", "image": "1"}, {"name": "b", "image": "1"},
    ]);
    let (_, object) = at.apply(&path, "one", &deployment(&order)).await;
    assert_eq!(containers(&object), order);
}

pub(crate) async fn what_a_type_says_is_one_field_is_owned_as_one(client: &Client) {
    let at = Place::new(client, "apply-whole").await;
    let owner = json!({"apiVersion": "v1", "kind": "Namespace", "name": "default", "uid": "u"});
    let ports = json!([{"containerPort": 80}]);
    let mut object = deployment(&json!([{"name": "a", "image": "1", "ports": ports}]));
    object["metadata"]["ownerReferences"] = json!([owner]);
    object["metadata"]["finalizers"] = json!(["a.b/c"]);
    let pod = &mut object["spec"]["template"]["spec"];
    pod["nodeSelector"] = json!({"x": "y"});
    pod["imagePullSecrets"] = json!([{"name": "s"}]);
    pod["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
    let (_, created) = at.apply(&at.deployment(), "one", &object).await;
    let container = json!({
        ".": {}, "f:image": {}, "f:name": {},
        "f:ports": {
            "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}},
        },
    });
    let pod = json!({
        "f:containers": {"k:{\"name\":\"a\"}": container},
        "f:imagePullSecrets": {"k:{\"name\":\"s\"}": {}},
        "f:nodeSelector": {},
        "f:volumes": {"k:{\"name\":\"v\"}": {".": {}, "f:emptyDir": {}, "f:name": {}}},
    });
    let expected = json!({
        "f:metadata": {
            "f:finalizers": {"v:\"a.b/c\"": {}},
            "f:ownerReferences": {"k:{\"uid\":\"u\"}": {}},
        },
        "f:spec": {
            "f:selector": {},
            "f:template": {"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": pod},
        },
    });
    assert_eq!(entry(&created, "one")["fieldsV1"], expected);
}

pub(crate) async fn a_null_takes_a_field_out(client: &Client) {
    let at = Place::new(client, "apply-null").await;
    let path = at.deployment();
    let mut object = deployment(&json!([{"name": "a", "image": "1"}]));
    let rolling = json!({"maxSurge": 1, "maxUnavailable": 1});
    object["spec"]["strategy"] = json!({"type": "RollingUpdate", "rollingUpdate": rolling});
    at.apply(&path, "one", &object).await;
    object["spec"]["strategy"] = json!({"type": "Recreate", "rollingUpdate": null});
    let (code, changed) = at.apply(&path, "one", &object).await;
    assert_eq!((code, &changed["spec"]["strategy"]), (200, &json!({"type": "Recreate"})));
    let fields = &entry(&changed, "one")["fieldsV1"]["f:spec"]["f:strategy"];
    assert_eq!(fields, &json!({"f:rollingUpdate": {}, "f:type": {}}));
}

pub(crate) async fn the_status_is_applied_where_it_is_asked_for_alone(client: &Client) {
    let at = Place::new(client, "apply-status").await;
    let mut object = deployment(&json!([{"name": "a", "image": "1"}]));
    object["status"] = json!({"replicas": 1});
    let (_, created) = at.apply(&at.deployment(), "one", &object).await;
    assert_eq!(created["status"]["replicas"], Value::Null);
    object["status"]["conditions"] = json!([{"type": "Available", "status": "True"}]);
    let (_, told) = at.apply(&format!("{}/status", at.deployment()), "two", &object).await;
    assert_eq!(told["status"]["conditions"][0]["status"], "True");
    let entry = entry(&told, "two");
    let condition = json!({"k:{\"type\":\"Available\"}": {".": {}, "f:status": {}, "f:type": {}}});
    let fields = json!({"f:status": {"f:conditions": condition, "f:replicas": {}}});
    assert_eq!((&entry["subresource"], &entry["fieldsV1"]), (&json!("status"), &fields));
}

pub(crate) async fn what_cannot_be_applied_is_refused(client: &Client) {
    let at = Place::new(client, "apply-refused").await;
    at.apply(&at.map(), "one", &map(&json!({}))).await;
    let stale = "Operation cannot be fulfilled on configmaps \"c\": the object has been modified; \
                 please apply your changes to the latest version and try again";
    let other = "the name of the object (other) does not match the name on the URL (c)";
    let with = |key: &str, value: Value| {
        let mut object = map(&json!({"a": "1"}));
        object["metadata"][key] = value;
        object
    };
    for (object, code, message) in [
        (json!({"metadata": {"name": "c"}}), 400, "invalid object type: /, Kind="),
        (with("managedFields", json!([{}])), 400, "metadata.managedFields must be nil"),
        (with("name", json!("other")), 400, other),
        (with("resourceVersion", json!("1")), 409, stale),
    ] {
        let (found, status) = at.apply(&at.map(), "one", &object).await;
        assert_eq!((found, &status["message"]), (code, &json!(message)), "{object}");
    }
}

pub(crate) async fn what_names_a_uid_is_applied_to_that_object_alone(client: &Client) {
    let at = Place::new(client, "apply-uid").await;
    let other = json!("11111111-2222-3333-4444-555555555555");
    let with = |uid: &Value, value: &str| {
        let mut object = map(&json!({"a": value}));
        object["metadata"]["uid"] = uid.clone();
        object
    };
    let (code, status) = at.force(&at.map(), "one", &with(&other, "1")).await;
    let none = "Operation cannot be fulfilled on configmaps \"c\": uid mismatch: the provided \
                object specified uid 11111111-2222-3333-4444-555555555555, and no existing object \
                was found";
    assert_eq!((code, &status["message"]), (409, &json!(none)));
    let (code, created) = at.force(&at.map(), "one", &map(&json!({"a": "1"}))).await;
    assert_eq!(code, 201);
    let uid = &created["metadata"]["uid"];
    let (code, changed) = at.force(&at.map(), "one", &with(uid, "2")).await;
    assert_eq!((code, &changed["data"]), (200, &json!({"a": "2"})));
    assert_eq!(entry(&changed, "one")["fieldsV1"], json!({"f:data": {"f:a": {}}}));
    let edit = json!({"metadata": {"uid": other}});
    for (code, status) in
        [at.force(&at.map(), "one", &with(&other, "3")).await, at.edit(&at.map(), &edit).await]
    {
        let cause = &status["details"]["causes"][0];
        assert_eq!((code, &cause["field"]), (422, &json!("metadata.uid")));
        let message = cause["message"].as_str().unwrap();
        assert!(message.ends_with("field is immutable"), "{message}");
    }
}

pub(crate) async fn what_is_put_with_a_uid_has_to_be_there(client: &Client) {
    let at = Place::new(client, "put-uid").await;
    let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", at.namespace);
    let lease = format!("{leases}/l");
    let put = async |lease_object: &Value| {
        at.call(Method::PUT, &lease, "application/json", lease_object).await
    };
    let new = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"},
    });
    let (code, created) = put(&new).await;
    assert_eq!(code, 201, "{created}");
    at.call(Method::DELETE, &lease, "application/json", &json!({})).await;
    let (code, status) = put(&created).await;
    let message = format!(
        "Operation cannot be fulfilled on leases.coordination.k8s.io \"l\": StorageError: invalid \
         object, Code: 4, Key: /registry/leases/put-uid/l, ResourceVersion: 0, AdditionalErrorMsg: \
         Precondition failed: UID in precondition: {}, UID in object meta: ",
        created["metadata"]["uid"].as_str().unwrap()
    );
    assert_eq!((code, &status["message"]), (409, &json!(message)));
}

pub(crate) async fn a_version_that_is_never_there_makes_an_apply_create_only(client: &Client) {
    let at = Place::new(client, "apply-create").await;
    let new = |value: &str| {
        let mut object = map(&json!({"a": value}));
        object["metadata"]["resourceVersion"] = json!("1");
        object
    };
    let (code, created) = at.force(&at.map(), "one", &new("1")).await;
    assert_eq!((code, &created["data"]), (201, &json!({"a": "1"})), "{created}");
    assert_eq!(entry(&created, "one")["fieldsV1"], json!({"f:data": {"f:a": {}}}));
    let (code, status) = at.force(&at.map(), "one", &new("2")).await;
    assert_eq!((code, &status["reason"]), (409, &json!("Conflict")), "{status}");
}

pub(crate) async fn a_binding_keeps_its_role(client: &Client) {
    let at = Place::new(client, "apply-binding").await;
    let group = "rbac.authorization.k8s.io";
    let path = format!("/apis/{group}/v1/namespaces/{}/rolebindings/b", at.namespace);
    let binding = |role: &str| {
        json!({
            "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": {"name": "b"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        })
    };
    assert_eq!(at.apply(&path, "one", &binding("view")).await.0, 201);
    let (code, status) = at.apply(&path, "one", &binding("edit")).await;
    assert_eq!((code, &status["details"]["causes"][0]["field"]), (422, &json!("roleRef")));
}

pub(crate) async fn nothing_new_comes_into_a_namespace_that_ends(client: &Client) {
    let at = Place::new(client, "apply-ending").await;
    let namespace = format!("/api/v1/namespaces/{}", at.namespace);
    at.edit(&namespace, &json!({"metadata": {"finalizers": ["a.b/c"]}})).await;
    let (_, ending) = at.call(Method::DELETE, &namespace, "application/json", &json!({})).await;
    assert_eq!(ending["status"]["phase"], "Terminating");
    for (code, status) in [
        at.apply(&at.map(), "one", &map(&json!({}))).await,
        at.post(&format!("{namespace}/configmaps"), &map(&json!({}))).await,
    ] {
        let message = "configmaps \"c\" is forbidden: unable to create new content in namespace \
                       apply-ending because it is being terminated";
        assert_eq!((code, &status["message"]), (403, &json!(message)));
        assert_eq!(status["details"]["causes"][0]["reason"], "NamespaceTerminating");
    }
}
