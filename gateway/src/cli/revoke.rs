//! `gateway revoke`: who is to be shut out of a running gateway, from this second on?

mod leaked;
mod list;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::Format;
use super::admin::{Running, Undone};
use leaked::Leaked;

/// Orders to a running gateway about who is shut out.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum Revoke {
    /// One token, by its id: the `jti` in it, which is `token_id` in the records of the audit log.
    Token {
        /// The token's `jti`. Never the token itself: see --in.
        #[arg(value_name = "JTI", required_unless_present = "file", conflicts_with = "file")]
        id: Option<String>,
        /// The file in which the token itself is, or `-` for standard input: its id, its issuer and its end are
        /// read from it, and nothing of it is printed or sent but these.
        #[arg(long = "in", value_name = "FILE", conflicts_with = "issuer")]
        file: Option<PathBuf>,
        #[command(flatten)]
        order: Order,
    },
    /// Every token that was issued to a client, of now and later; with --issued-before only those of before.
    Client {
        /// The client's id, as in callers.yaml.
        #[arg(value_name = "CLIENT_ID")]
        id: String,
        #[command(flatten)]
        order: Order,
    },
    /// Every token of a subject, of now and later; with --issued-before only those of before.
    Subject {
        /// The `sub` of the tokens.
        #[arg(value_name = "SUBJECT")]
        id: String,
        #[command(flatten)]
        order: Order,
    },
    /// Every token of an issuer that was issued before a time; needs --issued-before.
    All {
        #[command(flatten)]
        order: Order,
    },
    /// What is revoked now, by whom, and why.
    List(list::List),
    /// Take an order back: what it names is good again, from this second on.
    Lift(list::Lift),
}

