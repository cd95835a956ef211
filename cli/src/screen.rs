//! A queue on a full screen: what it holds, how fast it goes, and what each worker does now.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Gauge, Paragraph, Row, Table};
use tapemill_coordinator::{bytes_done_and_left, time_left};
use tapemill_queue::{StateCounts, Stats, TaskState, WorkerRecord, WorkingOn};

use crate::format;

/// Columns of a count, and between two columns.
const COUNT: u16 = 11;

/// A worker that was not heard of for so long is shown as silent.
const SILENT: Duration = Duration::from_secs(30);

/// What is on the screen.
pub(crate) struct Screen<'a> {
    /// The queue's name for people.
    pub url: &'a str,
    pub stats: &'a Stats,
    pub workers: &'a [WorkerRecord],
    /// Why the last look failed; then what is shown is of before.
    pub trouble: Option<&'a str>,
}

impl Screen<'_> {
    /// Draws it, whatever the size: what has no room is counted.
    pub fn draw(&self, frame: &mut Frame<'_>) {
        let datasets = self.stats.datasets.len() as u16;
        let [head, gauge, rate, table, workers, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length((datasets + 4).min(frame.area().height / 2)),
            Constraint::Min(3),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        frame.render_widget(self.head(), head);
        frame.render_widget(self.gauge(), gauge);
        frame.render_widget(Paragraph::new(self.rate()), rate);
        frame.render_widget(self.table(table.height), table);
        self.draw_workers(frame, workers);
        frame.render_widget(self.foot(), foot);
    }

    fn head(&self) -> Paragraph<'_> {
        let mut text = format!("tapemill {}", self.url);
        if self.stats.paused {
            text.push_str("  PAUSED: tapemill queue resume");
        }
        if let Some(brake) = self.stats.brake {
            let left = format::duration(brake);
            text.push_str(&format!(
                "  the archive asked for fewer requests: {left} left"
            ));
        }
        Paragraph::new(text).style(Style::new().add_modifier(Modifier::BOLD))
    }

    fn gauge(&self) -> Gauge<'_> {
        let (done, left) = bytes_done_and_left(self.stats);
        let ratio = match done + left {
            0 => 0.0,
            all => done as f64 / all as f64,
        };
        let label = format!(
            "{} of {} ({:.1} %)",
            format::bytes(done),
            format::bytes(done + left),
            100.0 * ratio
        );
        Gauge::default()
            .ratio(ratio)
            .label(label)
            .gauge_style(Style::new().fg(Color::Blue))
    }

    fn rate(&self) -> Line<'_> {
        let left = match time_left(self.stats) {
            Some(Duration::ZERO) => "nothing left".to_owned(),
            Some(left) => format!("{} to go", format::duration(left)),
            None => "time left unknown".to_owned(),
        };
        Line::from(format!(
            "{} rows/s  {}/s  {left}",
            format::count(self.stats.rows_per_second),
            format::bytes(self.stats.bytes_per_second as u64),
        ))
    }

    /// A row for each dataset that there is room for, the others in one.
    fn table(&self, height: u16) -> Table<'_> {
        let row = |name: String, of: &StateCounts| {
            let counts = of.iter().map(|count| format!("{:>10}", count.tasks));
            let dead = of
                .iter()
                .zip(TaskState::ALL)
                .any(|(count, state)| state == TaskState::Dead && count.tasks > 0);
            let style = if dead {
                Style::new().fg(Color::Red)
            } else {
                Style::new()
            };
            Row::new(std::iter::once(name).chain(counts).collect::<Vec<_>>()).style(style)
        };
        // Borders, the header and the total.
        let room = usize::from(height.saturating_sub(4)).max(1);
        let all: Vec<_> = self.stats.datasets.iter().collect();
        let shown = if all.len() > room {
            room - 1
        } else {
            all.len()
        };
        let mut rows: Vec<Row<'_>> = all[..shown]
            .iter()
            .map(|(name, of)| row((*name).clone(), of))
            .collect();
        if shown < all.len() {
            rows.push(Row::new(vec![format!("and {} more", all.len() - shown)]));
        }
        rows.push(row("total".to_owned(), &self.stats.totals()));
        let header = std::iter::once("dataset".to_owned())
            .chain(TaskState::ALL.map(|state| format!("{:>10}", state.as_str())));
        let widths = std::iter::once(Constraint::Min(12))
            .chain(TaskState::ALL.map(|_| Constraint::Length(COUNT)));
        Table::new(rows, widths)
            .header(
                Row::new(header.collect::<Vec<_>>())
                    .style(Style::new().add_modifier(Modifier::BOLD)),
            )
            .block(
                Block::new()
                    .borders(Borders::TOP | Borders::BOTTOM)
                    .title("tasks"),
            )
    }

    fn draw_workers(&self, frame: &mut Frame<'_>, area: Rect) {
        let room = usize::from(area.height.saturating_sub(1));
        let mut lines = Vec::new();
        for worker in self.workers {
            let silent = match worker.seen_ago >= SILENT {
                true => format!(", silent for {}", format::duration(worker.seen_ago)),
                false => String::new(),
            };
            lines.push(format!("{} {}{silent}", worker.id, worker.state.as_str()));
            lines.extend(worker.tasks.iter().map(working_on));
        }
        if lines.len() > room {
            let hidden = lines.len() - room.saturating_sub(1);
            lines.truncate(room.saturating_sub(1));
            lines.push(format!("and {hidden} more lines"));
        }
        let title = format!("workers: {}", self.workers.len());
        let lines: Vec<Line<'_>> = lines.into_iter().map(Line::from).collect();
        let block = Block::new().borders(Borders::TOP).title(title);
        frame.render_widget(Paragraph::new(lines).block(block), area);
    }

    fn foot(&self) -> Paragraph<'_> {
        match self.trouble {
            Some(why) => {
                Paragraph::new(format!("no answer: {why}")).style(Style::new().fg(Color::Red))
            }
            None => Paragraph::new("q ends it").style(Style::new().add_modifier(Modifier::DIM)),
        }
    }
}

