//! The way through the pages of a listing: what to ask next, when to stop, and when it goes in circles.

use std::collections::BTreeMap;

use crate::{
    Object, Query, SIDECAR_SUFFIX,
    listing::{Entry, Page},
    source::{Place, check_key},
};

/// Pages of one listing; 1,000 keys each at most.
pub(crate) const MOST_PAGES: usize = 20_000;

/// Keys kept of one listing.
const MOST_KEYS: usize = 2_000_000;

/// The next page to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Version 1: keys after this one; empty for the first page.
    Marker(String),
    /// Version 2, for mirrors that know nothing else.
    Token(String),
}

/// What to list.
pub(crate) enum Wanted<'a> {
    Files(&'a Query),
    Folders(&'a str),
}

/// A listing under way.
pub(crate) struct Walk<'a> {
    wanted: Wanted<'a>,
    step: Step,
    /// The largest key or folder seen, in key order.
    position: String,
    pages: usize,
    entries: BTreeMap<String, Entry>,
    folders: Vec<String>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(wanted: Wanted<'a>) -> Self {
        let marker = match &wanted {
            Wanted::Files(query) => start_marker(query),
            Wanted::Folders(_) => String::new(),
        };
        Self {
            wanted,
            position: marker.clone(),
            step: Step::Marker(marker),
            pages: 0,
            entries: BTreeMap::new(),
            folders: Vec::new(),
        }
    }

    /// The folder to list.
    pub(crate) fn prefix(&self) -> &str {
        match &self.wanted {
            Wanted::Files(query) => &query.folder,
            Wanted::Folders(prefix) => prefix,
        }
    }

    /// What to ask now.
    pub(crate) fn step(&self) -> &Step {
        &self.step
    }

    /// Takes a page in. `true`: there is another to ask for.
    ///
    /// # Errors
    ///
    /// Why the listing cannot come to an end.
    pub(crate) fn take(&mut self, page: Page) -> Result<bool, String> {
        self.pages += 1;
        let keys = page.entries.iter().map(|entry| entry.key.as_str());
        let last_key = keys.clone().max().map(str::to_owned);
        let furthest = keys
            .chain(page.folders.iter().map(String::as_str))
            .max()
            .map(str::to_owned);
        self.keep(page.entries, page.folders);

        if !page.truncated || self.is_past(last_key.as_deref()) {
            return Ok(false);
        }
        if self.pages >= MOST_PAGES || self.entries.len() + self.folders.len() > MOST_KEYS {
            return Err(format!(
                "it has more than {MOST_PAGES} pages or {MOST_KEYS} keys"
            ));
        }
        let next = match (page.next_marker, page.next_token) {
            (Some(marker), _) => Step::Marker(marker),
            (None, Some(token)) => Step::Token(token),
            (None, None) => Step::Marker(furthest.clone().unwrap_or_default()),
        };
        let reached = match &next {
            Step::Marker(marker) => Some(marker.clone()),
            Step::Token(_) => furthest,
        };
        // Asked without a version it knows, a mirror may begin anew: its token leads on from there.
        let switching = matches!((&self.step, &next), (Step::Marker(_), Step::Token(_)));
        let moved = match reached {
            Some(reached) if switching || reached > self.position => {
                self.position = reached;
                true
            }
            Some(_) => false,
            // A version 2 page may be empty on the way; a repeated token would never end.
            None => next != self.step,
        };
        if !moved {
            return Err("one page does not lead past the one before it".to_owned());
        }
        self.step = next;
        Ok(true)
    }

    fn keep(&mut self, entries: Vec<Entry>, folders: Vec<String>) {
        match &self.wanted {
            Wanted::Files(query) => {
                let inside = |entry: &Entry| {
                    query.place(&entry.key) == Place::Inside && check_key(&entry.key).is_ok()
                };
                let kept = entries.into_iter().filter(inside);
                self.entries
                    .extend(kept.map(|entry| (entry.key.clone(), entry)));
            }
            // A mirror that ignores the delimiter names files below the folders instead.
            Wanted::Folders(prefix) => {
                let names = folders
                    .iter()
                    .map(String::as_str)
                    .chain(entries.iter().map(|entry| entry.key.as_str()))
                    .filter_map(|path| path.strip_prefix(*prefix)?.split_once('/'))
                    .map(|(name, _)| name)
                    .filter(|name| check_key(name).is_ok())
                    .map(str::to_owned);
                self.folders.extend(names);
                self.folders.sort_unstable();
                self.folders.dedup();
            }
        }
    }

    fn is_past(&self, last_key: Option<&str>) -> bool {
        match (&self.wanted, last_key) {
            (Wanted::Files(query), Some(key)) => query.place(key) == Place::After,
            _ => false,
        }
    }

    /// The archives found, in key order, each with the word whether its sidecar was listed.
    pub(crate) fn objects(self) -> Vec<Object> {
        let has_sidecar = |key: &str| self.entries.contains_key(&format!("{key}{SIDECAR_SUFFIX}"));
        self.entries
            .values()
            .filter(|entry| entry.key.ends_with(".zip"))
            .map(|entry| Object {
                key: entry.key.clone(),
                bytes: entry.bytes,
                etag: entry.etag.clone(),
                last_modified: entry.last_modified.clone(),
                has_sidecar: has_sidecar(&entry.key),
            })
            .collect()
    }

    /// The names of the folders found, sorted.
    pub(crate) fn folders(self) -> Vec<String> {
        self.folders
    }
}

