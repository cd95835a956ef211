//! One page of an S3 listing, as XML.

use quick_xml::{Reader, escape::resolve_predefined_entity, events::Event};

use crate::source::LONGEST_KEY;

/// A page, keys and folders in the server's order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) entries: Vec<Entry>,
    pub(crate) folders: Vec<String>,
    pub(crate) truncated: bool,
    pub(crate) next_marker: Option<String>,
    pub(crate) next_token: Option<String>,
}

/// One key of a page.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) bytes: u64,
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
}

/// Why a reply is no page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PageError {
    /// Something else than a listing, such as a web page: asking again will not help.
    Foreign(String),
    /// A listing that is cut or broken.
    Broken(String),
}

/// Elements nest three deep in a listing; whatever nests further is none.
const DEEPEST: usize = 16;

/// Reads one reply.
pub(crate) fn parse_page(reply: &[u8]) -> Result<Page, PageError> {
    let broken = |why: String| PageError::Broken(why);
    let text = std::str::from_utf8(reply).map_err(|_| broken("it is not UTF-8".to_owned()))?;
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;

    let mut draft = Draft::default();
    let mut path: Vec<String> = Vec::new();
    let mut value = String::new();
    loop {
        let event = reader.read_event().map_err(|error| {
            if draft.begun {
                broken(format!("its XML is broken: {error}"))
            } else {
                PageError::Foreign("the answer is no XML".to_owned())
            }
        })?;
        match event {
            Event::Start(start) => {
                let name = start.local_name().as_ref().to_owned();
                if path.is_empty() && (name != "ListBucketResult" || draft.ended) {
                    return Err(PageError::Foreign(format!(
                        "the answer is <{}>, no ListBucketResult",
                        name.chars().take(40).collect::<String>()
                    )));
                }
                if path.len() == DEEPEST {
                    return Err(broken("its elements nest too deep".to_owned()));
                }
                draft.begun = true;
                path.push(name);
                value.clear();
            }
            Event::Text(part) => value.push_str(&part),
            Event::CData(part) => value.push_str(&part),
            Event::GeneralRef(part) => {
                let character = part.resolve_char_ref().ok().flatten();
                match (character, resolve_predefined_entity(&part)) {
                    (Some(character), _) => value.push(character),
                    (None, Some(text)) => value.push_str(text),
                    (None, None) => return Err(broken("it holds an unknown entity".to_owned())),
                }
            }
            Event::End(_) => {
                let names: Vec<&str> = path.iter().map(String::as_str).collect();
                draft.take(&names, std::mem::take(&mut value))?;
                path.pop();
                draft.ended = path.is_empty();
            }
            Event::Eof if draft.ended => return draft.finish(),
            Event::Eof if draft.begun => return Err(broken("it ends in the middle".to_owned())),
            Event::Eof => return Err(PageError::Foreign("the answer is no XML".to_owned())),
            _ => {}
        }
    }
}

#[derive(Default)]
struct Draft {
    page: Page,
    key: Option<String>,
    bytes: Option<u64>,
    etag: Option<String>,
    last_modified: Option<String>,
    url_encoded: bool,
    begun: bool,
    ended: bool,
}

