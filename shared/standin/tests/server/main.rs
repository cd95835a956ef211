//! The server over real sockets, and the binary around it.

mod binary;
mod http;
mod listing;
mod objects;
