//! Claims tasks, streams archives into tables, publishes them
