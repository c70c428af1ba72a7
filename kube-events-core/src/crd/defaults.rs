//! What counts where a field is left out: in the schemas of custom resources, which an API server
//! writes into the objects that it stores, and in the programs, which read configuration files too.

use std::time::Duration;

use super::{ByteSize, MAX_CONDITION, MAX_RULES};

/// How many pods a Ruler has.
pub const REPLICAS: i32 = 1;

/// Whether rules with state get to know what happened before.
pub const WARM_UP: bool = true;

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

/// Bytes of one condition.
pub const CONDITION_SIZE: ByteSize = ByteSize(MAX_CONDITION);

/// Parentheses and `not`s of a condition that are open at one place.
pub const CONDITION_DEPTH: u32 = 10 << 10;

/// Bytes of the compiled form of one pattern.
pub const PATTERN_SIZE: ByteSize = ByteSize(4 << 20);

/// Bytes of the compiled forms of all patterns of one Rule object.
pub const OBJECT_PATTERNS_SIZE: ByteSize = ByteSize(16 << 20);

/// Rules of one Rule object.
pub const OBJECT_RULES: u32 = MAX_RULES;

/// Rules of one namespace.
pub const NAMESPACE_RULES: u32 = 10_000;

/// Bytes of all conditions of one namespace.
pub const NAMESPACE_CONDITIONS_SIZE: ByteSize = ByteSize(4 << 20);

/// Bytes of the compiled forms of all patterns of one namespace.
pub const NAMESPACE_PATTERNS_SIZE: ByteSize = ByteSize(64 << 20);

/// What the rules of one namespace or workspace may cost one Event.
pub const EVENT_WORK: ByteSize = ByteSize(1 << 30);

/// Groups that one rule with state remembers.
pub const RULE_GROUPS: u32 = 10_000;

/// Bytes that all groups of all rules take, about.
pub const GROUPS_SIZE: ByteSize = ByteSize(64 << 20);
