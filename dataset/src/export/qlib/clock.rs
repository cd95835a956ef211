//! Times as Qlib and the collector write them.

use std::io::Write;

use super::Frequency;

/// The day, or the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// `2024-01-31`
    Day,
    /// `2024-01-31 23:59:00`
    Second,
}

impl Clock {
    /// How times of these bars are written.
    pub fn of(frequency: Frequency) -> Self {
        match frequency {
            Frequency::Day => Self::Day,
            _ => Self::Second,
        }
    }

    /// Adds a time (UTC microseconds) to a text.
    pub fn write(self, time_us: i64, text: &mut Vec<u8>) {
        let time = jiff::Timestamp::from_microsecond(time_us).unwrap_or_default();
        let time = time.to_zoned(jiff::tz::TimeZone::UTC);
        let (date, clock) = (time.date(), time.time());
        // Writing to memory does not fail.
        let _ = write!(
            text,
            "{:04}-{:02}-{:02}",
            date.year(),
            date.month(),
            date.day()
        );
        if self == Self::Second {
            let (hour, minute, second) = (clock.hour(), clock.minute(), clock.second());
            let _ = write!(text, " {hour:02}:{minute:02}:{second:02}");
        }
    }

    /// A time as text.
    pub fn text(self, time_us: i64) -> String {
        let mut text = Vec::new();
        self.write(time_us, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_day_or_a_second() {
        let last_minute = 1_706_745_540_000_000;
        assert_eq!(Clock::Second.text(last_minute), "2024-01-31 23:59:00");
        assert_eq!(Clock::Day.text(last_minute), "2024-01-31");
    }
}
