//! Ports that nobody else takes, not even while their server is down.

use std::fs::{self, File};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range from which systems give ports to outgoing connections: those would take a port whose server is
/// being restarted.
const RANGE: std::ops::Range<u16> = 10_000..30_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port of 127.0.0.1, reserved among all tests of this machine until it is dropped.
#[derive(Debug)]
pub struct Port {
    number: u16,
    // Its lock is the reservation.
    _lock: File,
}

impl Port {
    /// Reserves a free port.
    ///
    /// # Panics
    ///
    /// When none is free.
    #[track_caller]
    pub fn reserve() -> Self {
        let folder = std::env::temp_dir().join("tapemill-test-ports");
        fs::create_dir_all(&folder).expect("the temporary folder can be written");
        let length = RANGE.end - RANGE.start;
        // Processes begin in different places, so that they rarely meet.
        let begin = (std::process::id().wrapping_mul(7919) % u32::from(length)) as u16;
        for _ in 0..length {
            let step = NEXT.fetch_add(1, Ordering::Relaxed) % length;
            let number = RANGE.start + (begin + step) % length;
            let Ok(lock) = File::create(folder.join(number.to_string())) else {
                continue;
            };
            if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Self {
                    number,
                    _lock: lock,
                };
            }
        }
        panic!("no port of {RANGE:?} is free");
    }

    /// The port's number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_port_is_not_given_again_though_nobody_listens() {
        let ports: Vec<_> = (0..50).map(|_| Port::reserve()).collect();

        let mut numbers: Vec<_> = ports.iter().map(Port::number).collect();
        numbers.sort_unstable();
        numbers.dedup();

        assert_eq!(numbers.len(), 50);
        for port in &ports {
            let path = std::env::temp_dir().join(format!("tapemill-test-ports/{}", port.number()));
            assert!(File::create(path).unwrap().try_lock().is_err());
        }
    }
}
