//! Messages of a WebSocket as bytes (RFC 6455), and the handshake before them.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha1_smol::Sha1;

/// What the key of a client is hashed with.
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Clients send subscriptions and little else.
const LONGEST: usize = 1 << 20;

/// Text, as all data is.
pub(super) const TEXT: u8 = 1;
/// Part of a message that began before.
pub(super) const CONTINUATION: u8 = 0;
/// The end.
pub(super) const CLOSE: u8 = 8;
/// A question for life.
pub(super) const PING: u8 = 9;
/// Its answer.
pub(super) const PONG: u8 = 10;

/// What a client sent, unmasked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Received {
    /// What it is.
    pub opcode: u8,
    /// Whether the message ends with it.
    pub is_last: bool,
    /// What it says.
    pub payload: Vec<u8>,
}

/// The answer to a client's `Sec-WebSocket-Key`.
pub(super) fn accept(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(MAGIC.as_bytes());
    BASE64_STANDARD.encode(hash.digest().bytes())
}

/// Writes the head of a whole message, unmasked as a server's are.
pub(super) fn head(out: &mut Vec<u8>, opcode: u8, length: usize) {
    out.push(0x80 | opcode);
    match length {
        0..126 => out.push(length as u8),
        126..=0xffff => {
            out.push(126);
            out.extend((length as u16).to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend((length as u64).to_be_bytes());
        }
    }
}

/// Writes a whole message.
pub(super) fn message(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    head(out, opcode, payload.len());
    out.extend(payload);
}

/// Writes a close with its code and reason.
pub(super) fn close(out: &mut Vec<u8>, code: u16, why: &str) {
    head(out, CLOSE, 2 + why.len());
    out.extend(code.to_be_bytes());
    out.extend(why.as_bytes());
}

/// Takes the first frame off what came, if all of it is there.
///
/// # Errors
///
/// Why a client must not send this.
pub(super) fn take(came: &mut Vec<u8>) -> Result<Option<Received>, &'static str> {
    let [first, second, rest @ ..] = came.as_slice() else {
        return Ok(None);
    };
    if second & 0x80 == 0 {
        return Err("frames of a client are masked");
    }
    if first & 0x70 != 0 {
        return Err("no extension was agreed on");
    }
    let (length, before) = match second & 0x7f {
        126 => match rest.first_chunk() {
            Some(length) => (usize::from(u16::from_be_bytes(*length)), 4),
            None => return Ok(None),
        },
        127 => match rest.first_chunk() {
            Some(length) => (
                usize::try_from(u64::from_be_bytes(*length)).unwrap_or(usize::MAX),
                10,
            ),
            None => return Ok(None),
        },
        length => (usize::from(length), 2),
    };
    if length > LONGEST {
        return Err("longer than anything a client says");
    }
    let Some(&mask) = came.get(before..).and_then(<[u8]>::first_chunk::<4>) else {
        return Ok(None);
    };
    let end = before + 4 + length;
    let Some(payload) = came.get(before + 4..end) else {
        return Ok(None);
    };
    let unmasked = payload.iter().zip(mask.iter().cycle());
    let received = Received {
        opcode: first & 0x0f,
        is_last: first & 0x80 != 0,
        payload: unmasked.map(|(byte, mask)| byte ^ mask).collect(),
    };
    came.drain(..end);
    Ok(Some(received))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_of_the_standard_is_answered_as_it_says() {
        assert_eq!(
            accept("dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn the_masked_hello_of_the_standard_is_read_once_it_is_whole() {
        let hello = [
            0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
        ];
        for cut in 0..hello.len() {
            assert_eq!(take(&mut hello[..cut].to_vec()), Ok(None));
        }
        let mut came = [&hello[..], b"more"].concat();

        let received = take(&mut came).unwrap().unwrap();

        assert_eq!(received.payload, b"Hello");
        assert_eq!((received.opcode, received.is_last), (TEXT, true));
        assert_eq!(came, b"more");
    }

    #[test]
    fn unmasked_frames_are_refused() {
        assert!(take(&mut b"\x81\x00".to_vec()).is_err());
    }
}
