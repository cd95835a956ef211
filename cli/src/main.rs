//! The `tapemill` command.

fn main() -> std::process::ExitCode {
    tapemill::main(std::env::args_os())
}
