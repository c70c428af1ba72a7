//! `completions`: scripts that complete commands in a shell.

use std::{io::Write as _, process::ExitCode};

use clap::{Args, CommandFactory as _};
use clap_complete::{Shell, generate};

use crate::Cli;

/// What `completions` is told.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CompletionsOptions {
    /// The shell.
    pub shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  source <(kube-events completions bash)           in ~/.bashrc
  kube-events completions zsh > ~/.zfunc/_kube-events
  kube-events completions fish > ~/.config/fish/completions/kube-events.fish";

pub(crate) fn run(options: &CompletionsOptions) -> anyhow::Result<ExitCode> {
    // Into memory first: clap panics where it cannot write.
    let mut script = Vec::new();
    generate(options.shell, &mut Cli::command(), "kube-events", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