fn working_on(task: &WorkingOn) -> String {
    let progress = &task.progress;
    let part = match progress.bytes_total {
        0 => format::bytes(progress.bytes),
        total => format!(
            "{:>3} % of {}",
            (100.0 * progress.bytes as f64 / total as f64).min(100.0) as u64,
            format::bytes(total)
        ),
    };
    format!(
        "  {}  {part}  {} rows",
        task.task,
        format::count(progress.rows as f64)
    )
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use tapemill_queue::Count;

    use super::*;

    fn stats(datasets: usize) -> Stats {
        let count = |tasks| Count {
            tasks,
            bytes: tasks * 1_000,
        };
        let counts = [count(5), count(2), count(3), count(1), count(0)];
        let named = |at| (format!("dataset{at:02}"), counts);
        Stats {
            datasets: (0..datasets).map(named).collect(),
            bytes_per_second: 1_000.0,
            ..Stats::default()
        }
    }

    fn drawn(stats: &Stats, width: u16, height: u16, trouble: Option<&str>) -> String {
        let screen = Screen {
            url: "sqlite:queue.db",
            stats,
            workers: &[],
            trouble,
        };
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| screen.draw(frame)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn all_numbers_are_on_it() {
        let shown = drawn(&stats(2), 80, 24, None);
        for part in [
            "sqlite:queue.db",
            "6.0 kB of 20.0 kB (30.0 %)",
            "1.0 kB/s  14s to go",
            "dataset01",
            "workers: 0",
        ] {
            assert!(shown.contains(part), "{part}\n{shown}");
        }
        let total = shown.lines().find(|line| line.contains("total")).unwrap();
        let counts: Vec<_> = total.trim_matches('"').split_whitespace().collect();
        assert_eq!(counts, ["total", "10", "4", "6", "2", "0"]);
    }

    #[test]
    fn what_has_no_room_is_counted_and_no_size_is_too_small() {
        let many = stats(40);
        let shown = drawn(&many, 80, 24, None);
        assert!(shown.contains("and 33 more"), "{shown}");
        assert!(shown.contains("total"), "{shown}");
        for (width, height) in [(1, 1), (10, 3), (20, 8), (300, 100)] {
            drawn(&many, width, height, Some("it is gone"));
        }
    }

    #[test]
    fn a_look_that_fails_is_told() {
        assert!(drawn(&stats(1), 80, 24, Some("it is gone")).contains("no answer: it is gone"));
    }
}
