//! `upgrade`: what the Go project left in a cluster, and its removal.

mod found;
mod recognize;
mod report;
mod survey;

use std::{
    io::{Write as _, stdout},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use kube::Client;
use kube_events_daemon::KubeOptions;
use kube_events_operator::NAMESPACE;
use tokio::{
    runtime::Builder,
    time::{Instant, sleep},
};

use self::{found::Found, report::Report, survey::Survey};

/// Where to look, and whether to act.
#[derive(Clone, Debug, Args)]
pub struct UpgradeOptions {
    /// The namespace of the operator.
    #[arg(long, short, value_name = "NAMESPACE", default_value = NAMESPACE)]
    namespace: String,
    /// Only say what would be deleted, and whether the API server would allow it.
    #[arg(long)]
    dry_run: bool,
    /// Print a JSON array, and nothing else.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    kube: KubeOptions,
}

pub(crate) const EXAMPLES: &str = "\
Run it with an administrator's rights after the bundle was applied over the Go project. What is not
certain to be the Go project's is left alone, and doing it twice does no harm.

Exit codes: 0 nothing is left, 1 something could not be deleted, 2 the cluster cannot be asked.

Examples:
  kube-events upgrade --dry-run
  kube-events upgrade";

const USER_AGENT: &str = concat!("kube-events/", env!("CARGO_PKG_VERSION"));

/// How long the new operator may take for what it takes over, and the old one to end.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(1);

/// Looks, deletes, and says what became of it.
pub(crate) fn run(options: &UpgradeOptions) -> anyhow::Result<ExitCode> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let client = options.kube.client(USER_AGENT).await?;
        upgrade(&client, options).await.context("the cluster cannot be asked")
    })?;
    let text = if options.json { report.json()? } else { report.table() };
    stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::from(u8::from(report.is_bad())))
}

/// Deletes the Go project's operator where it is beside the new one, then what that leaves.
async fn upgrade(client: &Client, options: &UpgradeOptions) -> anyhow::Result<Report> {
    let survey = Survey { client, namespace: &options.namespace };
    let mut found = survey.operators().await?;
    // What may not be looked at is found out before anything is deleted.
    let mut rest = survey.rest().await?;
    survey.operator_runs().await?;

    delete(client, &mut found, options.dry_run).await;
    if found.iter().any(Found::is_left) {
        // It would make again what is deleted.
        let runs = "the Go project's operator still runs";
        rest = rest.into_iter().map(|it| it.waiting(runs)).collect();
    } else if !options.dry_run {
        rest = match settled(&survey).await {
            Ok(rest) => rest,
            // What has been deleted is told even so.
            Err(error) => rest.into_iter().map(|it| it.failed(&error)).collect(),
        };
    }
    delete(client, &mut rest, options.dry_run).await;
    found.append(&mut rest);
    Ok(Report { dry_run: options.dry_run, found })
}

/// What is left when the old operator has ended and the new one has taken over, or patience ends.
async fn settled(survey: &Survey<'_>) -> anyhow::Result<Vec<Found>> {
    let end = Instant::now() + PATIENCE;
    let mut told = false;
    loop {
        let mut rest = survey.rest().await?;
        if survey.operator_runs().await? {
            let ending = "a pod of the Go project's operator has not ended yet";
            rest = rest.into_iter().map(|it| it.waiting_soon(ending)).collect();
        }
        let Some(reason) = rest.iter().find_map(Found::soon) else { return Ok(rest) };
        if Instant::now() >= end {
            return Ok(rest);
        }
        if !told {
            eprintln!("waiting up to {} s: {reason}", PATIENCE.as_secs());
            told = true;
        }
        sleep(PAUSE).await;
    }
}

async fn delete(client: &Client, found: &mut [Found], dry_run: bool) {
    for it in found {
        it.delete(client, dry_run).await;
    }
}
