//! One reading of an archive: transfer on the network side, inflate on a thread of its own, hash and rows beside it or
//! behind it (see `milling`).

use std::time::{Duration, Instant};

use bytes::Bytes;
use tapemill_archive::{ArchiveError, Event, Sha256Digest, Transfer, Validator};
use tapemill_lake::{LakeError, Part};
use tapemill_runtime::{Stage, Stages};
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
    End,
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
    mut transfer: Transfer,
    start: Start,
    keep: Option<Keep>,
) -> Result<Read, ReadError> {
    let (progress, stages) = (start.progress.clone(), start.stages.clone());
    let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
    let held = keep.as_ref().map_or(0, |keep| keep.held);
    let (part, on_version) = match keep {
        Some(keep) => (Some(keep.part), Some(keep.on_version)),
        None => (None, None),
    };
    let thread = tokio::task::spawn_blocking(move || Reader::new(start, part, held)?.run(receiver));
    let fed = feed(
        &mut transfer,
        sender,
        held,
        on_version.as_deref(),
        &progress,
        &stages,
    )
    .await;
    let read = thread
        .await
        .map_err(|error| ReadError::Thread(error.to_string()))?;
    match (fed, read) {
        // The thread ends early only for an error of its own, and that is the cause.
        (_, Err(error)) => Err(error),
        (Err(error), _) => Err(error),
        (Ok(()), Ok(Some(read))) => Ok(read),
        (Ok(()), Ok(None)) => Err(ReadError::Thread(
            "it ended before the archive did".to_owned(),
        )),
    }
}

type OnVersion = dyn Fn(Option<&Validator>) -> Result<(), LakeError> + Send + Sync;

async fn feed(
    transfer: &mut Transfer,
    sender: mpsc::Sender<Piece>,
    mut held: u64,
    on_version: Option<&OnVersion>,
    progress: &TaskProgress,
    stages: &Stages,
) -> Result<(), ReadError> {
    loop {
        let started = Instant::now();
        let event = transfer.next().await?;
        stages.add(Stage::Fetch, started.elapsed());
        let piece = match event {
            Event::Begin {
                offset,
                total,
                validator,
            } => {
                if let Some(total) = total {
                    progress.set_total(total);
                }
                if let Some(on_version) = on_version {
                    on_version(validator.as_ref())?;
                }
                let goes_on = offset > 0 && offset == held;
                held = 0;
                if goes_on {
                    continue;
                }
                Piece::Restart
            }
            Event::Chunk(bytes) => Piece::Bytes(bytes),
            Event::End { .. } => Piece::End,
        };
        let ends = matches!(piece, Piece::End);
        if sender.send(piece).await.is_err() || ends {
            return Ok(());
        }
    }
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
        })
    }

    /// `None` when the other side went away before the end.
    fn run(mut self, pieces: mpsc::Receiver<Piece>) -> Result<Option<Read>, ReadError> {
        match self.work(pieces) {
            Ok(true) => self.finish().map(Some),
            Ok(false) => Ok(None),
            Err(error) => Err(self.milling.why(error)),
        }
    }

    /// Whether the archive came to its end.
    fn work(&mut self, mut pieces: mpsc::Receiver<Piece>) -> Result<bool, ReadError> {
        let mut waiting = Vec::with_capacity(CHUNKS_AHEAD);
        let mut begun = false;
        // All that is there at once: the other side is woken once for many chunks.
        while pieces.blocking_recv_many(&mut waiting, CHUNKS_AHEAD) > 0 {
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
                    Piece::End => return Ok(true),
                }
            }
        }
        Ok(false)
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
            None => match (self.unzip.finish())
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
