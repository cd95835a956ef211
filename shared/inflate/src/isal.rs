//! Intel's ISA-L.

use isal_sys::igzip_lib::{
    ISAL_DEFLATE, inflate_state, isal_block_state_ISAL_BLOCK_FINISH, isal_inflate,
    isal_inflate_init,
};

use super::{Damaged, Step};

/// A stream under way.
pub(crate) struct Inflate(Box<inflate_state>);

impl Inflate {
    /// A stream that has not begun.
    pub fn new() -> Self {
        // SAFETY: the state is integers, arrays of them, and two pointers that are null until a step sets them: all
        // zeros is a value of it. The library then sets what it needs.
        let mut state = unsafe {
            let mut state = Box::<inflate_state>::new_zeroed().assume_init();
            isal_inflate_init(&mut *state);
            state
        };
        state.crc_flag = ISAL_DEFLATE;
        Self(state)
    }

    /// Takes from the input, and gives what fits into the output.
    pub fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Damaged> {
        let state = &mut *self.0;
        let available = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let (given, room) = (available(input.len()), available(output.len()));
        // The library reads the input only; its pointer is not const in C.
        (state.next_in, state.avail_in) = (input.as_ptr().cast_mut(), given);
        (state.next_out, state.avail_out) = (output.as_mut_ptr(), room);
        // SAFETY: both pointers are valid for as many bytes as are named beside them, and neither is kept: the next
        // step sets them again.
        let result = unsafe { isal_inflate(state) };
        if result < 0 {
            return Err(Damaged);
        }
        let ended = state.block_state == isal_block_state_ISAL_BLOCK_FINISH;
        Ok(Step {
            read: (given - state.avail_in) as usize,
            written: (room - state.avail_out) as usize,
            ended,
            behind: if ended { behind(state) } else { Vec::new() },
        })
    }
}

/// Whole bytes that the library holds as bits when the stream has ended.
fn behind(state: &inflate_state) -> Vec<u8> {
    let bits = state.read_in_length.max(0) as usize;
    let held = state.read_in.to_le_bytes();
    let shifted = u64::from_le_bytes(held) >> (bits % 8);
    shifted.to_le_bytes()[..(bits / 8).min(8)].to_vec()
}
