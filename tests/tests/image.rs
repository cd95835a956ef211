//! The image and the compose file: linted, and the steps of the image's build done in a plain folder (there is no engine in the
//! tests). What is built so works on one queue with what the tests build: two builds of one codec, as in an upgrade.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tapemill_standin::server::{Fault, Faults, When};
use tapemill_tests::{
    Dockerfile, Lab, Python, Redis, Tapemill, hashes, image_context, manifests_script, project,
    until, words,
};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// The user of the image, and of the pods.
const USER: &str = "65532:65532";

/// An image of more than that is too large.
const LARGEST_BINARY: u64 = 60_000_000;

fn read(file: &str) -> String {
    fs::read_to_string(project().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn the_linter_has_nothing_to_say_of_the_dockerfile() {
    let linter = Python::new().program("hadolint");
    let output = Command::new(&linter)
        .arg(project().join("Dockerfile"))
        .output();
    let output = output
        .unwrap_or_else(|error| panic!("{}: {error}; scripts/test installs it", linter.display()));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn the_image_is_built_as_released_of_named_bases_and_runs_as_nobody() {
    let dockerfile = Dockerfile::read();

    let bases: Vec<&str> = dockerfile.all("FROM").collect();
    for base in &bases {
        let image = base.split(' ').next().expect("an image");
        let (_, tag) = image
            .rsplit_once(':')
            .unwrap_or_else(|| panic!("{image} has no tag"));
        assert_ne!(tag, "latest");
        assert!(
            !base.contains("--platform"),
            "{base}: each platform builds for itself"
        );
    }
    let rust = format!("docker.io/library/rust:{}", env!("CARGO_PKG_RUST_VERSION"));
    assert!(bases[0].starts_with(&rust), "{} is not {rust}", bases[0]);
    assert_eq!(dockerfile.all("USER").next_back(), Some(USER));
    assert_eq!(
        dockerfile.all("ENTRYPOINT").next_back(),
        Some("[\"/usr/local/bin/tapemill\"]")
    );
    for (name, arguments) in &dockerfile.instructions {
        let told = arguments.to_lowercase();
        let secret = ["password", "secret", "token", "access_key"]
            .iter()
            .any(|word| told.contains(word));
        assert!(!secret, "{name} {arguments}");
        assert_ne!(name, "ADD", "{arguments}");
    }

    // The very command of the README, held to the lock file and to this package.
    let readme = read("README.md");
    let (_, build) = readme
        .split_once("The release build is `")
        .expect("the README tells it");
    let (build, _) = build.split_once('`').expect("it ends");
    let runs = dockerfile.runs();
    let wanted = format!("{build} --locked --package tapemill && ");
    assert!(
        runs.iter().any(|(_, run)| run.starts_with(&wanted)),
        "{wanted}"
    );
    // And what it needs is what the tests install.
    let (_, packages) = runs[0]
        .1
        .split_once("--no-install-recommends ")
        .expect("packages");
    let (packages, _) = packages.split_once(" && ").expect("they end");
    let script = read("scripts/test");
    for package in packages.split(' ') {
        assert!(
            script.contains(package),
            "scripts/test does not install {package}"
        );
    }
}

#[test]
fn the_build_sees_the_sources_and_nothing_else() {
    let context = image_context();
    for needed in [
        "Cargo.lock",
        "LICENSE",
        "cli/src/main.rs",
        "tests/Cargo.toml",
        "shared/queue/src/lib.rs",
    ] {
        assert!(context.iter().any(|file| file == needed), "{needed}");
    }
    let workspace = [
        "bench/",
        "cli/",
        "coordinator/",
        "dataset/",
        "forecast/",
        "live/",
        "python/",
        "shared/",
        "sql/",
        "tests/",
        "worker/",
    ];
    for file in &context {
        let top = ["Cargo.toml", "Cargo.lock", "LICENSE"].contains(&&**file);
        assert!(
            top || workspace.iter().any(|folder| file.starts_with(folder)),
            "{file}"
        );
        assert!(
            !file.starts_with("tests/tests/") && !file.contains(".venv"),
            "{file}"
        );
    }
}

/// Does what the Dockerfile says, with `/src` and `/out` in a folder of the build's own; gives the binary.
fn built_by_the_steps() -> PathBuf {
    // Beside the other builds, so that dependencies are there the next time.
    let target = Path::new(BINARY)
        .ancestors()
        .nth(2)
        .expect("a target folder");
    let folder = target.join("image");
    let (src, out) = (folder.join("src"), folder.join("out"));
    let dockerfile = Dockerfile::read();
    let mut shell = vec!["/bin/sh".to_owned(), "-c".to_owned()];
    let mut copied = false;
    for (name, arguments) in &dockerfile.instructions {
        match name.as_str() {
            "FROM" if copied => break,
            "SHELL" => shell = serde_json::from_str(arguments).expect("a list"),
            "COPY" => {
                assert_eq!(arguments, ". .");
                copy_context(&src);
                // The build's cache: dependencies that other release builds have need not be built again.
                if !src.join("target").exists() {
                    symlink(target, src.join("target")).expect("a link can be made");
                }
                copied = true;
            }
            // What it installs is there: another test holds it against scripts/test.
            "RUN" if arguments.starts_with("apt-get ") => {}
            "RUN" => {
                let runs = dockerfile.runs();
                let (flags, run) = runs
                    .iter()
                    .find(|(_, run)| arguments.ends_with(run))
                    .expect("a run");
                let caches = flags.iter().all(|flag| {
                    let known = ["/usr/local/cargo/registry", "/src/target"];
                    let target = flag
                        .split(',')
                        .find_map(|part| part.strip_prefix("target="));
                    flag.starts_with("--mount=type=cache,")
                        && target.is_some_and(|target| known.contains(&target))
                });
                assert!(caches, "{flags:?}");
                let place = out.to_str().expect("a plain path");
                in_shell(&shell, &run.replace(" /out", &format!(" {place}")), &src);
            }
            "FROM" | "ARG" | "WORKDIR" => {}
            other => panic!("{other} {arguments}: what is to be done?"),
        }
    }
    assert!(
        dockerfile
            .all("COPY")
            .any(|copy| copy == "--from=build /out/ /")
    );
    out.join("usr/local/bin/tapemill")
}

/// Times of change come along, so that nothing is built again for nothing.
fn copy_context(to: &Path) {
    if let Ok(entries) = fs::read_dir(to) {
        for entry in entries.map(|entry| entry.expect("it can be read")) {
            let path = entry.path();
            match (entry.file_name() == "target", path.is_dir()) {
                (true, _) => {}
                (false, true) => fs::remove_dir_all(path).expect("it can be removed"),
                (false, false) => fs::remove_file(path).expect("it can be removed"),
            }
        }
    }
    for file in image_context() {
        let (from, to) = (project().join(&file), to.join(&file));
        fs::create_dir_all(to.parent().expect("a folder")).expect("a folder can be made");
        let copied = Command::new("cp").arg("-p").args([&from, &to]).status();
        assert!(copied.expect("cp is there").success(), "{file}");
    }
}

fn in_shell(shell: &[String], run: &str, folder: &Path) {
    let mut command = Command::new(&shell[0]);
    command
        .args(&shell[1..])
        .arg(run)
        .current_dir(folder)
        .env_clear();
    for name in [
        "PATH",
        "HOME",
        "CARGO_HOME",
        "RUSTUP_HOME",
        "SSL_CERT_FILE",
        "HTTPS_PROXY",
    ] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    let output = command.output().expect("the shell starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{run}\n{said}");
}

#[test]
fn the_steps_of_the_image_make_a_small_binary_that_shares_a_queue_with_another_build() {
    let binary = built_by_the_steps();

    let size = fs::metadata(&binary).expect("it is there").len();
    assert!(size < LARGEST_BINARY, "{size} bytes");
    let elf = |option: &str| {
        let output = Command::new("readelf")
            .args([option, "--wide"])
            .arg(&binary)
            .output();
        String::from_utf8(output.expect("readelf is there").stdout).expect("text")
    };
    assert!(!elf("--sections").contains(".symtab"), "it is stripped");
    // What the last base has.
    for line in elf("--dynamic")
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
    {
        let known = [
            "libc.so.6",
            "libm.so.6",
            "libgcc_s.so.1",
            "ld-linux-x86-64.so.2",
            "ld-linux-aarch64.so.1",
        ];
        assert!(
            known
                .iter()
                .any(|library| line.contains(&format!("[{library}]"))),
            "{line}"
        );
    }
    let binary = binary.to_str().expect("a plain path");
    let version = Tapemill::new(binary).args(["--version"]).run().expect(0);
    assert_eq!(
        version.stdout,
        format!("tapemill {}\n", env!("CARGO_PKG_VERSION"))
    );

    an_upgrade_with_a_queue_in_flight(binary);
}

/// As a rolling update does it: the next release joins, the last one is told to end, and what it had is finished.
fn an_upgrade_with_a_queue_in_flight(next: &str) {
    let lab = Lab::new(BINARY);
    lab.mirror.lay_selection();
    let expected = lab.undisturbed();
    let slow = Fault::Slow {
        bytes_per_second: 100_000,
    };
    lab.mirror
        .set_faults(Faults::one("**.zip", slow, When::Always));
    let redis = Redis::start();
    let queue = format!("{}?queue=default", redis.url());
    let output = lab.output();
    let release = |binary: &str, words: &[&str]| {
        let command = Tapemill::new(binary).folder(lab.folder()).args(words);
        command.args([
            "--queue",
            &queue,
            "--output",
            output.to_str().expect("a plain path"),
        ])
    };
    let source = ["--source", lab.mirror.url()];
    release(BINARY, &["plan", "--symbols", "all"])
        .args(source)
        .run()
        .expect(0);

    let last = release(BINARY, &["worker", "--workers", "2", "--name", "last"])
        .args(source)
        .spawn();
    let next = release(
        next,
        &[
            "worker",
            "--workers",
            "2",
            "--name",
            "next",
            "--exit-when-drained",
        ],
    );
    let next = next.args(source).spawn();
    until("both are at work", || {
        let status = release(BINARY, &["status", "--json"])
            .run()
            .expect(0)
            .json_lines()
            .remove(0);
        let workers = status["workers"].as_array().expect("workers").clone();
        workers.len() == 2 && workers.iter().all(|worker| worker["state"] == "busy")
    });
    last.signal(libc::SIGTERM);
    last.wait().expect(0);
    lab.mirror.set_faults(Faults::none());
    next.wait().expect(0);

    let listed = release(BINARY, &["queue", "list", "--json"])
        .run()
        .expect(0)
        .json_lines()
        .remove(0);
    assert_eq!(
        (&listed["done"], &listed["completions"]),
        (&8.into(), &8.into()),
        "{listed}"
    );
    assert_eq!(hashes(&output), expected);
}

fn compose() -> Value {
    let file = project().join("compose.yaml");
    let read = Python::new().run(&[
        &manifests_script(),
        "json",
        file.to_str().expect("a plain path"),
    ]);
    let read: Value = serde_json::from_str(&read).expect("it is JSON");
    read[0][0].clone()
}

#[test]
fn the_compose_file_starts_what_there_is_on_this_machine_alone() {
    let compose = compose();
    let services = compose["services"].as_object().expect("services");
    let names: Vec<&str> = services.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "coordinator",
            "grafana",
            "live",
            "prometheus",
            "redis",
            "worker"
        ]
    );
    for (name, service) in services {
        let image = service["image"].as_str().expect("an image");
        let (_, tag) = image
            .rsplit_once(':')
            .unwrap_or_else(|| panic!("{image} has no tag"));
        assert_ne!(tag, "latest", "{name}");
        assert_eq!(words(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(
            words(&service["security_opt"]),
            ["no-new-privileges:true"],
            "{name}"
        );
        for port in service["ports"].as_array().into_iter().flatten() {
            assert!(
                port.as_str()
                    .is_some_and(|port| port.starts_with("127.0.0.1:")),
                "{name}: {port}"
            );
        }
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let (from, _) = volume
                .as_str()
                .and_then(|volume| volume.split_once(':'))
                .expect("a volume");
            let ours = from.starts_with("./prometheus") || from.starts_with("./grafana/");
            assert!(
                ours || compose["volumes"].get(from).is_some(),
                "{name}: {from}"
            );
        }
    }
    assert_eq!(services["worker"]["deploy"]["replicas"], 2);
    let redis = words(&services["redis"]["command"]).join(" ");
    assert!(
        redis.contains("--appendonly yes") && redis.contains("--maxmemory-policy noeviction"),
        "{redis}"
    );

    assert_eq!(words(&services["live"]["profiles"]), ["live"]);
    for name in ["coordinator", "live", "worker"] {
        let service = &services[name];
        assert_eq!(
            service["image"],
            format!("tapemill:{}", env!("CARGO_PKG_VERSION"))
        );
        assert_eq!(
            (&service["user"], &service["read_only"]),
            (&USER.into(), &true.into())
        );
        let command = words(&service["command"]);
        let line = ["tapemill"].iter().chain(&command);
        if let Err(error) = tapemill::command().try_get_matches_from(line) {
            panic!("{name}: {error}");
        }
        assert_eq!(
            service["stop_grace_period"], "120s",
            "more than the grace of 100s"
        );
        let mut show = Tapemill::new(BINARY).args(["config", "show"]);
        for (variable, value) in service["environment"].as_object().expect("settings") {
            // `${NAME:-DEFAULT}`, or taken from whoever calls.
            let value = value.as_str().unwrap_or("something");
            let default = value
                .split_once(":-")
                .and_then(|(_, rest)| rest.strip_suffix('}'));
            show = show.env(variable, default.unwrap_or(value));
        }
        show.run().expect(0);
    }
}
