//! The CPU time that was spent.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Of all threads of this process so far, user and system together.
pub fn process_cpu() -> Duration {
    // The clock begins at zero and never runs backwards.
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_of_any_thread_is_counted() {
        let before = process_cpu();
        let work = move || {
            let mut sum = 0_u64;
            while process_cpu() - before < Duration::from_millis(2) {
                sum = std::hint::black_box(sum + 1);
            }
            sum
        };

        let sum = std::thread::spawn(work).join().unwrap();

        assert!(sum > 0);
        assert!(process_cpu() - before >= Duration::from_millis(2));
    }
}
