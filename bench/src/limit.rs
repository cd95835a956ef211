//! What no reader of an archive can avoid: SHA-256 of the ZIP, inflate, and CRC-32 of what that gives; nothing else.
//!
//! `tapemill-limit FILE.zip [inflate|crc|sha]…` does only the named parts; all of them when none is named. It prints
//! what it found, so that no part of the work can be left out unseen.

use std::fs::File;
use std::io::Read;

use sha2::{Digest, Sha256};
use tapemill_inflate::{Backend, Inflate};

/// Twice what the worker reads at a time, which costs no more.
const READ: usize = 256 << 10;
/// As the worker has it.
const INFLATED: usize = 256 << 10;

#[expect(
    clippy::print_stdout,
    reason = "the result of a command goes to stdout"
)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments
        .next()
        .ok_or("usage: tapemill-limit FILE.zip [inflate|crc|sha]...")?;
    let parts: Vec<String> = arguments.collect();
    let wants = |part: &str| parts.is_empty() || parts.iter().any(|named| named == part);
    let (inflates, checks, hashes) = (wants("inflate") || wants("crc"), wants("crc"), wants("sha"));

    let mut file = File::open(&path)?;
    let mut read = vec![0; READ];
    let mut out = vec![0; INFLATED];
    let mut sha = Sha256::new();
    let mut crc = crc32fast::Hasher::new();
    let mut inflate = Inflate::new();
    let mut total = 0;
    let mut skip = None;
    let mut ended = false;
    loop {
        let length = file.read(&mut read)?;
        if length == 0 {
            break;
        }
        let mut bytes = &read[..length];
        if hashes {
            sha.update(bytes);
        }
        if !inflates || ended {
            continue;
        }
        if skip.is_none() {
            // One read holds the local header, whose name and extra fields have these lengths.
            let length = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
            let header = 30 + length(26) + length(28);
            bytes = &bytes[header..];
            skip = Some(header);
        }
        while !bytes.is_empty() && !ended {
            let step = inflate.step(bytes, &mut out).map_err(|_| "it is damaged")?;
            bytes = &bytes[step.read..];
            total += step.written;
            if checks {
                crc.update(&out[..step.written]);
            }
            ended = step.ended;
        }
    }
    println!(
        "{}: {total} bytes, CRC-32 {:08x}, SHA-256 {:02x?}",
        Backend::ALL[Backend::ALL.len() - 1].name(),
        crc.finalize(),
        &sha.finalize()[..4]
    );
    Ok(())
}
