//! Exit codes, as the command line promises them.

/// All done. Missing archives are no failures; a drained worker or coordinator ends so too.
pub const DONE: u8 = 0;
/// Failed.
pub const FAILED: u8 = 1;
/// Bad usage: an argument, a variable, or the configuration file.
pub const USAGE: u8 = 2;
/// Finished, but some tasks of the selection are dead.
pub const DEAD_TASKS: u8 = 3;
/// `verify` found defects.
pub const DEFECTS: u8 = 4;
/// An interrupted `run`, or a second signal.
pub const INTERRUPTED: u8 = 130;
