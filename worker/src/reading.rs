//! One reading of an archive: transfer on the network side, inflate on a thread of its own, hash and rows beside it or
//! behind it (see `milling`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tapemill_archive::{ArchiveError, Event, Sha256Digest, Transfer, Validator};
use tapemill_lake::{LakeError, Part};
use tapemill_market::Version;
use tapemill_runtime::{Stage, Stages};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::Corrupt;
use crate::milling::{Milling, Start};
use crate::mills::{MillError, Reading};
use crate::progress::TaskProgress;
use crate::unzip::Unzip;

/// Chunks between the two sides: enough that neither waits for the other's scheduling, and little memory.
const CHUNKS_AHEAD: usize = 8;

/// What a reading found.
pub(crate) struct Read {
    pub bytes: u64,
    pub sha256: Sha256Digest,
    /// The milled archive; or why it cannot be read, which only shows when all bytes are known.
    pub outcome: Result<Reading, Corrupt>,
    pub kept: Option<Part>,
    /// The edition of the archive that these bytes are, as the source served it.
    pub version: Option<Version>,
}

/// Why a reading did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Lake(#[from] LakeError),
    #[error("the reading thread failed: {0}")]
    Thread(String),
}

enum Piece {
    /// Bytes follow from the beginning; forget what came before.
    Restart,
    Bytes(Bytes),
    /// All bytes of this edition came.
    End(Option<Version>),
}

/// Where the bytes that a reading hashes and mills go as well.
pub(crate) struct Keep {
    pub part: Part,
    /// Bytes of the part that the transfer was told it need not bring.
    pub held: u64,
    /// Told what identifies the version that the part holds.
    pub on_version: Box<OnVersion>,
}

/// Reads the whole transfer.
pub(crate) async fn read(
    transfer: Transfer,
    start: Start,
    keep: Option<Keep>,
) -> Result<Read, ReadError> {
    let held = keep.as_ref().map_or(0, |keep| keep.held);
    let (part, on_version) = match keep {
        Some(keep) => (Some(keep.part), Some(keep.on_version)),
        None => (None, None),
    };
    let pieces = Pieces {
        transfer,
        held,
        on_version,
        version: None,
        progress: start.progress.clone(),
        stages: start.stages.clone(),
    };
    // A second thread is there so that nothing waits for this one: then it should not wait for the disk.
    let read = if pieces.transfer.is_local() && !start.second_thread {
        read_here(pieces, start, part, held).await?
    } else {
        read_ahead(pieces, start, part, held).await?
    };
    read.ok_or_else(|| ReadError::Thread("it ended before the archive did".to_owned()))
}

/// From a disk: one thread asks for the pieces and reads them.
async fn read_here(
    mut pieces: Pieces,
    start: Start,
    part: Option<Part>,
    held: u64,
) -> Result<Option<Read>, ReadError> {
    let runtime = Handle::current();
    let wanted = Arc::new(());
    let is_wanted = Arc::downgrade(&wanted);
    let thread = tokio::task::spawn_blocking(move || {
        Reader::new(start, part, held)?.run(|waiting| {
            // Nobody waits for what is read any more.
            if is_wanted.strong_count() > 0 {
                waiting.push(runtime.block_on(pieces.next())?);
            }
            Ok(())
        })
    });
    let read = thread
        .await
        .map_err(|error| ReadError::Thread(error.to_string()))?;
    drop(wanted);
    read
}

/// From a network: the next pieces come while a thread reads those before.
async fn read_ahead(
    mut pieces: Pieces,
    start: Start,
    part: Option<Part>,
    held: u64,
) -> Result<Option<Read>, ReadError> {
    let (sender, mut receiver) = mpsc::channel(CHUNKS_AHEAD);
    let thread = tokio::task::spawn_blocking(move || {
        Reader::new(start, part, held)?.run(|waiting| {
            // All that is there at once: the other side is woken once for many pieces.
            receiver.blocking_recv_many(waiting, CHUNKS_AHEAD);
            Ok(())
        })
    });
    let fed = async {
        loop {
            let piece = pieces.next().await?;
            let ends = matches!(piece, Piece::End(_));
            if sender.send(piece).await.is_err() || ends {
                return Ok(());
            }
        }
    };
    let fed = fed.await;
    drop(sender);
    let read = thread
        .await
        .map_err(|error| ReadError::Thread(error.to_string()))?;
    match (fed, read) {
        // The thread ends early only for an error of its own, and that is the cause.
        (_, Err(error)) => Err(error),
        (Err(error), _) => Err(error),
        (Ok(()), Ok(read)) => Ok(read),
    }
}

type OnVersion = dyn Fn(Option<&Validator>) -> Result<(), LakeError> + Send + Sync;

/// A transfer as the pieces that a reader takes.
struct Pieces {
    transfer: Transfer,
    held: u64,
    on_version: Option<Box<OnVersion>>,
    version: Option<Version>,
    progress: Arc<TaskProgress>,
    stages: Arc<Stages>,
}

impl Pieces {
    async fn next(&mut self) -> Result<Piece, ReadError> {
        loop {
            let started = Instant::now();
            let event = self.transfer.next().await?;
            self.stages.add(Stage::Fetch, started.elapsed());
            match event {
                Event::Begin {
                    offset,
                    total,
                    validator,
                } => {
                    if let Some(total) = total {
                        self.progress.set_total(total);
                    }
                    if let Some(on_version) = &self.on_version {
                        on_version(validator.as_ref())?;
                    }
                    self.version = validator.as_ref().and_then(version_of);
                    let goes_on = offset > 0 && offset == self.held;
                    self.held = 0;
                    if !goes_on {
                        return Ok(Piece::Restart);
                    }
                }
                Event::Chunk(bytes) => return Ok(Piece::Bytes(bytes)),
                Event::End { .. } => return Ok(Piece::End(self.version)),
            }
        }
    }
}

