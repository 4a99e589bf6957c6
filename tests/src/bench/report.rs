//! The table: CPU time of a request by median, least and most of all turns, beside bare Pingora's.

use std::fmt::{self, Write};
use std::fs;
use std::process::Command;
use std::time::Duration;

use super::workload::Scenario;
use super::{Plan, Server};

/// What one turn came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) requests: u32,
    pub(super) elapsed: Duration,
    pub(super) cpu: Duration,
}

/// All turns.
#[derive(Debug, Default)]
pub(super) struct Report {
    samples: Vec<(Scenario, Server, Sample)>,
}

impl Sample {
    fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / f64::from(self.requests)
    }

    fn per_second(&self) -> f64 {
        f64::from(self.requests) / self.elapsed.as_secs_f64()
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} us of CPU, {:.0} requests/s", self.cpu_us(), self.per_second())
    }
}

impl Report {
    pub(super) fn add(&mut self, scenario: Scenario, server: Server, sample: Sample) {
        self.samples.push((scenario, server, sample));
    }

    /// The figures and the facts of the machine, as Markdown.
    pub(super) fn markdown(&self, plan: &Plan) -> String {
        let mut text = String::from(
            "| what is asked | server | CPU us a request: median | min | max | of bare Pingora | requests/s |\n\
             |---|---|--:|--:|--:|--:|--:|\n",
        );
        for scenario in &plan.scenarios {
            let bare = median(&self.of(*scenario, Server::Pingora, Sample::cpu_us));
            for server in &plan.servers {
                let cpu = self.of(*scenario, *server, Sample::cpu_us);
                let (Some(middle), Some(least), Some(most)) = (median(&cpu), cpu.first(), cpu.last()) else {
                    continue;
                };
                let ratio = bare.map_or_else(|| "-".to_owned(), |bare| format!("{:.2}", middle / bare));
                let speed = median(&self.of(*scenario, *server, Sample::per_second)).unwrap_or_default();
                let name = server.label();
                writeln!(
                    text,
                    "| {scenario} | {name} | {middle:.1} | {least:.1} | {most:.1} | {ratio} | {speed:.0} |"
                )
                .expect("a text takes text");
            }
        }
        let Plan { rounds, window, connections, .. } = plan;
        write!(
            text,
            "\n{rounds} rounds, {} s each turn, {connections} connections. {}\n",
            window.as_secs(),
            machine()
        )
        .expect("a text takes text");
        text
    }

    /// One figure of every turn, in order of size.
    fn of(&self, scenario: Scenario, server: Server, figure: impl Fn(&Sample) -> f64) -> Vec<f64> {
        let fits = |(s, v, sample): &(Scenario, Server, Sample)| {
            (*s == scenario && *v == server).then(|| figure(sample))
        };
        let mut figures: Vec<f64> = self.samples.iter().filter_map(fits).collect();
        figures.sort_by(f64::total_cmp);
        figures
    }
}

impl Server {
    const fn label(self) -> &'static str {
        match self {
            Self::Gateway => "this gateway, everything on",
            Self::Pingora => "bare Pingora 0.9.1",
            Self::Nginx => "nginx",
        }
    }
}

fn median(ordered: &[f64]) -> Option<f64> {
    let middle = ordered.len() / 2;
    let upper = ordered.get(middle)?;
    if ordered.len() % 2 == 1 { Some(*upper) } else { Some((ordered[middle - 1] + upper) / 2.0) }
}

/// What the figures depend on.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("an unnamed processor", |(_, model)| model);
    let count = processors.lines().filter(|line| line.starts_with("processor")).count();
    let nginx = Command::new(super::peers::nginx_program()).arg("-v").output();
    let nginx = nginx.map(|output| String::from_utf8_lossy(&output.stderr).trim().to_owned());
    let load = read("/proc/loadavg");
    format!(
        "{count} x {model}, Linux {}, {}, load average at the end {}.",
        read("/proc/sys/kernel/osrelease").trim(),
        nginx.unwrap_or_default(),
        load.split(' ').next().unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        for (figures, expected) in
            [(&[][..], None), (&[3.0], Some(3.0)), (&[1.0, 2.0], Some(1.5)), (&[1.0, 2.0, 9.0], Some(2.0))]
        {
            assert_eq!(median(figures), expected, "{figures:?}");
        }
    }

    #[test]
    fn a_server_is_told_beside_bare_pingora() {
        let mut report = Report::default();
        let sample = |cpu_us: u64| Sample {
            requests: 1000,
            elapsed: Duration::from_secs(1),
            cpu: Duration::from_micros(1000 * cpu_us),
        };
        for cpu_us in [30, 10, 20] {
            report.add(Scenario::Order, Server::Gateway, sample(cpu_us));
            report.add(Scenario::Order, Server::Pingora, sample(2 * cpu_us));
            report.add(Scenario::Stock, Server::Gateway, sample(99));
        }
        let plan = Plan {
            rounds: 3,
            window: Duration::from_secs(1),
            connections: 1,
            servers: vec![Server::Gateway, Server::Pingora, Server::Nginx],
            scenarios: vec![Scenario::Order],
        };
        let text = report.markdown(&plan);
        assert!(
            text.contains("| this gateway, everything on | 20.0 | 10.0 | 30.0 | 0.50 | 1000 |"),
            "{text}"
        );
        assert!(text.contains("| bare Pingora 0.9.1 | 40.0 | 20.0 | 60.0 | 1.00 | 1000 |"), "{text}");
        assert!(!text.contains("nginx |") && !text.contains("99"), "{text}");
    }
}
