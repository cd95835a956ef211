//! What every process does alike: settings, logs, shutdown
