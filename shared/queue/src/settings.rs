//! Settings that shape the output, fixed in the queue.

use std::collections::BTreeMap;

use crate::QueueError;
use crate::limits::{self, MAX_SETTINGS_BYTES};

/// What a setting is called when one side does not have it.
const UNSET: &str = "(unset)";

/// Checks the size of settings about to be stored.
pub(crate) fn check(settings: &BTreeMap<String, String>) -> Result<(), QueueError> {
    let size = settings
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    limits::within(|| "set of fixed settings".into(), size, MAX_SETTINGS_BYTES)
}

/// Compares the queue's settings with the caller's; the first difference, by name, is the error.
pub(crate) fn compare(
    theirs: &BTreeMap<String, String>,
    ours: &BTreeMap<String, String>,
) -> Result<(), QueueError> {
    let first_difference = theirs
        .keys()
        .chain(ours.keys())
        .filter(|name| theirs.get(*name) != ours.get(*name))
        .min();
    let Some(name) = first_difference else {
        return Ok(());
    };
    let value_in = |settings: &BTreeMap<String, String>| {
        settings
            .get(name)
            .cloned()
            .unwrap_or_else(|| UNSET.to_owned())
    };
    Err(QueueError::Settings {
        name: name.clone(),
        theirs: value_in(theirs),
        ours: value_in(ours),
    })
}
