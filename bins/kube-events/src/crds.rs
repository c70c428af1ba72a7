//! `crds`: the definitions of the custom resources.

use std::{io::Write as _, process::ExitCode};

use anyhow::Context as _;
use kube_events_core::crd;

pub(crate) fn run() -> anyhow::Result<ExitCode> {
    std::io::stdout().write_all(yaml()?.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// All definitions, as one YAML text.
fn yaml() -> anyhow::Result<String> {
    let documents: Result<Vec<_>, _> = crd::all().iter().map(serde_saphyr::to_string).collect();
    Ok(documents.context("a definition has no form in YAML")?.join("---\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_text_says_what_the_definitions_say() {
        let read: Vec<Value> = serde_saphyr::from_multiple(&yaml().unwrap()).unwrap();
        let definitions: Vec<_> =
            crd::all().iter().map(|crd| serde_json::to_value(crd).unwrap()).collect();
        assert_eq!(read, definitions);
    }

    #[test]
    fn the_text_is_the_same_each_time() {
        assert_eq!(yaml().unwrap(), yaml().unwrap());
    }
}
