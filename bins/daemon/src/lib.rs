//! What the kube-events daemons share: arguments, logs, signals, probes, configuration and the way
//! to an API server.
//!
//! A daemon's `main` parses its options and hands the rest to [`run`], which gives it a runtime and
//! the token that ends it:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use clap::Parser;
//! use kube_events_daemon::{Health, ListenOptions, LogOptions, Server, Threads, parse, run};
//! use prometheus_client::registry::Registry;
//!
//! /// Says that it is alive.
//! #[derive(Parser)]
//! struct Options {
//!     #[command(flatten)]
//!     log: LogOptions,
//!     #[command(flatten)]
//!     listen: ListenOptions,
//! }
//!
//! fn main() -> ExitCode {
//!     let options: Options = parse();
//!     run(&options.log, Threads::One, |shutdown| async move {
//!         let health = Health::default();
//!         let server = Server::new(health, Registry::default());
//!         server.bind(&options.listen.listen).await?.serve(shutdown.cancelled_owned()).await?;
//!         Ok(())
//!     })
//! }
//! ```
//!
//! | noun | what it is |
//! |---|---|
//! | [`parse`] | options, with `-config.file F` read as `--config.file F` |
//! | [`LogOptions`] | `--log.format`, `--log.level` |
//! | [`run`], [`Threads`] | the runtime, the signals, the exit code |
//! | [`Health`] | the parts of a program, and which of them is not ready |
//! | [`Server`] | `/healthz`, `/readyz`, `/metrics`, `POST /-/reload`, and a program's own routes |
//! | [`ConfigFile`] | a file of settings that is read again when it changes |
//! | [`KubeOptions`] | `--kubeconfig`, `--master`: the way to an API server |
//! | `Candidate` (feature `election`) | one of several, of which one acts |
//! | [`cluster_name`] | what the cluster calls itself |
//! | [`yaml`] | mistakes in YAML, drawn into the text |

mod args;
mod cluster;
mod config;
#[cfg(feature = "election")]
mod election;
mod health;
mod kubernetes;
mod listen;
mod logs;
mod run;
mod server;
mod shutdown;

pub mod yaml;

pub use args::{double_dashes, parse};
pub use cluster::cluster_name;
pub use config::{Applied, ConfigError, ConfigFile, ReloadError, ReloadHandle, read_config};
#[cfg(feature = "election")]
pub use election::Candidate;
pub use health::{Check, Health, Readiness};
pub use kubernetes::KubeOptions;
pub use listen::{ListenAddress, ListenOptions};
pub use logs::{LogFormat, LogOptions};
pub use run::{Threads, run};
pub use server::{Bound, Server};
