//! Cuts a stream of chunks into lines.

use crate::RowError;
use crate::error::CellError;

/// No row of any archive is longer; a longer one is no CSV.
const LONGEST_LINE: usize = 4096;

/// What reads the lines.
pub(crate) trait ReadRow {
    /// Reads lines of the common form, as many as follow each other from `at` on, and tells where the first of another
    /// form begins. `number` is the number of the line before, and counts on. Never asked for the first line.
    fn plain(&mut self, chunk: &[u8], at: usize, number: &mut u64) -> Result<usize, CellError>;

    /// Reads any line, without its line end; the first is number 1.
    fn line(&mut self, number: u64, line: &[u8]) -> Result<(), CellError>;
}

/// Gives whole lines out of chunks of any size; only an unfinished last line is kept between them.
///
/// Line ends are `\n` or `\r\n`; blank lines may end the stream, a byte order mark may begin it.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    tail: Vec<u8>,
    number: u64,
    blank: bool,
}

impl Lines {
    /// Passes each line that the chunk completes to the reader.
    pub fn feed(&mut self, chunk: &[u8], rows: &mut impl ReadRow) -> Result<(), RowError> {
        let mut at = 0;
        if !self.tail.is_empty() {
            let end = memchr::memchr(b'\n', chunk);
            at = end.map_or(chunk.len(), |end| end + 1);
            if self.tail.len() + at > LONGEST_LINE {
                return Err(too_long(&self.tail).at(self.number + 1));
            }
            self.tail.extend_from_slice(&chunk[..at]);
            if end.is_none() {
                return Ok(());
            }
            let mut line = std::mem::take(&mut self.tail);
            line.pop();
            let result = self.line(&line, rows);
            line.clear();
            self.tail = line;
            result?;
        }
        loop {
            if self.number > 0 && !self.blank {
                at = rows
                    .plain(chunk, at, &mut self.number)
                    .map_err(|error| error.at(self.number + 1))?;
            }
            let rest = &chunk[at..];
            let Some(end) = memchr::memchr(b'\n', rest) else {
                break;
            };
            self.line(&rest[..end], rows)?;
            at += end + 1;
        }
        let rest = &chunk[at..];
        if rest.len() > LONGEST_LINE {
            return Err(too_long(rest).at(self.number + 1));
        }
        self.tail.extend_from_slice(rest);
        Ok(())
    }

    /// Passes a last line that had no line end.
    pub fn finish(&mut self, rows: &mut impl ReadRow) -> Result<(), RowError> {
        if self.tail.is_empty() {
            return Ok(());
        }
        let line = std::mem::take(&mut self.tail);
        self.line(&line, rows)
    }

    fn line(&mut self, line: &[u8], rows: &mut impl ReadRow) -> Result<(), RowError> {
        self.number += 1;
        let mut line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.number == 1 {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if line.is_empty() {
            self.blank = true;
            return Ok(());
        }
        if self.blank {
            let blank = CellError::new("row", b"", "a row (only the end may hold blank lines)");
            return Err(blank.at(self.number - 1));
        }
        rows.line(self.number, line)
            .map_err(|error| error.at(self.number))
    }
}

fn too_long(line: &[u8]) -> CellError {
    CellError::new("row", line, "a row of at most 4096 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Notes each line; one that begins with `a` counts as of the common form.
    #[derive(Default)]
    struct Notes(Vec<String>, usize);

    impl ReadRow for Notes {
        fn plain(
            &mut self,
            chunk: &[u8],
            mut at: usize,
            number: &mut u64,
        ) -> Result<usize, CellError> {
            while let Some(end) = memchr::memchr(b'\n', &chunk[at..]) {
                let line = &chunk[at..at + end];
                if !line.starts_with(b"a") || line.ends_with(b"\r") {
                    break;
                }
                self.1 += 1;
                self.0.push(String::from_utf8_lossy(line).into_owned());
                *number += 1;
                at += end + 1;
            }
            Ok(at)
        }

        fn line(&mut self, _number: u64, line: &[u8]) -> Result<(), CellError> {
            self.0.push(String::from_utf8_lossy(line).into_owned());
            Ok(())
        }
    }

    fn lines(chunks: &[&[u8]]) -> Result<Vec<String>, RowError> {
        let mut notes = Notes::default();
        let mut lines = Lines::default();
        for chunk in chunks {
            lines.feed(chunk, &mut notes)?;
        }
        lines.finish(&mut notes)?;
        assert_eq!(
            lines.number as usize,
            notes.0.len() + usize::from(lines.blank) * (lines.number as usize - notes.0.len())
        );
        Ok(notes.0)
    }

    #[test]
    fn the_fast_form_and_the_slow_one_take_turns() {
        let text = "head\n".to_owned() + &"abc\nb\nabcd\r\n".repeat(100);
        let mut notes = Notes::default();
        let mut lines = Lines::default();
        lines.feed(text.as_bytes(), &mut notes).unwrap();
        let expected: Vec<&str> = text
            .split_terminator('\n')
            .map(|line| line.trim_end())
            .collect();
        assert_eq!(notes.0, expected);
        assert!(notes.1 > 50, "{} lines went the fast way", notes.1);
        assert_eq!(lines.number, 301);
    }

    #[test]
    fn line_ends_and_the_last_line_are_tolerated() {
        assert_eq!(
            lines(&[b"\xef\xbb\xbfa\r\nb\n", b"c"]).unwrap(),
            ["a", "b", "c"]
        );
        assert_eq!(lines(&[b"a\n\n\r\n"]).unwrap(), ["a"]);
    }

    #[test]
    fn a_blank_line_in_the_middle_is_corrupt() {
        assert_eq!(lines(&[b"a\n\nb\n"]).unwrap_err().line, 2);
    }

    #[test]
    fn an_endless_line_is_refused() {
        let chunk = [b'1'; 3000];
        assert!(lines(&[&chunk, &chunk]).is_err());
        assert!(lines(&[&[b'1'; 5000]]).is_err());
    }

    proptest! {
        #[test]
        fn the_cuts_between_chunks_do_not_matter(words in prop::collection::vec("[ab]{1,7}", 0..8), ended: bool, cut in 0usize..40) {
            let text = words.join("
") + if ended && !words.is_empty() { "
" } else { "" };
            let cut = cut.min(text.len());
            let (left, right) = text.as_bytes().split_at(cut);
            let padding = "a\n".repeat(150);
            let padded = [padding.as_bytes(), left, right, padding.as_bytes()];
            prop_assert_eq!(lines(&[left, right]).unwrap(), lines(&[text.as_bytes()]).unwrap());
            if text.is_empty() || text.ends_with('\n') {
                prop_assert_eq!(lines(&padded).unwrap(), lines(&[padded.concat().as_slice()]).unwrap());
            }
        }
    }
}
