//! What counts where a field is left out: in the schemas of custom resources, which an API server
//! writes into the objects that it stores, and in the programs, which read configuration files too.

use std::time::Duration;

/// How many pods a Ruler has.
pub const REPLICAS: i32 = 1;

/// How long pods may take to end, seconds.
pub const TERMINATION_GRACE_PERIOD: i64 = 30;

/// The API that an Exporter asks for Events.
pub const EVENT_VERSION: &str = "corev1";

/// The path of an endpoint of a Service.
pub const SERVICE_PATH: &str = "/";

/// The longest time that a request of a webhook may take.
pub const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest time that a request to an Alertmanager may take.
pub const ALERTMANAGER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an alert fires after it was sent.
pub const ALERT_DURATION: Duration = Duration::from_secs(300);
