//! Files that are there whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::error::{ForecastError, Result};

/// Writes a file under a name of its own beside the place, and then gives it that name: a reader, and whoever starts after a crash, sees
/// what was there before or all of what was written. Makes the folder.
///
/// # Errors
///
/// [`ForecastError::Write`].
pub fn publish(file: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    try_publish(file, write).map_err(|source| ForecastError::Write {
        file: file.to_owned(),
        source,
    })
}

fn try_publish(file: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let mut part = tempfile::Builder::new()
        .prefix(".")
        .suffix(".part")
        .permissions(readable())
        .tempfile_in(folder)?;
    write(part.as_file_mut())?;
    part.as_file_mut().flush()?;
    part.as_file().sync_all()?;
    part.persist(file).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

/// What any other file has, which the umask narrows; a temporary file is for its owner alone.
fn readable() -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_fails_leaves_what_was_there_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("inner/a");
        publish(&file, |file| file.write_all(b"first")).expect("it is written");
        let failed = publish(&file, |file| {
            file.write_all(b"second")?;
            Err(io::Error::other("no more"))
        });
        let line = failed.expect_err("it fails").to_string();
        assert!(
            line.starts_with("cannot write ") && line.ends_with("inner/a: no more"),
            "{line}"
        );
        assert_eq!(fs::read(&file).expect("it is there"), b"first");
        let entries = fs::read_dir(folder.path().join("inner")).expect("a folder");
        assert_eq!(entries.count(), 1);
    }
}
