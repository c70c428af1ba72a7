//! `rules defaults`: the usual rules.

use std::{io::Write as _, process::ExitCode};

use anyhow::{Context as _, ensure};
use clap::Args;
use kube_events_rules::DEFAULT_RULES;

/// What `rules defaults` is told.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DefaultsOptions {
    /// The namespace of the object: the rules namespace of the ruler [default:
    /// kubesphere-logging-system].
    #[arg(long, short, value_name = "NAMESPACE", value_parser = namespace)]
    pub namespace: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  kube-events rules defaults | kubectl apply -f -
  kube-events rules defaults --namespace monitoring > rules.yaml";

/// The line of the text that says where the object belongs.
const NAMESPACE: &str = "  namespace: kubesphere-logging-system\n";

pub(super) fn run(options: &DefaultsOptions) -> anyhow::Result<ExitCode> {
    let mut stdout = std::io::stdout();
    match &options.namespace {
        Some(namespace) => stdout.write_all(moved(namespace)?.as_bytes())?,
        None => stdout.write_all(DEFAULT_RULES.as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The text, but for the namespace.
fn moved(namespace: &str) -> anyhow::Result<String> {
    // Quoted where it would not be read as text: `true` and `123` are names of namespaces, too.
    let namespace = serde_saphyr::to_string(&namespace).context("the name has no form in YAML")?;
    Ok(DEFAULT_RULES.replacen(NAMESPACE, &format!("  namespace: {}\n", namespace.trim_end()), 1))
}

/// A DNS label, as RFC 1123 has it.
fn namespace(text: &str) -> anyhow::Result<String> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let fine = bytes.iter().all(|&byte| inner(byte) || byte == b'-')
        && bytes.first().copied().is_some_and(inner)
        && bytes.last().copied().is_some_and(inner)
        && bytes.len() <= 63;
    ensure!(fine, "a namespace has up to 63 lower-case letters, digits and `-`");
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn only_the_namespace_changes() {
        let original: Value = serde_saphyr::from_str(DEFAULT_RULES).unwrap();
        for name in ["monitoring", "true", "123", "1e3", "null", "no"] {
            let mut object: Value = serde_saphyr::from_str(&moved(name).unwrap()).unwrap();
            assert_eq!(object["metadata"]["namespace"], name);
            object["metadata"]["namespace"] = "kubesphere-logging-system".into();
            assert_eq!(object, original);
        }
    }

    #[test]
    fn what_no_namespace_can_be_called_is_refused() {
        for name in ["a", "7", "kube-system", &"a".repeat(63)] {
            assert_eq!(namespace(name).unwrap(), name);
        }
        for name in ["", "-a", "a-", "A", "a.b", "a b", "ä", "a\n", &"a".repeat(64)] {
            assert!(namespace(name).is_err(), "{name:?}");
        }
    }
}
