/// How times are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeUnit {
    /// 13-digit milliseconds: futures, and spot before 2025.
    #[default]
    Ms,
    /// 16-digit microseconds: spot since 2025-01-01.
    Us,
    /// Milliseconds in the first half of the file, microseconds in the second.
    MsThenUs,
    /// `2024-01-01 00:00:00.123`, UTC without a zone.
    Iso,
}

impl TimeUnit {
    /// The smallest step of a time in the half of the file that holds the row, µs.
    pub(crate) fn tick_us(self, second_half: bool) -> i64 {
        match self {
            Self::Ms | Self::Iso => 1_000,
            Self::Us => 1,
            Self::MsThenUs if second_half => 1,
            Self::MsThenUs => 1_000,
        }
    }
}

/// How a flag is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Booleans {
    /// `true`: futures.
    #[default]
    Lower,
    /// `True`: spot.
    Title,
    /// `TRUE`.
    Upper,
}

impl Booleans {
    pub(crate) fn spell(self, flag: bool) -> &'static str {
        match (self, flag) {
            (Self::Lower, true) => "true",
            (Self::Lower, false) => "false",
            (Self::Title, true) => "True",
            (Self::Title, false) => "False",
            (Self::Upper, true) => "TRUE",
            (Self::Upper, false) => "FALSE",
        }
    }
}

/// How the last line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LastLine {
    /// Like the others.
    #[default]
    Ended,
    /// Without a line end.
    Unended,
    /// Followed by an empty line.
    ThenBlank,
}

/// The text of a CSV, apart from its values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether the column names come first.
    pub header: bool,
    /// How times are written.
    pub time_unit: TimeUnit,
    /// How flags are spelled.
    pub booleans: Booleans,
    /// Carriage return before each line feed.
    pub crlf: bool,
    /// How the last line ends.
    pub last_line: LastLine,
    /// Replaces the row at this index (in file order, from 0) by this text.
    pub broken_row: Option<(u64, String)>,
}

/// Digits after the point; both are printed in full, zeros included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimals {
    /// Of prices, 0 to 12.
    pub price: u8,
    /// Of quantities, 0 to 12.
    pub quantity: u8,
}

/// The order of the rows. The set of rows is the same for each, so exact results must be too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// By id and time.
    #[default]
    Sorted,
    /// The two halves of the file alternate row by row, as in some monthly um archives of 2023.
    InterleavedTwoStreams,
    /// Random, within a window of 262,144 rows.
    Shuffled,
}
