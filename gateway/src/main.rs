//! The `gateway` program: starts a command of [`gateway::cli`].

use std::process::ExitCode;

/// Fewer and smaller calls to the kernel than the system's allocator makes under many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    gateway::cli::run()
}
