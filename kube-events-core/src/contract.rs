//! The suite that every sink's tests call, and builders for what they send.
//!
//! A sink's test says how to make one that leads to an empty destination, how to see what arrived
//! there, and, where that can happen to such a destination, how to make it refuse an item or fail.
//! [`Contract::run`] then checks what [`Sink`](crate::Sink) promises and says what it checked.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use kube_events_core::{Batch, Event, contract::{Clause, Contract, Delivery}, sink_fn};
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//!
//! type Arrived = Arc<Mutex<Vec<serde_json::Value>>>;
//! let report = Contract::<Event, _, _>::new(
//!     async || {
//!         let arrived = Arrived::default();
//!         let there = Arc::clone(&arrived);
//!         let sink = sink_fn(move |batch: Batch<Event>| {
//!             there.lock().unwrap().extend(batch.iter().map(|event| event.value().clone()));
//!             async { Ok(()) }
//!         });
//!         (sink, arrived)
//!     },
//!     async |arrived: &Arrived| vec![Delivery::accepted(arrived.lock().unwrap().clone())],
//! )
//! .run()
//! .await;
//! assert_eq!(report.checked, [Clause::Order, Clause::Close]);
//! assert_eq!(report.skipped, [Clause::Refusal, Clause::Retry, Clause::Key]);
//! # });
//! ```

mod event;
mod sample;
mod suite;

pub use self::{
    event::{EventBuilder, event},
    sample::Sample,
    suite::{Clause, Contract, Delivery, Report},
};
