//! Cuts a stream of chunks into lines.

use crate::RowError;
use crate::error::CellError;

/// No row of any archive is longer; a longer one is no CSV.
const LONGEST_LINE: usize = 4096;

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
    /// Passes each line that the chunk completes to `row`, with its number from 1.
    pub fn feed(
        &mut self,
        chunk: &[u8],
        row: &mut impl FnMut(u64, &[u8]) -> Result<(), CellError>,
    ) -> Result<(), RowError> {
        let mut rest = chunk;
        if !self.tail.is_empty() {
            let end = memchr::memchr(b'\n', rest);
            let taken = end.map_or(rest.len(), |at| at + 1);
            if self.tail.len() + taken > LONGEST_LINE {
                return Err(too_long(&self.tail).at(self.number + 1));
            }
            self.tail.extend_from_slice(&rest[..taken]);
            rest = &rest[taken..];
            if end.is_none() {
                return Ok(());
            }
            let mut line = std::mem::take(&mut self.tail);
            line.pop();
            let result = self.line(&line, row);
            line.clear();
            self.tail = line;
            result?;
        }
        while let Some(at) = memchr::memchr(b'\n', rest) {
            self.line(&rest[..at], row)?;
            rest = &rest[at + 1..];
        }
        if rest.len() > LONGEST_LINE {
            return Err(too_long(rest).at(self.number + 1));
        }
        self.tail.extend_from_slice(rest);
        Ok(())
    }

    /// Passes a last line that had no line end.
    pub fn finish(
        &mut self,
        row: &mut impl FnMut(u64, &[u8]) -> Result<(), CellError>,
    ) -> Result<(), RowError> {
        if self.tail.is_empty() {
            return Ok(());
        }
        let line = std::mem::take(&mut self.tail);
        self.line(&line, row)
    }

    #[inline]
    fn line(
        &mut self,
        line: &[u8],
        row: &mut impl FnMut(u64, &[u8]) -> Result<(), CellError>,
    ) -> Result<(), RowError> {
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
            return Err(
                CellError::new("row", b"", "a row (only the end may hold blank lines)")
                    .at(self.number - 1),
            );
        }
        row(self.number, line).map_err(|error| error.at(self.number))
    }
}

fn too_long(line: &[u8]) -> CellError {
    CellError::new("row", line, "a row of at most 4096 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(chunks: &[&[u8]]) -> Result<Vec<String>, RowError> {
        let mut found = Vec::new();
        let mut row = |number: u64, line: &[u8]| {
            found.push(format!("{number}:{}", String::from_utf8_lossy(line)));
            Ok(())
        };
        let mut lines = Lines::default();
        for chunk in chunks {
            lines.feed(chunk, &mut row)?;
        }
        lines.finish(&mut row)?;
        Ok(found)
    }

    #[test]
    fn line_ends_and_the_last_line_are_tolerated() {
        assert_eq!(
            lines(&[b"\xef\xbb\xbfa\r\nb\n", b"c"]).unwrap(),
            ["1:a", "2:b", "3:c"]
        );
        assert_eq!(lines(&[b"a\n\n\r\n"]).unwrap(), ["1:a"]);
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
        fn the_cuts_between_chunks_do_not_matter(text in "[ab\n]{0,40}".prop_filter("blank", |t| !t.contains("\n\n") && !t.starts_with('\n')), cut in 0usize..40) {
            let cut = cut.min(text.len());
            let (left, right) = text.as_bytes().split_at(cut);
            prop_assert_eq!(lines(&[left, right]).unwrap(), lines(&[text.as_bytes()]).unwrap());
        }
    }
}
