//! `rules test`: what has to follow from Events, written down.

mod difference;
mod file;
mod junit;
mod scene;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Args;
use jiff::SignedDuration;
use kube_events_daemon::yaml;
use kube_events_rules::{Rule, RuleSet, Scope, WORKSPACE_LABEL, default_rules, nearest};
use serde_saphyr::{Location, Spanned};

use self::{
    difference::Line,
    file::{Mistake, Test, TestFile},
    scene::{Failure, play},
};
use super::{
    compile::{add, findings},
    document::Namespaces,
    files::{self, File},
    finding::Finding,
    source::DEFAULTS,
    style::{BAD, GOOD, STRONG, paint},
};

/// What `rules test` is told.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TestOptions {
    /// Files of tests, in YAML; of a folder all *.yaml, *.yml and *.json below it; `-` is the
    /// standard input.
    #[arg(required = true, value_name = "FILE|DIR")]
    pub files: Vec<PathBuf>,
    /// Write the results as the XML of `JUnit`, too.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

const EXAMPLES: &str = "\
A file of tests names files of rules, and says in each test what happens and what has to follow:

  ruleFiles: [rules.yaml]
  tests:
  - name: a container that fails again and again raises an alert
    events:
    - {at: 0s, type: Warning, reason: BackOff, object: Pod/shop/web-1}
    - {at: 1m, type: Warning, reason: BackOff, object: Pod/shop/web-1, count: 5}
    expect:
    - at: 1m
      alerts:
      - rule: CrashLooping
        labels: {pod: web-1}

docs/testing-rules.md has all keys.

Exit codes: 0 all tests pass, 1 some do not or cannot be carried out, 2 a file cannot be read.

Examples:
  kube-events rules test rules-test.yaml
  kube-events rules test tests/ --junit results.xml";

/// What `rules test` says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestReport {
    /// What it prints. Colours are in it.
    pub text: String,
    /// What `--junit` writes.
    pub junit: String,
}

/// The results of one file.
#[derive(Debug)]
struct Tested {
    name: String,
    /// The tests by their names; without any, that of the file as a whole.
    results: Vec<(String, Outcome)>,
}

#[derive(Debug)]
enum Outcome {
    Passed,
    Failed(Vec<Failure>),
    /// It could not be carried out, for the reason that is drawn.
    Mistaken(String),
}

