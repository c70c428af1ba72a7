//! Tests with a network and processes of their own, as on a machine of their own.

use crate::{Part, install_crypto};
use anyhow::{Result, ensure};
use std::{env, process::Command};

/// Set in the process that has namespaces of its own.
const ISOLATED: &str = "KUBE_EVENTS_E2E_ISOLATED";

/// Runs `body`, the whole of the test function `name`, in network, mount and process namespaces of its
/// own: ports are all free, addresses are the test's to give, and no process is left when it ends.
///
/// For that this program is started again by `unshare`, for this one test. Without the right to do so the
/// test is skipped, as [`Part::find`] says.
///
/// # Errors
/// Those of the body.
pub fn isolated(name: &str, body: impl Future<Output = Result<()>>) -> Result<()> {
    if env::var_os(ISOLATED).is_some() {
        install_crypto();
        return tokio::runtime::Runtime::new()?.block_on(body);
    }
    let Some(unshare) = Part::Namespaces.find() else { return Ok(()) };
    let status = Command::new(unshare)
        .args(["--net", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child"])
        .args(["sh", "-c", "ip link set lo up && exec \"$@\"", "sh"])
        .arg(env::current_exe()?)
        .args([name, "--exact", "--nocapture"])
        .env(ISOLATED, "1")
        .status()?;
    ensure!(status.success(), "{name} failed, as told above: {status}");
    Ok(())
}
