//! Symbols, periods, archive names, rows, exact minutes and hours: pure functions over bytes and values
