//! End-to-end tests of tapemill
