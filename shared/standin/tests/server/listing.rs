//! The bucket's listing, version 1 and 2.

use std::fs;
use std::path::Path;

use crate::http::{Reply, get};
use tapemill_standin::server::{Fault, Faults, Standin, StandinOptions, When};
use tempfile::TempDir;

const FOLDER: &str = "data/futures/um/monthly/klines/";

/// Twelve symbols with one archive and sidecar each, beside files that do not belong.
fn root() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for number in 0..12 {
        let symbol = format!("S{number:02}USDT");
        let key = format!("{FOLDER}{symbol}/1m/{symbol}-1m-2024-01.zip");
        put(root.path(), &key);
        put(root.path(), &format!("{key}.CHECKSUM"));
    }
    put(root.path(), &format!("{FOLDER}part-00000.zip"));
    put(root.path(), &format!("{FOLDER}.hidden"));
    put(root.path(), "data/spot/a&b.zip");
    put(root.path(), "data/spot/币安USDT.zip");
    fs::create_dir_all(root.path().join(FOLDER).join("EMPTY/1m")).unwrap();
    root
}

fn put(root: &Path, key: &str) {
    let path = root.join(key);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, key).unwrap();
}

async fn standin(page_size: usize, faults: Faults) -> (TempDir, Standin) {
    let root = root();
    let options = StandinOptions {
        page_size,
        faults,
        ..StandinOptions::new(root.path())
    };
    let standin = Standin::start_with(options).await.unwrap();
    (root, standin)
}

/// The texts of every `<tag>`, in order.
fn all(reply: &Reply, tag: &str) -> Vec<String> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    let text = reply.text();
    text.split(&open)
        .skip(1)
        .map(|rest| rest.split(&close).next().unwrap().to_owned())
        .collect()
}

fn one(reply: &Reply, tag: &str) -> Option<String> {
    all(reply, tag).into_iter().next()
}

fn folders(reply: &Reply) -> Vec<String> {
    all(reply, "CommonPrefixes")
        .into_iter()
        .map(|inner| inner.replace("<Prefix>", "").replace("</Prefix>", ""))
        .collect()
}

#[tokio::test]
async fn a_folder_lists_as_the_bucket_writes_it() {
    let (_root, standin) = standin(1_000, Faults::none()).await;
    let target = format!("/?delimiter=/&prefix={FOLDER}S03USDT/1m/");

    let reply = get(&standin.url, &target).await;

    let text = reply.text();
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, "application/xml")
    );
    assert!(text.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>data.binance.vision</Name>"));
    let key = format!("{FOLDER}S03USDT/1m/S03USDT-1m-2024-01.zip");
    assert_eq!(all(&reply, "Key"), [key.clone(), format!("{key}.CHECKSUM")]);
    assert_eq!(all(&reply, "Size")[0], key.len().to_string());
    assert_eq!(one(&reply, "IsTruncated").unwrap(), "false");
    assert_eq!(one(&reply, "MaxKeys").unwrap(), "1000");
    let object = get(&standin.url, &format!("/{key}")).await;
    assert_eq!(
        all(&reply, "ETag")[0].replace("&quot;", "\""),
        object.header("etag")
    );
    let modified = &all(&reply, "LastModified")[0];
    assert!(
        modified.len() == 24 && modified.ends_with(".000Z"),
        "{modified}"
    );
}

#[tokio::test]
async fn folders_roll_up_and_count_towards_the_page() {
    let (_root, standin) = standin(5, Faults::none()).await;
    let mut found = Vec::new();
    let mut marker = String::new();
    let mut pages = 0;

    loop {
        let target = format!("/?delimiter=/&prefix={FOLDER}&marker={marker}");
        let reply = get(&standin.url, &target).await;
        pages += 1;
        let names = [folders(&reply), all(&reply, "Key")].concat();
        assert!(names.len() <= 5);
        found.extend(names);
        match one(&reply, "NextMarker") {
            Some(next) => marker = next,
            None => break,
        }
    }

    // Twelve symbols and the stray file; neither the hidden one nor the empty folder.
    assert_eq!(pages, 3);
    assert_eq!(found.len(), 13);
    assert_eq!(found[0], format!("{FOLDER}S00USDT/"));
    assert_eq!(found[12], format!("{FOLDER}part-00000.zip"));
}

