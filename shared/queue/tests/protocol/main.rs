//! A model check of the queue's protocol: every order of events in small worlds, by Stateright.
//!
//! # What may happen
//!
//! * A **call** that was sent may arrive at any later time, any number of times, or never, and in
//!   any order with others; the answer to it may be lost. So a repeated call is one that arrives
//!   twice, and a worker that was paused past its lease is one whose calls arrive late.
//! * A **worker** makes one claim, and may stop at any point. One that crashed and starts again has
//!   forgotten all, so it is the next worker; and one that is told that its lease is lost stops.
//! * **Publishing** is a step of its own between the confirmation and the completion. It writes the
//!   same bytes whoever does it, so an output is in place or not.
//! * **Time** is that any lease may run out at any moment, whatever heartbeats it had; and anybody
//!   may reap then. A task that failed may be claimed again at once.
//! * The **store** carries out each call in one step. It may die and come back without its last
//!   writes (the check guesses beforehand from when on nothing is saved), or empty.
//! * **Planning** is repeated at any moment, also late: what is absent is planned, and what has an
//!   output is taken for done.
//!
//! # What is checked
//!
//! The promises are named in `properties.rs`. Those of every call compare its answer with a record
//! of which lease is right that the rules themselves never read (`flaw.rs`). A store has room for
//! one lease per task, so that there is never a second one is its shape and not a finding; that
//! never two workers are accepted is one. What a store forgot in a crash did not happen: a
//! completion counts as long as the store knows of it.
//!
//! That every task ends is checked as: from every moment that can be reached, one fair schedule
//! without further trouble (plan, reap, and a fresh worker that works) ends every task (`calm.rs`).
//! So nothing is ever stuck, and tasks end once the trouble does. Trouble that never stops is
//! bounded by the budgets. It is no proof that every fair schedule gets there; Stateright's
//! `eventually` would be none either, since it overlooks cycles.
//!
//! `broken.rs` takes one rule away at a time, and the check finds what breaks. `replay.rs` ties the
//! model to the code: random ways through it, a store that comes back empty included, give the
//! same answers when a real queue follows them. There, losing the last writes only is left out.
//!
//! Not in the model: order among tasks, delays, pause, brake, cancel, retry, replacing, reopening,
//! pruning, claims for several tasks, and final failures. The conformance suite has them.
//!
//! # Larger worlds
//!
//! They need minutes and gigabytes, so one test takes its size from outside (tasks, workers, crashes, lost writes):
//!
//! ```sh
//! PROTOCOL_WORLD='2 3 1 2' cargo test -p tapemill-queue --test protocol in_a_world -- --nocapture
//! ```

mod broken;
mod call;
mod calm;
#[path = "../fixture/mod.rs"]
mod fixture;
mod flaw;
mod holds;
mod model;
mod properties;
mod replay;
mod rules;
mod store;
mod worker;
