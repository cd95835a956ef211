//! Times as people read them.

/// Microseconds since 1970 as `2024-01-05T09:30:00Z`.
pub fn iso_time(time_us: i64) -> String {
    let time = jiff::Timestamp::from_microsecond(time_us);
    time.map_or_else(|_| time_us.to_string(), |time| time.to_string())
}
