//! A temporal convolutional network over features, trained, evaluated, and beside its baselines.
