//! A ZIP with one CSV entry, inflated as its bytes arrive.
//!
//! The entry is read from its local header, so nothing has to be seekable; what only the end of the file knows
//! (data descriptor, central directory, end record, with their ZIP64 forms) is checked when the end has come.
//! The `zip` crate's streaming reader refuses entries with data descriptors, hence this one.

use tapemill_inflate::{Damaged, Inflate, Step};

use crate::Corrupt;

/// Bytes inflated at a time: enough to amortise a call, small enough to stay in the cache.
pub(crate) const INFLATED: usize = 256 * 1024;

/// A CSV of numbers deflates 5 to 30 times; what expands further is no archive but a bomb.
const MOST_EXPANSION: u64 = 200;
const FREE_EXPANSION: u64 = 16 << 20;

/// Longest local header accepted, name and extra fields included.
const LONGEST_HEADER: usize = 4096;

/// Longest tail behind the entry accepted: descriptor, directory of one entry, end records, comment.
const LONGEST_TAIL: usize = 72 * 1024;

const LOCAL: [u8; 4] = *b"PK\x03\x04";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const DESCRIPTOR: [u8; 4] = *b"PK\x07\x08";
const END: [u8; 4] = *b"PK\x05\x06";
const END64: [u8; 4] = *b"PK\x06\x06";
const END64_LOCATOR: [u8; 4] = *b"PK\x06\x07";

/// Takes the bytes of a ZIP in order and passes on those of its entry; their CRC-32 is for whoever gets them.
pub(crate) struct Unzip {
    state: State,
    held: Vec<u8>,
    header: Header,
    inflate: Inflate,
    out: Vec<u8>,
    deflated: u64,
    inflated: u64,
    offset: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    Deflated,
    Stored,
    Tail,
}

/// What the local header says of the entry.
#[derive(Default)]
struct Header {
    name: Vec<u8>,
    descriptor: bool,
    crc: u32,
    deflated: u64,
    inflated: u64,
    length: u64,
}

impl Unzip {
    pub fn new() -> Self {
        Self {
            state: State::Header,
            held: Vec::new(),
            header: Header::default(),
            inflate: Inflate::new(),
            out: vec![0; INFLATED],
            deflated: 0,
            inflated: 0,
            offset: 0,
        }
    }

    /// Takes the next bytes; `csv` gets what they inflate to: a buffer, which it may change for another of the same
    /// length, and how much of it counts.
    pub fn feed<E: From<Corrupt>>(
        &mut self,
        mut bytes: &[u8],
        csv: &mut impl FnMut(&mut Vec<u8>, usize) -> Result<(), E>,
    ) -> Result<(), E> {
        self.offset += bytes.len() as u64;
        while !bytes.is_empty() {
            match self.state {
                State::Header => bytes = self.read_header(bytes)?,
                State::Deflated => bytes = self.read_deflated(bytes, csv)?,
                State::Stored => bytes = self.read_stored(bytes, csv)?,
                State::Tail => {
                    if self.held.len() + bytes.len() > LONGEST_TAIL {
                        return Err(E::from(self.too_much()));
                    }
                    self.held.extend_from_slice(bytes);
                    bytes = &[];
                }
            }
        }
        Ok(())
    }

    /// Ends the file: checks sizes, the CRC-32 of all that was passed on, and that the directory lists this one entry.
    pub fn finish(self, crc: u32) -> Result<(), Corrupt> {
        match self.state {
            State::Header if self.offset == 0 => Err(Corrupt::new("the file is empty")),
            State::Header => Err(Corrupt::new("the ZIP ends inside its first header")),
            State::Deflated | State::Stored => Err(Corrupt::new(
                "the ZIP ends inside its entry: it is cut short",
            )),
            State::Tail => self.check_tail(crc),
        }
    }