/// What every order says.
#[derive(Debug, Args)]
pub(super) struct Order {
    /// The issuer's name in gateway.yaml. Default: the only one there is.
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// Why, for whoever reads the list later.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who orders it.
    #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true)]
    by: String,
    /// Only tokens issued before this time, and those that do not say when: 2026-11-29T08:00:00Z, or `now`
    /// by the clock of this machine. Whoever gets a new token is served.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    issued_before: Option<Timestamp>,
    /// From when on the order is not needed, such as the token's own end: 2026-11-30T08:00:00Z
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    #[command(flatten)]
    running: Running,
    /// How to print.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// What an order names.
enum Named<'a> {
    Token(&'a str),
    Client(&'a str),
    Subject(&'a str),
    All,
}

impl Revoke {
    pub(super) fn run(self) -> ExitCode {
        let done = match self {
            Self::Token { id: Some(id), order, .. } => order.give(&Named::Token(&id)),
            Self::Token { id: None, file, order } => order.give_what_is_in(file.as_deref()),
            Self::Client { id, order } => order.give(&Named::Client(&id)),
            Self::Subject { id, order } => order.give(&Named::Subject(&id)),
            Self::All { order } => order.give(&Named::All),
            Self::List(list) => list.run(),
            Self::Lift(lift) => lift.run(),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(Undone::Refused(told)) => {
                eprintln!("nothing has changed: {told}");
                ExitCode::FAILURE
            }
            Err(Undone::Unheard(told)) => {
                eprintln!("{told}");
                ExitCode::from(UNHEARD)
            }
        }
    }
}

impl Order {
    /// Revokes the token in a file.
    fn give_what_is_in(mut self, file: Option<&Path>) -> Result<(), Undone> {
        let found = Leaked::read(file.unwrap_or_else(|| Path::new("-"))).map_err(Undone::Refused)?;
        let status = self.running.ask("/status")?;
        let issuers = status.get("issuers").and_then(Value::as_array);
        let own = issuers.into_iter().flatten().find(|issuer| text(issuer, "issuer") == found.issuer);
        let Some(own) = own else {
            let told =
                "the token is of an issuer whose tokens this gateway does not take: it opens nothing here";
            return Err(Undone::Refused(told.to_owned()));
        };
        self.issuer = Some(text(own, "name").to_owned());
        self.until = self.until.or(found.over);
        self.give(&Named::Token(&found.id))
    }

    fn give(&self, named: &Named<'_>) -> Result<(), Undone> {
        let issuer = match &self.issuer {
            Some(issuer) => issuer.clone(),
            None => self.the_only_issuer()?,
        };
        let told = self.running.send(Method::POST, "/revocations", Some(&self.body(named, &issuer)))?;
        match self.format {
            Format::Json => say!("{told:#}"),
            Format::Text => self.tell(named, &issuer, text(&told, "id")),
        }
        Ok(())
    }

    fn body(&self, named: &Named<'_>, issuer: &str) -> Value {
        let (key, value) = match named {
            Named::Token(id) => ("token", json!({ "issuer": issuer, "jti": id })),
            Named::Client(id) => ("client", json!({ "issuer": issuer, "client_id": id })),
            Named::Subject(id) => ("subject", json!({ "issuer": issuer, "subject": id })),
            Named::All => ("issuer", json!(issuer)),
        };
        let mut body = Map::new();
        body.insert(key.to_owned(), value);
        body.insert("reason".to_owned(), json!(self.reason));
        body.insert("by".to_owned(), json!(self.by));
        let times = [("issued_before", self.issued_before), ("until", self.until)];
        for (key, time) in times {
            body.extend(time.map(|time| (key.to_owned(), json!(time))));
        }
        Value::Object(body)
    }

    fn the_only_issuer(&self) -> Result<String, Undone> {
        let status = self.running.ask("/status")?;
        let issuers = status.get("issuers").and_then(Value::as_array);
        let names: Vec<&str> = issuers.into_iter().flatten().map(|issuer| text(issuer, "name")).collect();
        match names.as_slice() {
            [one] => Ok((*one).to_owned()),
            names => {
                let told = format!("whose tokens?\n  help: --issuer, one of {}", names.join(", "));
                Err(Undone::Refused(told))
            }
        }
    }

    fn tell(&self, named: &Named<'_>, issuer: &str, id: &str) {
        let what = match named {
            Named::Token(id) => format!("the token {id} of {issuer}"),
            Named::Client(id) => format!("every token of the client {id} of {issuer}"),
            Named::Subject(id) => format!("every token of the subject {id} of {issuer}"),
            Named::All => format!("every token of {issuer}"),
        };
        let before = self.issued_before.map(|time| format!(" that was issued before {time}"));
        let until =
            self.until.map_or_else(|| "until it is lifted".to_owned(), |until| format!("until {until}"));
        say!("revoked: {what}{}", before.unwrap_or_default());
        say!("  holds  at this gateway, from now {until}; who shows it is answered 401 invalid_token");
        say!("  order  {id}");
        say!("  back   gateway revoke lift {id}");
    }
}

/// A time, or `now`.
fn moment(written: &str) -> Result<Timestamp, jiff::Error> {
    if written == "now" { Ok(Timestamp::now()) } else { written.parse() }
}

/// A text in an answer; a dash where there is none.
fn text<'v>(of: &'v Value, key: &str) -> &'v str {
    of.get(key).and_then(Value::as_str).unwrap_or("-")
}

/// The exit code where it is not known whether the order holds.
const UNHEARD: u8 = 2;
const EXAMPLES: &str = "\
Examples:
  gateway revoke token 01977f6e-5d4c-7000-8000-5f2f6f3a9b11 --reason 'found in a public repository'
      one token; a record of the audit log names it as caller.token_id
  gateway revoke token --in - --reason 'found in a public repository' < found.jwt
      the token that was found, without a trace of it in the shell
  gateway revoke client bazaar --issued-before now --reason 'their laptop was stolen'
      what the client holds now; what it is issued from now on is good
  gateway revoke subject 8812 --reason 'left the company'
      a person, for good
  gateway revoke all --issued-before now --reason 'their signing key leaked'
      everybody needs a new token
  gateway revoke list
  gateway revoke lift 01a2098a-cea0-77d8-a043-a21774351a51";
