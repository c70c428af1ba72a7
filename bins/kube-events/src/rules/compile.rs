//! Files of rules, to a set of rules.

use std::path::PathBuf;

use anyhow::anyhow;
use kube_events_rules::{Builder, RuleSet};

use super::{
    document::{Document, Namespaces, RuleObject},
    files::{self, File},
    finding::Finding,
};

/// The namespace of Rules that name none.
const NAMESPACE: &str = "default";

/// Compiles the Rules in files and folders. Rules that are wrong are among the set's problems; rules
/// without an object see every Event.
///
/// # Errors
/// If a file cannot be read, or holds something other than Rules.
pub(crate) fn compile(paths: &[PathBuf], rules_namespace: &str) -> anyhow::Result<RuleSet> {
    let namespaces = Namespaces { default: NAMESPACE, rules: rules_namespace };
    let mut rules = RuleSet::builder();
    for file in files::read(paths)? {
        for document in &file.documents().map_err(|finding| anyhow!("{finding}"))? {
            add(&mut rules, document, namespaces);
        }
    }
    Ok(rules.build())
}

/// Adds the rules of a document, each object's in the scope that it claims.
pub(super) fn add(rules: &mut Builder, document: &Document, namespaces: Namespaces<'_>) {
    match document {
        Document::Rule(object) | Document::Untyped(object) => object.add_to(rules, namespaces),
        Document::Bare(object) => object.add_bare_to(rules),
        Document::List(items) => items.iter().for_each(|item| add(rules, item, namespaces)),
        Document::Other => {}
    }
}

/// What the authors of the Rules in a document should know.
pub(super) fn findings(
    file: &File,
    document: &Document,
    namespaces: Namespaces<'_>,
) -> Vec<Finding> {
    let add = |object: &RuleObject, rules: &mut Builder| match document {
        Document::Bare(_) => object.add_bare_to(rules),
        _ => object.add_to(rules, namespaces),
    };
    let found = document.objects().into_iter().flat_map(|object| {
        let mut rules = RuleSet::builder();
        add(object, &mut rules);
        let problems = rules.build();
        let problems = problems.problems().iter();
        problems.map(|problem| Finding::of_problem(file, object, problem)).collect::<Vec<_>>()
    });
    found.collect()
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
        assert_eq!((rules.rules().count(), rules.problems().len()), (95, 0));
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
            error.contains("rules.yaml:1\n") && error.contains("did you mean `condition`"),
            "{error}"
        );
    }
}
