//! The kube-events command line.
//!
//! [`Cli`] is what it understands. One file a subcommand; each returns how the process is to exit:
//!
//! | code | meaning |
//! |---|---|
//! | 0 | it is done |
//! | 1 | it is done, and found something wrong |
//! | 2 | it could not be done: the arguments are wrong, or something cannot be read or written |

mod bundle;
mod completions;
mod crds;
mod demo;
mod rules;
mod run;
mod upgrade;

use std::{io, process::ExitCode};

use clap::{Parser, Subcommand};

pub use bundle::BundleOptions;
pub use completions::CompletionsOptions;
pub use demo::DemoOptions;
pub use rules::{
    CheckOptions, DefaultsOptions, EvalOptions, EventApi, ExplainOptions, Format, ReplayOptions,
    RulesCommand, RulesOptions, TestOptions, TestReport, test_rules,
};
pub use run::{RunOptions, SinkArgument};
pub use upgrade::UpgradeOptions;

/// Kubernetes Events: kept, delivered, and turned into notifications and alerts by rules.
#[derive(Clone, Debug, Parser)]
#[command(name = "kube-events", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    /// What is to be done.
    #[command(subcommand)]
    pub command: Command,
}

/// What the command line can do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Show the whole of it in ten seconds, on a cluster that lives in this process.
    #[command(after_help = demo::EXAMPLES)]
    Demo(DemoOptions),
    /// Export a cluster's Events and rule on them, in one process without an operator.
    #[command(after_help = run::EXAMPLES)]
    Run(Box<RunOptions>),
    /// Check, explain, replay, test and print rules.
    #[command(subcommand)]
    Rules(RulesCommand),
    /// Print the definitions of the custom resources.
    #[command(after_help = CRDS_EXAMPLE)]
    Crds,
    /// Print everything that installs the operator.
    #[command(after_help = bundle::EXAMPLES)]
    Bundle(BundleOptions),
    /// Remove what the Go project left in a cluster that has the new operator.
    #[command(after_help = upgrade::EXAMPLES)]
    Upgrade(UpgradeOptions),
    /// Print a script that completes commands in a shell.
    Completions(CompletionsOptions),
}

const EXAMPLES: &str = "\
Examples:
  kube-events demo                                 see what it does, without a cluster
  kube-events run                                  see what happens in the current cluster
  kube-events bundle | kubectl apply --server-side -f -
                                                   install the operator
  kube-events rules defaults | kubectl apply -f -  begin with the usual rules
  kube-events rules check rules/                   find mistakes before the cluster does";

const CRDS_EXAMPLE: &str = "\
Example:
  kube-events crds | kubectl apply -f -";

/// The code of a command that could not be carried out.
const FAILED: u8 = 2;

// === impl Cli ===

impl Cli {
    /// Does what was asked for, and says how the process is to exit.
    pub fn run(self) -> ExitCode {
        let ended = match self.command {
            Command::Demo(options) => return demo::start(options),
            Command::Run(options) => return run::start(*options),
            Command::Rules(command) => command.run(),
            Command::Crds => crds::run(),
            Command::Bundle(options) => bundle::run(options),
            Command::Upgrade(options) => upgrade::run(&options),
            Command::Completions(options) => completions::run(&options),
        };
        ended.unwrap_or_else(|error| failed(&error))
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    if is_closed_pipe(error) {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: {error:#}");
    ExitCode::from(FAILED)
}

/// True if the reader of the output went away (`kube-events crds | head`), which is its right.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let cause = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_has_no_contradictions() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let closed = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(is_closed_pipe(&closed.context("cannot write")));
        assert!(!is_closed_pipe(&anyhow::Error::from(io::Error::from(io::ErrorKind::NotFound))));
    }
}
