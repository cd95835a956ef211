//! Who may change the queue over HTTP: whoever presents the server's token, and nobody where there is none.

use std::fmt;

use axum::http::{HeaderMap, StatusCode, header};
use sha2::{Digest, Sha256};

/// Where the token comes from, and nowhere else: it belongs on no command line and in no file of settings.
pub const ADMIN_TOKEN: &str = "TAPEMILL_ADMIN_TOKEN";

/// The token that admits to changing the queue. Only its digest is kept.
#[derive(Clone)]
pub struct AdminToken([u8; 32]);

impl AdminToken {
    /// None where the token is no text that a header can carry.
    #[must_use]
    pub fn new(token: &str) -> Option<Self> {
        let is_plain = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        is_plain.then(|| Self(digest(token.as_bytes())))
    }

    /// Takes the same time wherever the two differ.
    fn is(&self, presented: &[u8]) -> bool {
        let pairs = self.0.iter().zip(digest(presented));
        pairs.fold(0, |differs, (ours, theirs)| differs | (ours ^ theirs)) == 0
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(…)")
    }
}

/// Why a request may change nothing.
pub(crate) type Refusal = (StatusCode, &'static str);

/// Admits a request that presents the token, and that no page of another site sent.
///
/// # Errors
///
/// 403 where the server has no token, or for another site's page; 401 without the token.
pub(crate) fn admit(token: Option<&AdminToken>, headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(token) = token else {
        return Err((
            StatusCode::FORBIDDEN,
            "this server changes nothing: it was started without TAPEMILL_ADMIN_TOKEN",
        ));
    };
    if !is_from_here(headers) {
        return Err((
            StatusCode::FORBIDDEN,
            "a page of another site may change nothing here",
        ));
    }
    let presented = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.as_bytes().split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
    });
    match presented {
        None => Err((
            StatusCode::UNAUTHORIZED,
            "this needs the admin token: send it as Authorization: Bearer",
        )),
        Some(presented) if token.is(presented) => Ok(()),
        Some(_) => Err((StatusCode::UNAUTHORIZED, "this is not the admin token")),
    }
}

/// Browsers say where a request comes from; other clients say nothing.
fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.as_bytes());
    match (text("sec-fetch-site"), text("origin"), text("host")) {
        (Some(site), _, _) => site == b"same-origin" || site == b"none",
        (None, Some(origin), Some(host)) => {
            let scheme = origin.windows(3).position(|part| part == b"://");
            scheme.is_some_and(|at| origin[at + 3..].eq_ignore_ascii_case(host))
        }
        (None, Some(_), None) => false,
        (None, None, _) => true,
    }
}

fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| {
                let name = axum::http::HeaderName::from_static(name);
                (name, value.parse().expect("a header"))
            })
            .collect()
    }

    fn status(token: Option<&str>, pairs: &[(&'static str, &str)]) -> u16 {
        let token = token.and_then(AdminToken::new);
        match admit(token.as_ref(), &headers(pairs)) {
            Ok(()) => 200,
            Err((status, _)) => status.as_u16(),
        }
    }

    #[test]
    fn only_the_token_admits() {
        let presented = |value| status(Some("s3cret"), &[("authorization", value)]);

        assert_eq!(presented("Bearer s3cret"), 200);
        assert_eq!(presented("bearer s3cret"), 200);
        for wrong in [
            "Bearer s3cre",
            "Bearer s3crett",
            "Bearer ",
            "Bearer",
            "Basic s3cret",
            "s3cret",
            "",
        ] {
            assert_eq!(presented(wrong), 401, "{wrong:?}");
        }
        assert_eq!(status(Some("s3cret"), &[]), 401);
    }

    #[test]
    fn a_server_without_a_token_admits_nobody() {
        assert_eq!(status(None, &[("authorization", "Bearer s3cret")]), 403);
        assert_eq!(status(None, &[("authorization", "Bearer ")]), 403);
    }

    #[test]
    fn pages_of_other_sites_are_refused_even_with_the_token() {
        let from = |pairs: &[(&'static str, &str)]| {
            let token = ("authorization", "Bearer s3cret");
            status(Some("s3cret"), &[&[token], pairs].concat())
        };

        assert_eq!(from(&[("sec-fetch-site", "same-origin")]), 200);
        assert_eq!(from(&[("sec-fetch-site", "cross-site")]), 403);
        assert_eq!(from(&[("sec-fetch-site", "same-site")]), 403);
        let host = ("host", "localhost:9464");
        assert_eq!(from(&[host, ("origin", "http://localhost:9464")]), 200);
        assert_eq!(from(&[host, ("origin", "http://evil.example")]), 403);
        assert_eq!(from(&[host, ("origin", "null")]), 403);
        assert_eq!(from(&[("origin", "http://localhost:9464")]), 403);
    }

    #[test]
    fn a_token_is_text_that_a_header_carries_and_is_never_shown() {
        for unfit in ["", " ", "a b", "tab\t", "naïve", "line\n"] {
            assert!(AdminToken::new(unfit).is_none(), "{unfit:?}");
        }
        let token = AdminToken::new("s3cret").expect("it is fit");
        assert!(!format!("{token:?}").contains("s3cret"));
    }
}
