//! `gateway schema`: what may stand in the files?

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::Settings;
use crate::identity::Callers;
use crate::quota::Limits;
use crate::retirement::Retirement;
use crate::snapshot::Snapshot;
use crate::telemetry::Metrics;
use crate::{config, contract, policy, revocation};

/// Print the JSON Schemas of the YAML files, for editors, and the Cedar schema of the policies.
///
/// The JSON Schemas are the same for every installation. The Cedar schema is generated from the callers
/// and contracts that `--config` names.
#[derive(Debug, Args)]
pub(super) struct Schema {
    /// Which schema; all that are JSON go into the folder of `--write` when none is named.
    #[arg(value_enum)]
    name: Option<Name>,
    /// Write all JSON Schemas into this folder, one file each.
    #[arg(long, value_name = "FOLDER", conflicts_with = "name")]
    write: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// gateway.yaml
    Gateway,
    /// policies/callers.yaml
    Callers,
    /// policies/limits.yaml
    Limits,
    /// policies/lifecycle.yaml
    Lifecycle,
    /// policies/revocations.yaml
    Revocations,
    /// policies/tests/*.yaml
    PolicyTests,
    /// policies/contract-rules.yaml
    ContractRules,
    /// The `x-gateway` extension of contracts
    XGateway,
    /// policies/*.cedar, generated from callers and contracts
    Cedar,
}

impl Schema {
    pub(super) fn run(self) -> ExitCode {
        match (self.name, &self.write) {
            (Some(Name::Cedar), _) => self.cedar(),
            (Some(name), _) => {
                say!("{}", text(&json(name)));
                ExitCode::SUCCESS
            }
            (None, Some(folder)) => write(folder),
            (None, None) => {
                eprintln!("name a schema, or a folder for all of them: gateway schema --write schemas");
                ExitCode::FAILURE
            }
        }
    }

    fn cedar(&self) -> ExitCode {
        match Snapshot::load(&self.settings.config, None, &Metrics::new()) {
            Ok((snapshot, _)) => {
                say!("{}", snapshot.policies().cedar_schema());
                ExitCode::SUCCESS
            }
            Err(mistakes) => {
                eprintln!("{mistakes}");
                ExitCode::FAILURE
            }
        }
    }
}

fn json(name: Name) -> Value {
    match name {
        Name::Gateway => config::schema(),
        Name::Callers => Callers::schema(),
        Name::Limits => Limits::schema(),
        Name::Lifecycle => Retirement::schema(),
        Name::Revocations => revocation::schema(),
        Name::PolicyTests => policy::test_schema(),
        Name::ContractRules => contract::lint::Rules::schema(),
        Name::XGateway => contract::extension_schema(),
        Name::Cedar => Value::Null,
    }
}

fn text(schema: &Value) -> String {
    format!("{schema:#}")
}

fn write(folder: &std::path::Path) -> ExitCode {
    let files = [
        (Name::Gateway, "gateway.schema.json"),
        (Name::Callers, "callers.schema.json"),
        (Name::Limits, "limits.schema.json"),
        (Name::Lifecycle, "lifecycle.schema.json"),
        (Name::Revocations, "revocations.schema.json"),
        (Name::PolicyTests, "policy-tests.schema.json"),
        (Name::ContractRules, "contract-rules.schema.json"),
        (Name::XGateway, "x-gateway.schema.json"),
    ];
    for (name, file) in files {
        let path = folder.join(file);
        let written =
            std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, text(&json(name)) + "\n"));
        if let Err(fault) = written {
            eprintln!("{}: {fault}", path.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
