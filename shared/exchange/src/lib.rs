//! The exchange's REST interface, for what the archive does not hold yet or never will.
//!
//! * [`Endpoint`] knows which path answers for a kind of data, how many rows an answer holds and what it weighs.
//! * [`Pages`] asks page by page for the rows between two times, and gives them as lines of the archive's CSV: what
//!   mills an archive mills them too. Bars that are not finished are never among them.
//! * [`ExchangeInfo`] is what a market says of its symbols, [`Volumes`] what they traded within a day.
//! * [`Rest`] sends the questions, each under the [`Weights`] of its host, which all processes share.
//!
//! Pure but for [`Rest`].

mod endpoint;
mod error;
mod info;
mod pages;
mod rest;
mod spec;
mod ticker;
mod weights;

pub use endpoint::{Endpoint, Question};
pub use error::ExchangeError;
pub use info::{ExchangeInfo, Rules, SymbolInfo};
pub use pages::{BadAnswer, Pages, Since};
pub use rest::{Fetched, Rest, RestOptions, official_base};
pub use spec::RestSpec;
pub use ticker::{Volumes, volumes};
pub use weights::{Weights, WeightsError};
