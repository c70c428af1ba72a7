#![doc = include_str!("../README.md")]

mod alertmanager;
mod apiserver;
mod draft;
mod drive;
mod listener;
mod oracle;
mod receiver;
mod scenario;
mod tale;
mod workload;

pub use alertmanager::AlertmanagerReceiver;
pub use apiserver::{
    Action, ApiServer, Builder, Fault, Form, RequestRecord, Resource, Snapshot, Status, Verb,
    WatchFault,
};
pub use draft::{EventDraft, Reference};
pub use drive::{EventTarget, Extent};
pub use oracle::{Expectation, Identity, Report};
pub use receiver::{Receiver, Recorded, Reply};
pub use scenario::Scenario;
pub use workload::{Step, Workload};
