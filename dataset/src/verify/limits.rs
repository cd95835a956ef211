//! What is worth a note, by how much it is out of the ordinary.

/// Thresholds of notes. None makes a defect: what an archive says stays what it says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Minutes without a trade or a bar that are told.
    pub gap_minutes: u32,
    /// The part by which a close may differ from the one before.
    pub price_change: f64,
    /// How many times the mean of the 24 bars before a volume may be; of bars of an hour and longer.
    pub volume_spike: f64,
    /// A funding rate.
    pub funding_rate: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            gap_minutes: 60,
            price_change: 0.5,
            volume_spike: 100.0,
            funding_rate: 0.01,
        }
    }
}
