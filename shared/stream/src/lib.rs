//! The exchange's streams: names, addresses, frames, and what proves that none is missing. Pure.
//!
//! * [`Channel`] names what can be subscribed to, [`routes`] and [`Limits`] where, and how much of it at once.
//! * [`Frame`] is what a connection brings, [`Event`] what a message says.

mod channel;
mod error;
mod event;
mod frame;
mod json;
mod route;

pub use channel::{Channel, Kind};
pub use error::{Malformed, UnknownChannel};
pub use event::{
    AggTrade, Bar, BookTicker, DepthUpdate, Event, Level, Liquidation, MarkPrice, Read, Snapshot,
    Trade,
};
pub use frame::Frame;
pub use route::{Limits, Method, Route, official_address, routes, subscription};
