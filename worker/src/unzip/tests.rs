//! ZIPs of every sound shape give their CSV however they are cut; damaged ones give a reason, never a panic.

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use proptest::prelude::*;

use super::*;

/// How a ZIP is laid out.
#[derive(Debug, Clone, Copy)]
struct Shape {
    stored: bool,
    descriptor: bool,
    /// Whether the descriptor begins with its signature.
    signed: bool,
    zip64: bool,
}

fn le(parts: &[(u64, usize)]) -> Vec<u8> {
    parts
        .iter()
        .flat_map(|&(value, width)| value.to_le_bytes()[..width].to_vec())
        .collect()
}

/// A ZIP written field by field, after the format's own description.
fn zip(csv: &[u8], shape: Shape) -> Vec<u8> {
    let name = b"A-1m-2024-01.csv";
    let data = if shape.stored {
        csv.to_vec()
    } else {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(csv).unwrap();
        encoder.finish().unwrap()
    };
    let crc = u64::from(crc32fast::hash(csv));
    let (packed, whole) = (data.len() as u64, csv.len() as u64);
    let method = if shape.stored { 0 } else { 8 };
    let flags = if shape.descriptor { 8 } else { 0 };
    let all_ones = u64::from(u32::MAX);
    let extra = |packed: u64, whole: u64| match shape.zip64 {
        true => le(&[(1, 2), (16, 2), (whole, 8), (packed, 8)]),
        false => Vec::new(),
    };
    let known = |value: u64| if shape.descriptor { 0 } else { value };
    let short = |value: u64| if shape.zip64 { all_ones } else { value };

    let mut out = b"PK\x03\x04".to_vec();
    let local_extra = extra(known(packed), known(whole));
    out.extend(le(&[
        (45, 2),
        (flags, 2),
        (method, 2),
        (0, 4),
        (known(crc), 4),
    ]));
    out.extend(le(&[(short(known(packed)), 4), (short(known(whole)), 4)]));
    out.extend(le(&[(name.len() as u64, 2), (local_extra.len() as u64, 2)]));
    out.extend_from_slice(name);
    out.extend(local_extra);
    out.extend(&data);
    if shape.descriptor {
        let width = if shape.zip64 { 8 } else { 4 };
        if shape.signed {
            out.extend_from_slice(b"PK\x07\x08");
        }
        out.extend(le(&[(crc, 4), (packed, width), (whole, width)]));
    }
    let directory_at = out.len() as u64;
    let central_extra = extra(packed, whole);
    out.extend_from_slice(b"PK\x01\x02");
    out.extend(le(&[
        (45, 2),
        (45, 2),
        (flags, 2),
        (method, 2),
        (0, 4),
        (crc, 4),
    ]));
    out.extend(le(&[
        (short(packed), 4),
        (short(whole), 4),
        (name.len() as u64, 2),
    ]));
    out.extend(le(&[
        (central_extra.len() as u64, 2),
        (0, 2),
        (0, 2),
        (0, 2),
        (0, 4),
        (0, 4),
    ]));
    out.extend_from_slice(name);
    out.extend(central_extra);
    let directory_size = out.len() as u64 - directory_at;
    if shape.zip64 {
        let end64_at = out.len() as u64;
        out.extend_from_slice(b"PK\x06\x06");
        out.extend(le(&[
            (44, 8),
            (45, 2),
            (45, 2),
            (0, 4),
            (0, 4),
            (1, 8),
            (1, 8),
        ]));
        out.extend(le(&[(directory_size, 8), (directory_at, 8)]));
        out.extend_from_slice(b"PK\x06\x07");
        out.extend(le(&[(0, 4), (end64_at, 8), (1, 4)]));
    }
    out.extend_from_slice(b"PK\x05\x06");
    let entries = if shape.zip64 { 0xffff } else { 1 };
    out.extend(le(&[(0, 2), (0, 2), (entries, 2), (entries, 2)]));
    out.extend(le(&[
        (short(directory_size), 4),
        (short(directory_at), 4),
        (0, 2),
    ]));
    out
}

