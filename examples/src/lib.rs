//! Small whole programs that embed the kube-events crates.
//!
//! | program | shows |
//! |---|---|
//! | `watch` | Events as a stream |
//! | `custom_sink` | a destination of one's own |
//! | `controller` | a rule as the filter of a controller |
//! | `embedded_pipeline` | two sinks, a checkpoint, and a look at how they are |
//!
//! `cargo run -p examples --example watch` runs one of them against the cluster that the current
//! kubeconfig names.
