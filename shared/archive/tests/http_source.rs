//! Listings, probes and small files over HTTP, from good servers and bad ones.

mod server;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use server::{Reply, Request, Server};
use tapemill_archive::{ArchiveError, HttpOptions, HttpSource, Query, Source};

const FOLDER: &str = "data/spot/daily/klines/币安USDT/1m/";

fn days() -> Vec<String> {
    let days = (1..=9).flat_map(|day| {
        let name = format!("{FOLDER}币安USDT-1m-2024-01-0{day}.zip");
        [name.clone(), format!("{name}.CHECKSUM")]
    });
    // A stray object, as the real archive has one; ASCII comes first in key order.
    std::iter::once(format!("{FOLDER}part-00000-0fae7358.zip"))
        .chain(days)
        .collect()
}

fn query(first: Option<&str>, last: Option<&str>) -> Query {
    Query {
        folder: FOLDER.to_owned(),
        stem: "币安USDT-1m-".to_owned(),
        first: first.map(str::to_owned),
        last: last.map(str::to_owned),
    }
}

fn xml(keys: &[String], more: &str) -> Reply {
    let entries: String = keys
        .iter()
        .map(|key| {
            format!("<Contents><Key>{key}</Key><LastModified>2024-02-01T00:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag><Size>98</Size></Contents>")
        })
        .collect();
    Reply::new(200).body(format!(
        "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Prefix>x</Prefix>{more}{entries}</ListBucketResult>"
    ))
}

/// A version 1 listing, `size` keys a page.
fn version_1(keys: &[String], request: &Request, size: usize) -> Reply {
    let marker = request.query("marker").unwrap_or_default();
    let prefix = request.query("prefix").unwrap();
    let mut rest = keys
        .iter()
        .filter(|key| key.as_str() > marker && key.starts_with(prefix));
    let page: Vec<String> = rest.by_ref().take(size).cloned().collect();
    let more = rest.next().is_some();
    xml(&page, &format!("<IsTruncated>{more}</IsTruncated>"))
}

/// A listing that knows version 2 only: it has no notion of a marker.
fn version_2(keys: &[String], request: &Request, size: usize) -> Reply {
    let token = request.query("continuation-token");
    if token.is_some() {
        assert_eq!(request.query("list-type"), Some("2"));
    }
    let from: usize = token.map_or(0, |token| token.parse().unwrap());
    let page = &keys[from..keys.len().min(from + size)];
    let more = from + size < keys.len();
    let token = format!(
        "<NextContinuationToken>{}</NextContinuationToken>",
        from + size
    );
    let token = if more { token } else { String::new() };
    xml(page, &format!("<IsTruncated>{more}</IsTruncated>{token}"))
}

fn names(objects: &[tapemill_archive::Object]) -> Vec<&str> {
    objects
        .iter()
        .map(|object| object.key.strip_prefix(FOLDER).unwrap())
        .collect()
}

#[tokio::test]
async fn all_pages_come_whatever_their_size() {
    for size in [1, 2, 3, 7, 1000] {
        let keys = days();
        let server = Server::start(move |_, request| version_1(&keys, request, size)).await;

        let objects = server.source().list(&query(None, None)).await.unwrap();

        assert_eq!(objects.len(), 9, "{size} a page");
        assert!(
            objects
                .iter()
                .all(|object| object.has_sidecar && object.bytes == 98)
        );
        assert_eq!(objects[0].etag.as_deref(), Some("\"e\""));
        assert_eq!(
            objects[0].last_modified.as_deref(),
            Some("2024-02-01T00:00:00.000Z")
        );
    }
}

#[tokio::test]
async fn strange_files_are_passed_on_where_the_stem_lets_them() {
    let keys = days();
    let server = Server::start(move |_, request| version_1(&keys, request, 4)).await;
    let everything = Query {
        stem: String::new(),
        ..query(None, None)
    };

    let objects = server.source().list(&everything).await.unwrap();

    assert_eq!(objects.len(), 10);
    assert_eq!(names(&objects)[0], "part-00000-0fae7358.zip");
}

#[tokio::test]
async fn bounds_cut_both_ends_and_save_pages() {
    let keys = days();
    let server = Server::start(move |_, request| version_1(&keys, request, 2)).await;

    let bounds = query(Some("2024-01-03"), Some("2024-01-04"));
    let objects = server.source().list(&bounds).await.unwrap();

    let expected = ["币安USDT-1m-2024-01-03.zip", "币安USDT-1m-2024-01-04.zip"];
    assert_eq!(names(&objects), expected);
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    assert_eq!(requests[0].query("delimiter"), Some("/"));
    assert_eq!(requests[0].query("prefix"), Some(FOLDER));
    let marker = format!("{FOLDER}币安USDT-1m-2024-01-03");
    assert_eq!(requests[0].query("marker"), Some(marker.as_str()));
}