/// A marker itself is not listed, so it must not be a whole wanted key.
fn start_marker(query: &Query) -> String {
    let mut first = query.first.clone().unwrap_or_default();
    if first.ends_with(".zip") {
        first.pop();
    }
    format!("{}{first}", query.start())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(last: Option<&str>) -> Query {
        Query {
            folder: "d/".into(),
            stem: "B-".into(),
            first: Some("1".into()),
            last: last.map(str::to_owned),
        }
    }

    fn page(keys: &[&str], truncated: bool) -> Page {
        Page {
            entries: keys
                .iter()
                .map(|key| Entry {
                    key: (*key).to_owned(),
                    bytes: 1,
                    ..Entry::default()
                })
                .collect(),
            truncated,
            ..Page::default()
        }
    }

    #[test]
    fn pages_follow_the_last_key_where_no_marker_is_named() {
        let query = query(None);
        let mut walk = Walk::new(Wanted::Files(&query));
        assert_eq!(walk.step(), &Step::Marker("d/B-1".into()));

        assert!(walk.take(page(&["d/B-1.zip"], true)).unwrap());
        assert_eq!(walk.step(), &Step::Marker("d/B-1.zip".into()));
        assert!(
            !walk
                .take(page(&["d/B-1.zip.CHECKSUM", "d/B-2.zip"], false))
                .unwrap()
        );

        let found: Vec<_> = walk
            .objects()
            .into_iter()
            .map(|o| (o.key, o.has_sidecar))
            .collect();
        assert_eq!(
            found,
            [
                ("d/B-1.zip".to_owned(), true),
                ("d/B-2.zip".to_owned(), false)
            ]
        );
    }

    #[test]
    fn a_bound_that_is_a_whole_name_is_still_listed() {
        let query = Query {
            first: Some("2024-01.zip".into()),
            ..query(None)
        };

        let walk = Walk::new(Wanted::Files(&query));

        assert!(matches!(walk.step(), Step::Marker(marker) if marker.as_str() < "d/B-2024-01.zip"));
    }

    #[test]
    fn paging_stops_once_keys_pass_the_last_bound() {
        let query = query(Some("2"));
        let mut walk = Walk::new(Wanted::Files(&query));

        let more = walk.take(page(
            &["d/B-2.zip", "d/B-2.zip.CHECKSUM", "d/B-3.zip"],
            true,
        ));

        assert_eq!(more, Ok(false));
        assert_eq!(walk.objects().len(), 1);
    }

    #[test]
    fn a_circle_is_an_error() {
        let query = query(None);
        let mut walk = Walk::new(Wanted::Files(&query));

        assert!(walk.take(page(&["d/B-1.zip"], true)).unwrap());
        assert!(walk.take(page(&["d/B-1.zip"], true)).is_err());

        let mut walk = Walk::new(Wanted::Files(&query));
        assert!(walk.take(page(&[], true)).is_err());
    }

    #[test]
    fn a_repeated_token_is_an_error_and_a_fresh_one_leads_on() {
        let query = query(None);
        let mut walk = Walk::new(Wanted::Files(&query));
        let with_token = |keys: &[&str], token: &str| Page {
            next_token: Some(token.to_owned()),
            ..page(keys, true)
        };

        // The mirror ignored the marker and began at the folder's first key.
        assert!(walk.take(with_token(&["d/A-1.zip"], "t1")).unwrap());
        assert!(walk.take(with_token(&["d/A-2.zip"], "t1b")).unwrap());
        assert!(walk.take(with_token(&["d/B-1.zip"], "t2")).unwrap());
        assert!(walk.take(with_token(&[], "t3")).unwrap());

        assert!(walk.take(with_token(&[], "t3")).is_err());
    }
}
