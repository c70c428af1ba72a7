//! `rules check`: mistakes in files of rules.

use std::{
    io::{Write, stdout},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::ensure;
use clap::{Args, ValueEnum};
use kube_events_core::crd::{GROUP, VERSION};
use kube_events_rules::RuleSet;

use super::{
    document::{Document, Namespaces, RuleObject},
    files::{self, File},
    finding::{Finding, Severity},
};

/// What `rules check` is told.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CheckOptions {
    /// YAML or JSON with Rules, in one document or many; of a folder all *.yaml, *.yml and *.json
    /// below it; `-` is the standard input.
    #[arg(required = true, value_name = "FILE|DIR")]
    pub paths: Vec<PathBuf>,
    /// The only namespace whose Rules may have the scope `cluster` or `workspace`.
    #[arg(long, value_name = "NAMESPACE", default_value = "kubesphere-logging-system")]
    pub rules_namespace: String,
    /// The namespace of Rules that name none.
    #[arg(long, short, value_name = "NAMESPACE", default_value = "default")]
    pub namespace: String,
    /// Exit with 1 on warnings, too.
    #[arg(long)]
    pub deny_warnings: bool,
    /// How findings are printed.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// How findings are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// An array of objects.
    Json,
}

const EXAMPLES: &str = "\
Exit codes: 0 nothing is wrong, 1 there are errors, 2 nothing could be checked.

Examples:
  kube-events rules check rules/ --deny-warnings
  kubectl get rules.events.kubesphere.io -A -o yaml | kube-events rules check -
  kube-events rules check --format json rule.yaml | jq -r '.[].message'";

/// What was found in all files.
#[derive(Debug)]
struct Report<'a> {
    options: &'a CheckOptions,
    objects: usize,
    rules: usize,
    findings: Vec<Finding>,
}

pub(super) fn run(options: &CheckOptions) -> anyhow::Result<ExitCode> {
    let mut report = Report::new(options);
    for file in files::read(&options.paths)? {
        report.file(&file);
    }
    ensure!(report.objects > 0 || !report.findings.is_empty(), "there are no Rules in the input");
    report.write(stdout().lock())?;
    Ok(ExitCode::from(u8::from(report.is_bad())))
}

// === impl Report ===

impl<'a> Report<'a> {
    fn new(options: &'a CheckOptions) -> Self {
        Self { options, objects: 0, rules: 0, findings: Vec::new() }
    }

    fn file(&mut self, file: &File) {
        if let Err(finding) = file.text() {
            return self.findings.push(*finding);
        }
        let mut failed = false;
        for document in serde_saphyr::read::<_, Document>(&mut &*file.bytes) {
            match document {
                Ok(document) => self.document(&file.name, &document),
                Err(error) => {
                    // Only a text that is whole can be drawn into, and only its first error.
                    let drawn = (!failed).then(|| file.documents().err()).flatten();
                    let finding =
                        drawn.map_or_else(|| Finding::of_text(&file.name, &error), |it| *it);
                    failed = true;
                    self.findings.push(finding);
                }
            }
        }
    }

    fn document(&mut self, file: &str, document: &Document) {
        match document {
            Document::Untyped(_) => self.findings.push(Finding::error(
                file,
                format!("a Rule needs `apiVersion: {GROUP}/{VERSION}` and `kind: Rule`"),
            )),
            document => self.item(file, document),
        }
    }

    fn item(&mut self, file: &str, document: &Document) {
        match document {
            Document::Rule(object) | Document::Untyped(object) => self.object(file, object),
            Document::Bare(object) => self.bare(file, object),
            Document::List(items) => items.iter().for_each(|item| self.item(file, item)),
            Document::Other => {}
        }
    }

    fn object(&mut self, file: &str, object: &RuleObject) {
        let CheckOptions { namespace, rules_namespace, .. } = self.options;
        let mut rules = RuleSet::builder();
        object.add_to(&mut rules, Namespaces { default: namespace, rules: rules_namespace });
        self.add(file, object, &rules.build());
    }

    fn bare(&mut self, file: &str, object: &RuleObject) {
        let mut rules = RuleSet::builder();
        object.add_bare_to(&mut rules);
        self.add(file, object, &rules.build());
    }

    fn add(&mut self, file: &str, object: &RuleObject, rules: &RuleSet) {
        self.objects += 1;
        self.rules += object.len();
        let problems = rules.problems().iter();
        self.findings.extend(problems.map(|problem| Finding::of_problem(file, object, problem)));
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity() == severity).count()
    }

    fn is_bad(&self) -> bool {
        let warnings = self.options.deny_warnings && self.count(Severity::Warning) > 0;
        warnings || self.count(Severity::Error) > 0
    }

    fn write(&self, mut out: impl Write) -> anyhow::Result<()> {
        match self.options.format {
            Format::Json => {
                serde_json::to_writer_pretty(&mut out, &self.findings)
                    .map_err(std::io::Error::from)?;
                writeln!(out)?;
            }
            Format::Text => {
                for finding in &self.findings {
                    writeln!(out, "{finding}")?;
                }
                writeln!(out, "{}", self.summary())?;
            }
        }
        Ok(())
    }

    fn summary(&self) -> String {
        let parts = [(self.rules, "rule"), (self.objects, "object")].map(counted);
        let errors = counted((self.count(Severity::Error), "error"));
        let warnings = counted((self.count(Severity::Warning), "warning"));
        format!("{} in {}: {errors}, {warnings}", parts[0], parts[1])
    }
}

fn counted((count, noun): (usize, &str)) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
