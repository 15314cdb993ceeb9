//! The command line in, the exit code out.

fn main() -> std::process::ExitCode {
    jigpress::cli::run()
}