impl Draft {
    /// Takes the text of the element that ends at `path`.
    fn take(&mut self, path: &[&str], value: String) -> Result<(), PageError> {
        let trimmed = value.trim();
        let filled = (!trimmed.is_empty()).then(|| trimmed.to_owned());
        match path {
            [_, "IsTruncated"] => self.page.truncated = trimmed.eq_ignore_ascii_case("true"),
            [_, "NextMarker"] => self.page.next_marker = filled,
            [_, "NextContinuationToken"] => self.page.next_token = filled,
            [_, "EncodingType"] => self.url_encoded = trimmed.eq_ignore_ascii_case("url"),
            [_, "CommonPrefixes", "Prefix"] => self.page.folders.push(value),
            [_, "Contents", "Key"] => self.key = Some(value),
            [_, "Contents", "Size"] => self.bytes = trimmed.parse().ok(),
            [_, "Contents", "ETag"] => self.etag = filled,
            [_, "Contents", "LastModified"] => self.last_modified = filled,
            [_, "Contents"] => {
                let (Some(key), Some(bytes)) = (self.key.take(), self.bytes.take()) else {
                    return Err(PageError::Broken(
                        "an entry lacks its key or size".to_owned(),
                    ));
                };
                self.page.entries.push(Entry {
                    key,
                    bytes,
                    etag: self.etag.take(),
                    last_modified: self.last_modified.take(),
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Page, PageError> {
        let keys = self.page.entries.iter_mut().map(|entry| &mut entry.key);
        let names = keys
            .chain(&mut self.page.folders)
            .chain(&mut self.page.next_marker);
        for name in names {
            if self.url_encoded {
                *name = decoded(name).ok_or_else(|| {
                    PageError::Broken("a key's percent-encoding is broken".to_owned())
                })?;
            }
            if name.len() > LONGEST_KEY {
                return Err(PageError::Broken(format!(
                    "a key is longer than {LONGEST_KEY} bytes"
                )));
            }
        }
        Ok(self.page)
    }
}

/// Undoes `encoding-type=url`, which writes a space as `+`.
pub(crate) fn decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high << 4 | low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_the_official_bucket_is_read() {
        let reply = r#"<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>data.binance.vision</Name><Prefix>d/</Prefix><Marker></Marker><NextMarker>d/b.zip</NextMarker><MaxKeys>1000</MaxKeys><Delimiter>/</Delimiter><IsTruncated>true</IsTruncated><Contents><Key>d/a&amp;b.zip</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified><ETag>&quot;ab&#99;&quot;</ETag><Size>98</Size><StorageClass>STANDARD</StorageClass><Owner><ID>x</ID></Owner></Contents><CommonPrefixes><Prefix>d/1m/</Prefix></CommonPrefixes></ListBucketResult>"#;

        let page = parse_page(reply.as_bytes()).unwrap();

        assert_eq!(
            page,
            Page {
                entries: vec![Entry {
                    key: "d/a&b.zip".into(),
                    bytes: 98,
                    etag: Some("\"abc\"".into()),
                    last_modified: Some("2024-01-01T00:00:00.000Z".into()),
                }],
                folders: vec!["d/1m/".into()],
                truncated: true,
                next_marker: Some("d/b.zip".into()),
                next_token: None,
            }
        );
    }

    #[test]
    fn url_encoded_keys_are_decoded() {
        let reply = "<ListBucketResult><Contents><Key>%E5%B8%81+%2B.zip</Key><Size>1</Size></Contents>\
                     <EncodingType>url</EncodingType></ListBucketResult>";

        let page = parse_page(reply.as_bytes()).unwrap();

        assert_eq!(page.entries[0].key, "币 +.zip");
    }

    #[test]
    fn a_web_page_is_foreign_and_a_cut_listing_broken() {
        for foreign in [
            "<!DOCTYPE html><html><body>hi<br></body></html>",
            "<Error><Code>AccessDenied</Code></Error>",
            "{\"keys\": []}",
            "",
            "<<<",
        ] {
            let parsed = parse_page(foreign.as_bytes());
            assert!(
                matches!(parsed, Err(PageError::Foreign(_))),
                "{foreign}: {parsed:?}"
            );
        }
        for broken in [
            "<ListBucketResult><Contents><Key>a</Key>",
            "<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>",
            "<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>",
            "<ListBucketResult><Name>&bomb;</Name></ListBucketResult>",
            "<ListBucketResult></Other>",
        ] {
            let parsed = parse_page(broken.as_bytes());
            assert!(
                matches!(parsed, Err(PageError::Broken(_))),
                "{broken}: {parsed:?}"
            );
        }
        let deep = format!("<ListBucketResult>{}", "<a>".repeat(10_000));
        assert!(parse_page(deep.as_bytes()).is_err());
    }
}
