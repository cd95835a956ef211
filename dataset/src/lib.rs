//! What can be done with an archive and an output as a whole, beside milling.

pub mod align;
pub mod bars;
pub mod books;
pub mod export;
pub mod load;
pub mod normalise;
mod places;
pub mod stored;
mod threads;
pub mod universe;
pub mod verify;
