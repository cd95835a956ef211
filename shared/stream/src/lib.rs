//! The exchange's streams: names, addresses, frames, and what proves that none is missing. Pure.
//!
//! * [`Channel`] names what can be subscribed to, [`routes`] and [`Limits`] where, and how much of it at once.
//! * [`Frame`] is what a connection brings, [`Event`] what a message says.
//! * [`Chain`], [`Counting`] and [`Ordered`] tell how a message follows the one before it, [`Anchor`] which update of a book
//!   follows a snapshot; a [`Hole`] is what may be missing.

mod channel;
mod depth;
mod error;
mod event;
mod frame;
mod hole;
mod ids;
mod json;
mod route;

pub use channel::{Channel, Kind};
pub use depth::{Anchor, Chain, Fit, Ids, follows, reaches};
pub use error::{Malformed, UnknownChannel};
pub use event::{
    AggTrade, Bar, BookTicker, DepthUpdate, Event, Level, Liquidation, MarkPrice, Read, Snapshot,
    Trade,
};
pub use frame::Frame;
pub use hole::{Hole, Link, Mark};
pub use ids::{Counting, Ordered};
pub use route::{Limits, Method, Route, official_address, routes, subscription};
