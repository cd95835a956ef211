//! The S3 store keeps what it is given.

use tapemill_test_servers::S3;

#[test]
fn objects_are_stored_listed_and_taken_away() {
    let store = S3::start();
    let body: Vec<u8> = (0..200_000).map(|byte: u32| byte as u8).collect();

    store.put("out/a b&币+%.parquet", &body);
    store.put("out/z.parquet", b"");
    store.put("other", b"x");

    assert_eq!(
        store.keys("out/"),
        ["out/a b&币+%.parquet", "out/z.parquet"]
    );
    assert_eq!(store.get("out/a b&币+%.parquet"), Some(body));
    store.delete("out/z.parquet");
    assert_eq!(store.get("out/z.parquet"), None);
    assert!(store.unfinished_uploads().is_empty());
}
