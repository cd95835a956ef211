//! `completions` and `man`: what shells and readers of manuals want to have.

use std::path::Path;

use clap_complete::Shell;
use tapemill_runtime::exit;

use crate::failure::Failure;

/// Prints the completions of a shell.
pub fn completions(shell: Shell) -> u8 {
    let mut command = crate::command();
    clap_complete::generate(shell, &mut command, "tapemill", &mut std::io::stdout());
    exit::DONE
}

/// Writes a manual page for each command into a folder.
pub fn man(folder: &Path) -> Result<u8, Failure> {
    let failed = |error: std::io::Error| {
        Failure::failed(anyhow::anyhow!(
            "cannot write {}: {error}",
            folder.display()
        ))
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(crate::command(), folder).map_err(failed)?;
    Ok(exit::DONE)
}
