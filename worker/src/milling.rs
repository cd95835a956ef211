//! What is done with an archive's bytes beside inflating: its checksums and its rows.
//!
//! One thread does it all as long as every core has a task: nothing is handed over, and nothing waits. A huge archive
//! that has a core to spare inflates on one thread and does the rest on another.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use bytes::Bytes;
use tapemill_archive::Hasher;
use tapemill_lake::LakeError;
use tapemill_runtime::{Stage, Stages};

use crate::Corrupt;
use crate::mills::{Mill, MillError, Plan};
use crate::progress::TaskProgress;
use crate::reading::ReadError;
use crate::unzip::INFLATED;

/// Inflated buffers between two threads: with fewer, one waits for the other's scheduling.
const BUFFERS: usize = 6;

/// What a reading begins with, each time its transfer starts over.
pub(crate) struct Start {
    pub plan: Arc<dyn Plan>,
    /// Whether a core is there for a second thread.
    pub second_thread: bool,
    pub progress: Arc<TaskProgress>,
    pub stages: Arc<Stages>,
}

/// The checksums and the rows, on the caller's thread or another.
pub(crate) enum Milling {
    Here(Box<Milled>),
    There(There),
}

/// The other thread, and what goes there and comes back.
pub(crate) struct There {
    thread: JoinHandle<Result<Milled, LakeError>>,
    work: Sender<Work>,
    empty: Receiver<Vec<u8>>,
}

enum Work {
    Archive(Bytes),
    Csv(Vec<u8>, usize),
}

/// What is known of an archive so far.
pub(crate) struct Milled {
    pub hasher: Hasher,
    /// Of the CSV.
    pub crc: crc32fast::Hasher,
    pub mill: Box<dyn Mill>,
    /// Why no further rows were read.
    pub corrupt: Option<Corrupt>,
    bytes: u64,
    progress: Arc<TaskProgress>,
    stages: Arc<Stages>,
}

impl Milling {
    pub fn start(start: &Start) -> Result<Self, ReadError> {
        let milled = Milled {
            hasher: Hasher::new(),
            crc: crc32fast::Hasher::new(),
            mill: start.plan.start(),
            corrupt: None,
            bytes: 0,
            progress: start.progress.clone(),
            stages: start.stages.clone(),
        };
        Ok(match start.second_thread {
            false => Self::Here(Box::new(milled)),
            true => Self::There(There::start(milled)?),
        })
    }

    /// The next bytes of the archive.
    pub fn archive(&mut self, bytes: &Bytes) -> Result<(), ReadError> {
        match self {
            Self::Here(milled) => milled.archive(bytes),
            Self::There(there) => there.pass(Work::Archive(bytes.clone()))?,
        }
        Ok(())
    }

    /// The next bytes of its CSV. May change the buffer for another of the same length.
    pub fn csv(&mut self, buffer: &mut Vec<u8>, length: usize) -> Result<(), ReadError> {
        match self {
            Self::Here(milled) => Ok(milled.csv(&buffer[..length])?),
            Self::There(there) => {
                let empty = there.empty.recv().map_err(|_| gone())?;
                there.pass(Work::Csv(std::mem::replace(buffer, empty), length))
            }
        }
    }

    /// All that was found.
    pub fn finish(self) -> Result<Milled, ReadError> {
        match self {
            Self::Here(milled) => Ok(*milled),
            Self::There(there) => {
                drop((there.work, there.empty));
                Ok(there.thread.join().map_err(|_| gone())??)
            }
        }
    }

    /// Why the other thread ended before its work did.
    pub fn why(self, error: ReadError) -> ReadError {
        match self.finish() {
            Ok(_) => error,
            Err(cause) => cause,
        }
    }
}

impl There {
    fn start(milled: Milled) -> Result<Self, ReadError> {
        let (work, todo) = channel();
        let (done, empty) = channel();
        for _ in 1..BUFFERS {
            done.send(vec![0; INFLATED]).map_err(|_| gone())?;
        }
        let thread = std::thread::Builder::new()
            .name("rows".to_owned())
            .spawn(move || milled.work(&todo, &done))
            .map_err(|error| ReadError::Thread(error.to_string()))?;
        Ok(Self {
            thread,
            work,
            empty,
        })
    }

    fn pass(&self, work: Work) -> Result<(), ReadError> {
        self.work.send(work).map_err(|_| gone())
    }
}

/// The cause is what the thread left; this is only for one that left none.
fn gone() -> ReadError {
    ReadError::Thread("it ended before the archive did".to_owned())
}

impl Milled {
    /// Works until no more is passed on.
    fn work(mut self, todo: &Receiver<Work>, done: &Sender<Vec<u8>>) -> Result<Self, LakeError> {
        for work in todo {
            match work {
                Work::Archive(bytes) => self.archive(&bytes),
                Work::Csv(buffer, length) => {
                    self.csv(&buffer[..length])?;
                    // Nobody takes it once the archive has ended.
                    let _ = done.send(buffer);
                }
            }
        }
        Ok(self)
    }

    fn archive(&mut self, bytes: &[u8]) {
        let started = Instant::now();
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.progress.set(self.bytes, self.mill.rows());
        self.stages.add(Stage::Hash, started.elapsed());
    }

    fn csv(&mut self, csv: &[u8]) -> Result<(), LakeError> {
        if self.corrupt.is_some() {
            return Ok(());
        }
        let started = Instant::now();
        self.crc.update(csv);
        let hashed = Instant::now();
        let fed = self.mill.feed(csv);
        self.progress.set(self.bytes, self.mill.rows());
        self.stages.add(Stage::Hash, hashed - started);
        self.stages.add(Stage::Parse, hashed.elapsed());
        match fed {
            Ok(()) => Ok(()),
            Err(MillError::Corrupt(corrupt)) => {
                self.corrupt = Some(corrupt);
                Ok(())
            }
            Err(MillError::Lake(error)) => Err(error),
        }
    }
}