fn unzip(bytes: &[u8], chunk: usize) -> Result<Vec<u8>, Corrupt> {
    let mut csv = Vec::new();
    let mut unzip = Unzip::new();
    for bytes in bytes.chunks(chunk.max(1)) {
        unzip.feed(bytes, &mut |out: &mut Vec<u8>, length| {
            csv.extend_from_slice(&out[..length]);
            Ok::<(), Corrupt>(())
        })?;
    }
    unzip.finish(crc32fast::hash(&csv))?;
    Ok(csv)
}

fn shapes() -> impl Strategy<Value = Shape> {
    (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_filter_map(
        "a stored entry with a descriptor has no known end",
        |(stored, descriptor, signed, zip64)| {
            (!(stored && descriptor)).then_some(Shape {
                stored,
                descriptor,
                signed,
                zip64,
            })
        },
    )
}

const PLAIN: Shape = Shape {
    stored: false,
    descriptor: false,
    signed: false,
    zip64: false,
};

fn why(bytes: &[u8]) -> String {
    unzip(bytes, 1000).expect_err("it is damaged").to_string()
}

proptest! {
    #[test]
    fn every_sound_shape_gives_its_csv_however_it_is_cut(shape in shapes(), csv in "[0-9,.\n]{0,400}", chunk in 1usize..500) {
        prop_assert_eq!(unzip(&zip(csv.as_bytes(), shape), chunk).unwrap(), csv.as_bytes());
    }

    #[test]
    fn a_zip_cut_short_is_refused(shape in shapes(), keep in 0.0f64..1.0) {
        let whole = zip(b"1,2,3\n4,5,6\n", shape);
        let cut = &whole[..(whole.len() as f64 * keep) as usize];
        prop_assert!(unzip(cut, 7).is_err());
    }

    #[test]
    fn a_changed_byte_is_refused_or_harmless(shape in shapes(), at in any::<prop::sample::Index>(), byte: u8, chunk in 1usize..64) {
        let csv = b"1,2,3\n4,5,6\n".repeat(20);
        let mut bytes = zip(&csv, shape);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        // Versions, times and attributes carry nothing; everything else is checked.
        if let Ok(out) = unzip(&bytes, chunk) {
            prop_assert_eq!(out, csv);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), chunk in 1usize..100) {
        let _ = unzip(&bytes, chunk);
        let mut begun = b"PK\x03\x04".to_vec();
        begun.extend(bytes);
        let _ = unzip(&begun, chunk);
    }
}

#[test]
fn what_is_no_archive_is_told_by_its_beginning() {
    assert_eq!(why(b""), "the file is empty");
    assert!(why(b"<!DOCTYPE html><html>").contains("<!DOCTYPE html>"));
    assert!(why(b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0").contains("no entry"));
    let mut shifted = b"prefix".to_vec();
    shifted.extend(zip(b"1\n", PLAIN));
    assert!(why(&shifted).contains("no ZIP"));
}

#[test]
fn lost_and_added_bytes_are_found_by_the_offsets() {
    let whole = zip(b"1,2,3\n", PLAIN);
    let mut longer = whole.clone();
    longer.push(0);
    assert!(why(&longer).contains("behind the end"));
    let directory = whole
        .windows(4)
        .position(|window| window == CENTRAL)
        .unwrap();
    let mut lost = whole.clone();
    lost.insert(directory, b'x');
    assert!(unzip(&lost, 9).is_err());
}

#[test]
fn names_with_paths_and_foreign_names_are_refused() {
    for (from, to) in [("A-1m", "../m"), ("A-1m", "a/1m"), (".csv", ".exe")] {
        let bytes = zip(b"1\n", PLAIN);
        let text = bytes
            .iter()
            .map(|&byte| byte as char)
            .collect::<String>()
            .replace(from, to);
        let renamed: Vec<u8> = text.chars().map(|c| c as u8).collect();
        assert!(why(&renamed).contains("the entry"), "{to}");
    }
}

#[test]
fn a_bomb_stops_early() {
    let bomb = zip(&vec![b'0'; 64 << 20], PLAIN);
    let mut passed = 0;
    let mut unzip = Unzip::new();
    let result = bomb.chunks(4096).try_for_each(|bytes| {
        unzip.feed(bytes, &mut |_: &mut Vec<u8>, length| {
            passed += length;
            Ok::<(), Corrupt>(())
        })
    });
    assert!(result.unwrap_err().to_string().contains("bomb"));
    assert!(passed < 48 << 20, "{passed} bytes were passed on");
}
