//! The forecaster.
