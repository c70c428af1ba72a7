//! `rules check`: mistakes in files of rules.

use std::{
    fs,
    io::{Write, stderr, stdout},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum, builder::PossibleValuesParser};
use kube_events_core::crd::{GROUP, VERSION};
use kube_events_rules::{RuleSet, lint_names};

use super::{
    document::{Document, Namespaces, RuleObject},
    files::{self, File},
    finding::{Finding, Severity},
    fix,
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
    #[arg(long, short = 'o', visible_alias = "output", value_enum, default_value_t)]
    pub format: Format,
    /// Do not tell these lints; an object allows its own by the annotation
    /// events.kubesphere.io/allow-lints.
    #[arg(long, value_name = "LINT", value_delimiter = ',', value_parser = lint())]
    pub allow: Vec<String>,
    /// Rewrite in the files what is safe, and print what was changed on the standard error.
    #[arg(long)]
    pub fix: bool,
    /// With --fix, change no file.
    #[arg(long, requires = "fix")]
    pub dry_run: bool,
}

fn lint() -> PossibleValuesParser {
    PossibleValuesParser::new(lint_names())
}

/// How something is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

const EXAMPLES: &str = "\
Exit codes: 0 nothing is wrong, 1 there are errors, 2 nothing could be checked.

Examples:
  kube-events rules check rules/ --deny-warnings
  kube-events rules check rules/ --fix --dry-run
  kubectl get rules.events.kubesphere.io -A -o yaml | kube-events rules check -
  kube-events rules check --format json rule.yaml | jq -r '.[].message'";

/// What was found in all files.
#[derive(Debug)]
struct Report<'a> {
    options: &'a CheckOptions,
    objects: usize,
    disabled: usize,
    rules: usize,
    findings: Vec<Finding>,
}

pub(super) fn run(options: &CheckOptions) -> anyhow::Result<ExitCode> {
    let mut report = Report::new(options);
    for mut file in files::read(&options.paths)? {
        if options.fix {
            fix(&mut file, options)?;
        }
        report.file(&file);
    }
    ensure!(report.objects > 0 || !report.findings.is_empty(), "there are no Rules in the input");
    report.write(stdout().lock())?;
    Ok(ExitCode::from(u8::from(report.is_bad())))
}

/// Rewrites a file, and prints how.
fn fix(file: &mut File, options: &CheckOptions) -> anyhow::Result<()> {
    let path = file.path.as_deref().context("--fix needs a file that it can write")?;
    let Ok(text) = file.text() else { return Ok(()) };
    let mut text = text.to_owned();
    let fixes = fix::fix(&mut text, |lint| options.allow.iter().any(|allowed| allowed == lint));
    if !fixes.is_empty() && !options.dry_run {
        fs::write(path, &text).with_context(|| format!("cannot write {}", file.name))?;
    }
    for fix in fixes {
        writeln!(stderr(), "{}:{fix}\n", file.name)?;
    }
    file.bytes = text.into_bytes();
    Ok(())
}

// === impl Report ===

impl<'a> Report<'a> {
    fn new(options: &'a CheckOptions) -> Self {
        Self { options, objects: 0, disabled: 0, rules: 0, findings: Vec::new() }
    }

    fn file(&mut self, file: &File) {
        if let Err(finding) = file.text() {
            return self.findings.push(*finding);
        }
        let mut failed = false;
        for document in serde_saphyr::read::<_, Document>(&mut &*file.bytes) {
            match document {
                Ok(document) => self.document(file, &document),
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

    fn document(&mut self, file: &File, document: &Document) {
        match document {
            Document::Untyped(_) => self.findings.push(Finding::error(
                &file.name,
                format!("a Rule needs `apiVersion: {GROUP}/{VERSION}` and `kind: Rule`"),
            )),
            document => self.item(file, document),
        }
    }

    fn item(&mut self, file: &File, document: &Document) {
        match document {
            Document::Rule(object) | Document::Untyped(object) => self.object(file, object),
            Document::Bare(object) => self.bare(file, object),
            Document::List(items) => items.iter().for_each(|item| self.item(file, item)),
            Document::Other => {}
        }
    }

    fn object(&mut self, file: &File, object: &RuleObject) {
        let CheckOptions { namespace, rules_namespace, .. } = self.options;
        let mut rules = RuleSet::builder();
        object.add_to(&mut rules, Namespaces { default: namespace, rules: rules_namespace });
        self.add(file, object, &rules.build());
    }

    fn bare(&mut self, file: &File, object: &RuleObject) {
        let mut rules = RuleSet::builder();
        object.add_bare_to(&mut rules);
        self.add(file, object, &rules.build());
    }

    fn add(&mut self, file: &File, object: &RuleObject, rules: &RuleSet) {
        self.objects += 1;
        self.rules += object.len();
        self.disabled += object.disabled().count();
        let problems = rules.problems().iter();
        let findings = problems.map(|problem| Finding::of_problem(file, object, problem));
        let is_allowed = |finding: &Finding| {
            finding.severity() == Severity::Warning
                && self.options.allow.iter().any(|lint| lint == finding.code())
        };
        self.findings.extend(findings.filter(|finding| !is_allowed(finding)));
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
        let disabled = match self.disabled {
            0 => String::new(),
            disabled => format!(" ({disabled} not enabled)"),
        };
        let errors = counted((self.count(Severity::Error), "error"));
        let warnings = counted((self.count(Severity::Warning), "warning"));
        format!("{}{disabled} in {}: {errors}, {warnings}", parts[0], parts[1])
    }
}

fn counted((count, noun): (usize, &str)) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
