//! A ZIP writer that can write what ordinary ones avoid.

use std::io::{self, Seek, SeekFrom, Write};

use flate2::write::DeflateEncoder;
use flate2::{Compress, Compression, FlushCompress};
use jiff::civil::Date;

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;
const STREAMED: u16 = 1 << 3;
const MAX_32: u32 = u32::MAX;

/// How the bytes of an entry are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// As they are.
    Stored,
    /// Deflate, at level 0 to 9.
    Deflate(u32),
}

/// What the CSV is called inside the ZIP.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum EntryName {
    /// The stem of the ZIP and `.csv`, as the exchange does.
    #[default]
    Stem,
    /// Below folders: `data/…/{stem}.csv`.
    WithPath,
    /// Above the folder it is unpacked in: `../{stem}.csv`.
    Escaping,
    /// This name.
    Other(String),
}

/// The shape of a ZIP around its CSV.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZipOptions {
    /// How the bytes are kept.
    pub method: Method,
    /// Sizes and CRC after the data instead of before it (flag bit 3), as streaming writers do.
    pub descriptor: bool,
    /// 64-bit sizes and offsets, whatever the size.
    pub zip64: bool,
    /// What the CSV is called.
    pub entry_name: EntryName,
    /// Adds a second CSV after the first.
    pub second_entry: bool,
    /// Declares a CRC-32 that is not the one of the data.
    pub wrong_crc: bool,
    /// Bytes before the first entry.
    pub prefix_bytes: usize,
    /// Bytes after the end of the ZIP.
    pub trailing_bytes: usize,
}

impl Default for ZipOptions {
    fn default() -> Self {
        Self {
            method: Method::Deflate(6),
            descriptor: false,
            zip64: false,
            entry_name: EntryName::Stem,
            second_entry: false,
            wrong_crc: false,
            prefix_bytes: 0,
            trailing_bytes: 0,
        }
    }
}

/// Writes what an entry holds.
pub(crate) type Content<'a> = &'a mut dyn FnMut(&mut dyn Write) -> io::Result<()>;

struct Entry {
    name: String,
    method: u16,
    crc: u32,
    compressed: u64,
    plain: u64,
    offset: u64,
}

/// Writes entries one after the other; [`Self::finish`] makes it a ZIP.
pub(crate) struct ZipFile<'a, W: Write + Seek> {
    out: W,
    options: &'a ZipOptions,
    date: Date,
    entries: Vec<Entry>,
}

impl<'a, W: Write + Seek> ZipFile<'a, W> {
    /// Every entry is dated `date`, so equal content gives equal bytes.
    pub(crate) fn new(mut out: W, options: &'a ZipOptions, date: Date) -> io::Result<Self> {
        out.write_all(&vec![b'#'; options.prefix_bytes])?;
        Ok(Self {
            out,
            options,
            date,
            entries: Vec::new(),
        })
    }

    /// Adds an entry, compressing while `content` writes it.
    pub(crate) fn add(&mut self, name: &str, content: Content<'_>) -> io::Result<()> {
        let method = match self.options.method {
            Method::Stored => 0,
            Method::Deflate(_) => 8,
        };
        let mut entry = self.begin(name, method)?;
        let begin = self.out.stream_position()?;
        let sum = match self.options.method {
            Method::Stored => {
                let mut sum = Summed::new(&mut self.out);
                content(&mut sum)?;
                (sum.crc, sum.bytes)
            }
            Method::Deflate(level) => {
                let level = Compression::new(level.min(9));
                let mut sum = Summed::new(DeflateEncoder::new(&mut self.out, level));
                content(&mut sum)?;
                let (crc, bytes) = (sum.crc, sum.bytes);
                sum.inner.finish()?;
                (crc, bytes)
            }
        };
        entry.crc = sum.0.finalize();
        entry.plain = sum.1;
        entry.compressed = self.out.stream_position()? - begin;
        self.end(entry)
    }

    /// Adds a deflated entry that repeats `line` until it exceeds `plain_bytes`, at the cost of one short piece.
    pub(crate) fn add_bomb(&mut self, name: &str, line: &[u8], plain_bytes: u64) -> io::Result<()> {
        let piece = line.repeat((1 << 20) / line.len());
        let repeats = plain_bytes / piece.len() as u64 + 1;
        let mut packed = Vec::with_capacity(64 << 10);
        let mut deflate = Compress::new(Compression::best(), false);
        // A full flush forgets all that went before, so the packed piece can be repeated as it stands.
        deflate.compress_vec(&piece, &mut packed, FlushCompress::Full)?;
        let mut last = Vec::with_capacity(64);
        Compress::new(Compression::best(), false).compress_vec(
            &[],
            &mut last,
            FlushCompress::Finish,
        )?;
        let mut once = crc32fast::Hasher::new();
        once.update(&piece);
        let mut entry = self.begin(name, 8)?;
        let mut crc = crc32fast::Hasher::new();
        for _ in 0..repeats {
            self.out.write_all(&packed)?;
            crc.combine(&once);
        }
        self.out.write_all(&last)?;
        entry.crc = crc.finalize();
        entry.plain = repeats * piece.len() as u64;
        entry.compressed = repeats * packed.len() as u64 + last.len() as u64;
        self.end(entry)
    }

