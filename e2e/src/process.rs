//! A program as a child process: its output in files, its cost from `/proc`.

use crate::wait::until;
use anyhow::{Context as _, Result, bail};
use reqwest::RequestBuilder;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};
use tokio::{process::Child, time::timeout};

const TAIL_LINES: usize = 20;

/// A running child; killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: Pid,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// What a process has cost so far, as the kernel counts it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// User and system time of all threads, in steps of 10 ms.
    pub cpu: Duration,
    /// Resident memory now, bytes.
    pub rss: u64,
    /// The most that was ever resident, bytes.
    pub peak_rss: u64,
}

// === impl Process ===

impl Process {
    /// Starts `command`; its output is added to `NAME.stdout` and `NAME.stderr` in the folder `logs`.
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the program cannot be started or a log cannot be opened.
    pub fn spawn(name: &str, command: Command, logs: &Path) -> Result<Self> {
        let stdout = logs.join(format!("{name}.stdout"));
        let stderr = logs.join(format!("{name}.stderr"));
        let child = tokio::process::Command::from(command)
            .stdin(std::process::Stdio::null())
            .stdout(append(&stdout)?)
            .stderr(append(&stderr)?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let pid = pid_of(&child).with_context(|| format!("{name} ended at once"))?;
        Ok(Self { name: name.to_owned(), pid, child, stdout, stderr })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Everything printed to stdout so far.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn stdout(&self) -> Result<String> {
        read(&self.stdout)
    }

    /// Everything printed to stderr so far.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn stderr(&self) -> Result<String> {
        read(&self.stderr)
    }

    /// The file that takes stdout, for output too large to read again and again.
    pub fn stdout_path(&self) -> &Path {
        &self.stdout
    }

    /// Waits until `request` is answered with 2xx.
    ///
    /// # Errors
    /// When the process ends first or `limit` passes, with the end of its stderr.
    pub async fn ready(&mut self, request: &RequestBuilder, limit: Duration) -> Result<()> {
        let what = format!("{} is ready", self.name);
        let answered = async || {
            let request = request.try_clone().context("a probe has no streaming body")?;
            let answer = request.timeout(Duration::from_secs(5)).send().await;
            Ok(answer.is_ok_and(|a| a.status().is_success()).then_some(()))
        };
        let waiting = until(&what, limit, answered);
        let ended = tokio::select! {
            ready = waiting => return ready.with_context(|| tail(&self.stderr)),
            status = self.child.wait() => status?,
        };
        bail!("{} ended ({ended}) before it was ready\n{}", self.name, tail(&self.stderr))
    }

    /// Waits for a line, of stdout or stderr, that `wanted` accepts, and gives it.
    ///
    /// # Errors
    /// When there is none within `limit`, with the end of stderr.
    pub async fn line(&self, limit: Duration, wanted: impl Fn(&str) -> bool) -> Result<String> {
        let found = async || {
            let text = self.stdout()? + &self.stderr()?;
            Ok(text.lines().find(|line| wanted(line)).map(str::to_owned))
        };
        let what = format!("the line from {}", self.name);
        until(&what, limit, found).await.with_context(|| tail(&self.stderr))
    }

    /// Sends SIGTERM.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Sends SIGKILL: what a crash looks like from outside.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn kill(&self) -> Result<()> {
        self.signal(Signal::KILL)
    }

