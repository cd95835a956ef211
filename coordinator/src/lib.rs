//! Plans what the archive holds into the queue, again and again, and tells how the queue is.
//!
//! ```text
//! Selection ─► survey (lists or probes the source) ─► `tapemill_market::choose` (pure) ─► enqueuer (what is not there yet)
//! ```
//!
//! A [`Coordinator`] plans, returns expired leases and keeps a [`QueueView`], which the page, the API and the gauges show.

mod admin;
mod adoption;
mod api;
mod brake;
mod captured;
mod catalogue;
mod categories;
mod changes;
mod chart;
mod coordinator;
mod enqueuer;
mod error;
mod failures;
mod loss;
mod map;
mod metrics;
mod orders;
mod page;
mod priority;
mod probe;
mod selection;
mod sidecar;
mod status;
mod summary;
mod survey;
mod thread;
mod view;
mod volume;

pub use admin::{ADMIN_TOKEN, AdminToken};
pub use api::api;
pub use brake::in_step;
pub use captured::captured_days;
pub use catalogue::{Catalogue, Rebuilt};
pub use categories::CATEGORIES;
pub use changes::{Change, ChangeState, Changes};
pub use coordinator::{Coordinator, Select};
pub use enqueuer::{Enqueuer, Planned};
pub use error::PlanError;
pub use metrics::QueueGauges;
pub use priority::PRIORITY_SYMBOLS;
pub use selection::{RestUse, Selection, Symbols};
pub use status::{bytes_done_and_left, status_value, task_value, time_left, worker_value};
pub use summary::Summary;
pub use survey::{Archive, Asking, Survey, survey};
pub use view::{NoAnswer, QueueView, Snapshot};
pub use volume::VolumeFilter;
