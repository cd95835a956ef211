//! A base address and the addresses below it, written the same for every server.

use std::fmt::Write as _;

use reqwest::Url;

use crate::{ArchiveError, source::check_key};

/// A mirror's base or listing.
#[derive(Clone, Debug)]
pub(crate) struct Address(Url);

impl Address {
    /// Reads what a user wrote.
    pub(crate) fn parse(text: &str) -> Result<Self, ArchiveError> {
        let refuse = |text: String, why: &str| ArchiveError::Address {
            text,
            why: why.to_owned(),
        };
        // What does not parse may still hold a password: show only what stands before it.
        let hidden = || text.split(['@', '?']).next().unwrap_or_default().to_owned();
        let url = Url::parse(text.trim()).map_err(|error| {
            refuse(
                hidden(),
                &format!("{error}; give http://… , https://… or a folder"),
            )
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse(
                hidden(),
                "only http://, https:// and folders will do",
            ));
        }
        if url.fragment().is_some() {
            return Err(refuse(shown(&url), "it holds a #fragment"));
        }
        Ok(Self(url))
    }

    /// The address of an archive.
    pub(crate) fn file(&self, key: &str) -> Result<Url, ArchiveError> {
        check_key(key)?;
        let mut url = self.0.clone();
        let base = self.0.path().trim_end_matches('/');
        url.set_path(&format!("{base}/{}", encoded(key)));
        Ok(url)
    }

    /// The listing address with a query.
    pub(crate) fn query(&self, pairs: &[(&str, &str)]) -> Url {
        let mut query = self.0.query().map_or_else(String::new, str::to_owned);
        for (name, value) in pairs {
            let joint = if query.is_empty() { "" } else { "&" };
            // Writing to a string cannot fail.
            let _ = write!(query, "{joint}{name}={}", encoded(value));
        }
        let mut url = self.0.clone();
        url.set_query(Some(&query));
        url
    }

    pub(crate) fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Whether it is this host's root.
    pub(crate) fn is_root_of(&self, other: &str) -> bool {
        Url::parse(other).is_ok_and(|other| {
            self.0.host_str() == other.host_str()
                && self.0.port().is_none()
                && self.0.path() == "/"
                && self.0.query().is_none()
        })
    }

    pub(crate) fn shown(&self) -> String {
        shown(&self.0)
    }
}

/// An address for messages: without user name, password and query.
pub fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Both fail only for addresses without a host, which hold no user either.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

/// Percent-encodes everything but unreserved characters and `/`. `+` too: S3 reads it as a space.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_encoded_segment_by_segment() {
        let base = Address::parse("http://mirror:81/a b/").unwrap();

        let url = base.file("data/spot/币USDT/1+1%.zip").unwrap();

        assert_eq!(
            url.as_str(),
            "http://mirror:81/a%20b/data/spot/%E5%B8%81USDT/1%2B1%25.zip"
        );
    }

    #[test]
    fn a_listing_keeps_its_path_and_its_own_query() {
        let listing = Address::parse("https://s3/bucket?token=t").unwrap();

        let url = listing.query(&[("delimiter", "/"), ("prefix", "data/币/")]);

        assert_eq!(
            url.as_str(),
            "https://s3/bucket?token=t&delimiter=/&prefix=data/%E5%B8%81/"
        );
    }

    #[test]
    fn messages_hold_no_secrets() {
        let base = Address::parse("https://me:hush@mirror/x?token=hush").unwrap();
        assert_eq!(base.shown(), "https://mirror/x");

        for bad in [
            "ftp://me:hush@mirror/",
            "http://me:hush@[/",
            "https://m/?hush#x",
        ] {
            let error = Address::parse(bad).unwrap_err().to_string();
            assert!(
                !error.contains("hush@") && !error.contains("?hush"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_key_cannot_climb_out_of_the_base() {
        let base = Address::parse("http://mirror/data/").unwrap();

        assert!(base.file("../secret").is_err());
    }
}
