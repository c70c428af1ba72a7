#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

pub mod alert;
pub mod batch;
pub mod checkpoint;
#[cfg(feature = "testing")]
pub mod contract;
pub mod crd;
pub mod error;
pub mod event;
pub mod gap;
mod log;
pub mod metrics;
pub mod notification;
pub mod pipeline;
pub mod resource_version;
pub mod sink;
pub mod source;

pub use alert::Alert;
pub use batch::{Batch, Item};
pub use event::{Event, EventKey};
pub use gap::Gap;
pub use notification::{MatchedRule, Notification};
pub use pipeline::Pipeline;
pub use resource_version::ResourceVersion;
pub use sink::{SendError, Sink, sink_fn};
