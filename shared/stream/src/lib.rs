//! The exchange's streams: names, addresses, frames, and what proves that none is missing.