    /// Stops the process in its tracks (SIGSTOP): connections stay open and nothing answers.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets a frozen process go on (SIGCONT).
    ///
    /// # Errors
    /// When the process is gone.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When the process still runs after `limit`.
    pub async fn exited(&mut self, limit: Duration) -> Result<ExitStatus> {
        match timeout(limit, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("{} still runs after {limit:?}\n{}", self.name, tail(&self.stderr)),
        }
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Errors
    /// When the process was gone already, or still runs after `limit`.
    pub async fn stop(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.terminate()?;
        self.exited(limit).await
    }

    /// CPU time and memory so far. An ended process keeps its CPU time until it is waited for, but has no memory.
    ///
    /// # Errors
    /// When the process was waited for.
    pub fn usage(&self) -> Result<Usage> {
        let proc = PathBuf::from(format!("/proc/{}", self.pid()));
        let status = fs::read_to_string(proc.join("status"))?;
        let cpu = cpu_time(&fs::read_to_string(proc.join("stat"))?).context("strange stat")?;
        let bytes = |key| kibibytes(&status, key).unwrap_or(0) * 1024;
        Ok(Usage { cpu, rss: bytes("VmRSS:"), peak_rss: bytes("VmHWM:") })
    }

    /// Whether the process has ended, without waiting for it.
    ///
    /// # Errors
    /// When the process was waited for.
    pub fn ended(&self) -> Result<bool> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        Ok(after_name(&stat).is_some_and(|fields| fields.starts_with('Z')))
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        // Once waited for, the pid may be someone else's.
        self.child.id().with_context(|| format!("{} has ended", self.name))?;
        kill_process(self.pid, signal).with_context(|| format!("signal to {}", self.name))
    }
}

fn pid_of(child: &Child) -> Option<Pid> {
    Pid::from_raw(i32::try_from(child.id()?).ok()?)
}

fn append(path: &Path) -> Result<File> {
    File::options().create(true).append(true).open(path).with_context(|| path.display().to_string())
}

fn read(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn tail(path: &Path) -> String {
    let text = read(path).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
    format!("the end of {}:\n{last}", path.display())
}

/// The fields of `/proc/PID/stat` after the name, which may itself hold spaces and brackets.
fn after_name(stat: &str) -> Option<&str> {
    Some(stat.rsplit_once(") ")?.1)
}

/// `utime` and `stime`, fields 14 and 15 of proc(5).
fn cpu_time(stat: &str) -> Option<Duration> {
    let mut fields = after_name(stat)?.split(' ').skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let total = ticks()? + ticks()?;
    Some(Duration::from_millis(total * 1000 / rustix::param::clock_ticks_per_second()))
}

fn kibibytes(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn shell(script: &str, dir: &Path) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::spawn("shell", command, dir).unwrap()
    }

    #[test]
    fn cpu_time_is_read_past_a_name_with_brackets() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 90 0 0 0 150 50 0 0 20 0 1 0 100 0 0";
        assert_eq!(cpu_time(stat), Some(Duration::from_secs(2)));
        assert_eq!(kibibytes("VmPeak:\t 9 kB\nVmHWM:\t   12 kB\n", "VmHWM:"), Some(12));
    }

    #[tokio::test]
    async fn output_is_captured_and_a_line_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = shell("echo one; echo two >&2; exec cat", dir.path());
        assert_eq!(process.line(LIMIT, |line| line.contains("tw")).await.unwrap(), "two");
        assert!(process.exited(LIMIT).await.unwrap().success());
        assert_eq!(process.stdout().unwrap(), "one\n");
    }

    #[tokio::test]
    async fn a_stopped_process_has_ended_by_the_signal() {
        use std::os::unix::process::ExitStatusExt as _;
        let dir = tempfile::tempdir().unwrap();
        let mut process = shell("exec tail -f /dev/null", dir.path());
        assert!(process.usage().is_ok() && !process.ended().unwrap());
        assert_eq!(process.stop(LIMIT).await.unwrap().signal(), Some(15));
        assert!(process.terminate().is_err());
    }

    #[tokio::test]
    async fn a_process_that_ends_is_never_ready() {
        crate::install_crypto();
        let dir = tempfile::tempdir().unwrap();
        let [port] = crate::free_ports().unwrap();
        let request = reqwest::Client::new().get(format!("http://127.0.0.1:{port}/"));
        let error = shell("echo bad flag >&2; exit 3", dir.path()).ready(&request, LIMIT).await;
        let error = format!("{:#}", error.unwrap_err());
        assert!(error.contains("exit status: 3") && error.contains("bad flag"), "{error}");
    }
}
