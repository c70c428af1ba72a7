//! Bounds that no type has: an API server refuses what lies beyond them, and says what to do.
//!
//! Fields of the Go project keep taking what worked with it. A rule for each item of a list counts
//! against the API server's budget with the most items that there may be, so lists and texts have a
//! greatest length.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrBool,
};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// Headers whose values are secrets: these come from files.
const SECRET_HEADERS: &str = "authorization|proxy-authorization|cookie";

const ADDRESS: &str = "the address has to begin with http:// or https:// and a host";

/// The form of a quantity:
/// <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>.
const QUANTITY: &str =
    r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$";

/// Gives the container's resources the form that their type does not tell: the Deployment would be
/// refused for them, long after the object was taken.
pub(super) fn with_quantities(
    mut definition: CustomResourceDefinition,
) -> CustomResourceDefinition {
    for version in &mut definition.spec.versions {
        let schema = version.schema.as_mut().and_then(|it| it.open_api_v3_schema.as_mut());
        let resources = schema.and_then(|it| property(it, "spec")?.properties.as_mut());
        let Some(resources) = resources.and_then(|it| it.get_mut("resources")) else { continue };
        for field in ["limits", "requests"] {
            let amounts =
                property(resources, field).and_then(|it| it.additional_properties.as_mut());
            if let Some(JSONSchemaPropsOrBool::Schema(amount)) = amounts {
                amount.pattern = Some(QUANTITY.to_owned());
            }
        }
    }
    definition
}

fn property<'a>(schema: &'a mut JSONSchemaProps, name: &str) -> Option<&'a mut JSONSchemaProps> {
    schema.properties.as_mut()?.get_mut(name)
}

/// A rule of CEL, and what its refusal says.
fn rule(rule: &str, message: &str) -> Value {
    json!({ "rule": rule, "message": message })
}

/// The characters of `self`, an integer or a text of at most `length`, as a list in CEL. Kubernetes 1.30 takes
/// such a text for megabytes long, and a regular expression of it is beyond the budget.
pub(super) fn characters(length: usize) -> String {
    let indices: Vec<_> = (0..length).collect();
    format!("{indices:?}.filter(i, i < size(self)).map(i, self.charAt(i))")
}

/// The address of a receiver. The Go project took blank for none.
pub(super) fn url(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "nullable": true,
        "maxLength": 2048,
        "x-kubernetes-validations": [rule(
            "self.trim() == '' || self.matches('(?i)^[[:space:]]*https?://[^/?#]')",
            ADDRESS,
        )],
    })
}

/// Addresses of receivers.
pub(super) fn urls(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 32,
        "items": {
            "type": "string",
            "minLength": 1,
            "maxLength": 2048,
            "x-kubernetes-validations": [rule("self.matches('(?i)^https?://[^/?#]')", ADDRESS)],
        },
    })
}

/// Headers of requests.
pub(super) fn headers(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {"type": "string", "maxLength": 4096},
        "x-kubernetes-validations": [rule(
            &format!("self.all(name, !name.matches('(?i)^({SECRET_HEADERS})$'))"),
            "a header with credentials would be in plain text: use bearerToken or \
             basicAuth.password with a secretKeyRef",
        )],
    })
}

/// The name of a Service or of its namespace.
pub(super) fn service(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 253,
        "x-kubernetes-validations": [rule(
            "self.matches('^[A-Za-z0-9-]+$')",
            "the name of a Service or of its namespace has letters, digits and dashes only",
        )],
    })
}

/// Like [`service`], for a field that may be missing.
pub(super) fn optional_service(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = service(generator);
    schema.insert("nullable".to_owned(), true.into());
    schema
}

/// The name of a lane.
pub(super) fn lane(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "nullable": true,
        "maxLength": 253,
        "x-kubernetes-validations": [rule("self.trim() != ''", "a name has to be more than spaces")],
    })
}

/// What is wrong with an exporter's sinks as a whole.
pub(super) fn exporter_sinks() -> Value {
    json!([names(&["webhooks", "files"]), files()])
}

/// What is wrong with a ruler's sinks as a whole.
pub(super) fn ruler_sinks() -> Value {
    json!([names(&["webhooks", "files", "alertmanagers"]), files()])
}

/// What is wrong with a webhook as a whole.
pub(super) fn webhook() -> Value {
    let [token, user] = credentials();
    let target = rule(
        "(has(self.url) && self.url != '') != has(self.service)",
        "exactly one of url and service has to be set",
    );
    json!([target, token, user])
}