#[tokio::test]
async fn a_mirror_of_version_2_is_listed_to_its_end() {
    for size in [1, 4] {
        let mut keys = days();
        keys.insert(0, format!("{FOLDER}AAA-1m-2024-01-01.zip"));
        keys.insert(1, format!("{FOLDER}AAB-1m-2024-01-01.zip"));
        let server = Server::start(move |_, request| version_2(&keys, request, size)).await;

        let objects = server.source().list(&query(None, None)).await.unwrap();

        assert_eq!(objects.len(), 9);
    }
}

#[tokio::test]
async fn a_listing_that_goes_in_circles_is_an_error() {
    let keys = days();
    let server =
        Server::start(move |_, _| xml(&keys[..4], "<IsTruncated>true</IsTruncated>")).await;

    let error = server.source().list(&query(None, None)).await.unwrap_err();

    assert_eq!(error.reason(), "listing");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_page_that_fails_fails_the_listing_unless_it_recovers() {
    let keys = days();
    let answered = Arc::new(AtomicUsize::new(0));
    let count = answered.clone();
    let server = Server::start(move |number, request| {
        // The second page is cut, then refused, then broken XML, and then comes.
        match number {
            1 => version_1(&keys, request, 4).cut_after(100),
            2 => Reply::new(503),
            3 => Reply::new(200).body("<ListBucketResult><Contents><Key>"),
            _ => {
                count.fetch_add(1, Ordering::Relaxed);
                version_1(&keys, request, 4)
            }
        }
    })
    .await;
    assert_eq!(
        server
            .source()
            .list(&query(None, None))
            .await
            .unwrap()
            .len(),
        9
    );
    assert!(answered.load(Ordering::Relaxed) > 2);

    let keys = days();
    let server = Server::start(move |number, request| match number {
        0 => version_1(&keys, request, 4),
        _ => Reply::new(500),
    })
    .await;
    let error = server.source().list(&query(None, None)).await.unwrap_err();

    assert_eq!(error.reason(), "http_5xx");
    assert_eq!(server.requests().len(), 7);
}

#[tokio::test]
async fn a_web_page_instead_of_a_listing_names_the_remedy() {
    let html = "<!DOCTYPE html>\n<html><head><title>files</title></head></html>";
    for reply in [200, 404] {
        let server = Server::start(move |_, _| Reply::new(reply).body(html)).await;

        let error = server.source().list(&query(None, None)).await.unwrap_err();

        let text = error.to_string();
        assert!(matches!(error, ArchiveError::Listing { .. }), "{text}");
        assert!(text.contains(&server.base), "{text}");
        assert!(
            text.contains("--no-listing") && text.contains("--listing URL"),
            "{text}"
        );
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn an_endless_page_is_cut_off() {
    let page = Arc::new(vec![b' '; 17 << 20]);
    let server = Server::start(move |_, _| Reply::new(200).chunked(&*page)).await;

    let error = server.source().list(&query(None, None)).await.unwrap_err();

    assert_eq!(error.reason(), "too_large", "{error}");
}

#[tokio::test]
async fn folders_are_names_over_all_pages() {
    let server = Server::start(|_, request| {
        let folders = |names: &[&str], more: bool| {
            let prefixes: String = names
                .iter()
                .map(|name| format!("<CommonPrefixes><Prefix>d/{name}/</Prefix></CommonPrefixes>"))
                .collect();
            xml(&[], &format!("<IsTruncated>{more}</IsTruncated>{prefixes}"))
        };
        match request.query("marker") {
            None => folders(&["1INCHUSDT", "BTCUSDT"], true),
            Some("d/BTCUSDT/") => folders(&["币安人生USDT"], false),
            other => panic!("marker {other:?}"),
        }
    })
    .await;

    let folders = server.source().folders("d/", &|_| None).await.unwrap();

    assert_eq!(folders, ["1INCHUSDT", "BTCUSDT", "币安人生USDT"]);
}

#[tokio::test]
async fn a_separate_listing_is_asked_instead_of_the_base() {
    let keys = days();
    let listing = Server::start(move |_, request| version_1(&keys, request, 1000)).await;
    let base = Server::start(|_, _| Reply::new(500)).await;
    let options = HttpOptions {
        listing: Some(format!("{}/bucket", listing.base)),
        ..base.options()
    };
    let source = HttpSource::new(options).unwrap();

    let objects = source.list(&query(None, None)).await.unwrap();

    assert_eq!(objects.len(), 9);
    assert_eq!(listing.requests()[0].path, "/bucket");
    assert!(base.requests().is_empty());
}

#[tokio::test]
async fn the_official_archive_is_listed_where_the_exchange_lists_it() {
    for base in [
        "https://data.binance.vision",
        "https://data.binance.vision/",
    ] {
        let source = HttpSource::new(HttpOptions::new(base, Arc::default())).unwrap();
        let listing = "https://s3-ap-northeast-1.amazonaws.com/data.binance.vision";
        assert_eq!(source.listing(), listing);
    }

    let mirror = HttpOptions::new("https://user:hush@mirror.example/b?k=hush", Arc::default());
    let mirror = HttpSource::new(mirror).unwrap();

    assert_eq!(mirror.listing(), "https://mirror.example/b");
    assert_eq!(mirror.place(), "https://mirror.example/b");
}

#[tokio::test]
async fn a_probe_tells_size_and_absence() {
    let server = Server::start(|_, request| {
        assert_eq!(request.header("accept-encoding"), Some("identity"));
        match request.path.as_str() {
            "/a/%E5%B8%81.zip" => Reply::new(200).header("ETag", "\"e\"").body([0; 321]),
            "/a/absent.zip" => Reply::new(404),
            _ => Reply::new(403),
        }
    })
    .await;
    let source = server.source();

    let found = source.head("a/币.zip").await.unwrap().unwrap();
    assert_eq!((found.bytes, found.etag.as_deref()), (321, Some("\"e\"")));
    assert_eq!(source.head("a/absent.zip").await.unwrap(), None);

    let error = source.head("a/refused.zip").await.unwrap_err();
    assert_eq!(error.reason(), "http_403");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_server_that_knows_only_get_is_probed_by_one_byte() {
    let server = Server::start(|_, request| match request.method.as_str() {
        "HEAD" => Reply::new(405),
        _ => server::serve(request, &[0; 321], "\"e\""),
    })
    .await;

    let found = server.source().head("a.zip").await.unwrap().unwrap();

    assert_eq!(found.bytes, 321);
    assert_eq!(server.requests()[1].header("range"), Some("bytes=0-0"));
}

#[tokio::test]
async fn a_small_file_comes_whole_or_not_at_all() {
    let server = Server::start(|number, request| match (request.path.as_str(), number) {
        ("/absent.CHECKSUM", _) => Reply::new(404).body("no such key"),
        ("/large.CHECKSUM", _) => Reply::new(200).chunked([b'x'; 5_000]),
        (_, 0) => Reply::new(200).body("a checksum").cut_after(3),
        (_, 1) => Reply::new(502),
        _ => Reply::new(200).body("a checksum"),
    })
    .await;
    let source = server.source();

    let whole = source.small("a.CHECKSUM", 4096).await.unwrap();
    assert_eq!(whole.as_deref(), Some(&b"a checksum"[..]));
    assert_eq!(source.small("absent.CHECKSUM", 4096).await.unwrap(), None);

    let error = source.small("large.CHECKSUM", 4096).await.unwrap_err();
    assert_eq!(error.reason(), "too_large");
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn a_small_file_that_is_cut_again_and_again_still_comes_and_one_that_always_is_ends() {
    let cut = || Reply::new(200).body("a checksum").cut_after(3);
    let server = Server::start(move |number, _| match number {
        0..15 => cut(),
        _ => Reply::new(200).body("a checksum"),
    })
    .await;
    let whole = server.source().small("a.CHECKSUM", 4096).await.unwrap();
    assert_eq!(whole.as_deref(), Some(&b"a checksum"[..]));

    let server = Server::start(move |_, _| cut()).await;
    let error = server.source().small("a.CHECKSUM", 4096).await.unwrap_err();
    assert_eq!(error.reason(), "network");
}

#[tokio::test]
async fn a_refused_probe_waits_as_long_as_the_server_says() {
    let server = Server::start(|number, _| match number {
        0 => Reply::new(403).header("Retry-After", "1"),
        _ => Reply::new(404),
    })
    .await;
    let options = server.options();
    let brake = options.brake.clone();
    let source = HttpSource::new(options).unwrap();
    let begun = Instant::now();

    let (probe, news) = tokio::join!(source.head("a.zip"), brake.news());

    assert_eq!(probe.unwrap(), None);
    assert!(!news.is_zero());
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn redirects_come_to_an_end() {
    let server = Server::start(|_, request| {
        Reply::new(302).header("Location", format!("{}x", request.path))
    })
    .await;

    let error = server.source().head("a.zip").await.unwrap_err();

    assert_eq!(error.reason(), "network");
    assert!(
        error.one_line().contains("redirect"),
        "{}",
        error.one_line()
    );
    assert_eq!(server.requests().len(), 6 * 6);
}
