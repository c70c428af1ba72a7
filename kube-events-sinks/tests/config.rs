//! Configurations as people write them.
#![cfg(all(feature = "stdout", feature = "file", feature = "webhook", feature = "alertmanager"))]

use std::fs;

use kube_events_core::crd::sinks::{ExporterSinks, RulerSinks};
use kube_events_sinks::{Context, Lane, SinkConfig};
use serde::{Deserialize, de::DeserializeOwned};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config<S> {
    sinks: S,
}

fn parse<S: DeserializeOwned>(yaml: &str) -> S {
    serde_saphyr::from_str::<Config<S>>(yaml).unwrap_or_else(|error| panic!("{error}")).sinks
}

fn exporter(yaml: &str) -> Result<Vec<String>, String> {
    let lanes = parse::<ExporterSinks>(yaml).build(&Context::default());
    Ok(names(&lanes.map_err(|error| error.to_string())?))
}

/// The names of lanes of notifications, and of alerts.
fn ruler(yaml: &str) -> Result<[Vec<String>; 2], String> {
    let lanes = parse::<RulerSinks>(yaml).build(&Context::default());
    let lanes = lanes.map_err(|error| error.to_string())?;
    Ok([names(&lanes.notifications), names(&lanes.alerts)])
}

fn names<T>(lanes: &[Lane<T>]) -> Vec<String> {
    lanes.iter().map(|lane| lane.name.clone()).collect()
}

/// A configuration on one line of YAML.
fn sinks(flow: &str) -> String {
    format!("sinks: {{{flow}}}\n")
}

#[tokio::test]
async fn the_examples_in_the_documentation_work() {
    let authority = rcgen::generate_simple_self_signed(["archive.example".to_owned()]).unwrap();
    let ca = tempfile::NamedTempFile::new().unwrap();
    fs::write(ca.path(), authority.cert.pem()).unwrap();
    let sources = [
        include_str!("../src/stdout.rs"),
        include_str!("../src/file.rs"),
        include_str!("../src/webhook.rs"),
    ];
    for source in sources {
        for example in examples_in(source) {
            let example = example.replace("/etc/archive/ca.pem", ca.path().to_str().unwrap());
            assert!(!exporter(&example).unwrap().is_empty(), "{example}");
        }
    }
    let guide = examples(include_str!("../sinks.md").lines());
    for example in guide.iter().filter(|example| example.starts_with("sinks:")) {
        let example = example.replace("/etc/archive/ca.pem", ca.path().to_str().unwrap());
        let of_a_ruler = example.contains("alertmanagers:");
        let built =
            if of_a_ruler { ruler(&example).map(drop) } else { exporter(&example).map(drop) };
        assert_eq!(built, Ok(()), "{example}");
    }
    for example in examples_in(include_str!("../src/alertmanager.rs")) {
        let [notifications, alerts] = ruler(&example).unwrap();
        assert_eq!((notifications.len(), alerts.len()), (0, 2), "{example}");
        assert_eq!(alerts[1], "pager");
    }
}

/// What stands between fences in the documentation of a module.
fn examples_in(source: &str) -> Vec<String> {
    examples(source.lines().map_while(|line| line.strip_prefix("//!")))
}

fn examples<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let lines: Vec<_> = lines.collect();
    let parts = lines.split(|line| line.trim().starts_with("```")).skip(1).step_by(2);
    let examples: Vec<_> = parts.map(|lines| lines.join("\n")).collect();
    assert!(!examples.is_empty());
    examples
}

