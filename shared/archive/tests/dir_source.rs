//! Archives in folders: the official paths, loose trees, and trees that mislead.

use std::{fs, os::unix::fs::symlink, path::Path, sync::Arc};

use tapemill_archive::{
    ArchiveError, DirSource, Event, Query, Resume, RetryPolicy, Source, Transfer,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const UM: &str = "data/futures/um/monthly/aggTrades/A/A-aggTrades-2024-01.zip";
const SPOT: &str = "data/spot/monthly/aggTrades/A/A-aggTrades-2024-01.zip";

/// A folder with these files.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let root = TempDir::new().unwrap();
    for (path, bytes) in files {
        write(root.path(), path, bytes);
    }
    root
}

fn write(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

async fn read(source: DirSource, key: &str) -> Result<Vec<u8>, ArchiveError> {
    let mut transfer = Transfer::start(
        Arc::new(source),
        key,
        Resume::default(),
        RetryPolicy::default(),
        Arc::default(),
        CancellationToken::new(),
    );
    let mut bytes = Vec::new();
    loop {
        match transfer.next().await? {
            Event::Begin { .. } => bytes.clear(),
            Event::Chunk(chunk) => {
                assert!(chunk.len() <= 256 << 10);
                bytes.extend_from_slice(&chunk);
            }
            Event::End { .. } => return Ok(bytes),
        }
    }
}

fn query(folder: &str, stem: &str) -> Query {
    Query {
        folder: folder.to_owned(),
        stem: stem.to_owned(),
        ..Query::default()
    }
}

#[tokio::test]
async fn official_paths_are_served_as_the_exchange_does() {
    let bytes: Vec<u8> = (0..700_000u32).map(|at| (at % 251) as u8).collect();
    let sidecar = format!("{UM}.CHECKSUM");
    let root = folder(&[(UM, &bytes), (&sidecar, b"sum"), (SPOT, b"spot")]);
    let source = DirSource::new(root.path()).unwrap();

    let listed = source
        .list(&query(
            "data/futures/um/monthly/aggTrades/A/",
            "A-aggTrades-",
        ))
        .await
        .unwrap();
    let folders = source
        .folders("data/futures/um/monthly/aggTrades/", &|_| None)
        .await
        .unwrap();
    let sum = source.small(&sidecar, 100).await.unwrap();

    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].key.as_str(), listed[0].bytes), (UM, 700_000));
    assert!(listed[0].has_sidecar);
    assert_eq!(folders, ["A"]);
    assert_eq!(sum.as_deref(), Some(&b"sum"[..]));
    assert!(read(source, UM).await.unwrap() == bytes);
}

#[tokio::test]
async fn a_file_in_the_official_paths_answers_to_no_other_key() {
    let root = folder(&[(&format!("mirror/{SPOT}"), b"spot")]);
    let source = DirSource::new(root.path()).unwrap();

    assert_eq!(source.head(UM).await.unwrap(), None);
    assert_eq!(source.head(SPOT).await.unwrap().unwrap().bytes, 4);

    let missing = read(source, UM).await.unwrap_err();
    assert!(matches!(missing, ArchiveError::Missing { .. }), "{missing}");
}

#[tokio::test]
async fn a_loose_file_answers_to_its_name_and_the_official_path_goes_first() {
    let root = folder(&[
        ("old/A-aggTrades-2024-01.zip", b"loose"),
        ("old/A-aggTrades-2024-01.zip.CHECKSUM", b"sum"),
        (SPOT, b"spot"),
    ]);
    let source = DirSource::new(root.path()).unwrap();

    let loose = source.head(UM).await.unwrap().unwrap();
    let sum = source.small(&format!("{UM}.CHECKSUM"), 9).await.unwrap();
    let no_sum = source.small(&format!("{SPOT}.CHECKSUM"), 9).await.unwrap();
    let listed = source
        .list(&query(
            "data/futures/um/monthly/aggTrades/A/",
            "A-aggTrades-",
        ))
        .await
        .unwrap();
    let of_name = |name: &str| Some(name.split_once('-')?.0.to_owned());
    let folders = source
        .folders("data/futures/um/monthly/aggTrades/", &of_name)
        .await
        .unwrap();

    assert_eq!((loose.bytes, loose.has_sidecar), (5, true));
    assert_eq!(listed, [loose]);
    assert_eq!(sum.as_deref(), Some(&b"sum"[..]));
    assert_eq!(no_sum, None);
    assert_eq!(folders, ["A"]);
    assert_eq!(read(source, SPOT).await.unwrap(), b"spot");
}

