//! Tests against a real kube-apiserver, etcd, Alertmanager and Prometheus.
