//! One archive from its first byte to its last, through cuts, restarts and busy servers.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{ArchiveError, Body, Brake, Opened, Retry, RetryPolicy, Source, Validator};

/// No archive comes near this; a body without end does.
const LARGEST_ARCHIVE: u64 = 64 << 30;

/// What is already there of an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    /// The bytes kept from the beginning.
    pub from: u64,
    /// The version they belong to; without it they are of no use, and the transfer begins at 0.
    pub validator: Option<Validator>,
}

/// What a [`Transfer`] tells, in this order: `Begin`, then chunks, then `End`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Chunks follow from `offset` on. The first event; once more with offset 0 whenever the
    /// transfer had to start over: the consumer forgets what it has.
    Begin {
        /// What was kept of [`Resume::from`], or 0.
        offset: u64,
        /// The size of the whole archive, where known.
        total: Option<u64>,
        /// What identifies this version; keep it beside a part.
        validator: Option<Validator>,
    },
    /// The next bytes.
    Chunk(Bytes),
    /// All bytes came.
    End {
        /// The size of the whole archive.
        total: u64,
    },
}

/// A transfer under way. [`Transfer::next`] may be dropped at any await and called again.
pub struct Transfer {
    source: Arc<dyn Source>,
    key: String,
    brake: Arc<Brake>,
    cancel: CancellationToken,
    retry: Retry,
    state: State,
    /// Bytes the consumer holds.
    position: u64,
    /// The most bytes it ever held: only bytes past it are progress, or a server that starts over
    /// and breaks off at the same place would keep us for ever.
    reached: u64,
    validator: Option<Validator>,
    total: Option<u64>,
    ranges: bool,
    begun: bool,
    pause: Option<Instant>,
}

enum State {
    /// The next request goes on at the position, if that can be.
    Ahead,
    /// The next request asks for everything: the range could not be trusted.
    Afresh,
    /// The range was refused; the next request asks for everything, to see whether all is there.
    Recheck,
    Flowing {
        body: Body,
        brought: bool,
    },
    Ended,
}

impl Transfer {
    /// Prepares a transfer; the first [`Transfer::next`] sends the request.
    pub fn start(
        source: Arc<dyn Source>,
        key: impl Into<String>,
        resume: Resume,
        policy: RetryPolicy,
        brake: Arc<Brake>,
        cancel: CancellationToken,
    ) -> Self {
        // Without a validator nothing tells whether the part belongs to what is there now.
        let kept = resume.from > 0 && resume.validator.is_some();
        Self {
            source,
            key: key.into(),
            brake,
            cancel,
            retry: Retry::new(policy),
            state: State::Ahead,
            position: if kept { resume.from } else { 0 },
            reached: if kept { resume.from } else { 0 },
            validator: if kept { resume.validator } else { None },
            total: None,
            ranges: false,
            begun: false,
            pause: None,
        }
    }

    /// Whether the bytes come from a disk.
    pub fn is_local(&self) -> bool {
        self.source.is_local()
    }

