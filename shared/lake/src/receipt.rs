//! What the queue keeps of a finished task, in a hundred bytes.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tapemill_market::Version;

/// What a task's archive was and how large its files are: enough to tell whether the output is still that.
///
/// The paths follow from the task's name and the layout; codec and settings are fixed in the queue. As text:
/// `ok 123456789 1000000 <SHA-256 in base64url> 1234567 23456`. The version stands in the SHA-256's word, behind it: as a
/// word of its own it would cost a task another 32 bytes of Redis's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// What was found about the archive: `ok`, `stale_sidecar`, `no_sidecar`; of rows of none `rest`, `live`.
    pub verdict: String,
    /// The size of the archive.
    pub bytes: u64,
    /// The rows of the archive.
    pub rows: u64,
    /// The SHA-256 of the archive.
    pub sha256: [u8; 32],
    /// The sizes of the published files, in the order of the task's tables.
    pub files: Vec<u64>,
    /// The edition of the archive that the source served. None where nobody was asked, or did not tell: of a copy that was
    /// kept, and of an output that was recognised by its footers.
    pub version: Option<Version>,
}

/// A text that is no receipt: one of another release, or none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no receipt of a finished task")]
pub struct NoReceipt;

impl Receipt {
    /// A digest from its hexadecimal digits, as footers have it.
    pub fn digest(hex: &str) -> Option<[u8; 32]> {
        let mut digest = [0; 32];
        if hex.len() != 2 * digest.len() || !hex.is_ascii() {
            return None;
        }
        for (at, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok()?;
        }
        Some(digest)
    }

    /// The SHA-256 in hexadecimal digits.
    pub fn sha256_hex(&self) -> String {
        self.sha256
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sha256 = match self.version {
            Some(version) => {
                URL_SAFE_NO_PAD.encode([&self.sha256[..], &version.to_bytes()].concat())
            }
            None => URL_SAFE_NO_PAD.encode(self.sha256),
        };
        write!(f, "{} {} {} {sha256}", self.verdict, self.bytes, self.rows)?;
        self.files
            .iter()
            .try_for_each(|bytes| write!(f, " {bytes}"))
    }
}

impl FromStr for Receipt {
    type Err = NoReceipt;

    fn from_str(text: &str) -> Result<Receipt, NoReceipt> {
        let words: Vec<&str> = text.split(' ').collect();
        let [verdict, bytes, rows, sha256, files @ ..] = words.as_slice() else {
            return Err(NoReceipt);
        };
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        if verdict.is_empty() || !verdict.bytes().all(is_word) {
            return Err(NoReceipt);
        }
        let sha256 = URL_SAFE_NO_PAD.decode(sha256).map_err(|_| NoReceipt)?;
        let (sha256, version) = sha256.split_first_chunk().ok_or(NoReceipt)?;
        let version = match version {
            [] => None,
            bytes => {
                let bytes = bytes.try_into().map_err(|_| NoReceipt)?;
                Some(Version::from_bytes(bytes).ok_or(NoReceipt)?)
            }
        };
        let files = files.iter().map(|bytes| number(bytes));
        Ok(Receipt {
            verdict: (*verdict).to_owned(),
            bytes: number(bytes)?,
            rows: number(rows)?,
            sha256: *sha256,
            files: files.collect::<Result<_, _>>()?,
            version,
        })
    }
}

/// Digits only: `+1` is no number here.
fn number(text: &str) -> Result<u64, NoReceipt> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NoReceipt);
    }
    text.parse().map_err(|_| NoReceipt)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt() -> Receipt {
        Receipt {
            verdict: "stale_sidecar".to_owned(),
            bytes: u64::MAX,
            rows: 1_000_000,
            sha256: std::array::from_fn(|at| 255 - at as u8),
            files: vec![1_234_567, 0],
            version: Version::from_bytes([1, 2, 3, 4, 5, 6]),
        }
    }

    #[test]
    fn a_receipt_comes_back_from_its_text() {
        let few = Receipt {
            files: vec![],
            ..receipt()
        };
        let unversioned = Receipt {
            version: None,
            ..receipt()
        };

        for receipt in [receipt(), few, unversioned] {
            assert_eq!(receipt.to_string().parse(), Ok(receipt));
        }
    }

    #[test]
    fn the_text_of_a_usual_receipt_is_short() {
        let usual = Receipt {
            verdict: "ok".to_owned(),
            bytes: 123_456_789,
            sha256: [0; 32],
            files: vec![1_234_567, 23_456],
            ..receipt()
        };

        let text = usual.to_string();

        assert_eq!(
            text,
            format!(
                "ok 123456789 1000000 {}BAgMEBQY 1234567 23456",
                "A".repeat(43)
            )
        );
        assert!(text.len() < 100);
    }

    #[test]
    fn other_texts_are_no_receipts() {
        let digest = "A".repeat(43);
        let long = "A".repeat(44);
        for text in [
            "",
            "{}",
            r#"{"codec":1,"verdict":"ok"}"#,
            "ok 1 2",
            "ok 1 2 short",
            &format!("ok 1 2 {long}"),
            &format!("ok 1 -2 {digest}"),
            &format!("ok +1 2 {digest}"),
            &format!("OK 1 2 {digest}"),
            &format!(" 1 2 {digest}"),
            &format!("ok 1 2 {digest} "),
            &format!("ok 1 2 {digest} x"),
            &format!("ok  1 2 {digest}"),
            &format!("ok 1 2 {digest} 99999999999999999999"),
            &format!("ok 1 2 {long}AAA 7"),
            &format!("ok 1 2 {long}AAAAAAA 7"),
            &format!("ok 1 2 {long}BAAAAAAAA 7"),
        ] {
            assert_eq!(text.parse::<Receipt>(), Err(NoReceipt), "{text:?}");
        }
    }

    #[test]
    fn a_digest_is_read_from_hexadecimal_digits() {
        let receipt = receipt();

        assert_eq!(Receipt::digest(&receipt.sha256_hex()), Some(receipt.sha256));
        assert_eq!(Receipt::digest("00"), None);
        assert_eq!(Receipt::digest(&"é".repeat(32)), None);
    }
}
