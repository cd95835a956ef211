//! The `tapemill` command, as the tests start it.

fn main() -> std::process::ExitCode {
    tapemill::main(std::env::args_os())
}
