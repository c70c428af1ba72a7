//! What README.md and the book show can be typed and used as it stands there.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use clap::Parser;
use kube_events::Cli;
use kube_events_core::crd::{Exporter, GROUP, Rule, Ruler};
use kube_events_exporter::ExporterConfig;
use kube_events_ruler::RulerConfig;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

const README: &str = include_str!("../../../README.md");
const CONFIGURATION: &str = include_str!("../../../docs/configuration.md");
const INSTALL: &str = include_str!("../../../docs/install.md");
const TESTING: &str = include_str!("../../../docs/testing-rules.md");
const UPGRADE: &str = include_str!("../../../docs/upgrade.md");
const SETUPS: [&str; 3] = [
    include_str!("../../../docs/setups/alertmanager-kube-prometheus.md"),
    include_str!("../../../docs/setups/fluent-bit.md"),
    include_str!("../../../docs/setups/fluent-operator.md"),
];

/// The text between fences of a language, each with the heading that it stands under.
fn blocks<'a>(document: &'a str, language: &str) -> Vec<(&'a str, Vec<&'a str>)> {
    let mut blocks = Vec::new();
    let mut heading = "";
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        if let Some(fence) = line.strip_prefix("```") {
            let text = lines.by_ref().take_while(|line| *line != "```").collect();
            if fence == language {
                blocks.push((heading, text));
            }
        } else if line.starts_with('#') {
            heading = line.trim_start_matches(['#', ' ']);
        }
    }
    blocks
}

#[test]
fn configurations_are_accepted() {
    let blocks = [blocks(README, "yaml"), blocks(CONFIGURATION, "yaml")].concat();
    assert_eq!(blocks.len(), 4, "{blocks:?}");
    for (heading, lines) in blocks {
        let name = lines[0].strip_prefix("# ").unwrap_or(heading).to_lowercase();
        let text = lines.join("\n");
        match name.trim_end_matches(".yaml") {
            "exporter" => {
                let config: ExporterConfig = serde_saphyr::from_str(&text).unwrap();
                assert_ne!(config, ExporterConfig::default());
            }
            "ruler" => {
                let config: RulerConfig = serde_saphyr::from_str(&text).unwrap();
                assert_ne!(config, RulerConfig::default());
            }
            other => panic!("whose configuration is `{other}`?\n{text}"),
        }
    }
}

#[test]
fn objects_are_what_their_kinds_say() {
    let mut ours = 0;
    for text in [INSTALL].into_iter().chain(SETUPS).flat_map(manifests) {
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        for document in documents {
            assert!(document.is_object(), "{text}");
            let version = document["apiVersion"].as_str().unwrap_or_default();
            if version.split('/').next() != Some(GROUP) {
                continue;
            }
            match document["kind"].as_str() {
                Some("Exporter") => is_read_whole::<Exporter>(&document),
                Some("Ruler") => is_read_whole::<Ruler>(&document),
                Some("Rule") => is_read_whole::<Rule>(&document),
                other => panic!("{GROUP} has no {other:?}"),
            }
            ours += 1;
        }
    }
    assert!(ours >= 6, "only {ours} objects");
}

/// Whoever applies a page over the samples keeps what they do.
#[test]
fn an_exporter_of_the_samples_name_still_delivers_to_the_ruler() {
    let sample: Value =
        serde_saphyr::from_str(include_str!("../../../deploy/samples/exporter.yaml")).unwrap();
    let mut found = 0;
    for text in SETUPS.into_iter().flat_map(manifests) {
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        for it in documents.iter().filter(|it| it["metadata"] == sample["metadata"]) {
            assert_eq!(it["spec"]["sinks"]["webhooks"], sample["spec"]["sinks"]["webhooks"]);
            found += 1;
        }
    }
    assert_eq!(found, SETUPS.len());
}

/// The YAML of a document, and what its commands are given as standard input.
fn manifests(document: &str) -> Vec<String> {
    let yaml = blocks(document, "yaml").into_iter().map(|(_, lines)| lines.join("\n"));
    let shell = blocks(document, "sh").into_iter().flat_map(|(_, lines)| typed(&lines).1);
    yaml.chain(shell).collect()
}

/// Nothing that the object says is unknown to its type, and so left out.
fn is_read_whole<K: DeserializeOwned + Serialize>(object: &Value) {
    let read: K = serde_json::from_value(object.clone())
        .unwrap_or_else(|error| panic!("{error}\n{object:#}"));
    let read = serde_json::to_value(read).unwrap();
    assert!(contains(&read, object), "{object:#}\nis read as\n{read:#}");
}

fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part.iter().all(|(key, part)| {
            let empty = part.as_object().is_some_and(serde_json::Map::is_empty);
            whole.get(key).map_or(empty, |whole| contains(whole, part))
        }),
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(a, b)| contains(a, b))
        }
        (whole, part) => whole == part,
    }
}

#[test]
fn our_commands_are_understood() {
    let documents = [README, UPGRADE, INSTALL].into_iter().chain(SETUPS);
    let blocks = documents.flat_map(|document| blocks(document, "sh"));
    let lines: Vec<_> = blocks.flat_map(|(_, lines)| typed(&lines).0).collect();
    let mut understood = 0;
    for command in lines.iter().flat_map(|line| line.split(" | ")) {
        let command = command.replace("cargo run --release --", "kube-events");
        let mut words: Vec<_> = command.split_whitespace().collect();
        let Some(first) = words.first_mut() else { continue };
        *first = first.strip_prefix("target/release/").unwrap_or(first);
        match *first {
            "kube-events" => check::<Cli>(&words),
            "kube-events-exporter" => check::<kube_events_exporter::Options>(&words),
            "kube-events-ruler" => check::<kube_events_ruler::Options>(&words),
            // The gate runs some of these: `demo`, `tests`, `outside_crate`. The others are not ours.
            "cargo"
            | ".ci/run"
            | "deploy/image/assemble"
            | "kubectl"
            | "docker"
            | "kind"
            | "helm"
            | "skopeo"
            | "amtool"
            | "curl"
            | "for"
            | "done"
            | "jq"
            | "sed" => continue,
            other => panic!("whose command is `{other}`?"),
        }
        understood += 1;
    }
    assert!(understood >= 9, "only {understood} commands");
}

/// The commands that documents show with what they print print just that, in the repository's root.
#[test]
fn what_our_commands_print_is_what_is_shown() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let mut shown = 0;
    for (_, lines) in [README, TESTING].into_iter().flat_map(|text| blocks(text, "console")) {
        for block in lines.join("\n").split("$ ").filter(|block| !block.is_empty()) {
            let (command, expected) = block.split_once('\n').expect("a command and its output");
            let words: Vec<_> = command.split_whitespace().collect();
            assert_eq!(words[0], "kube-events", "{command}");
            let output = std::process::Command::new(env!("CARGO_BIN_EXE_kube-events"))
                .args(&words[1..])
                .current_dir(root)
                .output()
                .unwrap();
            let printed = String::from_utf8(output.stdout).unwrap();
            assert_eq!(printed.trim_end(), expected.trim_end(), "{command}");
            shown += 1;
        }
    }
    assert!(shown >= 5, "only {shown} commands");
}

#[test]
fn the_test_of_the_page_is_that_of_its_example() {
    let example = include_str!("../../../docs/examples/rules-test.yaml");
    let (_, lines) = &blocks(TESTING, "yaml")[0];
    assert_eq!(lines[1..].join("\n"), example.trim_end());
}

#[test]
fn each_of_the_usual_rules_has_a_test() {
    let text = include_str!("../../../kube-events-rules/data/default-rules-test.yaml");
    let tests: Value = serde_saphyr::from_str(text).unwrap();
    let tests = tests["tests"].as_array().unwrap();
    for rule in kube_events_rules::default_rules().rules.iter().filter(|rule| rule.enable) {
        let is_its = |test: &&Value| {
            let expected = &test["expect"][0];
            let lists = ["alerts", "notifications"].map(|list| &expected[list][0]["rule"]);
            test["name"] == *rule.name && lists.iter().any(|name| **name == *rule.name)
        };
        assert!(tests.iter().any(|test| is_its(&test)), "{}", rule.name);
    }
}

/// The commands of a block, each on one line and without its comment, and what they are given as
/// standard input (`<<'END'`).
fn typed(block: &[&str]) -> (Vec<String>, Vec<String>) {
    let (mut commands, mut inputs) = (Vec::new(), Vec::new());
    let mut lines = block.iter();
    while let Some(line) = lines.next() {
        let mut command = (*line).to_owned();
        while command.ends_with(['\\', '|']) {
            let more = lines.next().expect("a command goes on");
            command = format!("{} {}", command.trim_end_matches('\\').trim_end(), more.trim());
        }
        if command.ends_with(" <<'END'") {
            let input: Vec<_> =
                lines.by_ref().take_while(|line| **line != "END").copied().collect();
            inputs.push(input.join("\n"));
        }
        let command = command.split(" #").next().unwrap_or_default().trim();
        commands.extend((!command.starts_with('#')).then(|| command.to_owned()));
    }
    (commands, inputs)
}

fn check<T: Parser>(words: &[&str]) {
    if let Err(error) = T::try_parse_from(words) {
        panic!("{words:?}: {error}");
    }
}