    /// Writes the directory.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        let begin = self.out.stream_position()?;
        for at in 0..self.entries.len() {
            self.write_central(at)?;
        }
        let end = self.out.stream_position()?;
        let count = self.entries.len() as u64;
        let mut tail = Vec::new();
        if self.options.zip64 {
            put32(&mut tail, END_64);
            put64(&mut tail, 44);
            put16(&mut tail, 45);
            put16(&mut tail, 45);
            put32(&mut tail, 0);
            put32(&mut tail, 0);
            put64(&mut tail, count);
            put64(&mut tail, count);
            put64(&mut tail, end - begin);
            put64(&mut tail, begin);
            put32(&mut tail, LOCATOR_64);
            put32(&mut tail, 0);
            put64(&mut tail, end);
            put32(&mut tail, 1);
        }
        put32(&mut tail, END);
        put32(&mut tail, 0);
        put16(&mut tail, count as u16);
        put16(&mut tail, count as u16);
        put32(&mut tail, self.narrow(end - begin)?);
        put32(&mut tail, self.narrow(begin)?);
        put16(&mut tail, 0);
        tail.resize(tail.len() + self.options.trailing_bytes, b'#');
        self.out.write_all(&tail)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn begin(&mut self, name: &str, method: u16) -> io::Result<Entry> {
        let entry = Entry {
            name: name.to_owned(),
            method,
            crc: 0,
            compressed: 0,
            plain: 0,
            offset: self.out.stream_position()?,
        };
        self.write_local(&entry)?;
        Ok(entry)
    }

    fn end(&mut self, mut entry: Entry) -> io::Result<()> {
        if self.options.wrong_crc {
            entry.crc ^= 0x5a5a_5a5a;
        }
        if self.options.descriptor {
            let mut descriptor = Vec::new();
            put32(&mut descriptor, DESCRIPTOR);
            put32(&mut descriptor, entry.crc);
            if self.options.zip64 {
                put64(&mut descriptor, entry.compressed);
                put64(&mut descriptor, entry.plain);
            } else {
                put32(&mut descriptor, self.narrow(entry.compressed)?);
                put32(&mut descriptor, self.narrow(entry.plain)?);
            }
            self.out.write_all(&descriptor)?;
        } else {
            let after = self.out.stream_position()?;
            self.out.seek(SeekFrom::Start(entry.offset))?;
            self.write_local(&entry)?;
            self.out.seek(SeekFrom::Start(after))?;
        }
        self.entries.push(entry);
        Ok(())
    }

    fn write_local(&mut self, entry: &Entry) -> io::Result<()> {
        let mut header = Vec::new();
        put32(&mut header, LOCAL);
        self.put_shared(&mut header, entry);
        let streamed = self.options.descriptor;
        let sizes = if streamed {
            (0, 0)
        } else {
            (entry.compressed, entry.plain)
        };
        put32(&mut header, if streamed { 0 } else { entry.crc });
        put32(&mut header, self.narrow(sizes.0)?);
        put32(&mut header, self.narrow(sizes.1)?);
        put16(&mut header, entry.name.len() as u16);
        put16(&mut header, if self.options.zip64 { 20 } else { 0 });
        header.extend_from_slice(entry.name.as_bytes());
        if self.options.zip64 {
            put16(&mut header, 1);
            put16(&mut header, 16);
            put64(&mut header, sizes.1);
            put64(&mut header, sizes.0);
        }
        self.out.write_all(&header)
    }

    fn write_central(&mut self, at: usize) -> io::Result<()> {
        let entry = &self.entries[at];
        let mut header = Vec::new();
        put32(&mut header, CENTRAL);
        put16(&mut header, 20);
        self.put_shared(&mut header, entry);
        put32(&mut header, entry.crc);
        put32(&mut header, self.narrow(entry.compressed)?);
        put32(&mut header, self.narrow(entry.plain)?);
        put16(&mut header, entry.name.len() as u16);
        put16(&mut header, if self.options.zip64 { 28 } else { 0 });
        header.extend_from_slice(&[0; 10]);
        put32(&mut header, self.narrow(entry.offset)?);
        header.extend_from_slice(entry.name.as_bytes());
        if self.options.zip64 {
            put16(&mut header, 1);
            put16(&mut header, 24);
            put64(&mut header, entry.plain);
            put64(&mut header, entry.compressed);
            put64(&mut header, entry.offset);
        }
        self.out.write_all(&header)
    }

    /// Version needed, flags, method, time and date: alike in both headers.
    fn put_shared(&self, header: &mut Vec<u8>, entry: &Entry) {
        put16(header, if self.options.zip64 { 45 } else { 20 });
        put16(header, if self.options.descriptor { STREAMED } else { 0 });
        put16(header, entry.method);
        put16(header, 0);
        let years = u16::try_from(self.date.year() - 1980).unwrap_or(0).min(127);
        let month = self.date.month().unsigned_abs();
        let day = self.date.day().unsigned_abs();
        put16(header, years << 9 | u16::from(month) << 5 | u16::from(day));
    }

    fn narrow(&self, value: u64) -> io::Result<u32> {
        if self.options.zip64 {
            return Ok(MAX_32);
        }
        let too_large = || io::Error::other("the ZIP passes 4 GiB, ask for zip64");
        u32::try_from(value).map_err(|_| too_large())
    }
}

/// Passes bytes on and sums them up.
struct Summed<W> {
    inner: W,
    crc: crc32fast::Hasher,
    bytes: u64,
}

impl<W> Summed<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            crc: crc32fast::Hasher::new(),
            bytes: 0,
        }
    }
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.crc.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn put16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}
