//! How many cores this process may use.

use std::num::NonZero;
use std::thread;

/// The cores this process may use, at least 1.
///
/// Counts the affinity mask and the CPU quota of control groups (version 2, and version 1 where it is mounted in its
/// usual place), rounded down: a container with 2.5 CPUs has 2.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_core_and_no_more_than_the_machine_has() {
        let online = std::fs::read_to_string("/proc/cpuinfo")
            .map(|info| {
                info.lines()
                    .filter(|line| line.starts_with("processor"))
                    .count()
            })
            .unwrap_or(usize::MAX)
            .max(1);

        assert!((1..=online).contains(&cores()), "{} of {online}", cores());
    }
}
