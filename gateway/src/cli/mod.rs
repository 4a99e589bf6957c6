//! The commands of the `gateway` program: one file a command, and the only place that prints.
#![expect(clippy::print_stderr, reason = "printing is what commands are for")]

/// Prints a line for whoever asked. They may stop reading, as `head` does; then the rest is not written.
macro_rules! say {
    () => { $crate::cli::print(format_args!("\n")) };
    ($($said:tt)+) => { $crate::cli::print(format_args!("{}\n", format_args!($($said)+))) };
}

/// The same, without an end of the line.
macro_rules! say_as_is {
    ($($said:tt)+) => { $crate::cli::print(format_args!($($said)+)) };
}

mod admin;
mod audit;
mod check;
mod contract;
mod explain;
mod revoke;
mod schema;
mod secrets;
mod serve;
mod status;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// An API gateway between a retailer's Odoo and everyone who calls it.
///
/// It serves what contracts describe, to callers that policies permit, and records every request.
#[derive(Debug, Parser)]
#[command(name = "gateway", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve requests until stopped (SIGTERM ends in order, SIGHUP reloads the files).
    Serve(serve::Serve),
    /// Read all files, run the policy tests, and say everything that is wrong with them.
    Check(check::Check),
    /// Say step by step what the gateway would do with a request, and why. Nothing is sent.
    Explain(explain::Explain),
    /// Ask a running gateway what of its certificates, roots, lists and credentials runs out when.
    Status(status::Status),
    /// Print the JSON Schemas of the YAML files, for editors, and the Cedar schema of the policies.
    Schema(schema::Schema),
    /// Prove that the audit log is whole, or look into it.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Look at contracts, change them without breaking who calls them, and see what is live.
    #[command(subcommand)]
    Contract(contract::Contract),
    /// See how the secrets of a running gateway are, and have one read again now.
    #[command(subcommand)]
    Secrets(secrets::Secrets),
    /// Shut tokens out of a running gateway at once, although their issuer still takes them for good; see what is shut
    /// out; and let it in again.
    ///
    /// An order holds from the moment the command ends, for tokens that were used before as well, and outlives restarts.
    /// It is that gateway's own: where there are several, order it at each, or write it into policies/revocations.yaml,
    /// which all of them follow.
    ///
    /// Exit code 0: done. 1: the gateway says no, and nothing has changed. 2: it does not answer: `gateway revoke list`
    /// says whether the order holds.
    #[command(subcommand)]
    Revoke(revoke::Revoke),
}

/// Which gateway is meant.
#[derive(Debug, Args)]
struct Settings {
    /// The file that names everything else.
    #[arg(long, short = 'c', value_name = "FILE", default_value = "gateway.yaml", env = "GATEWAY_CONFIG")]
    config: PathBuf,
}

/// How a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Writes to standard output. Where nobody reads any more the command has done its work.
fn print(said: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    if out.write_fmt(said).and_then(|()| out.flush()).is_err() {
        std::process::exit(NOBODY_READS);
    }
}

/// What shells give a program that is ended by SIGPIPE: 128 and 13.
const NOBODY_READS: i32 = 141;

/// The day it is, in UTC.
fn today() -> jiff::civil::Date {
    jiff::Timestamp::now().to_zoned_datetime(jiff::tz::TimeZone::UTC).date()
}

/// Runs the command that the arguments name.
#[must_use]
pub fn run() -> ExitCode {
    // Everything that speaks TLS in this process uses ring; who asks first decides.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("gateway: another TLS provider was installed first");
        return ExitCode::FAILURE;
    }
    match Arguments::parse().command {
        Command::Serve(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Explain(command) => command.run(),
        Command::Status(command) => command.run(),
        Command::Schema(command) => command.run(),
        Command::Audit(command) => command.run(),
        Command::Contract(command) => command.run(),
        Command::Secrets(command) => command.run(),
        Command::Revoke(command) => command.run(),
    }
}

const EXAMPLES: &str = "\
Examples:
  gateway check
      what is wrong with the files of this folder, with file, line and help
  gateway explain --caller acme-marketplace --method POST --path /orders/v2/orders --scope orders:write --certificate
      what would happen to this call, and which policies decide
  gateway contract publish orders/v2
      lets this version be served from now on, if it breaks no promise
  gateway serve --config /etc/gateway/gateway.yaml
  gateway status --within 30d
      which certificates end when, our own and those that partners show; exit code 1 if one does soon
  gateway contract usage --deprecated
      who still uses what is deprecated, how often, and when last
  gateway audit verify --directory audit --key audit.pub
      proves offline that no record was changed, removed or reordered
  gateway secrets status
      which version of each secret is shown, which comes next, and what runs out when
  gateway revoke client bazaar --issued-before now --reason 'their laptop was stolen'
      what the client holds now is worth nothing any more, from this second on
  gateway contract diff contracts/orders/v2 /tmp/orders-v2
      what a change of a contract does to its callers";
