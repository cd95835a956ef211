//! Raw deflate, chunk by chunk, by one of two libraries.
//!
//! zlib-rs is Rust and needs nothing to build. ISA-L (feature `isal`) takes two thirds of its time on x86-64, and needs
//! nasm, autoconf, automake and libtool. What they give is the same bytes, and CRC-32 checks it either way.

#[cfg(feature = "isal")]
#[expect(
    unsafe_code,
    reason = "the library is C; it saves a third of the time of inflating"
)]
mod isal;
mod zlib;

/// A library that inflates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// zlib-rs.
    Zlib,
    /// Intel's ISA-L.
    #[cfg(feature = "isal")]
    Isal,
}

impl Backend {
    /// Those that were built in, the fastest last.
    pub const ALL: &[Self] = &[
        Self::Zlib,
        #[cfg(feature = "isal")]
        Self::Isal,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zlib => "zlib-rs",
            #[cfg(feature = "isal")]
            Self::Isal => "ISA-L",
        }
    }
}

/// A stream under way.
pub struct Inflate(Stream);

enum Stream {
    Zlib(zlib::Inflate),
    #[cfg(feature = "isal")]
    Isal(isal::Inflate),
}

impl Default for Inflate {
    fn default() -> Self {
        Self::new()
    }
}

impl Inflate {
    /// A stream that has not begun, by the fastest library that was built in.
    pub fn new() -> Self {
        Self::by(Backend::ALL[Backend::ALL.len() - 1])
    }

    /// A stream that has not begun.
    pub fn by(backend: Backend) -> Self {
        Self(match backend {
            Backend::Zlib => Stream::Zlib(zlib::Inflate::new()),
            #[cfg(feature = "isal")]
            Backend::Isal => Stream::Isal(isal::Inflate::new()),
        })
    }

    /// Takes from the input, and gives what fits into the output: where that is full, there may be more to give though
    /// all input was taken. Not to be asked once the stream has ended.
    ///
    /// # Errors
    ///
    /// [`Damaged`] where the input is not deflate.
    pub fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Damaged> {
        match &mut self.0 {
            Stream::Zlib(stream) => stream.step(input, output),
            #[cfg(feature = "isal")]
            Stream::Isal(stream) => stream.step(input, output),
        }
    }
}

/// What one call came to.
#[derive(Debug, Default)]
pub struct Step {
    /// Bytes taken from the input.
    pub read: usize,
    /// Bytes put into the output.
    pub written: usize,
    /// Whether the stream has ended.
    pub ended: bool,
    /// Bytes behind the end that were taken, in this call or one before; only where it has ended.
    pub behind: Vec<u8>,
}

/// The stream is not deflate.
#[derive(Debug)]
pub struct Damaged;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::DeflateEncoder};
    use proptest::prelude::*;

    use super::*;

    /// Inflates in pieces; what came out, and what is behind the end.
    fn inflate(
        by: Backend,
        stream: &[u8],
        piece: usize,
        room: usize,
    ) -> Result<(Vec<u8>, Vec<u8>), Damaged> {
        let (mut inflate, mut all) = (Inflate::by(by), Vec::new());
        let mut out = vec![0; room];
        let mut rest = stream;
        let mut full = false;
        while !rest.is_empty() || full {
            let input = &rest[..piece.min(rest.len())];
            let step = inflate.step(input, &mut out)?;
            all.extend_from_slice(&out[..step.written]);
            rest = &rest[step.read..];
            full = step.written == room;
            if step.ended {
                let mut behind = step.behind;
                behind.extend_from_slice(rest);
                return Ok((all, behind));
            }
            if step.read == 0 && step.written == 0 {
                break;
            }
        }
        Err(Damaged)
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_whole_and_what_is_behind_it(
            text in "([0-9]{1,9},){0,900}", level in 0u32..10, piece in 1usize..5000, room in 1usize..3000,
            behind in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
            encoder.write_all(text.as_bytes()).unwrap();
            let mut stream = encoder.finish().unwrap();
            stream.extend_from_slice(&behind);

            for &backend in Backend::ALL {
                let (all, rest) = inflate(backend, &stream, piece, room).unwrap();

                prop_assert_eq!(all, text.as_bytes(), "{}", backend.name());
                prop_assert_eq!(&rest, &behind, "{}", backend.name());
            }
        }

        #[test]
        fn no_bytes_make_it_panic(stream in prop::collection::vec(any::<u8>(), 0..300)) {
            for &backend in Backend::ALL {
                let _ = inflate(backend, &stream, 100, 1000);
            }
        }
    }
}