#[tokio::test]
async fn configurations_of_the_go_programs_work() {
    let exporters = "
sinks:
  stdout: {}
  webhooks:
  - service:
      namespace: system
      name: ruler
      port: 8443
      path: /events
  - url: http://archive.example:8080/events
";
    assert_eq!(exporter(exporters).unwrap().len(), 3);
    let rulers = "
sinks:
  alertmanager:
    namespace: monitoring
    name: alertmanager-operated
  alertmanagers:
  - namespace: monitoring
    name: alertmanager-main
    port: 9093
    targetPort: 9093
  webhooks:
  - type: notification
    namespace: http://hook.example/notifications
  - type: alert
    service: {namespace: shop, name: hook, port: 80, path: alerts}
  stdout:
    type: alert
";
    let [notifications, alerts] = ruler(rulers).unwrap();
    assert_eq!((notifications.len(), alerts.len()), (1, 4));
    assert_eq!(exporter("sinks:\n  stdout:\n  webhooks:\n").unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_lane_keeps_its_name_wherever_it_stands() {
    let hook = "{url: 'https://a.example/x'}";
    let other = "{url: 'https://b.example/x', name: b}";
    let one = exporter(&sinks(&format!("webhooks: [{hook}, {other}]"))).unwrap();
    let two = exporter(&sinks(&format!("webhooks: [{other}, {hook}]"))).unwrap();
    assert_eq!(one, ["webhook-6b20ad1a", "b"]);
    assert_eq!(two, ["b", "webhook-6b20ad1a"]);
    for same in
        ["{url: 'https://me:secret@a.example/x'}", "{url: 'https://a.example:443/x', timeout: 5s}"]
    {
        assert_eq!(exporter(&sinks(&format!("webhooks: [{same}]"))).unwrap(), one[..1], "{same}");
    }
}

#[tokio::test]
async fn a_ruler_s_sinks_go_to_what_they_take() {
    let yaml = sinks(
        "webhooks: [{type: notification, url: 'http://a', name: a, required: false}, \
         {type: alert, url: 'http://b', name: b}], files: [{type: alert, path: /x, name: c}], \
         stdout: {type: notification}",
    );
    let lanes = parse::<RulerSinks>(&yaml).build(&Context::default()).unwrap();
    let required = |lanes: &[(&str, bool)], name, is| assert!(lanes.contains(&(name, is)));
    let notifications: Vec<_> =
        lanes.notifications.iter().map(|lane| (&*lane.name, lane.required)).collect();
    required(&notifications, "a", false);
    required(&notifications, "stdout", true);
    let alerts: Vec<_> = lanes.alerts.iter().map(|lane| (&*lane.name, lane.required)).collect();
    required(&alerts, "b", true);
    required(&alerts, "c", true);
}

#[tokio::test]
async fn one_receiver_may_take_alerts_and_notifications() {
    let both = "webhooks: [{url: 'http://a', type: alert}, {url: 'http://a', type: notification}]";
    let [notifications, alerts] = ruler(&sinks(both)).unwrap();
    assert_ne!(notifications, alerts);
}

#[tokio::test]
async fn a_lane_has_more_time_than_a_request() {
    let slow: ExporterSinks = parse(&sinks("webhooks: [{url: 'http://a', timeout: 120s}]"));
    let lanes = slow.build(&Context::default()).unwrap();
    assert!(lanes[0].timeout > std::time::Duration::from_secs(120), "{lanes:?}");
}

#[tokio::test]
async fn files_have_to_be_there_for_who_needs_them() {
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().join("there");
    fs::write(&there, "open sesame").unwrap();
    let there = there.display();
    let told = |flow: &str, context: &Context| {
        let built = parse::<RulerSinks>(&sinks(flow)).build(context);
        built.err().map(|error| error.to_string())
    };
    let context = Context::default().needs_files();
    for (place, sink, field) in [
        (
            "webhooks[0]",
            "webhooks: [{type: alert, url: 'http://a', bearerTokenFile: FILE}]",
            "bearerTokenFile",
        ),
        (
            "alertmanagers[0]",
            "alertmanagers: [{urls: ['http://a'], basicAuth: {username: u, passwordFile: FILE}}]",
            "basicAuth.passwordFile",
        ),
    ] {
        let missing = sink.replace("FILE", "/nowhere/secret");
        let wanted = format!(
            "sinks.{place}.{field}: /nowhere/secret: No such file or directory (os error 2)"
        );
        assert_eq!(told(&missing, &context), Some(wanted));
        assert_eq!(told(&missing, &Context::default()), None);
        assert_eq!(told(&sink.replace("FILE", &there.to_string()), &context), None);
    }
    let wanted = "sinks.files[0].path: there is no folder /nowhere";
    assert_eq!(
        told("files: [{type: alert, path: /nowhere/log}]", &context).as_deref(),
        Some(wanted)
    );
    assert_eq!(told(&format!("files: [{{type: alert, path: {there}.log}}]"), &context), None);
    assert_eq!(told("files: [{type: alert, path: log}]", &context), None);
}

#[tokio::test]
async fn a_mistake_of_an_exporter_s_is_told_with_its_field() {
    for (flow, expected) in [
        ("webhooks: [{}]", "sinks.webhooks[0]: exactly one of url and service has to be set"),
        (
            "webhooks: [{url: ''}]",
            "sinks.webhooks[0]: exactly one of url and service has to be set",
        ),
        (
            "webhooks: [{url: 'http://a'}, {url: 'http://b', service: {namespace: n, name: s}}]",
            "sinks.webhooks[1]: exactly one of url and service has to be set",
        ),
        (
            "webhooks: [{url: 'a.example:80'}]",
            "sinks.webhooks[0].url: scheme \"a.example\" is neither http nor https",
        ),
        ("webhooks: [{url: '/x'}]", "sinks.webhooks[0].url: relative URL without a base"),
        (
            "webhooks: [{service: {namespace: n, name: 'a b'}}]",
            "sinks.webhooks[0].service.name: \"a b\" is no name",
        ),
        (
            "webhooks: [{service: {namespace: n, name: s, port: web}}]",
            "sinks.webhooks[0].service.port: a port can be named only where an API server can be asked for it",
        ),
        (
            "webhooks: [{url: 'http://a', timeout: 0s}]",
            "sinks.webhooks[0].timeout: leaves no time for an answer",
        ),
        (
            "webhooks: [{url: 'http://a', headers: {'a b': c}}]",
            "sinks.webhooks[0].headers.a b: not the name of a header",
        ),
        (
            "webhooks: [{url: 'http://a', headers: {a: \"b\\nc\"}}]",
            "sinks.webhooks[0].headers.a: not a header's value",
        ),
        (
            "webhooks: [{url: 'http://a', bearerTokenFile: /t, basicAuth: {username: u}}]",
            "sinks.webhooks[0].basicAuth: cannot be set beside bearerTokenFile",
        ),
        (
            "webhooks: [{url: 'http://a', bearerTokenFile: /t, headers: {Authorization: x}}]",
            "sinks.webhooks[0].headers.authorization: cannot be set beside bearerTokenFile or basicAuth",
        ),
        (
            "webhooks: [{url: 'http://u:p@a', bearerTokenFile: /t}]",
            "sinks.webhooks[0].url: names a user beside bearerTokenFile, basicAuth or headers.authorization",
        ),
        (
            "webhooks: [{url: 'https://a', tls: {caFile: /nowhere/ca.pem}}]",
            "sinks.webhooks[0].tls.caFile: /nowhere/ca.pem: No such file or directory (os error 2)",
        ),
        (
            "webhooks: [{url: 'https://a', tls: {certFile: /c}}]",
            "sinks.webhooks[0].tls.keyFile: needed beside certFile",
        ),
        (
            "webhooks: [{url: 'https://a', tls: {keyFile: /c}}]",
            "sinks.webhooks[0].tls.certFile: needed beside keyFile",
        ),
        (
            "webhooks: [{url: 'https://a', tls: {serverName: b}}]",
            "sinks.webhooks[0].tls.caFile: needed beside serverName",
        ),
        (
            "webhooks: [{url: 'http://a', name: x}], files: [{path: /f, name: x}]",
            "sinks.webhooks[0]: sinks.files[0] has the name \"x\" too; `name` (of an Alertmanager `lane`) gives another",
        ),
        (
            "webhooks: [{url: 'http://a'}, {url: 'http://a/'}]",
            "sinks.webhooks[1]: sinks.webhooks[0] has the name \"webhook-6b1a7023\" too; `name` (of an Alertmanager `lane`) gives another",
        ),
        ("webhooks: [{url: 'http://a', name: ''}]", "sinks.webhooks[0]: its name is empty"),
        ("files: [{path: /}]", "sinks.files[0].path: names no file"),
        (
            "files: [{path: /a/b}, {path: /a/./b, name: other}]",
            "sinks.files[1].path: sinks.files[0] writes it too",
        ),
    ] {
        assert_eq!(exporter(&sinks(flow)).unwrap_err(), expected, "{flow}");
    }
}

#[tokio::test]
async fn a_mistake_of_a_ruler_s_is_told_with_its_field() {
    for (flow, expected) in [
        (
            "alertmanagers: [{}]",
            "sinks.alertmanagers[0]: exactly one of urls, and namespace with name, has to be set",
        ),
        (
            "alertmanagers: [{urls: ['http://a'], namespace: n, name: s}]",
            "sinks.alertmanagers[0]: exactly one of urls, and namespace with name, has to be set",
        ),
        ("alertmanager: {namespace: n}", "sinks.alertmanager.name: needed beside namespace"),
        ("alertmanager: {name: n}", "sinks.alertmanager.namespace: needed beside name"),
        (
            "alertmanagers: [{urls: ['http://a', b]}]",
            "sinks.alertmanagers[0].urls[1]: relative URL without a base",
        ),
        (
            "alertmanagers: [{urls: ['http://a/#/alerts']}]",
            "sinks.alertmanagers[0].urls[0]: has a query or a fragment; only the base address is wanted",
        ),
        (
            "alertmanagers: [{urls: ['http://a'], alertDuration: 0s}]",
            "sinks.alertmanagers[0].alertDuration: leaves no time to fire",
        ),
        (
            "alertmanagers: [{urls: ['http://a'], maxAlertAge: 0s}]",
            "sinks.alertmanagers[0].maxAlertAge: every alert is older when it is sent",
        ),
        (
            "alertmanagers: [{namespace: n, name: s, scheme: https}]",
            "sinks.alertmanagers[0].tls.serverName: needed with scheme https: replicas are reached by their addresses, which certificates do not name",
        ),
        (
            "files: [{path: /f, type: alert, maxSize: 0}]",
            "sinks.files[0].maxSize: leaves no room for an item",
        ),
        (
            "alertmanagers: [{urls: ['http://a'], port: 9093}]",
            "sinks.alertmanagers[0].port: has no effect beside urls",
        ),
        (
            "alertmanagers: [{urls: ['http://u@a'], bearerTokenFile: /t}]",
            "sinks.alertmanagers[0].urls[0]: names a user beside bearerTokenFile or basicAuth",
        ),
        (
            "alertmanagers: [{namespace: n, name: s, port: web}]",
            "sinks.alertmanagers[0].port: a port can be named only where an API server can be asked for it",
        ),
        (
            "webhooks: [{type: alert}]",
            "sinks.webhooks[0]: exactly one of url and service has to be set",
        ),
        (
            "files: [{path: /f, type: alert}, {path: /f, type: notification, name: other}]",
            "sinks.files[1].path: sinks.files[0] writes it too",
        ),
        (
            "alertmanager: {namespace: n, name: s}, alertmanagers: [{namespace: n, name: s, port: 9093}]",
            "sinks.alertmanager: sinks.alertmanagers[0] has the name \"alertmanager-250bbe3f\" too; `name` (of an Alertmanager `lane`) gives another",
        ),
    ] {
        assert_eq!(ruler(&sinks(flow)).unwrap_err(), expected, "{flow}");
    }
}