    fn read_header<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Corrupt> {
        let wanted = match self.held.get(26..30) {
            Some(lengths) => 30 + u16_at(lengths, 0) as usize + u16_at(lengths, 2) as usize,
            None => 30,
        };
        let taken = (wanted - self.held.len()).min(bytes.len());
        self.held.extend_from_slice(&bytes[..taken]);
        let begins = &self.held[..self.held.len().min(4)];
        if !LOCAL.starts_with(begins) {
            return Err(Corrupt::new(not_a_zip(&self.held)));
        }
        if self.held.len() < wanted {
            return Ok(&bytes[taken..]);
        }
        let (name_length, extra_length) = (
            u16_at(&self.held, 26) as usize,
            u16_at(&self.held, 28) as usize,
        );
        let length = 30 + name_length + extra_length;
        if length > LONGEST_HEADER {
            return Err(Corrupt::new(
                "the entry's header is larger than any archive's",
            ));
        }
        if self.held.len() < length {
            return Ok(&bytes[taken..]);
        }
        let header = std::mem::take(&mut self.held);
        self.start_entry(&header, name_length)?;
        Ok(&bytes[taken..])
    }

    fn start_entry(&mut self, header: &[u8], name_length: usize) -> Result<(), Corrupt> {
        let flags = u16_at(header, 6);
        let method = u16_at(header, 8);
        let name = &header[30..30 + name_length];
        check_name(name)?;
        if flags & 1 != 0 {
            return Err(Corrupt::new("the entry is encrypted"));
        }
        let mut sizes = (u64::from(u32_at(header, 22)), u64::from(u32_at(header, 18)));
        read_zip64(&header[30 + name_length..], [&mut sizes.0, &mut sizes.1])?;
        self.header = Header {
            name: name.to_vec(),
            descriptor: flags & 8 != 0,
            crc: u32_at(header, 14),
            inflated: sizes.0,
            deflated: sizes.1,
            length: header.len() as u64,
        };
        self.state = match method {
            8 => State::Deflated,
            0 if self.header.descriptor => {
                return Err(Corrupt::new(
                    "a stored entry with a data descriptor has no known end",
                ));
            }
            0 if self.header.deflated == 0 => State::Tail,
            0 => State::Stored,
            _ => {
                return Err(Corrupt::new(format!(
                    "compression method {method} is neither deflate nor stored"
                )));
            }
        };
        Ok(())
    }

    fn read_deflated<'a, E: From<Corrupt>>(
        &mut self,
        bytes: &'a [u8],
        csv: &mut impl FnMut(&mut Vec<u8>, usize) -> Result<(), E>,
    ) -> Result<&'a [u8], E> {
        let step = self.inflate.step(bytes, &mut self.out).map_err(|Damaged| {
            Corrupt::new(format!(
                "the deflate stream is damaged near byte {}",
                self.deflated
            ))
        })?;
        let Step { read, written, .. } = step;
        self.deflated += read as u64;
        self.pass_on(written, csv)?;
        if step.ended {
            self.deflated -= step.behind.len() as u64;
            self.held = step.behind;
            self.state = State::Tail;
        } else if read == 0 && written == 0 {
            // No progress with input at hand and room for output: the stream is stuck, not waiting.
            return Err(E::from(Corrupt::new(format!(
                "the deflate stream is damaged near byte {}",
                self.deflated
            ))));
        }
        Ok(&bytes[read..])
    }

    fn pass_on<E: From<Corrupt>>(
        &mut self,
        written: usize,
        csv: &mut impl FnMut(&mut Vec<u8>, usize) -> Result<(), E>,
    ) -> Result<(), E> {
        self.inflated += written as u64;
        if self.inflated > FREE_EXPANSION + MOST_EXPANSION * self.deflated {
            return Err(E::from(Corrupt::new(
                "the entry expands more than 200 times: it is a bomb",
            )));
        }
        csv(&mut self.out, written)
    }

    fn read_stored<'a, E: From<Corrupt>>(
        &mut self,
        bytes: &'a [u8],
        csv: &mut impl FnMut(&mut Vec<u8>, usize) -> Result<(), E>,
    ) -> Result<&'a [u8], E> {
        let left = self.header.deflated - self.deflated;
        let taken = left.min(bytes.len() as u64).min(INFLATED as u64) as usize;
        self.out[..taken].copy_from_slice(&bytes[..taken]);
        self.deflated += taken as u64;
        self.pass_on(taken, csv)?;
        if self.deflated == self.header.deflated {
            self.state = State::Tail;
        }
        Ok(&bytes[taken..])
    }

    fn too_much(&self) -> Corrupt {
        if self.held.windows(4).any(|window| window == LOCAL) {
            return Corrupt::new("the ZIP holds more than one entry");
        }
        Corrupt::new("there is more behind the entry than a directory of one entry")
    }

    fn check_tail(&self, crc: u32) -> Result<(), Corrupt> {
        let found = Totals {
            crc,
            deflated: self.deflated,
            inflated: self.inflated,
        };
        let tail = &self.held[..];
        let central_at = if self.header.descriptor {
            descriptor_length(tail, &found)?
        } else {
            let said = Totals {
                crc: self.header.crc,
                deflated: self.header.deflated,
                inflated: self.header.inflated,
            };
            found.check(&said)?;
            0
        };
        if tail[central_at..].starts_with(&LOCAL) {
            return Err(Corrupt::new("the ZIP holds more than one entry"));
        }
        let central_offset = self.header.length + self.deflated + central_at as u64;
        check_directory(
            &tail[central_at..],
            central_offset,
            &self.header.name,
            &found,
        )
    }
}

