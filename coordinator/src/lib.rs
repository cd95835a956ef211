//! Plans what the archive holds into the queue, and returns expired leases
