//! The Python package, as it is installed: beside a stand-in archive and exchange, and beside pandas.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tapemill_standin::Market;
use tapemill_standin::generate::{KlinesSpec, Packing};
use tapemill_tests::{Lab, Python, Rest, Story, reference_folder};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// The environment that has the package, polars, and nothing else.
fn package() -> Python {
    Python::named("TEST_PACKAGE_PYTHON", ".venv-package")
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("package")
        .join(name)
}

fn plain(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// A month of hours without a hole.
fn hours(lab: &Lab, symbol: &str, month: &str) {
    let hour = "1h".parse().expect("it is an interval");
    let month = month.parse().expect("it is a month");
    let bars = KlinesSpec::new(Market::Um, symbol, hour, month);
    bars.write(lab.mirror.root(), &Packing::default())
        .expect("it can be written");
}

#[test]
fn data_come_from_what_is_stored_then_the_archive_then_the_exchange() {
    let lab = Lab::new(BINARY);
    hours(&lab, "BTCUSDT", "2024-01");
    lab.mirror.trades("BTCUSDT", "2024-01", 500);
    Story::new(Market::Um, "BTCUSDT").lay(lab.mirror.root(), "fundingRate", "2024-01");
    let rest = Rest::new(&["BTCUSDT"], 1_577_836_800_000);

    let script = script("source.py");
    let told = package().run(&[
        plain(&script),
        plain(lab.folder()),
        lab.mirror.url(),
        rest.url(),
    ]);

    assert_eq!(told.trim(), "ok");
}

#[test]
fn many_symbols_are_aligned_as_pandas_aligns_them() {
    let lab = Lab::new(BINARY);
    let data = "klines:1h,markPriceKlines:1h,indexPriceKlines:1h,premiumIndexKlines:1h,fundingRate";
    for symbol in ["BTCUSDT", "ETHUSDT", "SOLUSDT"] {
        for kind in data.split(',') {
            // One has no mark price.
            if (symbol, kind) == ("SOLUSDT", "markPriceKlines:1h") {
                continue;
            }
            for month in ["2024-01", "2024-02"] {
                Story::new(Market::Um, symbol).lay(lab.mirror.root(), kind, month);
            }
        }
    }
    lab.everything(&["run", "--data", data]).run().expect(0);
    let (output, folder) = (lab.output(), lab.folder().join("loaded"));
    std::fs::create_dir(&folder).expect("it can be made");
    let range = ["2024-01-03", "2024-02-27"];

    let of_package = [
        plain(&script("loader.py")),
        plain(&output),
        plain(&folder),
        range[0],
        range[1],
    ]
    .map(str::to_owned);
    let told = package().run(&of_package.each_ref().map(String::as_str));
    let judge = reference_folder().join("aligned.py");
    let volumes = Python::new().run(&[
        plain(&judge),
        plain(&output),
        plain(&folder),
        range[0],
        range[1],
    ]);

    let told: Value = serde_json::from_str(&told).expect("it is JSON");
    let volumes: Value = serde_json::from_str(&volumes).expect("it is JSON");
    let volumes = volumes.as_object().expect("an object");
    let all: Vec<_> = volumes.keys().map(String::as_str).collect();
    assert_eq!(told["all"], serde_json::json!(all));
    assert_eq!(told["symbols"], serde_json::json!(all));
    let large = volumes
        .iter()
        .filter(|(_, volume)| volume.as_f64().is_some_and(|volume| volume >= 1e6));
    let large: Vec<_> = large.map(|(symbol, _)| symbol.as_str()).collect();
    assert_eq!(told["large"], serde_json::json!(large));
}

#[test]
fn the_package_carries_the_command() {
    let command = package().program("tapemill");
    let version = Command::new(command)
        .arg("--version")
        .output()
        .expect("it is installed");
    let version = String::from_utf8_lossy(&version.stdout);
    assert_eq!(
        version.trim(),
        format!("tapemill {}", env!("CARGO_PKG_VERSION"))
    );
    let told = package().run(&["-m", "tapemill", "config", "show", "--json"]);
    assert!(told.contains("\"name\":\"output\""), "{told}");
    let refused = package().output(&["-m", "tapemill", "run"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--symbols is missing"));
}

#[test]
fn a_strict_type_checker_has_nothing_to_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../python/package");
    let mypy = Python::new().program("mypy");
    let user = script("typed.py");
    for words in [&["-p", "tapemill"][..], &[plain(&user)]] {
        let checked = Command::new(&mypy)
            .current_dir(&folder)
            .arg("--strict")
            .args(words)
            .output();
        let checked = checked.expect("mypy is installed");
        let said = String::from_utf8_lossy(&checked.stdout);
        assert!(checked.status.success(), "{said}");
    }
}