/// CRC-32 and sizes of an entry.
struct Totals {
    crc: u32,
    deflated: u64,
    inflated: u64,
}

impl Totals {
    fn check(&self, said: &Self) -> Result<(), Corrupt> {
        if said.inflated != self.inflated || said.deflated != self.deflated {
            return Err(Corrupt::new(format!(
                "the entry should hold {} bytes and holds {}",
                said.inflated, self.inflated
            )));
        }
        if said.crc != self.crc {
            return Err(Corrupt::new(format!(
                "the entry's CRC-32 is {:08x} and should be {:08x}",
                self.crc, said.crc
            )));
        }
        Ok(())
    }
}

/// Length of the data descriptor: with or without its signature, with sizes of 4 or 8 bytes.
fn descriptor_length(tail: &[u8], found: &Totals) -> Result<usize, Corrupt> {
    let signature = if tail.starts_with(&DESCRIPTOR) { 4 } else { 0 };
    for (length, wide) in [(12, false), (20, true)] {
        let Some(body) = tail.get(signature..signature + length) else {
            continue;
        };
        let next = &tail[signature + length..];
        if !(next.starts_with(&CENTRAL) || next.starts_with(&LOCAL)) {
            continue;
        }
        let size = |at: usize| {
            if wide {
                u64_at(body, 4 + 8 * at)
            } else {
                u64::from(u32_at(body, 4 + 4 * at))
            }
        };
        found.check(&Totals {
            crc: u32_at(body, 0),
            deflated: size(0),
            inflated: size(1),
        })?;
        return Ok(signature + length);
    }
    Err(Corrupt::new(
        "the data descriptor behind the entry is damaged",
    ))
}

