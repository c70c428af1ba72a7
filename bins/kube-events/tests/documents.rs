//! What README.md and the book show can be typed and used as it stands there.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use clap::Parser;
use kube_events::Cli;
use kube_events_exporter::ExporterConfig;
use kube_events_ruler::RulerConfig;

const README: &str = include_str!("../../../README.md");
const CONFIGURATION: &str = include_str!("../../../docs/configuration.md");
const INSTALL: &str = include_str!("../../../docs/install.md");
const UPGRADE: &str = include_str!("../../../docs/upgrade.md");

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
fn our_commands_are_understood() {
    let commands = [README, UPGRADE, INSTALL].map(|document| blocks(document, "sh")).concat();
    let mut understood = 0;
    for line in commands.iter().flat_map(|(_, lines)| lines) {
        let command = line.split('#').next().unwrap_or_default().trim();
        let command = command.split('|').next().unwrap_or_default().trim();
        let command = command.replace("cargo run --release --", "kube-events");
        let mut words: Vec<_> = command.split_whitespace().collect();
        let Some(first) = words.first_mut() else { continue };
        *first = first.rsplit('/').next().unwrap_or_default();
        match *first {
            "kube-events" => check::<Cli>(&words),
            "kube-events-exporter" => check::<kube_events_exporter::Options>(&words),
            "kube-events-ruler" => check::<kube_events_ruler::Options>(&words),
            // The gate runs the former: `demo`, `tests`, `outside_crate`. The latter is not ours.
            "cargo" | "kubectl" => continue,
            other => panic!("whose command is `{other}`?"),
        }
        understood += 1;
    }
    assert_eq!(understood, 9);
}

fn check<T: Parser>(words: &[&str]) {
    if let Err(error) = T::try_parse_from(words) {
        panic!("{words:?}: {error}");
    }
}
