//! Checksum files and the digests they hold.

use sha2::Digest;

use crate::ArchiveError;

/// A SHA-256.
pub type Sha256Digest = [u8; 32];

/// A SHA-256 that grows with the bytes.
#[derive(Clone, Debug, Default)]
pub struct Hasher(sha2::Sha256);

impl Hasher {
    /// The hash of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything added.
    pub fn finish(self) -> Sha256Digest {
        self.0.finalize().into()
    }
}

/// The SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> Sha256Digest {
    sha2::Sha256::digest(bytes).into()
}

/// A digest as 64 lower-case hex digits.
pub fn hex(digest: &Sha256Digest) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    digest
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// The digest in the checksum file of the archive `key`, as `sha256sum` writes it: 64 hex digits,
/// two spaces (or a space and `*`), the archive's base name, and maybe a line end.
///
/// # Errors
///
/// [`ArchiveError::Sidecar`] for anything else, another file's name included.
pub fn parse_sidecar(key: &str, text: &[u8]) -> Result<Sha256Digest, ArchiveError> {
    let unusable = |why: String| ArchiveError::Sidecar {
        key: key.to_owned(),
        why,
    };
    let line = std::str::from_utf8(text)
        .map_err(|_| unusable("it is no text".to_owned()))?
        .trim_end_matches(['\r', '\n']);
    let (digits, rest) = line
        .split_once([' ', '\t'])
        .ok_or_else(|| unusable("it is no line of checksum and file name".to_owned()))?;
    let digest = digest_of(digits)
        .ok_or_else(|| unusable("it does not begin with 64 hex digits".to_owned()))?;

    let named = rest.trim_start_matches([' ', '\t']);
    let named = named.strip_prefix('*').unwrap_or(named).trim_end();
    let wanted = base_name(key);
    if base_name(named) != wanted || named.contains(char::is_control) {
        let named: String = named.chars().take(100).collect();
        return Err(unusable(format!("it names {named:?}, not {wanted}")));
    }
    Ok(digest)
}

fn digest_of(digits: &str) -> Option<Sha256Digest> {
    let digits = digits.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut digest = Sha256Digest::default();
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    Some(digest)
}

fn base_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "data/spot/daily/aggTrades/A/A-aggTrades-2024-01-01.zip";
    const NAME: &str = "A-aggTrades-2024-01-01.zip";
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn every_form_of_sha256sum_is_read() {
        let upper = EMPTY.to_uppercase();
        for text in [
            format!("{EMPTY}  {NAME}"),
            format!("{EMPTY}  {NAME}\n"),
            format!("{EMPTY}  {NAME}\r\n"),
            format!("{EMPTY} *{NAME}\n"),
            format!("{upper}  {NAME}"),
            format!("{EMPTY}  ./{NAME}\n"),
        ] {
            let digest = parse_sidecar(KEY, text.as_bytes()).unwrap();
            assert_eq!(digest, sha256(b""), "{text:?}");
            assert_eq!(hex(&digest), EMPTY);
        }
    }

    #[test]
    fn a_malformed_sidecar_is_an_error_of_its_own() {
        for text in [
            String::new(),
            EMPTY.to_owned(),
            format!("{}  {NAME}", &EMPTY[1..]),
            format!("{}g  {NAME}", &EMPTY[1..]),
            format!("{EMPTY}  B-aggTrades-2024-01-01.zip"),
            format!("{EMPTY}  {NAME}\n{EMPTY}  other.zip\n"),
            "<html><body>not found</body></html>".to_owned(),
        ] {
            let parsed = parse_sidecar(KEY, text.as_bytes());
            assert!(
                matches!(parsed, Err(ArchiveError::Sidecar { .. })),
                "{text:?}: {parsed:?}"
            );
        }
        assert!(parse_sidecar(KEY, &[0xff; 80]).is_err());
    }

    #[test]
    fn a_digest_grown_in_pieces_is_that_of_the_whole() {
        let mut hasher = Hasher::new();
        hasher.update(b"tape");
        hasher.update(b"mill");

        assert_eq!(hasher.finish(), sha256(b"tapemill"));
    }
}