#[tokio::test]
async fn without_a_delimiter_the_last_key_is_the_next_marker() {
    let (_root, standin) = standin(10, Faults::none()).await;
    let mut found: Vec<String> = Vec::new();

    loop {
        let marker = found.last().cloned().unwrap_or_default();
        let reply = get(
            &standin.url,
            &format!("/?prefix=data/futures/&marker={marker}"),
        )
        .await;
        assert_eq!(one(&reply, "NextMarker"), None);
        found.extend(all(&reply, "Key"));
        if one(&reply, "IsTruncated").unwrap() == "false" {
            break;
        }
    }

    assert_eq!(found.len(), 25);
    assert!(found.is_sorted());
}

#[tokio::test]
async fn version_two_pages_by_its_token() {
    let (_root, standin) = standin(10, Faults::none()).await;
    let mut found = Vec::new();
    let mut more = format!("start-after={FOLDER}S01USDT/1m/S01USDT-1m-2024-01.zip");
    let mut pages = 0;

    loop {
        let target = format!("/?list-type=2&prefix={FOLDER}&{more}");
        let reply = get(&standin.url, &target).await;
        pages += 1;
        let keys = all(&reply, "Key");
        assert_eq!(one(&reply, "KeyCount").unwrap(), keys.len().to_string());
        assert_eq!(one(&reply, "NextMarker"), None);
        found.extend(keys);
        match one(&reply, "NextContinuationToken") {
            Some(token) => more = format!("continuation-token={token}"),
            None => break,
        }
    }

    assert_eq!(pages, 3);
    assert_eq!(found.len(), 25 - 3);
}

#[tokio::test]
async fn names_are_escaped_and_encoded_on_request() {
    let (_root, standin) = standin(1_000, Faults::none()).await;

    let plain = get(&standin.url, "/?prefix=data/spot/").await;
    let encoded = get(
        &standin.url,
        "/data.binance.vision?prefix=data/spot/&encoding-type=url",
    )
    .await;
    let object = get(&standin.url, "/data/spot/%E5%B8%81%E5%AE%89USDT.zip").await;

    assert_eq!(
        all(&plain, "Key"),
        ["data/spot/a&amp;b.zip", "data/spot/币安USDT.zip"]
    );
    let expected = [
        "data/spot/a%26b.zip",
        "data/spot/%E5%B8%81%E5%AE%89USDT.zip",
    ];
    assert_eq!(all(&encoded, "Key"), expected);
    assert_eq!(object.text(), "data/spot/币安USDT.zip");
}

#[tokio::test]
async fn prefixes_without_keys_list_as_empty() {
    let (_root, standin) = standin(1_000, Faults::none()).await;

    for prefix in ["data/none/", "data/../", "nothing", "data/spot/a%26b.zip/"] {
        let reply = get(&standin.url, &format!("/?prefix={prefix}&delimiter=/")).await;
        assert_eq!(reply.status, 200, "{prefix}");
        assert_eq!(
            all(&reply, "Key").len() + folders(&reply).len(),
            0,
            "{prefix}"
        );
    }
    for query in [
        "delimiter=x",
        "max-keys=many",
        "list-type=2&continuation-token=zz",
    ] {
        assert_eq!(
            get(&standin.url, &format!("/?{query}")).await.status,
            400,
            "{query}"
        );
    }
}

#[tokio::test]
async fn one_page_can_fail_and_a_listing_can_be_empty() {
    let fault = Fault::ListingPage {
        page: 2,
        status: 500,
    };
    let faults = Faults::one("?prefix=**", fault, When::First(1));
    let (_root, standin) = standin(5, faults).await;
    let first = format!("/?delimiter=/&prefix={FOLDER}");

    let begin = get(&standin.url, &first).await;
    let second = format!("{first}&marker={}", one(&begin, "NextMarker").unwrap());
    let failed = get(&standin.url, &second).await;
    let well = get(&standin.url, &second).await;
    standin
        .set_faults(Faults::one("?prefix=**", Fault::EmptyListing, When::Always))
        .unwrap();
    let empty = get(&standin.url, &first).await;

    assert_eq!([begin.status, failed.status, well.status], [200, 500, 200]);
    assert_eq!(standin.log()[1].faults, ["listing_page"]);
    assert_eq!(folders(&empty).len(), 0);
    assert_eq!(one(&empty, "IsTruncated").unwrap(), "false");
}
