//! docs/migrate.md: every command and expression that it gives works, in its order.

use std::fs;
use std::path::Path;

use tapemill_standin::Market;
use tapemill_standin::stream::{Script, StreamOptions, Streams};
use tapemill_tests::{Lab, Python, Rest, Story, Tapemill};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// What stands in the middle column of a table.
#[derive(Debug, PartialEq)]
enum Here {
    Command(Vec<String>),
    Expression(String),
}

/// The rows of all tables.
fn rows(page: &str) -> Vec<Here> {
    let cells = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
        let (_, here, _) = (cells.next()?, cells.next()?, cells.next()?);
        Some(here)
    });
    let code = cells.filter_map(|cell| cell.strip_prefix('`')?.strip_suffix('`'));
    code.map(|code| match code.strip_prefix("tapemill ") {
        Some(words) => Here::Command(words.split(' ').map(str::to_owned).collect()),
        None => Here::Expression(code.to_owned()),
    })
    .collect()
}

#[test]
fn each_row_works() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/migrate.md");
    let page = fs::read_to_string(page).expect("the page is there");
    let rows = rows(&page);
    let commands = rows.iter().filter(|row| matches!(row, Here::Command(_)));
    assert!(commands.count() > 40 && rows.len() > 55, "{}", rows.len());
    let tables = page.lines().filter(|line| line.starts_with("| ")).count();
    let heads = page
        .lines()
        .filter(|line| line.starts_with("| there"))
        .count();
    assert_eq!(
        rows.len(),
        tables - 2 * heads,
        "each row has code in the middle"
    );

    let lab = lab();
    let rest = Rest::new(&["BTCUSDT", "ETHUSDT"], 1_577_836_800_000);
    let environment = [
        ("TAPEMILL_SOURCE", lab.mirror.url()),
        ("TAPEMILL_REST", rest.url()),
    ];
    let tape = Script::new(Market::Um, &["BTCUSDT"], 300).tape();
    let tape = tape.expect("it can be made");
    let mut options = StreamOptions::new(tape.market);
    // Books are made of days near those on which they were captured.
    options.restamp = true;
    let streams = Streams::start([tape], options).expect("it plays");
    let (rest_of_streams, ws) = (streams.url_rest(), streams.url_ws());
    let live = [
        ("TAPEMILL_REST", rest_of_streams.as_str()),
        ("TAPEMILL_WS", ws.as_str()),
    ];
    let mut expressions = String::from(
        "import asyncio\nimport tapemill\nimport warnings\nfrom tapemill import BacktestDataLoader, DataSource\n\
         warnings.simplefilter('ignore', tapemill.IncompleteWarning)\n",
    );
    for row in &rows {
        match row {
            // The second run of the tests has the feature.
            #[cfg(not(feature = "forecast"))]
            Here::Command(words) if words[0] == "forecast" => {}
            Here::Command(words) => {
                let environment = match words[0].as_str() {
                    "live" => live,
                    _ => environment,
                };
                let mut command = Tapemill::new(BINARY).folder(lab.folder()).args(words);
                for (name, value) in environment {
                    // What a row names itself counts.
                    command = command.env(name, value);
                }
                command.run().expect(0);
            }
            Here::Expression(code) => {
                expressions.push_str(&format!("assert ({code}) is not False, {code:?}\n"));
            }
        }
    }
    let script = lab.folder().join("expressions.py");
    let defaults = format!(
        "tapemill.configure_defaults(archive={:?}, rest={:?})\n",
        lab.mirror.url(),
        rest.url()
    );
    let (imports, rest) = expressions.split_at(expressions.find("assert").expect("there is one"));
    fs::write(
        &script,
        format!(
            "import os\nos.chdir({:?})\n{imports}{defaults}{rest}",
            lab.folder()
        ),
    )
    .expect("it can be written");
    Python::named("TEST_PACKAGE_PYTHON", ".venv-package").run(&[script.to_str().expect("plain")]);
}

/// A month of two symbols, of everything that the page asks for.
fn lab() -> Lab {
    let lab = Lab::new(BINARY);
    let kinds = "klines:1m,klines:1h,markPriceKlines:1h,indexPriceKlines:1h,premiumIndexKlines:1h,fundingRate,aggTrades";
    for symbol in ["BTCUSDT", "ETHUSDT"] {
        for kind in kinds.split(',') {
            Story::new(Market::Um, symbol).lay(lab.mirror.root(), kind, "2024-01");
        }
        Story::new(Market::Spot, symbol).lay(lab.mirror.root(), "klines:1h", "2024-01");
    }
    fs::write(
        lab.folder().join("symbols.txt"),
        "# two\nBTC/USDT:USDT\nETHUSDT\n",
    )
    .expect("it can be written");
    lab
}

#[test]
fn rows_are_read_as_they_stand() {
    let page = "| a | b | c |\n| --- | --- | --- |\n| `x` | `tapemill run --force` | |\n| `y` | `f(\"a b\")` | z |\n";
    let words = ["run", "--force"].map(str::to_owned);
    assert_eq!(
        rows(page),
        [
            Here::Command(words.into()),
            Here::Expression("f(\"a b\")".to_owned())
        ]
    );
}
