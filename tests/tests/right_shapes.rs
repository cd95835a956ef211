//! The shape around the rows changes nothing: their order, the ZIP's form, the layout of the output.

use std::collections::BTreeMap;

use tapemill_standin::generate::{AggTradesSpec, Method, Order, Packing, Sidecar, ZipOptions};
use tapemill_tests::{Lab, Mirror, contents, hashes, judge, trades_of};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

fn odd(symbol: &str, period: &str) -> AggTradesSpec {
    AggTradesSpec {
        duplicates: 40,
        zero_quantities: 20,
        out_of_period: 10,
        id_gaps: 5,
        ..trades_of(symbol, period, 6_000)
    }
}

/// Mills one archive and gives the digests of its tables, which the reference agrees with.
#[track_caller]
fn contents_of(spec: AggTradesSpec, packing: &Packing) -> BTreeMap<String, String> {
    let lab = Lab::with(BINARY, Mirror::new());
    lab.mirror.lay(spec, packing);
    lab.everything(&["run"]).run().expect(0);
    let contents = contents(&judge(lab.mirror.root(), &lab.output(), &[]));
    assert_eq!(contents.len(), 2);
    contents
}

#[test]
fn rows_in_any_order_with_every_oddity_make_the_same_tables() {
    let orders = [Order::Sorted, Order::InterleavedTwoStreams, Order::Shuffled];

    let made = orders.map(|order| {
        let mut spec = odd("BTCUSDT", "2024-01");
        spec.order = order;
        contents_of(spec, &Packing::default())
    });

    assert_eq!(made[0], made[1]);
    assert_eq!(made[0], made[2]);
}

#[test]
fn other_rows_make_other_tables() {
    let made = [1, 2].map(|seed| {
        let mut spec = odd("BTCUSDT", "2024-01");
        spec.seed = seed;
        contents_of(spec, &Packing::default())
    });

    let same = made[0]
        .iter()
        .filter(|(path, digest)| made[1].get(*path) == Some(*digest));
    assert_eq!(same.count(), 0, "{made:?}");
}

#[test]
fn every_form_of_zip_gives_the_same_tables() {
    let forms = [
        ("deflated", ZipOptions::default()),
        ("best deflated", form(Method::Deflate(9), false, false)),
        ("stored", form(Method::Stored, false, false)),
        (
            "deflated with a descriptor",
            form(Method::Deflate(6), true, false),
        ),
        ("deflated, 64 bits", form(Method::Deflate(6), false, true)),
        (
            "deflated, 64 bits, with a descriptor",
            form(Method::Deflate(6), true, true),
        ),
        ("stored, 64 bits", form(Method::Stored, false, true)),
    ];

    let made = forms.map(|(name, zip)| {
        let packing = Packing {
            zip,
            ..Packing::default()
        };
        (name, contents_of(odd("BTCUSDT", "2024-01"), &packing))
    });

    for (name, contents) in &made {
        assert_eq!(contents, &made[0].1, "{name}");
    }
}

fn form(method: Method, descriptor: bool, zip64: bool) -> ZipOptions {
    ZipOptions {
        method,
        descriptor,
        zip64,
        ..ZipOptions::default()
    }
}

#[test]
fn every_form_of_sidecar_gives_the_same_bytes_where_the_archive_is_the_same() {
    let upper = "  BTCUSDT-aggTrades-2024-01.zip\r\n";
    let made = [Sidecar::Ended, Sidecar::Unended, Sidecar::Natural].map(|sidecar| {
        let lab = Lab::new(BINARY);
        let packing = Packing {
            sidecar,
            ..Packing::default()
        };
        let archive = lab.mirror.lay(odd("BTCUSDT", "2024-01"), &packing);
        if packing.sidecar == Sidecar::Natural {
            let text = format!("{}{upper}", archive.sha256.to_uppercase());
            let path = format!("{}.CHECKSUM", archive.path.display());
            std::fs::write(path, text).expect("the sidecar can be replaced");
        }
        lab.everything(&["run"]).run().expect(0);
        hashes(&lab.output())
    });

    assert_eq!(made[0].len(), 2);
    assert_eq!(made[0], made[1]);
    assert_eq!(made[0], made[2], "capitals and a carriage return");
}

#[test]
fn the_hive_layout_holds_the_same_bytes_under_other_names() {
    let lab = Lab::new(BINARY);
    lab.mirror
        .lay(odd("BTCUSDT", "2024-01"), &Packing::default());
    lab.mirror
        .lay(odd("ETHUSDT", "2024-02-29"), &Packing::default());
    lab.mirror.klines("BTCUSDT", "2024-02");
    let plain = lab.undisturbed();

    lab.everything(&["run", "--layout", "hive"]).run().expect(0);

    let hive = hashes(&lab.output());
    judge(lab.mirror.root(), &lab.output(), &[]);
    let renamed: BTreeMap<_, _> = plain
        .iter()
        .map(|(path, hash)| {
            let parts: Vec<_> = path.split('/').collect();
            let [dataset, market, symbol, period] = parts[..] else {
                panic!("{path} is not of the plain layout")
            };
            let path = format!("{dataset}/market={market}/symbol={symbol}/period={period}");
            (path, hash.clone())
        })
        .collect();
    assert_eq!(hive.len(), 6);
    assert_eq!(hive, renamed);
}
