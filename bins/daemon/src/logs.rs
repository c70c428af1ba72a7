//! Logs: one line an event of the program's own, to standard error.

use std::io::{IsTerminal as _, stderr};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// The options that say how a program logs.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Logs")]
pub struct LogOptions {
    /// The form of a line.
    #[arg(long = "log.format", value_name = "FORMAT", value_enum, default_value_t)]
    pub format: LogFormat,
    /// What is logged: a level (error, warn, info, debug, trace), or levels by module such as
    /// `info,kube=debug`.
    #[arg(long = "log.level", value_name = "LEVEL", env = "RUST_LOG", default_value = "info")]
    pub level: String,
}

/// The form of a line of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people, with colours on a terminal.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

// === impl LogOptions ===

impl LogOptions {
    /// Sets the process's logs up.
    ///
    /// # Errors
    ///
    /// When the level cannot be parsed, or logs are set up already.
    pub fn init(&self) -> anyhow::Result<()> {
        let builder = tracing_subscriber::fmt()
            .with_env_filter(self.filter()?)
            .with_writer(stderr)
            .with_ansi(self.format == LogFormat::Text && stderr().is_terminal());
        match self.format {
            LogFormat::Text => builder.try_init(),
            LogFormat::Json => builder.json().flatten_event(true).try_init(),
        }
        .map_err(|error| anyhow::anyhow!(error).context("cannot set up logs"))
    }

    fn filter(&self) -> anyhow::Result<EnvFilter> {
        let level = if self.level.is_empty() { "info" } else { &self.level };
        let filter = EnvFilter::try_new(level).with_context(|| format!("--log.level {level:?}"))?;
        // The client logs each failure as an error of its own; who asked says what it means.
        let quiet = !level.contains("kube_client");
        let silence = quiet.then(|| "kube_client::client::builder=off".parse()).transpose()?;
        Ok(silence.into_iter().fold(filter, EnvFilter::add_directive))
    }
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { format: LogFormat::default(), level: "info".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        log: LogOptions,
    }

    #[test]
    fn options_have_the_names_that_prometheus_uses() {
        let args = ["x", "--log.format=json", "--log.level", "info,kube=debug"];
        let log = Program::try_parse_from(args).unwrap().log;
        assert_eq!(log.format, LogFormat::Json);
        assert_eq!(
            log.filter().unwrap().to_string(),
            "kube_client::client::builder=off,kube=debug,info"
        );
    }

    #[test]
    fn a_level_that_nobody_knows_names_its_option() {
        let log = LogOptions { level: "kube=loud".into(), ..LogOptions::default() };
        assert!(log.init().unwrap_err().to_string().contains("--log.level"));
    }
}
