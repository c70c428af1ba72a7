//! Tools that are run to their end.

use anyhow::{Context as _, Result, ensure};
use std::process::Command;

/// Runs `command`, and gives what it printed to stdout.
///
/// # Errors
/// When it cannot be started, or fails; then with what it printed to stderr.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}\n{stderr}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}
