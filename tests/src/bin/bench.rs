//! The `bench` program: what a request costs at the gateway and at its peers. `tests/bench/path` runs it.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use testbed::bench::{Bare, Document, Documents, Plan, Scenario, Server, load, load_each, run, serve_bare};
use testbed::install_provider;

/// The gateway's allocator, so that bare Pingora has it too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// CPU time of a request, measured side by side.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure, and print the table.
    Path {
        /// How often each server gets its turn at each scenario.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// How many seconds a turn lasts.
        #[arg(long, default_value_t = 5)]
        seconds: u64,
        /// How many connections ask at once.
        #[arg(long, default_value_t = 16)]
        connections: usize,
        /// Whom to ask. Default: all.
        #[arg(long, value_delimiter = ',')]
        servers: Vec<Server>,
        /// What to ask. Default: all.
        #[arg(long, value_delimiter = ',')]
        scenarios: Vec<Scenario>,
    },
    /// Be bare Pingora, for a run of the command before.
    BarePingora(Bare),
    /// Load OpenAPI documents, and print how long it took and in how much memory.
    Documents(Documents),
    /// Load one document, for a run of the command before.
    LoadDocument(Document),
}

fn main() -> ExitCode {
    install_provider();
    match Arguments::parse().command {
        Command::Path { rounds, seconds, connections, servers, scenarios } => {
            let plan = Plan {
                rounds,
                window: Duration::from_secs(seconds),
                connections,
                servers: all_if_none(servers),
                scenarios: all_if_none(scenarios),
            };
            match tokio::runtime::Runtime::new() {
                Ok(runtime) => println!("{}", runtime.block_on(run(&plan))),
                Err(fault) => println!("no runtime: {fault}"),
            }
        }
        Command::BarePingora(bare) => serve_bare(&bare),
        Command::Documents(documents) => return print(load_each(&documents)),
        Command::LoadDocument(document) => return print(load(&document)),
    }
    ExitCode::SUCCESS
}

fn print(said: Result<String, String>) -> ExitCode {
    match said {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(fault) => {
            println!("{fault}");
            ExitCode::FAILURE
        }
    }
}

fn all_if_none<T: ValueEnum + Clone>(asked: Vec<T>) -> Vec<T> {
    if asked.is_empty() { T::value_variants().to_vec() } else { asked }
}
