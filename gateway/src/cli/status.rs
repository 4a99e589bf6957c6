//! `gateway status`: what runs out when?

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Format;
use super::admin::Running;
use crate::units::Span;

/// Ask a running gateway what of its certificates, roots, revocation lists and credentials ends when, and
/// which certificates of its callers do.
///
/// Exit code 0: nothing ends soon, and everything is up to date. 1: something has ended or ends soon, or
/// cannot be brought up to date. 2: the gateway does not answer.
#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    running: Running,
    /// What is soon: 14d, 36h
    #[arg(long, value_name = "TIME", default_value = "14d")]
    within: Span,
    /// A table, or JSON.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// What `/status` says of what ends.
#[derive(Debug, Deserialize)]
struct Told {
    expiries: Vec<Ending>,
    keyring_troubles: Vec<Trouble>,
}

/// One row.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Ending {
    what: String,
    name: String,
    ends: Timestamp,
    source: String,
    #[serde(skip_deserializing)]
    standing: Standing,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Standing {
    Ended,
    Soon,
    #[default]
    Later,
}

#[derive(Debug, Serialize, Deserialize)]
struct Trouble {
    what: String,
    name: String,
    reason: String,
}

impl Status {
    pub(super) fn run(self) -> ExitCode {
        match self.ask() {
            Ok(told) => self.print(told),
            Err(message) => {
                eprintln!("{message}");
                ExitCode::from(NO_ANSWER)
            }
        }
    }

    fn ask(&self) -> Result<Told, String> {
        let told = self.running.ask("/status")?;
        serde_json::from_value(told).map_err(|fault| format!("this is no status of a gateway: {fault}"))
    }

    fn print(&self, told: Told) -> ExitCode {
        let now = Timestamp::now();
        let Told { mut expiries, keyring_troubles: troubles } = told;
        for one in &mut expiries {
            one.standing = standing(one.ends, now, self.within.0);
        }
        expiries.sort_by_key(|one| one.ends);
        let good = troubles.is_empty() && expiries.iter().all(|one| one.standing == Standing::Later);
        match self.format {
            Format::Json => say!("{:#}", json!({ "ok": good, "expiries": expiries, "troubles": troubles })),
            Format::Text => print_table(&expiries, &troubles, now),
        }
        if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn standing(ends: Timestamp, now: Timestamp, within: Duration) -> Standing {
    let within = SignedDuration::try_from(within).unwrap_or(SignedDuration::MAX);
    match ends.duration_since(now) {
        left if left <= SignedDuration::ZERO => Standing::Ended,
        left if left <= within => Standing::Soon,
        _ => Standing::Later,
    }
}

fn print_table(expiries: &[Ending], troubles: &[Trouble], now: Timestamp) {
    say!("{HEADER}");
    for Ending { what, name, ends, source, standing } in expiries {
        let left = left(ends.duration_since(now));
        let mark = match standing {
            Standing::Ended => "ENDED",
            Standing::Soon => "SOON",
            Standing::Later => "",
        };
        say!("{ends:<22.0} {left:>9}  {mark:<6} {what:<21} {source:<8} {name}");
    }
    for Trouble { what, name, reason } in troubles {
        say!("cannot be brought up to date: {what} {name} ({reason})");
    }
}

/// `12d`, `5h`, `3m`: the largest unit is what matters.
fn left(time: SignedDuration) -> String {
    let seconds = time.as_secs();
    let sign = if seconds < 0 { "-" } else { "" };
    let seconds = seconds.unsigned_abs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let fitting = units.into_iter().find_map(|(length, unit)| {
        let count = seconds.checked_div(length)?;
        (count > 0).then(|| format!("{sign}{count}{unit}"))
    });
    fitting.unwrap_or_else(|| "0s".to_owned())
}

/// The exit code where nobody answers.
const NO_ANSWER: u8 = 2;
const HEADER: &str = "ENDS                        LEFT         WHAT                  SOURCE   NAME";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_within_the_time_asked_for_is_soon() {
        let now = Timestamp::UNIX_EPOCH;
        let day = Duration::from_secs(86_400);
        for (second, expected) in [
            (-1, Standing::Ended),
            (0, Standing::Ended),
            (1, Standing::Soon),
            (86_400, Standing::Soon),
            (86_401, Standing::Later),
        ] {
            assert_eq!(standing(Timestamp::from_second(second).unwrap(), now, day), expected, "{second}");
        }
    }

    #[test]
    fn the_time_left_is_told_in_its_largest_unit() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (3_599, "59m"), (7_200, "2h"), (200_000, "2d"), (-90, "-1m")]
        {
            assert_eq!(left(SignedDuration::from_secs(seconds)), text);
        }
    }
}
