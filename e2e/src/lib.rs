//! Real servers for tests: each is started on free loopback ports, in a folder of its own, and is gone
//! when its value is dropped.
//!
//! | type | what runs | where the program is found |
//! |---|---|---|
//! | [`ControlPlane`] | etcd and kube-apiserver, kube-controller-manager on demand | the folder in `KUBEBUILDER_ASSETS` |
//! | [`Node`] | the pods of a control plane, as processes in namespaces | `ip`, `unshare`, `nsenter`, `chroot` |
//! | [`Cluster`] | all of that with an Alertmanager and `kubectl` | as above |
//! | [`Operator`] | a control plane with the bundle and the operator | `kubectl` in `KUBEBUILDER_ASSETS` |
//! | [`Alertmanager`] | one replica of Alertmanager | `ALERTMANAGER`, or `PATH` |
//! | [`Prometheus`] | a Prometheus that scrapes every second | `PROMETHEUS`, or `PATH` |
//! | [`Program`] | a program of ours, with a configuration | the caller; [`Part::Program`] finds it |
//! | [`Process`] | any program | the caller |
//!
//! A test begins by asking for its parts with [`Part::find`]. A part that this machine lacks is told
//! loudly and skips the test, or fails it where `KUBE_EVENTS_E2E=required` is set. [`Load`] creates
//! Events quickly and says what it created. [`run`] runs a tool to its end, and [`Manifest`] compares the
//! objects that tools print.

mod alertmanager;
mod cluster;
mod control_plane;
mod isolation;
mod load;
mod manifest;
mod node;
mod operator;
mod part;
mod port;
mod process;
mod program;
mod prometheus;
mod run;
mod tls;
mod wait;

pub use alertmanager::Alertmanager;
pub use cluster::Cluster;
pub use control_plane::{ControlPlane, Settings};
pub use isolation::isolated;
pub use load::{Created, Load};
pub use manifest::Manifest;
pub use node::Node;
pub use operator::Operator;
pub use part::Part;
pub use port::free_ports;
pub use process::{Process, Usage};
pub use program::Program;
pub use prometheus::{Prometheus, Sample, Target};
pub use run::run;
pub use tls::install_crypto;
pub use wait::until;
