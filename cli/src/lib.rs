//! Binance archives into research-ready minutes and order-flow factors
