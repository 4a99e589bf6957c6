//! The program itself: where it was built, and its commands that come to an end.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A command that has ended.
#[derive(Debug)]
pub struct Finished {
    /// Whether it ended with 0.
    pub success: bool,
    /// The code it ended with.
    pub code: Option<i32>,
    /// What it printed.
    pub output: String,
    /// What it printed as errors.
    pub errors: String,
}

/// Runs a command of the gateway, such as `["check", "--config", ...]`, to its end.
///
/// # Panics
/// The program cannot be started.
pub async fn run(arguments: &[&str]) -> Finished {
    let mut command = Command::new(program());
    command.args(arguments).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("waiting does not fail")
        .unwrap_or_else(|e| panic!("{}: {e}", program().display()));
    let finished = Finished {
        success: output.status.success(),
        code: output.status.code(),
        output: String::from_utf8_lossy(&output.stdout).into_owned(),
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    super::holds_no_secret("what a command prints", &finished.output);
    super::holds_no_secret("what a command says is wrong", &finished.errors);
    finished
}

/// The gateway that was built into the folder of the running test or program.
///
/// # Panics
/// It was not built.
#[must_use]
pub fn program() -> PathBuf {
    let mut folder = std::env::current_exe().expect("a program knows where it is");
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let program = folder.join("gateway");
    assert!(program.is_file(), "{} is missing; build it first: cargo build -p gateway", program.display());
    program
}