#[tokio::test]
async fn two_different_files_of_one_name_are_both_named() {
    for other in [&b"four"[..], b"longer"] {
        let root = folder(&[
            ("a/A-aggTrades-2024-01.zip", b"five"),
            ("b/A-aggTrades-2024-01.zip", other),
        ]);
        let source = DirSource::new(root.path()).unwrap();

        let text = source.head(UM).await.unwrap_err().to_string();

        for part in ["/a/A-aggTrades-2024-01.zip", "/b/A-aggTrades-2024-01.zip"] {
            assert!(text.contains(part), "{text}");
        }
    }
}

#[tokio::test]
async fn copies_are_one_archive_and_any_sidecar_counts() {
    let root = folder(&[
        ("a/A-aggTrades-2024-01.zip", b"same"),
        ("b/A-aggTrades-2024-01.zip", b"same"),
        ("b/A-aggTrades-2024-01.zip.CHECKSUM", b"sum"),
    ]);
    let source = DirSource::new(root.path()).unwrap();

    let found = source.head(UM).await.unwrap().unwrap();

    assert!(found.has_sidecar);
    assert_eq!(read(source, UM).await.unwrap(), b"same");
}

#[tokio::test]
async fn hidden_names_and_parts_are_not_there() {
    let root = folder(&[
        (".hidden/A-aggTrades-2024-01.zip", b"x"),
        (".A-aggTrades-2024-01.zip", b"x"),
        ("A-aggTrades-2024-01.zip.part", b"x"),
        ("A-aggTrades-2024-01.csv", b"x"),
    ]);

    let found = DirSource::new(root.path()).unwrap().head(UM).await.unwrap();

    assert_eq!(found, None);
}

#[tokio::test]
async fn links_are_followed_inside_the_root_only() {
    let outside = folder(&[("B-aggTrades-2024-01.zip", b"secret")]);
    let root = folder(&[("store/A-aggTrades-2024-01.zip", b"linked")]);
    let official = root.path().join("data/futures/um/monthly/aggTrades");
    fs::create_dir_all(&official).unwrap();
    symlink(root.path().join("store"), official.join("A")).unwrap();
    symlink(outside.path(), root.path().join("out")).unwrap();
    symlink(root.path(), root.path().join("store/loop")).unwrap();
    symlink("itself", root.path().join("itself")).unwrap();
    let source = DirSource::new(root.path()).unwrap();

    let listed = source
        .list(&query("data/futures/um/monthly/aggTrades/A/", "A-"))
        .await
        .unwrap();
    let secret = source
        .head("data/futures/um/x/B-aggTrades-2024-01.zip")
        .await
        .unwrap();

    assert_eq!(listed.len(), 1);
    assert_eq!(secret, None);
    assert_eq!(read(source, UM).await.unwrap(), b"linked");
}

#[tokio::test]
async fn a_part_goes_on_only_while_the_file_is_the_same() {
    let root = folder(&[(UM, b"0123456789")]);
    let source = DirSource::new(root.path()).unwrap();
    let kept = source.open(UM, 0, None).await.unwrap().validator.unwrap();

    let same = source.open(UM, 4, Some(&kept)).await.unwrap();
    write(root.path(), UM, b"another file");
    let changed = source.open(UM, 4, Some(&kept)).await.unwrap();

    assert_eq!((same.offset, same.total), (4, Some(10)));
    assert_eq!((changed.offset, changed.total), (0, Some(12)));
}