pub(super) fn run(options: &TestOptions) -> anyhow::Result<ExitCode> {
    let files = files::read(&options.files)?;
    let files: Vec<_> = files.iter().map(|file| Tested::of(file, files::read)).collect();
    let mut stdout = anstream::stdout();
    for file in &files {
        stdout.write_all(file.text().as_bytes())?;
    }
    writeln!(stdout, "{}", summary(&files))?;
    if let Some(path) = &options.junit {
        fs::write(path, junit::report(&files))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let bad = files.iter().any(|file| file.failures() + file.errors() > 0);
    Ok(ExitCode::from(u8::from(bad)))
}

/// Carries tests out as `rules test` does, without a file: `rules` is read in the place of those that the
/// tests name in `ruleFiles`.
pub fn test_rules(tests: &str, rules: &str) -> TestReport {
    let read = |_: &[PathBuf]| Ok(vec![File::of_text("rules.yaml", rules)]);
    let tested = [Tested::of(&File::of_text("tests.yaml", tests), read)];
    let text = format!("{}{}\n", tested[0].text(), summary(&tested));
    TestReport { text, junit: junit::report(&tested) }
}

fn summary(files: &[Tested]) -> String {
    let sum = |of: fn(&Tested) -> usize| files.iter().map(of).sum::<usize>();
    let (tests, failures, errors) =
        (sum(Tested::tests), sum(Tested::failures), sum(Tested::errors));
    let passed = tests - failures - errors;
    let s = if tests == 1 { "" } else { "s" };
    let errors = match errors {
        0 => String::new(),
        errors => format!(", {errors} could not be carried out"),
    };
    let style = if passed == tests { GOOD } else { BAD };
    paint(style, &format!("{tests} test{s}: {passed} passed, {failures} failed{errors}"))
}

// === impl Tested ===

impl Tested {
    /// Carries out the tests of a file. `rules` reads the files that it names.
    fn of(file: &File, rules: impl FnOnce(&[PathBuf]) -> anyhow::Result<Vec<File>>) -> Self {
        let results = match Prepared::read(file, rules) {
            Ok(prepared) => prepared.results(file),
            Err(mistake) => vec![(file.name.clone(), Outcome::Mistaken(mistake))],
        };
        Self { name: file.name.clone(), results }
    }

    fn tests(&self) -> usize {
        self.results.len()
    }

    fn failures(&self) -> usize {
        self.results.iter().filter(|(_, it)| matches!(it, Outcome::Failed(_))).count()
    }

    fn errors(&self) -> usize {
        self.results.iter().filter(|(_, it)| matches!(it, Outcome::Mistaken(_))).count()
    }

    /// What is wrong, for people.
    fn text(&self) -> String {
        let results = self.results.iter().map(|(name, outcome)| match outcome {
            Outcome::Passed => String::new(),
            Outcome::Mistaken(text) => format!("{text}\n\n"),
            Outcome::Failed(failures) => {
                failures.iter().map(|failure| self.failure(name, failure)).collect()
            }
        });
        results.collect()
    }

    fn failure(&self, name: &str, Failure { at, line, difference }: &Failure) -> String {
        let lines: Vec<_> = difference.iter().map(Line::painted).collect();
        let (failed, lines) = (paint(BAD, "FAILED"), lines.join("\n"));
        let head = paint(STRONG, &format!("{}:{line}: {name}", self.name));
        format!("{failed} {head}\n  at {at}:\n{lines}\n\n")
    }
}

/// A failure without colours.
fn plain(failure: &Failure) -> String {
    let lines: Vec<_> = failure.difference.iter().map(Line::plain).collect();
    format!("line {}, at {}:\n{}", failure.line, failure.at, lines.join("\n"))
}

/// A file of tests, with its rules.
struct Prepared {
    tests: Vec<Test>,
    rules: RuleSet,
    alert_duration: SignedDuration,
}

/// The rules of a file of tests.
struct Written {
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
    rules_namespace: String,
    defaults: bool,
    files: Vec<(File, Vec<super::document::Document>)>,
}

// === impl Prepared ===

impl Prepared {
    /// # Errors
    /// What is wrong with the file or with its rules, drawn.
    fn read(
        file: &File,
        rules: impl FnOnce(&[PathBuf]) -> anyhow::Result<Vec<File>>,
    ) -> Result<Self, String> {
        let text = file.text().map_err(|finding| finding.to_string())?;
        let read: TestFile =
            serde_saphyr::from_str(text).map_err(|error| yaml::report(&file.name, &error))?;
        let folder = file.path.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        let paths: Vec<_> = read.rule_files.iter().map(|path| folder.join(path)).collect();
        let files = rules(&paths)
            .map_err(|error| format!("error: {error:#}\n  --> {}, ruleFiles", file.name))?;
        let mut documents = Vec::new();
        for rules in files {
            let read = rules.documents().map_err(|finding| finding.to_string())?;
            documents.push((rules, read));
        }
        let rules = Written {
            namespaces: read.namespaces,
            rules_namespace: read.rules_namespace,
            defaults: read.defaults,
            files: documents,
        };
        let alert_duration = SignedDuration::try_from(read.alert_duration.0).unwrap_or_default();
        let prepared =
            Self { tests: read.tests, rules: rules.checked(&file.name)?, alert_duration };
        prepared.check_names(file)?;
        Ok(prepared)
    }

    fn results(&self, file: &File) -> Vec<(String, Outcome)> {
        let result = |test: &Test| {
            let outcome = match play(test, &self.rules, self.alert_duration) {
                Ok(failures) if failures.is_empty() => Outcome::Passed,
                Ok(failures) => Outcome::Failed(failures),
                Err(Mistake(place, message)) => Outcome::Mistaken(drawn(file, place, &message)),
            };
            (test.name.value.clone(), outcome)
        };
        self.tests.iter().map(result).collect()
    }

    /// A name that is mistyped would be a test that fails for a reason that is hard to see.
    fn check_names(&self, file: &File) -> Result<(), String> {
        let known: BTreeSet<_> = self.rules.rules().map(Rule::name).collect();
        let expectations = self.tests.iter().flat_map(|test| &test.expect);
        let names = expectations.flat_map(|it| {
            let alerts = it.alerts.iter().map(|it| &it.rule);
            let notifications = it.notifications.iter().map(|it| &it.rule);
            alerts.chain(notifications).chain(it.drops.iter().map(|it| &it.rule))
        });
        for Spanned { value, referenced, .. } in names {
            if !known.contains(&**value) {
                let near = nearest(value, known.iter().copied());
                let near = near.map(|near| format!(": did you mean `{near}`?")).unwrap_or_default();
                let message = format!("no rule that counts is called `{value}`{near}");
                return Err(drawn(file, *referenced, &message));
            }
        }
        Ok(())
    }
}

// === impl Written ===

impl Written {
    fn compile(&self) -> RuleSet {
        let mut rules = RuleSet::builder();
        for document in self.files.iter().flat_map(|(_, documents)| documents) {
            add(&mut rules, document, self.namespaces());
        }
        if self.defaults {
            rules.add(&self.rules_namespace, DEFAULTS, &Scope::Cluster, &default_rules());
        }
        for (namespace, labels) in &self.namespaces {
            if let Some(workspace) = labels.get(WORKSPACE_LABEL) {
                rules.member(namespace, workspace);
            }
        }
        rules.build()
    }

    fn namespaces(&self) -> Namespaces<'_> {
        Namespaces { default: "default", rules: &self.rules_namespace }
    }

    /// # Errors
    /// Those of the rules that do not count.
    fn checked(&self, name: &str) -> Result<RuleSet, String> {
        let found = self.files.iter().flat_map(|(file, documents)| {
            let found = documents.iter().map(|it| findings(file, it, self.namespaces()));
            found.collect::<Vec<_>>().into_iter().flatten()
        });
        let errors: Vec<_> = found.filter(Finding::is_error).map(|it| it.to_string()).collect();
        if !errors.is_empty() {
            return Err(errors.join("\n"));
        }
        let rules = self.compile();
        let there_are_some = rules.rules().next().is_some();
        let message =
            "there is no rule to test: name files in `ruleFiles`, or set `defaults: true`";
        if there_are_some { Ok(rules) } else { Err(format!("error: {message}\n  --> {name}")) }
    }
}

