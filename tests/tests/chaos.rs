//! Short runs of chaos, each with its seed: see the program `chaos` for longer ones.

use tapemill_tests::chaos::{ChaosOptions, Output, Store, run};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

#[track_caller]
fn assert_good(options: ChaosOptions) {
    let verdict = run(BINARY, &options, &|line| eprintln!("{line}"));
    eprintln!("{verdict}");
    assert!(
        verdict.is_good(),
        "seed {}: {:#?}",
        options.seed,
        verdict.problems()
    );
}

fn short(seed: u64) -> ChaosOptions {
    ChaosOptions {
        tasks: 40,
        seconds: 15,
        redis_kills: 1,
        minutes: 2,
        ..ChaosOptions::new(seed)
    }
}

#[test]
fn processes_of_one_file_make_the_right_bytes_whatever_happens_to_them() {
    assert_good(ChaosOptions {
        store: Store::Sqlite,
        ..short(11)
    });
}

#[test]
fn processes_of_one_redis_make_the_right_bytes_whatever_happens_to_them_and_to_it() {
    assert_good(ChaosOptions {
        coordinators: 2,
        ..short(2)
    });
}

#[test]
fn processes_that_write_to_a_bucket_make_the_right_bytes_though_it_is_cut_off() {
    assert_good(ChaosOptions {
        output: Output::S3,
        ..short(23)
    });
}

#[test]
fn two_hundred_tasks_survive_kills_of_a_worker_every_two_seconds_and_of_redis_three_times() {
    assert_good(ChaosOptions {
        only_kills: true,
        ..ChaosOptions::new(1)
    });
}
