//! Buffers that chunks of a file are read into, again and again.
//!
//! The chunks go to another thread and are dropped there. Left to the allocator, most of them would be given back to the
//! system and asked for again, which costs more than reading them.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// The buffers of one file that no chunk is in.
#[derive(Debug)]
pub(crate) struct ChunkPool {
    length: usize,
    idle: Mutex<Vec<Vec<u8>>>,
}

/// A chunk; its buffer goes back when it is dropped.
struct Chunk {
    buffer: Vec<u8>,
    filled: usize,
    pool: Arc<ChunkPool>,
}

impl ChunkPool {
    /// Of buffers of one length.
    pub fn new(length: usize) -> Self {
        Self {
            length,
            idle: Mutex::default(),
        }
    }

    /// The next bytes of a file, fewer than a buffer's length at its end only.
    pub fn fill(pool: &Arc<Self>, from: &mut impl Read) -> io::Result<Bytes> {
        let idle = pool.idle().pop();
        let mut chunk = Chunk {
            buffer: idle.unwrap_or_else(|| vec![0; pool.length]),
            filled: 0,
            pool: pool.clone(),
        };
        while chunk.filled < pool.length {
            match from.read(&mut chunk.buffer[chunk.filled..]) {
                Ok(0) => break,
                Ok(read) => chunk.filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Bytes::from_owner(chunk))
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        self.pool.idle().push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_used_again_and_chunks_keep_their_bytes() {
        let pool = Arc::new(ChunkPool::new(4));
        let mut file = &b"abcdefghij"[..];

        let first = ChunkPool::fill(&pool, &mut file).unwrap();
        let second = ChunkPool::fill(&pool, &mut file).unwrap();
        let place = first.as_ptr();
        assert_eq!((&first[..], &second[..]), (&b"abcd"[..], &b"efgh"[..]));

        let kept = first.slice(1..2);
        drop(first);
        assert!(pool.idle().is_empty(), "a part of it is still held");
        assert_eq!(&kept[..], b"b");
        drop(kept);
        let third = ChunkPool::fill(&pool, &mut file).unwrap();

        assert_eq!(&third[..], b"ij");
        assert_eq!(third.as_ptr(), place);
        assert!(ChunkPool::fill(&pool, &mut file).unwrap().is_empty());
    }
}