/// The central directory must list this one entry, and the end record must point at it.
fn check_directory(
    directory: &[u8],
    offset: u64,
    name: &[u8],
    found: &Totals,
) -> Result<(), Corrupt> {
    let damaged = || Corrupt::new("the ZIP's directory is damaged or cut short");
    let record = directory
        .get(..46)
        .filter(|record| record.starts_with(&CENTRAL))
        .ok_or_else(damaged)?;
    let lengths = [u16_at(record, 28), u16_at(record, 30), u16_at(record, 32)].map(usize::from);
    let length = 46 + lengths.iter().sum::<usize>();
    let record = directory.get(..length).ok_or_else(damaged)?;
    if &record[46..46 + lengths[0]] != name {
        return Err(Corrupt::new(
            "the ZIP's directory names another entry than its header",
        ));
    }
    let mut sizes = (u64::from(u32_at(record, 24)), u64::from(u32_at(record, 20)));
    let mut local_offset = u64::from(u32_at(record, 42));
    let extra = &record[46 + lengths[0]..46 + lengths[0] + lengths[1]];
    read_zip64(extra, [&mut sizes.0, &mut sizes.1, &mut local_offset])?;
    found.check(&Totals {
        crc: u32_at(record, 16),
        deflated: sizes.1,
        inflated: sizes.0,
    })?;
    if local_offset != 0 {
        return Err(Corrupt::new("the ZIP holds something before its entry"));
    }
    let rest = &directory[length..];
    if rest.starts_with(&CENTRAL) {
        return Err(Corrupt::new("the ZIP holds more than one entry"));
    }
    let (rest, end64) = skip_end64(rest)?;
    let end = rest
        .get(..22)
        .filter(|end| end.starts_with(&END))
        .ok_or_else(damaged)?;
    let entries = u16_at(end, 10);
    if entries != 1 && !(entries == u16::MAX && end64.is_some_and(|end64| end64.entries == 1)) {
        return Err(Corrupt::new(format!(
            "the ZIP's end record counts {entries} entries"
        )));
    }
    let said_offset = match u32_at(end, 16) {
        u32::MAX => end64.map(|end64| end64.offset).ok_or_else(damaged)?,
        offset => u64::from(offset),
    };
    if said_offset != offset {
        return Err(Corrupt::new(format!(
            "the ZIP's directory lies at byte {offset} and should lie at {said_offset}: bytes were lost or added"
        )));
    }
    if rest.len() != 22 + usize::from(u16_at(end, 20)) {
        return Err(Corrupt::new("there are bytes behind the end of the ZIP"));
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct End64 {
    entries: u64,
    offset: u64,
}

fn skip_end64(bytes: &[u8]) -> Result<(&[u8], Option<End64>), Corrupt> {
    if !bytes.starts_with(&END64) {
        return Ok((bytes, None));
    }
    let damaged = || Corrupt::new("the ZIP64 end record is damaged");
    let record = bytes.get(..56).ok_or_else(damaged)?;
    let length = usize::try_from(u64_at(record, 4))
        .ok()
        .and_then(|length| length.checked_add(12));
    let rest = length
        .and_then(|length| bytes.get(length..))
        .ok_or_else(damaged)?;
    let rest = rest
        .get(20..)
        .filter(|_| rest.starts_with(&END64_LOCATOR))
        .ok_or_else(damaged)?;
    Ok((
        rest,
        Some(End64 {
            entries: u64_at(record, 32),
            offset: u64_at(record, 48),
        }),
    ))
}

/// Replaces the fields that say "see ZIP64" (all ones) by their values in the extra field, in their fixed order.
fn read_zip64<const N: usize>(mut extra: &[u8], fields: [&mut u64; N]) -> Result<(), Corrupt> {
    let wanted = u64::from(u32::MAX);
    let mut fields = fields
        .into_iter()
        .filter(|field| **field == wanted)
        .peekable();
    if fields.peek().is_none() {
        return Ok(());
    }
    while extra.len() >= 4 {
        let (id, length) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
        let Some(body) = extra.get(4..4 + length) else {
            break;
        };
        if id == 1 {
            for (at, field) in fields.enumerate() {
                let Some(value) = body.get(8 * at..8 * at + 8) else {
                    return Err(Corrupt::new("the ZIP64 sizes are cut short"));
                };
                *field = u64_at(value, 0);
            }
            return Ok(());
        }
        extra = &extra[4 + length..];
    }
    // Exactly 4 GiB − 1 bytes without ZIP64 is possible; the totals decide.
    Ok(())
}

fn check_name(name: &[u8]) -> Result<(), Corrupt> {
    let shown: String = String::from_utf8_lossy(name).chars().take(80).collect();
    if name.iter().any(|byte| matches!(byte, b'/' | b'\\' | 0)) || name.starts_with(b"..") {
        return Err(Corrupt::new(format!(
            "the entry {shown:?} has a path in its name"
        )));
    }
    if !name.to_ascii_lowercase().ends_with(b".csv") {
        return Err(Corrupt::new(format!("the entry {shown:?} is not a CSV")));
    }
    Ok(())
}

fn not_a_zip(bytes: &[u8]) -> String {
    if bytes.starts_with(&END) {
        return "the ZIP holds no entry".to_owned();
    }
    let text: String = String::from_utf8_lossy(&bytes[..bytes.len().min(24)])
        .chars()
        .take(24)
        .collect();
    format!("it is no ZIP, it begins with {text:?}")
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests;
