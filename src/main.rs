//! The program: arguments, command, exit code.

use std::process::ExitCode;

/// Threads hand what they allocate to others here, which glibc's allocator is slow at (docs/running.md).
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match slipstream::cli::Cli::of_process() {
        Ok(cli) => slipstream::cli::run(cli),
        Err(usage) => slipstream::cli::explain(&usage),
    }
}
