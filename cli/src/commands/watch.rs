//! `status --watch`: the queue, looked at again and again.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use tapemill_coordinator::status_value;
use tapemill_queue::{Queue, QueueError, Stats, WorkerRecord};
use tapemill_runtime::{exit, one_line};

use crate::commands::status::as_text;
use crate::failure::Failure;
use crate::screen::Screen;

/// How long a key waits at most.
const KEYS: Duration = Duration::from_millis(100);

/// Until a key or a signal ends it: a full screen on a terminal, else one status after the other.
pub async fn run(
    queue: &dyn Queue,
    url: &str,
    every: Duration,
    as_json: bool,
) -> Result<u8, Failure> {
    if as_json || !std::io::stdout().is_terminal() {
        return print(queue, url, every, as_json).await;
    }
    let mut terminal = ratatui::try_init().map_err(Failure::failed)?;
    let ended = show(&mut terminal, queue, url, every).await;
    ratatui::restore();
    ended
}

/// Ends when nobody reads any more.
async fn print(
    queue: &dyn Queue,
    url: &str,
    every: Duration,
    as_json: bool,
) -> Result<u8, Failure> {
    loop {
        let (stats, workers) = look(queue).await?;
        let text = match as_json {
            true => format!("{}\n", status_value(url, &stats, &workers)),
            false => format!("{}\n", as_text(url, &stats, &workers)),
        };
        let mut stdout = std::io::stdout();
        if stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
            .is_err()
        {
            return Ok(exit::DONE);
        }
        tokio::time::sleep(every).await;
    }
}

async fn look(queue: &dyn Queue) -> Result<(Stats, Vec<WorkerRecord>), QueueError> {
    Ok((queue.stats().await?, queue.workers().await?))
}

/// A queue that does not answer for a while is told, and looked at again.
async fn show(
    terminal: &mut DefaultTerminal,
    queue: &dyn Queue,
    url: &str,
    every: Duration,
) -> Result<u8, Failure> {
    let (mut stats, mut workers) = look(queue).await?;
    let mut trouble = None;
    loop {
        let screen = Screen {
            url,
            stats: &stats,
            workers: &workers,
            trouble: trouble.as_deref(),
        };
        let drawn = terminal.draw(|frame| screen.draw(frame));
        drawn.map_err(Failure::failed)?;
        let until = Instant::now() + every;
        while Instant::now() < until {
            match tokio::task::block_in_place(key)? {
                Key::End => return Ok(exit::DONE),
                Key::Redraw => break,
                Key::None => {}
            }
        }
        match look(queue).await {
            Ok(seen) => ((stats, workers), trouble) = (seen, None),
            Err(error) if error.retryable() => trouble = Some(one_line(&error)),
            Err(error) => return Err(error.into()),
        }
    }
}

enum Key {
    End,
    Redraw,
    None,
}

fn key() -> Result<Key, Failure> {
    if !event::poll(KEYS).map_err(Failure::failed)? {
        return Ok(Key::None);
    }
    Ok(match event::read().map_err(Failure::failed)? {
        Event::Resize(..) => Key::Redraw,
        Event::Key(pressed) => {
            let control_c = pressed.code == KeyCode::Char('c')
                && pressed.modifiers.contains(KeyModifiers::CONTROL);
            match pressed.code {
                KeyCode::Char('q') | KeyCode::Esc => Key::End,
                _ if control_c => Key::End,
                _ => Key::None,
            }
        }
        _ => Key::None,
    })
}
