//! Evaluates rules on Kubernetes Events and sends notifications and alerts.
