//! Small whole programs that embed the kube-events crates.