/// What is wrong with an Alertmanager as a whole. `namespace` is a word of CEL's own, which in Kubernetes 1.30
/// names no field unless it is written like this.
pub(super) fn alertmanager() -> Value {
    let [token, user] = credentials();
    let by_urls = "(has(self.urls) && size(self.urls) > 0)";
    let https = "has(self.scheme) && self.scheme == 'https'";
    json!([
        rule(
            &format!("{by_urls} != (has(self.__namespace__) && has(self.name))"),
            "exactly one of urls, and namespace with name, has to be set",
        ),
        rule("has(self.__namespace__) == has(self.name)", "namespace and name belong together"),
        rule(
            &format!(
                "!{by_urls} || !(has(self.port) || has(self.targetPort) || has(self.path) || {https})"
            ),
            "port, targetPort, path and scheme are those of a Service: write them into urls",
        ),
        rule(
            &format!(
                "{by_urls} || !({https}) || has(self.tls) && (has(self.tls.serverName) || \
                 has(self.tls.insecureSkipVerify) && self.tls.insecureSkipVerify)"
            ),
            "scheme https needs tls.serverName: replicas are reached by their addresses, which \
             certificates do not name",
        ),
        token,
        user,
    ])
}

fn credentials() -> [Value; 2] {
    [
        rule(
            "!(has(self.bearerToken) && has(self.bearerTokenFile))",
            "bearerToken cannot be set beside bearerTokenFile",
        ),
        rule(
            "!(has(self.basicAuth) && (has(self.bearerToken) || has(self.bearerTokenFile)))",
            "basicAuth cannot be set beside bearerToken or bearerTokenFile",
        ),
    ]
}

/// No two lanes have one name. Those without a name are named after their targets.
fn names(lists: &[&str]) -> Value {
    let of = |list: &&str| {
        let name = if *list == "alertmanagers" { "lane" } else { "name" };
        format!("(has(self.{list}) ? self.{list}.filter(s, has(s.{name})).map(s, s.{name}) : [])")
    };
    let mut all: Vec<_> = lists.iter().map(of).collect();
    all.push("(has(self.stdout) ? ['stdout'] : [])".to_owned());
    if lists.contains(&"alertmanagers") {
        let single = "has(self.alertmanager) && has(self.alertmanager.lane)";
        all.push(format!("({single} ? [self.alertmanager.lane] : [])"));
    }
    let all = format!("({})", all.join(" + "));
    rule(
        &format!("{all}.all(a, {all}.exists_one(b, a == b))"),
        "two sinks have one name: change the `name` of one, of an Alertmanager its `lane`",
    )
}

/// Two sinks that rotate one file would lose what the other wrote.
fn files() -> Value {
    rule(
        "!has(self.files) || self.files.all(a, self.files.exists_one(b, a.path == b.path))",
        "two sinks write one file: change the `path` of one",
    )
}

/// What is wrong with a user and password.
pub(super) fn basic_auth() -> Value {
    json!([rule(
        "!(has(self.password) && has(self.passwordFile))",
        "password cannot be set beside passwordFile",
    )])
}

/// What is wrong with settings of TLS.
pub(super) fn tls() -> Value {
    json!([
        rule(
            "!(has(self.ca) && has(self.caFile)) && !(has(self.cert) && has(self.certFile)) && \
             !(has(self.key) && has(self.keyFile))",
            "a Secret cannot be set beside a file for the same thing",
        ),
        rule(
            "(has(self.cert) || has(self.certFile)) == (has(self.key) || has(self.keyFile))",
            "our own certificate and its key belong together",
        ),
        rule(
            "!has(self.serverName) || has(self.ca) || has(self.caFile)",
            "serverName needs ca or caFile",
        ),
        rule(
            "!has(self.serverName) || !has(self.insecureSkipVerify) || !self.insecureSkipVerify",
            "serverName has no effect beside insecureSkipVerify",
        ),
    ])
}

/// A condition of a Rule: its text is compiled elsewhere, its length counts in bytes.
pub(super) fn condition() -> Value {
    json!([rule(
        &format!("size(bytes(self)) <= {}", super::MAX_CONDITION),
        "a condition has 16384 bytes at most, and letters beyond ASCII are several",
    )])
}

/// The volumes that a user brings.
#[cfg(feature = "kubernetes")]
pub(super) fn volumes() -> Value {
    json!([rule(
        "self.all(volume, volume.name != 'config')",
        "the volume config is the operator's own: give yours another name",
    )])
}
