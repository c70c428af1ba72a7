#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(all(feature = "alertmanager", feature = "file", feature = "stdout", feature = "webhook")),
    allow(dead_code, unused_imports, reason = "parts that sinks share, some of which are missing")
)]
#![doc = include_str!("../README.md")]

#[cfg(feature = "alertmanager")]
pub mod alertmanager;
pub mod config;
pub mod encode;
mod error;
#[cfg(feature = "file")]
pub mod file;
#[cfg(feature = "http")]
mod halve;
#[cfg(feature = "http")]
pub mod http;
pub mod human;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod lane;
mod service;
#[cfg(feature = "stdout")]
pub mod stdout;
#[cfg(feature = "webhook")]
pub mod webhook;

pub use config::{Context, RulerLanes, SinkConfig};
pub use error::ConfigError;
pub use lane::Lane;
