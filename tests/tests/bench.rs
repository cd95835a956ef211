//! The benchmark still runs, scenario by scenario, and its contenders still agree.

use std::os::unix::fs::symlink;
use std::path::Path;

use tapemill_tests::Python;

#[test]
fn the_benchmark_runs_and_all_its_contenders_agree() {
    let bench = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/run");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let binaries = folder.path().join("zlib-rs");
    std::fs::create_dir(&binaries).expect("a folder for the binaries");
    for (name, built) in [
        ("tapemill", env!("CARGO_BIN_EXE_tapemill-under-test")),
        (
            "tapemill-limit",
            env!("CARGO_BIN_EXE_tapemill-limit-under-test"),
        ),
    ] {
        symlink(built, binaries.join(name)).expect("a link to what was built");
    }
    let plain = |path: &Path| path.to_str().expect("a plain path").to_owned();
    let (bench, binaries) = (plain(&bench), plain(folder.path()));

    let told = Python::new().run(&[&bench, "--smoke", "--binaries", &binaries]);

    for title in [
        "A month of 10,000 trades",
        "Memory",
        "Two tasks on two cores",
        "Other shapes",
        "A server of 100 MB/s",
        "4 months of 1m klines",
        "Planning 3 symbols",
        "What to plan with",
    ] {
        assert!(told.contains(&format!("## {title}")), "no {title}: {told}");
    }
    for contender in ["the unavoidable, zlib-rs", "polars, two files at once"] {
        assert!(
            told.contains(&format!("| {contender} ")),
            "no {contender}: {told}"
        );
    }
}

#[test]
fn a_table_that_differs_from_ours_is_found_and_named() {
    let script = "
import sys
sys.path.insert(0, sys.argv[1])
import pyarrow as pa
from agree import difference

def table(minute=60_000, count=2, price=0.1, volume=3e9):
    counts = {'minute': [0, minute], 'trade_count': [1, count]}
    return pa.table({**counts, 'price_low': [0.1, price], 'base_volume': [1.0, volume]})

print(difference(table(), table(volume=3e9 + 1), 1e-9))
print(difference(table(), table(volume=3e9 + 1), 0))
for other in [table(120_000), table(count=3), table(price=0.100000000001)]:
    print(difference(table(), other, 1e-9))
for volume in [3e9 + 10, float('nan')]:
    print(difference(table(), table(volume=volume), 1e-9))
print(difference(table(), table().slice(1), 1e-9))
";
    let bench = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench");

    let told = Python::new().run(&["-c", script, bench.to_str().expect("a plain path")]);

    let expected = "None
base_volume of row 1 is 3000000001.0, ours 3000000000.0
minute of row 1 is 120000, ours 60000
trade_count of row 1 is 3, ours 2
price_low of row 1 is 0.100000000001, ours 0.1
base_volume of row 1 is 3000000010.0, ours 3000000000.0
base_volume of row 1 is nan, ours 3000000000.0
1 rows, ours has 2
";
    assert_eq!(told, expected);
}

#[test]
fn what_the_readme_says_of_speed_was_measured() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = |file: &str| std::fs::read_to_string(root.join(file)).expect("a document");
    let (readme, measured) = (text("README.md"), text("docs/performance.md"));
    let (_, rest) = readme.split_once("- **Fast.**").expect("a line on speed");
    let (line, _) = rest.split_once("- **").expect("a line behind it");

    let quoted = line.split(|c: char| !(c.is_ascii_digit() || c == '.'));
    let figures: Vec<_> = quoted
        .filter(|word| word.contains('.'))
        .filter(|word| word.len() > 1)
        .collect();

    assert!(figures.len() >= 3, "{figures:?}");
    for figure in figures {
        let there = measured.split([' ', '\n']).any(|word| word == figure);
        assert!(there, "docs/performance.md does not say {figure}");
    }
}
