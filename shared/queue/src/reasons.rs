//! The words every backend records when a task ends without a worker's doing.

/// The reason a task is dead when someone gave it up.
pub(crate) const CANCELLED: &str = "cancelled";
/// What is said of it.
pub(crate) const CANCELLED_MESSAGE: &str = "someone cancelled the task";
/// The reason a task is dead when its leases kept running out.
pub(crate) const LOST: &str = "lost";
/// What is said of a lease that ran out.
pub(crate) const RAN_OUT: &str = "the lease ran out without a heartbeat";
