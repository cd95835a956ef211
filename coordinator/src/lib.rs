//! Plans what the archive holds into the queue.
//!
//! ```text
//! Selection ─► survey (lists or probes the source) ─► planner (pure: which archives) ─► enqueuer (what is not there yet)
//! ```

mod adoption;
mod catalogue;
mod enqueuer;
mod error;
mod patience;
mod planner;
mod priority;
mod probe;
mod selection;
mod survey;

pub use catalogue::{Catalogue, Rebuilt};
pub use enqueuer::{Enqueuer, Planned};
pub use error::PlanError;
pub use planner::{Chosen, Listed, choose, days_to_list};
pub use priority::PRIORITY_SYMBOLS;
pub use selection::{Selection, Symbols};
pub use survey::{Asking, Survey, survey};
