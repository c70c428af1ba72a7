//! What the kube-events daemons share: logs, signals, probes and config reload.
