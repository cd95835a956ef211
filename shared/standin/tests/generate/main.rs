//! Generated archives, judged by readers that share no code with the generator.

mod packing;
mod reference;
mod trades;