    /// The next event. After `End` it is `End` again.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Missing`] on 404, [`ArchiveError::Cancelled`] when the token fires, and
    /// what the last request met once the budget of requests without progress is spent.
    pub async fn next(&mut self) -> Result<Event, ArchiveError> {
        let cancel = self.cancel.clone();
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(ArchiveError::Cancelled),
            event = self.advance() => event,
        }
    }

    async fn advance(&mut self) -> Result<Event, ArchiveError> {
        loop {
            if let State::Ended = self.state {
                let total = self.position;
                return Ok(Event::End { total });
            }
            let event = if let State::Flowing { body, .. } = &mut self.state {
                let chunk = body.next().await;
                self.take(chunk)
            } else {
                self.open().await
            };
            match event {
                Ok(Some(event)) => return Ok(event),
                Ok(None) => {}
                Err(error) => self.fail(error)?,
            }
        }
    }

    /// Takes what the body gave; `None`: ask again.
    fn take(
        &mut self,
        chunk: Option<Result<Bytes, ArchiveError>>,
    ) -> Result<Option<Event>, ArchiveError> {
        let whole = self.total == Some(self.position);
        match chunk {
            Some(Ok(chunk)) if chunk.is_empty() => Ok(None),
            Some(Ok(chunk)) => self.chunk(chunk).map(Some),
            // All declared bytes are here: how the connection ends does not matter.
            Some(Err(_)) | None if whole => {
                self.state = State::Ended;
                Ok(None)
            }
            Some(Err(error)) => Err(error),
            None => match self.total {
                Some(total) => {
                    Err(self.unusable(format!("it ended at byte {} of {total}", self.position)))
                }
                None => {
                    self.state = State::Ended;
                    Ok(None)
                }
            },
        }
    }

    fn chunk(&mut self, chunk: Bytes) -> Result<Event, ArchiveError> {
        let position = self.position.saturating_add(chunk.len() as u64);
        if let Some(total) = self.total
            && position > total
        {
            self.state = State::Afresh;
            return Err(self.unusable(format!("it is longer than the {total} bytes declared")));
        }
        if position > LARGEST_ARCHIVE {
            return Err(ArchiveError::TooLarge {
                what: self.key.clone(),
                limit: LARGEST_ARCHIVE,
                unit: "bytes",
            });
        }
        self.position = position;
        if position > self.reached {
            self.reached = position;
            self.retry.progress();
            if let State::Flowing { brought, .. } = &mut self.state {
                *brought = true;
            }
        }
        Ok(Event::Chunk(chunk))
    }

    /// Sends the next request; `None`: the body goes on where it was.
    async fn open(&mut self) -> Result<Option<Event>, ArchiveError> {
        if let Some(pause) = self.pause {
            sleep_until(pause).await;
            self.pause = None;
        }
        self.brake.free().await;

        let resumable = self.validator.is_some() || (self.total.is_some() && self.ranges);
        let from = match self.state {
            State::Ahead if resumable => self.position,
            _ => 0,
        };
        let validator = self.validator.as_ref().filter(|_| from > 0);
        let opened = match self.source.open(&self.key, from, validator).await {
            Ok(opened) => opened,
            Err(ArchiveError::Status { status: 416, .. }) if from > 0 => {
                self.state = State::Recheck;
                return Ok(None);
            }
            Err(error) => {
                if from > 0 && matches!(error, ArchiveError::Reply { .. }) {
                    self.state = State::Afresh;
                }
                return Err(error);
            }
        };
        if from > 0 && opened.offset == from {
            self.go_on(opened)
        } else if opened.offset == 0 {
            Ok(Some(self.begin(opened)))
        } else {
            self.state = State::Afresh;
            Err(self.unusable("it is not the range asked for".to_owned()))
        }
    }

    /// The range came.
    fn go_on(&mut self, opened: Opened) -> Result<Option<Event>, ArchiveError> {
        // A server may serve ranges and ignore If-Range.
        if self.is_other(&opened) {
            self.state = State::Afresh;
            return Err(self.unusable("the file changed on the way".to_owned()));
        }
        self.total = self.total.or(opened.total);
        self.ranges = true;
        self.source.counters().resume();
        self.flow(opened.body);
        if self.begun {
            return Ok(None);
        }
        self.begun = true;
        Ok(Some(self.begin_event()))
    }

    /// The whole file came: it is the first time, or the consumer starts over, or it has it already.
    fn begin(&mut self, opened: Opened) -> Event {
        let has_all = matches!(self.state, State::Recheck)
            && opened.total == Some(self.position)
            && !self.is_other(&opened);
        if has_all {
            self.total = opened.total;
            self.state = State::Ended;
            if self.begun {
                return Event::End {
                    total: self.position,
                };
            }
        } else {
            if self.position > 0 {
                self.source.counters().restart();
            }
            self.position = 0;
            self.total = opened.total;
            self.validator = opened.validator;
            self.ranges = opened.ranges;
            self.flow(opened.body);
        }
        self.begun = true;
        self.begin_event()
    }

    fn begin_event(&self) -> Event {
        Event::Begin {
            offset: self.position,
            total: self.total,
            validator: self.validator.clone(),
        }
    }

    fn flow(&mut self, body: Body) {
        let brought = false;
        self.state = State::Flowing { body, brought };
    }

    /// Whether what was opened is another version than the one under way.
    fn is_other(&self, opened: &Opened) -> bool {
        let other_size = matches!((self.total, opened.total), (Some(a), Some(b)) if a != b);
        let other_mark = matches!((&self.validator, &opened.validator),
            (Some(mine), Some(theirs)) if mine.contradicts(theirs));
        other_size || other_mark
    }

    /// Counts a failure and sets the pause before the next request, or gives the error up.
    fn fail(&mut self, error: ArchiveError) -> Result<(), ArchiveError> {
        let brought = matches!(self.state, State::Flowing { brought: true, .. });
        if let State::Flowing { .. } = self.state {
            self.state = State::Ahead;
        }
        if !error.is_transient() {
            return Err(error);
        }
        let wait = if brought {
            Some(self.retry.after_progress())
        } else {
            self.retry.failed()
        };
        let Some(wait) = wait else {
            return Err(error);
        };
        tracing::debug!(
            key = self.key,
            error = error.one_line(),
            ?wait,
            "transfer broke off"
        );
        self.pause = Some(Instant::now() + wait);
        Ok(())
    }

    fn unusable(&self, why: String) -> ArchiveError {
        ArchiveError::reply(&format!("{} of {}", self.key, self.source.place()), why)
    }
}
