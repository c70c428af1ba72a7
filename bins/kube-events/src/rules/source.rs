//! The rules that a command is told to use.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use anyhow::{Context as _, bail};
use clap::Args;
use kube_events_rules::{Rule, RuleSet, Scope, default_rules};

use super::{
    compile::{add, findings},
    document::Namespaces,
    files,
};

/// Which rules, and what is known of namespaces.
#[derive(Clone, Debug, Args)]
pub struct RulesOptions {
    /// Files and folders with Rules, as `rules check` takes them; `-` is the standard input
    /// [default: --defaults].
    #[arg(long, value_name = "FILE|DIR", num_args = 1)]
    pub rules: Vec<PathBuf>,
    /// The usual rules, beside those of --rules.
    #[arg(long)]
    pub defaults: bool,
    /// The only namespace whose Rules may have the scope `cluster` or `workspace`.
    #[arg(long, value_name = "NAMESPACE", default_value = NAMESPACE)]
    pub rules_namespace: String,
    /// The namespace of Rules that name none.
    #[arg(long, short, value_name = "NAMESPACE", default_value = "default")]
    pub namespace: String,
    /// The workspace that a namespace belongs to.
    #[arg(long = "workspace", value_name = "NAMESPACE=WORKSPACE", value_parser = member)]
    pub workspaces: Vec<(String, String)>,
}

/// Where the operator keeps Rules that reach beyond their namespace.
pub(super) const NAMESPACE: &str = "kubesphere-logging-system";

/// The name of the object that `rules defaults` prints.
pub(super) const DEFAULTS: &str = "cluster-rules-default";

fn member(text: &str) -> Result<(String, String), String> {
    let parts = text
        .split_once('=')
        .filter(|(namespace, workspace)| !namespace.is_empty() && !workspace.is_empty());
    let (namespace, workspace) = parts.ok_or("write NAMESPACE=WORKSPACE")?;
    Ok((namespace.to_owned(), workspace.to_owned()))
}

/// Rules, and whether all that were written are among them.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) rules: RuleSet,
    /// Some do not count, and why was told on the standard error.
    pub(super) lacks: bool,
    /// The names of those that are not enabled.
    pub(super) disabled: Vec<String>,
}

// === impl Read ===

impl Read {
    /// Tells on the standard error which rules are not enabled: of them nothing is said otherwise.
    pub(super) fn tell_disabled(&self) -> io::Result<()> {
        let [first, others @ ..] = &*self.disabled else { return Ok(()) };
        let (s, names) = match others {
            [] => (" is", first.clone()),
            _ => ("s are", self.disabled.join(", ")),
        };
        let count = self.disabled.len();
        writeln!(anstream::stderr(), "note: {count} rule{s} not enabled (`enable: true`): {names}")
    }

    /// Asks for a rule that counts.
    ///
    /// # Errors
    /// If there is none of this name, with what is known of it.
    pub(super) fn check_name(&self, name: &str) -> anyhow::Result<()> {
        if self.rules.rules().any(|rule| rule.name() == name) {
            return Ok(());
        }
        if self.disabled.iter().any(|disabled| disabled == name) {
            bail!("the rule `{name}` is not enabled, and so never fires: set `enable: true`");
        }
        bail!("no rule that counts is called `{name}`");
    }
}

// === impl RulesOptions ===

impl RulesOptions {
    /// Compiles the rules, and tells on the standard error which of them do not count.
    ///
    /// # Errors
    /// If a file cannot be read, or there is no rule.
    pub(super) fn read(&self) -> anyhow::Result<Read> {
        let namespaces = Namespaces { default: &self.namespace, rules: &self.rules_namespace };
        let mut rules = RuleSet::builder();
        let (mut lacks, mut disabled) = (false, Vec::new());
        for file in files::read(&self.rules)? {
            let documents = match file.documents() {
                Ok(documents) => documents,
                Err(finding) => bail!("the rules cannot be read\n{finding}"),
            };
            for document in &documents {
                let objects = document.objects().into_iter();
                disabled.extend(objects.flat_map(|it| it.disabled().map(str::to_owned)));
                add(&mut rules, document, namespaces);
                for finding in findings(&file, document, namespaces) {
                    if finding.is_error() {
                        writeln!(anstream::stderr(), "{finding}")?;
                        lacks = true;
                    }
                }
            }
        }
        if self.defaults || self.rules.is_empty() {
            rules.add(&self.rules_namespace, DEFAULTS, &Scope::Cluster, &default_rules());
        }
        for (namespace, workspace) in &self.workspaces {
            rules.member(namespace, workspace);
        }
        let rules = rules.build();
        rules.rules().next().context("none of the rules counts")?;
        Ok(Read { rules, lacks, disabled })
    }
}

/// What people call a rule: `namespace/object/name`.
pub(super) fn title(rule: &Rule) -> String {
    let parts = [rule.namespace(), rule.object(), rule.name()];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("/")
}

/// How far a rule reaches, in words.
pub(super) fn scope(rule: &Rule) -> String {
    match rule.scope() {
        Scope::Cluster => "cluster".to_owned(),
        Scope::Workspace(name) => format!("workspace {name}"),
        Scope::Namespace(name) => format!("namespace {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_two_names() {
        assert_eq!(member("shop=retail"), Ok(("shop".to_owned(), "retail".to_owned())));
        for text in ["shop", "=retail", "shop=", ""] {
            assert!(member(text).is_err(), "{text}");
        }
    }
}