fn version_of(validator: &Validator) -> Option<Version> {
    Version::of(
        validator.etag.as_deref(),
        validator.last_modified.as_deref(),
    )
}

/// The thread's side.
struct Reader {
    start: Start,
    part: Option<Part>,
    held: u64,
    unzip: Unzip,
    milling: Milling,
    corrupt: Option<Corrupt>,
    bytes: u64,
    version: Option<Version>,
}

impl Reader {
    fn new(start: Start, part: Option<Part>, held: u64) -> Result<Self, ReadError> {
        Ok(Self {
            milling: Milling::start(&start)?,
            start,
            part,
            held,
            unzip: Unzip::new(),
            corrupt: None,
            bytes: 0,
            version: None,
        })
    }

    /// `None` when no more pieces come before the end.
    fn run(
        mut self,
        more: impl FnMut(&mut Vec<Piece>) -> Result<(), ReadError>,
    ) -> Result<Option<Read>, ReadError> {
        match self.work(more) {
            Ok(true) => self.finish().map(Some),
            Ok(false) => Ok(None),
            Err(error) => Err(self.milling.why(error)),
        }
    }

    /// Whether the archive came to its end.
    fn work(
        &mut self,
        mut more: impl FnMut(&mut Vec<Piece>) -> Result<(), ReadError>,
    ) -> Result<bool, ReadError> {
        let mut waiting = Vec::with_capacity(CHUNKS_AHEAD);
        let mut begun = false;
        loop {
            more(&mut waiting)?;
            if waiting.is_empty() {
                return Ok(false);
            }
            for piece in waiting.drain(..) {
                if !begun && self.held > 0 && !matches!(piece, Piece::Restart) {
                    self.read_held()?;
                }
                begun = true;
                match piece {
                    Piece::Restart => self.restart()?,
                    Piece::Bytes(bytes) => {
                        self.take(&bytes)?;
                        if let Some(part) = &mut self.part {
                            let started = Instant::now();
                            part.append(&bytes)?;
                            self.start.stages.add(Stage::Write, started.elapsed());
                        }
                    }
                    Piece::End(version) => {
                        self.version = version;
                        return Ok(true);
                    }
                }
            }
        }
    }

    /// The bytes that a part of an earlier process already holds.
    fn read_held(&mut self) -> Result<(), ReadError> {
        let Some(mut part) = self.part.take() else {
            return Ok(());
        };
        let mut taken = Ok(());
        let read = part.read_back(|chunk| {
            if taken.is_ok() {
                taken = self.take(&Bytes::copy_from_slice(chunk));
            }
            Ok(())
        });
        self.part = Some(part);
        taken?;
        Ok(read?)
    }

    fn restart(&mut self) -> Result<(), ReadError> {
        if let Some(part) = self.part.as_mut().filter(|part| part.bytes() > 0) {
            part.restart()?;
        }
        if self.bytes == 0 {
            return Ok(());
        }
        self.unzip = Unzip::new();
        self.milling = Milling::start(&self.start)?;
        self.corrupt = None;
        self.bytes = 0;
        self.start.progress.set(0, 0);
        Ok(())
    }

    fn take(&mut self, bytes: &Bytes) -> Result<(), ReadError> {
        self.bytes += bytes.len() as u64;
        self.milling.archive(bytes)?;
        // The rest is still hashed: only the same bytes twice make an archive dead.
        if self.corrupt.is_some() {
            return Ok(());
        }
        let started = Instant::now();
        let mut elsewhere = Duration::ZERO;
        let milling = &mut self.milling;
        let fed = self.unzip.feed(bytes, &mut |out: &mut Vec<u8>, length| {
            let started = Instant::now();
            let passed = milling.csv(out, length).map_err(Stopped::Milling);
            elsewhere += started.elapsed();
            passed
        });
        let spent = started.elapsed().saturating_sub(elsewhere);
        self.start.stages.add(Stage::Inflate, spent);
        match fed {
            Ok(()) => Ok(()),
            Err(Stopped::Corrupt(corrupt)) => {
                self.corrupt = Some(corrupt);
                Ok(())
            }
            Err(Stopped::Milling(error)) => Err(error),
        }
    }

    fn finish(self) -> Result<Read, ReadError> {
        let milled = self.milling.finish()?;
        // Rows come before whatever is wrong with the ZIP behind them.
        let corrupt = milled.corrupt.or(self.corrupt);
        let outcome = match corrupt {
            Some(corrupt) => Err(corrupt),
            None => match (self.unzip.finish(milled.crc.finalize()))
                .map_err(MillError::from)
                .and_then(|()| milled.mill.finish())
            {
                Ok(reading) => Ok(reading),
                Err(MillError::Corrupt(corrupt)) => Err(corrupt),
                Err(MillError::Lake(error)) => return Err(error.into()),
            },
        };
        Ok(Read {
            bytes: self.bytes,
            sha256: milled.hasher.finish(),
            outcome,
            kept: self.part,
            version: self.version,
        })
    }
}

/// Why inflating stopped.
enum Stopped {
    Corrupt(Corrupt),
    Milling(ReadError),
}

impl From<Corrupt> for Stopped {
    fn from(corrupt: Corrupt) -> Self {
        Self::Corrupt(corrupt)
    }
}
