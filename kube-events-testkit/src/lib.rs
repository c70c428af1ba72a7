#![doc = include_str!("../README.md")]

mod alertmanager;
mod apiserver;
mod listener;
mod oracle;
mod receiver;
mod scenario;
mod workload;

pub use alertmanager::AlertmanagerReceiver;
pub use apiserver::{
    Action, ApiServer, Builder, Fault, Form, RequestRecord, Resource, Snapshot, Status, Verb,
    WatchFault,
};
pub use oracle::{Expectation, Identity, Report};
pub use receiver::{Receiver, Recorded, Reply};
pub use scenario::Scenario;
pub use workload::{EventDraft, EventTarget, Extent, Reference, Step, Workload};
