//! The limit to compare a run with: inflates a ZIP's first entry and does nothing else.
//!
//! `cargo run --release -p tapemill-worker --example inflate -- ARCHIVE.zip`

use std::io::Read;

fn main() -> std::io::Result<()> {
    let path = std::env::args()
        .nth(1)
        .ok_or_else(|| std::io::Error::other("name a ZIP"))?;
    let mut file = std::fs::File::open(path)?;
    let mut header = [0; 30];
    file.read_exact(&mut header)?;
    let length = |at: usize| u64::from(u16::from_le_bytes([header[at], header[at + 1]]));
    std::io::copy(
        &mut (&mut file).take(length(26) + length(28)),
        &mut std::io::sink(),
    )?;
    let buffered = std::io::BufReader::with_capacity(256 << 10, file);
    let mut inflate = flate2::bufread::DeflateDecoder::new(buffered);
    let mut out = vec![0; 128 << 10];
    let mut total = 0;
    loop {
        match inflate.read(&mut out)? {
            0 => break,
            read => total += read,
        }
    }
    eprintln!("{total} bytes");
    Ok(())
}
