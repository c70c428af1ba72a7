//! Watches Kubernetes Events and delivers them to sinks.
