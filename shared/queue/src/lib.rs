//! The task queue: leases with generations, one trait, its backends and their conformance suite
