//! ZIPs and sidecars, sound and damaged, judged by other readers of ZIPs.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};
use tapemill_standin::Market;
use tapemill_standin::generate::{
    AggTradesSpec, Archive, Damage, EntryName, Method, Packing, Sidecar, ZipOptions,
};

fn spec(market: Market) -> AggTradesSpec {
    AggTradesSpec::new(market, "BTCUSDT", "2024-01".parse().unwrap(), 5_000)
}

fn write(packing: &Packing, root: &Path) -> Archive {
    spec(Market::Um).write(root, packing).unwrap().0
}

fn zipped(zip: ZipOptions) -> Packing {
    Packing {
        zip,
        ..Packing::default()
    }
}

fn damaged(damage: Damage) -> Packing {
    Packing {
        damage: Some(damage),
        ..Packing::default()
    }
}

/// The first entry as the `zip` crate reads it; checks its CRC.
fn unzip(archive: &Archive) -> io::Result<Vec<u8>> {
    let mut zip = zip::ZipArchive::new(File::open(&archive.path)?)?;
    let mut text = Vec::new();
    zip.by_index(0)?.read_to_end(&mut text)?;
    Ok(text)
}

/// What Python's `zipfile` finds wrong.
fn python_says(archive: &Archive) -> String {
    let code = "import sys, zipfile; print(zipfile.ZipFile(sys.argv[1]).testzip())";
    let output = std::process::Command::new("python3")
        .args(["-c", code])
        .arg(&archive.path)
        .output()
        .unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

fn sidecar(archive: &Archive) -> io::Result<String> {
    fs::read_to_string(format!("{}.CHECKSUM", archive.path.display()))
}

#[test]
fn every_sound_shape_of_zip_is_read_by_others() {
    let root = tempfile::tempdir().unwrap();
    let expected = spec(Market::Um).csv().unwrap();
    let mut shapes = Vec::new();
    for method in [
        Method::Stored,
        Method::Deflate(0),
        Method::Deflate(1),
        Method::Deflate(9),
    ] {
        for (descriptor, zip64) in [(false, false), (true, false), (false, true), (true, true)] {
            shapes.push(ZipOptions {
                method,
                descriptor,
                zip64,
                ..ZipOptions::default()
            });
        }
    }
    shapes.push(ZipOptions {
        prefix_bytes: 300,
        ..ZipOptions::default()
    });

    for shape in shapes {
        let archive = write(&zipped(shape.clone()), root.path());

        assert_eq!(unzip(&archive).unwrap(), expected, "{shape:?}");
        assert_eq!(python_says(&archive).trim(), "None", "{shape:?}");
    }
}

#[test]
fn a_streamed_entry_says_so_and_hides_its_sizes() {
    let root = tempfile::tempdir().unwrap();
    let shape = ZipOptions {
        descriptor: true,
        ..ZipOptions::default()
    };

    let archive = write(&zipped(shape), root.path());

    let bytes = fs::read(&archive.path).unwrap();
    assert_eq!(bytes[6] & 8, 8);
    assert_eq!(bytes[14..26], [0; 12]);
}

#[test]
fn names_and_numbers_of_entries_are_as_asked() {
    let root = tempfile::tempdir().unwrap();
    let names = |entry_name, second_entry| {
        let shape = ZipOptions {
            entry_name,
            second_entry,
            ..ZipOptions::default()
        };
        let archive = write(&zipped(shape), root.path());
        let zip = zip::ZipArchive::new(File::open(&archive.path).unwrap()).unwrap();
        zip.file_names()
            .map(|name| name.unwrap().into_owned())
            .collect::<Vec<_>>()
    };

    assert_eq!(
        names(EntryName::Stem, false),
        ["BTCUSDT-aggTrades-2024-01.csv"]
    );
    assert_eq!(names(EntryName::Stem, true).len(), 2);
    let with_path = names(EntryName::WithPath, false);
    assert!(
        with_path[0].starts_with("data/futures/um/monthly/"),
        "{with_path:?}"
    );
    assert_eq!(
        names(EntryName::Escaping, false),
        ["../BTCUSDT-aggTrades-2024-01.csv"]
    );
    assert_eq!(
        names(EntryName::Other("readme.txt".into()), false),
        ["readme.txt"]
    );
}

#[test]
fn a_wrong_crc_is_noticed() {
    let root = tempfile::tempdir().unwrap();
    let shape = ZipOptions {
        wrong_crc: true,
        ..ZipOptions::default()
    };

    let archive = write(&zipped(shape), root.path());

    assert!(unzip(&archive).is_err());
    assert!(python_says(&archive).contains("BTCUSDT-aggTrades-2024-01.csv"));
}

#[test]
fn damaged_archives_cannot_be_read() {
    let root = tempfile::tempdir().unwrap();

    for damage in [
        Damage::Truncated(60),
        Damage::Truncated(0),
        Damage::FlippedByte(50),
        Damage::Html,
    ] {
        let archive = write(&damaged(damage), root.path());

        assert!(unzip(&archive).is_err(), "{damage:?}");
        assert_eq!(archive.bytes, fs::metadata(&archive.path).unwrap().len());
    }
}

#[test]
fn a_bomb_is_small_and_expands_past_a_gibibyte() {
    let root = tempfile::tempdir().unwrap();

    let archive = write(&damaged(Damage::Bomb), root.path());

    assert!(archive.bytes < 8 << 20, "{}", archive.bytes);
    let mut zip = zip::ZipArchive::new(File::open(&archive.path).unwrap()).unwrap();
    let mut entry = zip.by_index(0).unwrap();
    let mut digest = crc32fast::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    let mut total = 0;
    loop {
        let read = entry.read(&mut buffer).unwrap();
        if read == 0 {
            break;
        }
        total += read as u64;
        digest.update(&buffer[..read]);
    }
    assert!(total > 1 << 30, "{total}");
    assert_eq!(digest.finalize(), entry.crc32());
}

#[test]
fn bytes_after_the_end_are_there() {
    let root = tempfile::tempdir().unwrap();
    let plain = write(&Packing::default(), root.path()).bytes;

    let shape = ZipOptions {
        trailing_bytes: 77,
        ..ZipOptions::default()
    };
    let archive = write(&zipped(shape), root.path());

    assert_eq!(archive.bytes, plain + 77);
    assert!(fs::read(&archive.path).unwrap().ends_with(b"####"));
}

#[test]
fn sidecars_are_written_as_the_exchange_does() {
    let root = tempfile::tempdir().unwrap();

    for (market, end) in [(Market::Um, "\n"), (Market::Spot, "")] {
        let (archive, _) = spec(market)
            .write(root.path(), &Packing::default())
            .unwrap();

        let bytes = fs::read(&archive.path).unwrap();
        let hash: String = Sha256::digest(&bytes)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(archive.sha256, hash);
        let expected = format!("{hash}  BTCUSDT-aggTrades-2024-01.zip{end}");
        assert_eq!(sidecar(&archive).unwrap(), expected);
    }
}

#[test]
fn sidecars_can_be_wrong_stale_odd_or_absent() {
    let root = tempfile::tempdir().unwrap();
    let told = |sidecar_kind, damage| {
        let packing = Packing {
            sidecar: sidecar_kind,
            damage,
            ..Packing::default()
        };
        let archive = write(&packing, root.path());
        (sidecar(&archive).ok(), archive.sha256)
    };
    let (_, intact) = told(Sidecar::Natural, None);

    let (wrong, hash) = told(Sidecar::Wrong, None);
    let (stale, damaged_hash) = told(Sidecar::OfIntact, Some(Damage::FlippedByte(50)));
    let (odd, _) = told(Sidecar::Text("<html>".into()), None);
    let (absent, _) = told(Sidecar::Absent, None);

    assert!(!wrong.unwrap().starts_with(&hash));
    assert!(stale.unwrap().starts_with(&intact));
    assert_ne!(damaged_hash, intact);
    assert_eq!(odd.as_deref(), Some("<html>"));
    assert_eq!(absent, None);
}
