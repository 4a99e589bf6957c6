//! `gateway secrets`: how are the secrets of a running gateway, and is there a new version of one?

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::Format;
use super::admin::Running;

/// Commands about the secrets that a running gateway shows to its upstreams. None of them shows a secret.
#[derive(Debug, Subcommand)]
pub(super) enum Secrets {
    /// Which version of each secret is shown, which comes next, and what runs out when.
    ///
    /// Exit code 1 when one that operations need is not there, or its source cannot be read.
    Status(Status),
    /// Have the source of a secret read now instead of when it is due. A new version is tried by the next
    /// request, and the old one stays for the overlap.
    Rotate(Rotate),
}

/// Arguments of `gateway secrets status`.
#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    running: Running,
    /// How to print.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Arguments of `gateway secrets rotate`.
#[derive(Debug, Args)]
pub(super) struct Rotate {
    /// The credential, by its name in gateway.yaml.
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    running: Running,
}

impl Secrets {
    pub(super) fn run(self) -> ExitCode {
        let done = match self {
            Self::Status(status) => status.run(),
            Self::Rotate(rotate) => rotate.run(),
        };
        match done {
            Ok(code) => code,
            Err(message) => {
                eprintln!("{message}");
                ExitCode::from(2)
            }
        }
    }
}

impl Status {
    fn run(&self) -> Result<ExitCode, String> {
        let told = self.running.ask("/status")?;
        let credentials = told.get("credentials").and_then(Value::as_array).cloned().unwrap_or_default();
        match self.format {
            Format::Json => say!("{:#}", Value::from(credentials.clone())),
            Format::Text => print(&credentials),
        }
        let well = credentials.iter().all(|one| {
            let needed = one.get("operations").and_then(Value::as_u64) != Some(0);
            text(one, "last_error") == "-" && !(needed && text(one, "state") == "empty")
        });
        Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl Rotate {
    fn run(&self) -> Result<ExitCode, String> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if self.name.is_empty() || !self.name.bytes().all(is_name) {
            return Err(format!("`{}` is no name of a credential", self.name));
        }
        let told = self.running.order(&format!("/credentials/{}/rotate", self.name))?;
        let (version, next) = (text(&told, "version"), text(&told, "next"));
        match next.as_str() {
            "-" => say!("{}: version {version} is shown; the source holds no other", self.name),
            next => say!("{}: version {version} is shown; version {next} is tried next", self.name),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print(credentials: &[Value]) {
    say!(
        "{:<20} {:<8} {:<13} {:<13} {:>9}  {:<20} {:<18} SOURCE",
        "SECRET",
        "STATE",
        "VERSION",
        "NEXT",
        "ROTATIONS",
        "ENDS",
        "LAST ERROR"
    );
    for one in credentials {
        say!(
            "{:<20} {:<8} {:<13} {:<13} {:>9}  {:<20} {:<18} {}",
            text(one, "name"),
            text(one, "state"),
            text(one, "version"),
            text(one, "next"),
            one.get("rotations").and_then(Value::as_u64).unwrap_or_default(),
            text(one, "ends").get(..19).unwrap_or("-"),
            text(one, "last_error"),
            text(one, "source"),
        );
    }
}

fn text(of: &Value, name: &str) -> String {
    of.get(name).and_then(Value::as_str).unwrap_or("-").to_owned()
}
