//! docs/gallery.md: each recipe runs as it stands, and draws what the page shows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tapemill_standin::Market;
use tapemill_standin::generate::demo_archive;
use tapemill_tests::{Lab, Python, Story};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// Whatever stands between the fences of a language, in order.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let after = page.split(&fence).skip(1);
    after
        .map(|rest| rest.split("```").next().unwrap_or_default().to_owned())
        .collect()
}

/// `data`, as the recipes take it.
fn lab() -> Lab {
    let lab = Lab::new(BINARY);
    demo_archive(lab.mirror.root()).expect("it can be written");
    for symbol in ["BTCUSDT", "ETHUSDT", "SOLUSDT"] {
        for month in ["2024-01", "2024-02"] {
            Story::new(Market::Um, symbol).lay(lab.mirror.root(), "fundingRate", month);
        }
    }
    let data = lab.folder().join("data");
    let words = [
        "run",
        "--symbols",
        "all",
        "--data",
        "aggTrades,klines:1m,fundingRate",
    ];
    let run = lab
        .command_at(&words, &data)
        .args(["--source", lab.mirror.url()]);
    run.run().expect(0);
    let words = ["export", "qlib", "--to", "qlib_data", "--interval", "60min"];
    lab.command_at(&words, &data).run().expect(0);
    lab
}

#[test]
fn each_recipe_runs_as_it_stands() {
    let page = fs::read_to_string(docs().join("gallery.md")).expect("the page is there");
    let recipes = blocks(&page, "python");
    assert_eq!(recipes.len(), 10, "ten recipes");
    let lab = lab();
    let package = Python::named("TEST_PACKAGE_PYTHON", ".venv-package");
    let where_it_is =
        "import tapemill, pathlib; print(pathlib.Path(tapemill.__file__).parent.parent)";
    let site = package.run(&["-c", where_it_is]).trim().to_owned();
    for (at, recipe) in recipes.iter().enumerate() {
        let script = lab.folder().join(format!("recipe-{}.py", at + 1));
        fs::write(&script, recipe).expect("it can be written");
        let of_qlib = recipe.starts_with("# runs with Qlib");
        // The first one wants the package and polars alone.
        let python = match (at, of_qlib) {
            (0, _) => package.program("python"),
            (_, true) => Python::named("TEST_QLIB_PYTHON", ".venv-qlib").program("python"),
            _ => Python::new().program("python"),
        };
        let mut command = Command::new(python);
        command
            .arg(&script)
            .current_dir(lab.folder())
            .env("MPLBACKEND", "Agg");
        if at > 0 && !of_qlib {
            command.env("PYTHONPATH", &site);
        }
        let ran = command.output().expect("python starts");
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "recipe {}:\n{said}", at + 1);
    }
    // `TEST_PICTURES=docs/images` renews those of the documentation.
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let renewed =
        std::env::var_os("TEST_PICTURES").map(|folder| workspace.join(folder).join("gallery"));
    let shown: Vec<_> = page.split("](images/gallery/").skip(1).collect();
    assert_eq!(shown.len(), 6, "pictures");
    for shown in shown {
        let name = shown.split(')').next().expect("a name");
        let drawn = lab.folder().join(name);
        assert!(
            fs::metadata(&drawn).is_ok_and(|file| file.len() > 10_000),
            "{name} is drawn"
        );
        if let Some(folder) = &renewed {
            fs::create_dir_all(folder).expect("it can be made");
            fs::copy(&drawn, folder.join(name)).expect("it can be copied");
        }
        assert!(
            docs().join("images/gallery").join(name).exists(),
            "{name} is shown"
        );
    }
}
