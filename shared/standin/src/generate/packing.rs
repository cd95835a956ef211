use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::zip_file::{Content, EntryName, ZipFile, ZipOptions};
use crate::{Market, Period, StandinError};

/// A bomb expands past this: 1 GiB and some.
const BOMB_BYTES: u64 = (1 << 30) + (64 << 20);
const BOMB_LINE: &[u8] = b"1,1.0,1.0,1,1,1704067200000,true\n";
const HTML: &str = "<!DOCTYPE html>\n<html><head><title>Just a moment...</title></head><body>Checking your browser.</body></html>\n";

/// The `.CHECKSUM` beside an archive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Sidecar {
    /// The hash of the file as it lies there; the line is ended in futures and not in spot, as the exchange does.
    #[default]
    Natural,
    /// The same, ended.
    Ended,
    /// The same, not ended.
    Unended,
    /// A hash of something else.
    Wrong,
    /// The hash of the ZIP before it was damaged.
    OfIntact,
    /// This text.
    Text(String),
    /// None.
    Absent,
}

/// What happened to a ZIP after it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// Only this share of it is left, per cent.
    Truncated(u8),
    /// One byte differs, at this share of the file, per cent.
    FlippedByte(u8),
    /// An HTML page lies in its place.
    Html,
    /// Its CSV is replaced by one line over and over: about 1 MiB that expands to more than 1 GiB.
    Bomb,
}

/// How a CSV is wrapped and laid down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packing {
    /// The ZIP.
    pub zip: ZipOptions,
    /// The sidecar.
    pub sidecar: Sidecar,
    /// The damage, if any.
    pub damage: Option<Damage>,
}

/// An archive laid down under a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Its path below the root, as the exchange has it.
    pub key: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Its size on disk.
    pub bytes: u64,
    /// SHA-256 of what lies there, 64 lower-case hex digits.
    pub sha256: String,
}

impl Packing {
    /// Wraps a CSV that lies ready, such as a real one, as the archive `key`.
    ///
    /// # Errors
    ///
    /// [`StandinError::Io`] for the disk.
    pub fn wrap(
        &self,
        root: &Path,
        key: &str,
        market: Market,
        period: Period,
        csv: &[u8],
    ) -> Result<Archive, StandinError> {
        self.write(root, key, market, period, &mut |out| out.write_all(csv))
    }

    pub(crate) fn write(
        &self,
        root: &Path,
        key: &str,
        market: Market,
        period: Period,
        content: Content<'_>,
    ) -> Result<Archive, StandinError> {
        let path = root.join(key);
        let folder = path.parent().unwrap_or(root);
        fs::create_dir_all(folder).map_err(StandinError::io(folder))?;
        self.write_zip(&path, key, period, content)
            .map_err(StandinError::io(&path))?;
        let intact = sha256(&path)?;
        self.damage_file(&path).map_err(StandinError::io(&path))?;
        let now = if self.damage.is_some() {
            sha256(&path)?
        } else {
            intact.clone()
        };
        self.write_sidecar(&path, market, &intact, &now)?;
        let bytes = fs::metadata(&path).map_err(StandinError::io(&path))?.len();
        Ok(Archive {
            key: key.to_owned(),
            path,
            bytes,
            sha256: now,
        })
    }

    fn write_zip(
        &self,
        path: &Path,
        key: &str,
        period: Period,
        content: Content<'_>,
    ) -> io::Result<()> {
        let stem = key.rsplit('/').next().unwrap_or(key);
        let stem = stem.strip_suffix(".zip").unwrap_or(stem);
        let name = match &self.zip.entry_name {
            EntryName::Stem => format!("{stem}.csv"),
            EntryName::WithPath => format!("{}.csv", key.strip_suffix(".zip").unwrap_or(key)),
            EntryName::Escaping => format!("../{stem}.csv"),
            EntryName::Other(name) => name.clone(),
        };
        let out = BufWriter::with_capacity(256 << 10, File::create(path)?);
        let mut zip = ZipFile::new(out, &self.zip, period.next_day())?;
        if self.damage == Some(Damage::Bomb) {
            zip.add_bomb(&name, BOMB_LINE, BOMB_BYTES)?;
        } else {
            zip.add(&name, &mut |out| {
                // Rows come in small writes; the encoder likes large ones.
                let mut out = BufWriter::with_capacity(64 << 10, out);
                content(&mut out)?;
                out.flush()
            })?;
        }
        if self.zip.second_entry {
            zip.add(&format!("{stem}.part2.csv"), &mut |out| {
                out.write_all(BOMB_LINE)
            })?;
        }
        zip.finish()?;
        Ok(())
    }

    fn damage_file(&self, path: &Path) -> io::Result<()> {
        let share = |percent: u8, bytes: u64| bytes * u64::from(percent.min(100)) / 100;
        match self.damage {
            None | Some(Damage::Bomb) => Ok(()),
            Some(Damage::Html) => fs::write(path, HTML),
            Some(Damage::Truncated(percent)) => {
                let file = OpenOptions::new().write(true).open(path)?;
                file.set_len(share(percent, file.metadata()?.len()))
            }
            Some(Damage::FlippedByte(percent)) => {
                let mut file = OpenOptions::new().read(true).write(true).open(path)?;
                let bytes = file.metadata()?.len();
                let at = share(percent, bytes).min(bytes.saturating_sub(1));
                let mut byte = [0];
                file.seek(SeekFrom::Start(at))?;
                file.read_exact(&mut byte)?;
                file.seek(SeekFrom::Start(at))?;
                file.write_all(&[byte[0] ^ 0x10])
            }
        }
    }

    fn write_sidecar(
        &self,
        path: &Path,
        market: Market,
        intact: &str,
        now: &str,
    ) -> Result<(), StandinError> {
        let mut sidecar = path.as_os_str().to_owned();
        sidecar.push(".CHECKSUM");
        let sidecar = PathBuf::from(sidecar);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let natural_end = if market == Market::Spot { "" } else { "\n" };
        let text = match &self.sidecar {
            Sidecar::Natural => format!("{now}  {name}{natural_end}"),
            Sidecar::Ended => format!("{now}  {name}\n"),
            Sidecar::Unended => format!("{now}  {name}"),
            Sidecar::Wrong => format!("{}  {name}{natural_end}", hex(&Sha256::digest(now))),
            Sidecar::OfIntact => format!("{intact}  {name}{natural_end}"),
            Sidecar::Text(text) => text.clone(),
            Sidecar::Absent => return remove_if_there(&sidecar),
        };
        fs::write(&sidecar, text).map_err(StandinError::io(&sidecar))
    }
}

/// Refuses symbols that would not make one plain path segment.
pub(crate) fn file_stem(symbol: &str) -> Result<(), StandinError> {
    let plain = |c: char| c.is_alphanumeric() || "_-".contains(c);
    if symbol.is_empty() || symbol.len() > 100 || !symbol.chars().all(plain) {
        return Err(StandinError::invalid(
            format!("symbol {symbol:?}"),
            "expected letters, digits, _ and -, at most 100 bytes",
        ));
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> Result<(), StandinError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StandinError::io(path)(error)),
        _ => Ok(()),
    }
}

fn sha256(path: &Path) -> Result<String, StandinError> {
    let mut digest = Sha256::new();
    let mut file = File::open(path).map_err(StandinError::io(path))?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = file.read(&mut buffer).map_err(StandinError::io(path))?;
        if read == 0 {
            return Ok(hex(&digest.finalize()));
        }
        digest.update(&buffer[..read]);
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