#[tokio::test]
async fn a_file_that_vanished_is_an_error_and_not_missing() {
    let root = folder(&[(UM, b"0123456789")]);
    let source = DirSource::new(root.path()).unwrap();
    source.head(UM).await.unwrap();
    fs::remove_file(root.path().join(UM)).unwrap();

    let error = read(source, UM).await.unwrap_err();

    assert_eq!(error.reason(), "io");
    assert!(error.one_line().contains(UM), "{}", error.one_line());
}

#[tokio::test(start_paused = true)]
async fn a_new_file_is_found_after_a_minute() {
    let root = folder(&[(SPOT, b"spot")]);
    let source = DirSource::new(root.path()).unwrap();
    assert_eq!(source.head(UM).await.unwrap(), None);
    write(root.path(), UM, b"new");

    tokio::time::advance(std::time::Duration::from_secs(3600)).await;

    assert_eq!(source.head(UM).await.unwrap().unwrap().bytes, 3);
}

#[tokio::test]
async fn a_root_that_is_no_folder_is_refused() {
    let root = folder(&[("file.zip", b"x")]);

    for (path, why) in [("absent", "no such folder"), ("file.zip", "is a file")] {
        let error = DirSource::new(root.path().join(path)).unwrap_err();
        assert!(matches!(error, ArchiveError::Address { .. }), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[tokio::test]
async fn a_root_that_went_away_is_an_error_and_not_missing() {
    let root = folder(&[(UM, b"x")]);
    let source = DirSource::new(root.path()).unwrap();
    fs::remove_dir_all(root.path()).unwrap();

    let error = source.head(UM).await.unwrap_err();

    assert_eq!(error.reason(), "io");
}

#[tokio::test]
async fn a_sidecar_past_the_limit_is_refused() {
    let sidecar = format!("{UM}.CHECKSUM");
    let root = folder(&[(UM, b"x"), (&sidecar, &[b'x'; 101])]);

    let error = DirSource::new(root.path())
        .unwrap()
        .small(&sidecar, 100)
        .await
        .unwrap_err();

    assert_eq!(error.reason(), "too_large");
}

#[tokio::test]
async fn percent_encoded_folders_answer_to_the_name_they_spell() {
    let key = "data/spot/monthly/aggTrades/币安/币安-aggTrades-2024-01.zip";
    let kept =
        "data/spot/monthly/aggTrades/%E5%B8%81%E5%AE%89/%E5%B8%81%E5%AE%89-aggTrades-2024-01.zip";
    let root = folder(&[(kept, b"kept")]);

    let listed = DirSource::new(root.path())
        .unwrap()
        .list(&query(
            "data/spot/monthly/aggTrades/币安/",
            "币安-aggTrades-",
        ))
        .await
        .unwrap();

    assert_eq!(listed[0].key, key);
    let bytes = read(DirSource::new(root.path()).unwrap(), key).await;
    assert_eq!(bytes.unwrap(), b"kept");
}

#[tokio::test]
async fn folders_named_as_markets_and_kinds_tell_files_of_one_name_apart() {
    let root = folder(&[
        ("mine/spot/klines/A-1m-2024-01.zip", b"spot"),
        ("mine/um/klines/A-1m-2024-01.zip", b"futures"),
        ("mine/um/markPriceKlines/A-1m-2024-01.zip", b"mark"),
    ]);
    let key = |place: &str| format!("data/{place}/A/1m/A-1m-2024-01.zip");

    let read = async |place| read(DirSource::new(root.path()).unwrap(), &key(place)).await;

    assert_eq!(read("spot/monthly/klines").await.unwrap(), b"spot");
    assert_eq!(read("futures/um/monthly/klines").await.unwrap(), b"futures");
    assert_eq!(
        read("futures/um/monthly/markPriceKlines").await.unwrap(),
        b"mark"
    );
    let missing = read("futures/cm/monthly/klines").await;
    assert!(
        matches!(missing, Err(ArchiveError::Missing { .. })),
        "{missing:?}"
    );
}
