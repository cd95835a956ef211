//! Archives kept under `raw/`: resumed across restarts, shown only when they were judged.

use std::fs;
use std::path::{Path, PathBuf};

use tapemill_archive::{Resume, SIDECAR_SUFFIX, Sha256Digest, Validator, hex};
use tapemill_lake::{Lake, LakeError, LakePath, PART_VERSION_SUFFIX, Part, Staged};

use crate::reading::Keep;

/// One archive's place under `raw/`, and its unfinished part.
pub(crate) struct Keeper {
    lake: Lake,
    key: String,
    /// The file that tells which version of the archive the part holds; without it a part is of no use to a later
    /// process. A bucket keeps no parts.
    version: Option<PathBuf>,
    part: Option<Part>,
    fresh: bool,
}

impl Keeper {
    /// Opens the part of an archive, with what an earlier process left in it.
    pub fn open(lake: &Lake, key: &str) -> Result<Self, LakeError> {
        let place = LakePath::raw(key)?;
        let part = Part::resume(lake, &place)?;
        let version = lake
            .locate(&place)
            .map(|file| file.with_file_name(format!("{}{PART_VERSION_SUFFIX}", place.file_name())));
        Ok(Self {
            lake: lake.clone(),
            key: key.to_owned(),
            version,
            part: Some(part),
            fresh: true,
        })
    }

    /// How the next reading begins, and where its bytes go as well.
    pub fn begin(&mut self) -> (Resume, Option<Keep>) {
        let Some(part) = self.part.take() else {
            return (Resume::default(), None);
        };
        // Only what another process left is resumed: a second reading is made to see all bytes again.
        let validator = match &self.version {
            Some(version) if self.fresh => read_version(version),
            _ => None,
        };
        self.fresh = false;
        let held = if validator.is_some() { part.bytes() } else { 0 };
        let version = self.version.clone();
        let keep = Keep {
            part,
            held,
            on_version: Box::new(move |validator| match &version {
                Some(version) => write_version(version, validator),
                None => Ok(()),
            }),
        };
        (
            Resume {
                from: held,
                validator,
            },
            Some(keep),
        )
    }

    /// Takes the part back from a reading.
    pub fn take_back(&mut self, part: Option<Part>) {
        self.part = part;
    }

    /// Makes the archive and its sidecar ready to be shown.
    pub fn stage(self, checksum: Option<&Sha256Digest>) -> Result<Vec<Staged>, LakeError> {
        let mut staged = Vec::new();
        if let Some(checksum) = checksum {
            let mut sidecar = Part::create(&self.lake, &sidecar_place(&self.key)?)?;
            sidecar.append(sidecar_text(&self.key, checksum).as_bytes())?;
            staged.push(sidecar.stage()?);
        }
        if let Some(part) = self.part {
            // The archive goes last: where it is, its sidecar is.
            staged.push(part.stage()?);
        }
        // The version file is only needed beside a part; a leftover is swept by `cleanup`.
        if let Some(version) = &self.version {
            let _ = fs::remove_file(version);
        }
        Ok(staged)
    }

    /// Where the archive lies on this machine when it is there in full, with this size.
    pub fn kept(lake: &Lake, key: &str, bytes: u64) -> Result<Option<PathBuf>, LakeError> {
        let place = LakePath::raw(key)?;
        let Some(file) = lake.locate(&place) else {
            return Ok(None);
        };
        let there = bytes > 0 && lake.size(&place)? == Some(bytes);
        Ok(there.then_some(file))
    }

    /// Whether a bucket has the archive with this size and this checksum beside it. It was checked when it was put
    /// there, and is not brought back to be read again.
    pub fn is_in_bucket(
        lake: &Lake,
        key: &str,
        bytes: u64,
        checksum: Option<&Sha256Digest>,
    ) -> Result<bool, LakeError> {
        if bytes == 0 || lake.size(&LakePath::raw(key)?)? != Some(bytes) {
            return Ok(false);
        }
        let kept = match lake.read(&sidecar_place(key)?) {
            Ok(text) => Some(text),
            Err(error) if error.is_absent() => None,
            Err(error) => return Err(error),
        };
        let expected = checksum.map(|checksum| sidecar_text(key, checksum));
        Ok(kept.as_deref() == expected.as_deref().map(str::as_bytes))
    }
}

fn sidecar_place(key: &str) -> Result<LakePath, LakeError> {
    LakePath::raw(&format!("{key}{SIDECAR_SUFFIX}"))
}

fn sidecar_text(key: &str, checksum: &Sha256Digest) -> String {
    let name = key.rsplit('/').next().unwrap_or(key);
    format!("{}  {name}\n", hex(checksum))
}

/// Two lines: entity tag and date, either may be empty.
fn read_version(path: &Path) -> Option<Validator> {
    let text = fs::read_to_string(path).ok()?;
    let mut lines = text
        .lines()
        .map(|line| (!line.is_empty()).then(|| line.to_owned()));
    Validator::new(lines.next().flatten(), lines.next().flatten())
}

fn write_version(path: &Path, validator: Option<&Validator>) -> Result<(), LakeError> {
    let Some(validator) = validator else {
        // A part of an unnamed version must not be taken for one of an earlier, named one.
        let _ = fs::remove_file(path);
        return Ok(());
    };
    let line = |value: &Option<String>| value.clone().unwrap_or_default();
    let text = format!(
        "{}\n{}\n",
        line(&validator.etag),
        line(&validator.last_modified)
    );
    fs::write(path, text).map_err(|error| LakeError::io("write", path, error))
}