/// A message with the place in the file drawn under it.
fn drawn(file: &File, place: Location, message: &str) -> String {
    let (line, column) = (place.line(), place.column());
    let text = file.text().unwrap_or_default();
    let number = line.to_string();
    let text = usize::try_from(line).ok().and_then(|line| text.lines().nth(line.checked_sub(1)?));
    let (margin, text) = (" ".repeat(number.len()), text.unwrap_or_default());
    let before = " ".repeat(usize::try_from(column).unwrap_or(1).saturating_sub(1));
    format!(
        "error: {message}\n{margin}--> {}:{line}:{column}\n{margin} |\n{number} | {text}\n{margin} | {before}^",
        file.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last line of what is said of a test of one rule.
    fn tested(events: &str, expect: &str) -> String {
        let rules = "rules: [{name: Often, enable: true, type: alert, condition: reason = \"BackOff\", \
            threshold: {count: 3, within: 10m}}]";
        let tests = format!("tests: [{{name: often, events: [{events}], expect: [{expect}]}}]");
        let TestReport { text, .. } = test_rules(&tests, rules);
        anstream::adapter::strip_str(text.lines().last().unwrap_or_default()).to_string()
    }

    #[test]
    fn tests_can_be_carried_out_without_files() {
        let event = "{at: 0s, reason: BackOff, object: Pod/shop/web-0}";
        let expect = |alerts: &str| format!("{{at: 1m, alerts: [{alerts}]}}");
        let thrice = [event; 3].join(", ");
        let passed = "1 test: 1 passed, 0 failed";
        assert_eq!(tested(&thrice, &expect("{rule: Often}")), passed);
        assert_eq!(tested(event, &expect("")), passed);
        assert_eq!(tested(event, &expect("{rule: Often}")), "1 test: 0 passed, 1 failed");
    }
}
