//! `rules`: what can be done with rules without a cluster.

mod check;
mod compile;
mod defaults;
mod document;
mod eval;
mod events;
mod explain;
mod files;
mod finding;
mod fix;
mod replay;
mod scalar;
mod simulation;
mod source;
mod style;
mod test;

use std::process::ExitCode;

use clap::Subcommand;

pub(crate) use self::compile::compile;
pub use self::{
    check::{CheckOptions, Format},
    defaults::DefaultsOptions,
    eval::{EvalOptions, EventApi},
    explain::ExplainOptions,
    replay::ReplayOptions,
    source::RulesOptions,
    test::{TestOptions, TestReport, test_rules},
};

/// What can be done with rules.
#[derive(Clone, Debug, Subcommand)]
pub enum RulesCommand {
    /// Check Rules in files: conditions, scopes, types, labels, annotations, spelling of keys.
    Check(CheckOptions),
    /// Say why rules match an Event, or do not.
    Explain(ExplainOptions),
    /// Say what rules would have given for Events of the past.
    Replay(ReplayOptions),
    /// Test rules: Events, and what has to follow from them, in YAML.
    Test(TestOptions),
    /// Evaluate conditions on Events, one case a line.
    Eval(EvalOptions),
    /// Print the usual rules as a Rule object.
    Defaults(DefaultsOptions),
}

// === impl RulesCommand ===

impl RulesCommand {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Check(options) => check::run(&options),
            Self::Explain(options) => explain::run(&options),
            Self::Replay(options) => replay::run(&options),
            Self::Test(options) => test::run(&options),
            Self::Eval(options) => eval::run(&options),
            Self::Defaults(options) => defaults::run(&options),
        }
    }
}
