//! Files of rules, to a set of rules.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::anyhow;
use kube_events_rules::{Builder, RuleSet, Scope};

use super::{
    document::{Document, RuleObject},
    files,
};

/// The namespace of Rules that name none.
const NAMESPACE: &str = "default";

/// Compiles the Rules in files and folders. Rules that are wrong are among the set's problems; rules
/// without an object see every Event.
///
/// # Errors
/// If a file cannot be read, or holds something other than Rules.
pub(crate) fn compile(paths: &[PathBuf], rules_namespace: &str) -> anyhow::Result<RuleSet> {
    let mut rules = RuleSet::builder();
    for file in files::read(paths)? {
        let text = str::from_utf8(&file.bytes)
            .map_err(|error| anyhow!("{} is not UTF-8: {error}", file.name))?;
        let documents = serde_saphyr::from_multiple::<Document>(text)
            .map_err(|error| anyhow!("{} cannot be used:\n{error}", file.name))?;
        for document in &documents {
            add(&mut rules, document, rules_namespace);
        }
    }
    Ok(rules.build())
}

fn add(rules: &mut Builder, document: &Document, rules_namespace: &str) {
    match document {
        Document::Rule(object) | Document::Untyped(object) => {
            add_object(rules, object, rules_namespace);
        }
        Document::Bare(object) => rules.add(rules_namespace, "", &Scope::Cluster, &object.spec()),
        Document::List(items) => items.iter().for_each(|item| add(rules, item, rules_namespace)),
        Document::Other => {}
    }
}

fn add_object(rules: &mut Builder, object: &RuleObject, rules_namespace: &str) {
    let metadata = &object.metadata;
    let namespace = metadata.namespace.as_deref().unwrap_or(NAMESPACE);
    let name = metadata.name.as_deref().unwrap_or_default();
    let labels = metadata.labels.as_ref().unwrap_or(const { &BTreeMap::new() });
    match Scope::of(labels, namespace, rules_namespace) {
        Ok(scope) => rules.add(namespace, name, &scope, &object.spec()),
        Err(error) => rules.refuse(namespace, name, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_rules_can_be_run_from_their_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rules.yaml"), kube_events_rules::DEFAULT_RULES).unwrap();
        let paths = [folder.path().to_owned()];
        let rules = compile(&paths, "kubesphere-logging-system").unwrap();
        assert_eq!((rules.rules().count(), rules.problems().len()), (96, 0));
        let elsewhere = compile(&paths, "elsewhere").unwrap();
        assert_eq!((elsewhere.rules().count(), elsewhere.problems().len()), (0, 1));
    }

    #[test]
    fn a_file_that_is_wrong_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.yaml");
        std::fs::write(&path, "rules: [{name: x, conditon: y}]").unwrap();
        let error = compile(&[path], "system").unwrap_err().to_string();
        assert!(
            error.contains("rules.yaml cannot be used") && error.contains("conditon"),
            "{error}"
        );
    }
}
