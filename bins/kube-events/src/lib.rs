//! The kube-events command line: demo, run, rules, crds.
