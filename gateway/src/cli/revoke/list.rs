//! What is revoked now, and how is an order taken back?

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::super::Format;
use super::super::admin::{Running, Undone};
use super::text;

/// Arguments of `gateway revoke list`.
#[derive(Debug, Args)]
pub(in super::super) struct List {
    #[command(flatten)]
    running: Running,
    /// How to print.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Arguments of `gateway revoke lift`.
#[derive(Debug, Args)]
pub(in super::super) struct Lift {
    /// The order, as `gateway revoke list` names it.
    #[arg(value_name = "ORDER")]
    id: String,
    /// Who orders it.
    #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true)]
    by: String,
    #[command(flatten)]
    running: Running,
}

impl List {
    pub(super) fn run(&self) -> Result<(), Undone> {
        let told = self.running.ask("/revocations")?;
        match self.format {
            Format::Json => say!("{told:#}"),
            Format::Text => print(&told),
        }
        Ok(())
    }
}

impl Lift {
    pub(super) fn run(&self) -> Result<(), Undone> {
        if self.id.is_empty() || !self.id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            let told = format!("`{}` is no order\n  help: `gateway revoke list` names them", self.id);
            return Err(Undone::Refused(told));
        }
        let told = json!({ "by": self.by });
        self.running.send(Method::DELETE, &format!("/revocations/{}", self.id), Some(&told))?;
        say!("lifted: {} holds no more", self.id);
        Ok(())
    }
}

fn print(told: &Value) {
    let list = |key: &str| told.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    say!("{}", row(["ORDER", "WHAT", "ISSUER", "NAME", "ISSUED BEFORE", "UNTIL", "BY", "SINCE", "REASON"]));
    for ordered in list("revocations") {
        let entry = ordered.get("entry").cloned().unwrap_or_default();
        print_entry(text(&ordered, "id"), text(&ordered, "by"), text(&ordered, "at"), &entry);
    }
    for entry in list("written") {
        print_entry("revocations.yaml", "-", "-", &entry);
    }
}

fn print_entry(id: &str, by: &str, since: &str, entry: &Value) {
    let names = [("token", "jti"), ("client", "client_id"), ("subject", "subject")];
    let named = names.into_iter().find_map(|(what, key)| {
        let named = entry.get(what)?;
        Some((what, text(named, "issuer"), text(named, key)))
    });
    let (what, issuer, name) = named.unwrap_or_else(|| ("issuer", text(entry, "issuer"), "-"));
    let (before, until) = (seconds(text(entry, "issued_before")), seconds(text(entry, "until")));
    say!("{}", row([id, what, issuer, name, before, until, by, seconds(since), text(entry, "reason")]));
}

/// A time without what is below seconds.
fn seconds(time: &str) -> &str {
    time.get(..19).unwrap_or(time)
}

fn row([id, what, issuer, name, before, until, by, since, reason]: [&str; 9]) -> String {
    format!(
        "{id:<36}  {what:<7}  {issuer:<10}  {name:<36}  {before:<19}  {until:<19}  {by:<12}  {since:<19}  {reason}"
    )
}
