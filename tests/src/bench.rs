//! What does one request cost, in CPU time of the server's process, at this gateway and at its peers?
//!
//! The gateway with everything on, bare Pingora and nginx stand before the same [`origin`], are asked the same
//! [`workload`] by the same [`load`], turn by turn in one run, and are judged by the operating system's
//! accounting ([`usage`]). An answer that is not the expected one, to the byte, ends the run.

mod documents;
mod load;
mod origin;
mod peers;
mod report;
mod usage;
mod workload;

use std::net::SocketAddr;
use std::time::Duration;

use clap::ValueEnum;

use load::{Client, Count};
use origin::Origin;
use peers::Peer;
use report::{Report, Sample};
use workload::{Transport, Workload};

use crate::gateway::Gateway;
use crate::world::World;

pub use documents::{Document, Documents, load, load_each};
pub use peers::{Bare, serve_bare};
pub use workload::Scenario;

/// How a run is made.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How often each server gets its turn at each scenario.
    pub rounds: usize,
    /// How long a turn lasts.
    pub window: Duration,
    /// Connections that ask at once, each one request at a time.
    pub connections: usize,
    /// Who is asked, in this order.
    pub servers: Vec<Server>,
    /// What is asked.
    pub scenarios: Vec<Scenario>,
}

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Server {
    /// This gateway, everything on.
    Gateway,
    /// Pingora's own proxy, nothing checked.
    Pingora,
    /// nginx with `proxy_pass`, nothing checked, nothing logged.
    Nginx,
}

/// A server that is ready, and how it is reached.
struct Running {
    server: Server,
    process: u32,
    plain: SocketAddr,
    tls: SocketAddr,
}

/// Makes the run and gives its table, as Markdown.
///
/// # Panics
/// A server does not start, or an answer is not the expected one.
#[expect(clippy::print_stderr, reason = "a run takes minutes: whoever waits sees how it goes")]
pub async fn run(plan: &Plan) -> String {
    let mut world = World::new().await;
    let origin = Origin::start();
    workload::prepare(&mut world, origin.address());
    let gateway = Gateway::start(&world).await;
    let bare = Peer::bare_pingora(&world, origin.address()).await;
    let nginx = Peer::nginx(&world, origin.address()).await;
    let running = [
        Running {
            server: Server::Gateway,
            process: gateway.id(),
            plain: gateway.address("plain"),
            tls: gateway.address("public"),
        },
        Running { server: Server::Pingora, process: bare.id(), plain: bare.plain(), tls: bare.tls() },
        Running { server: Server::Nginx, process: nginx.id(), plain: nginx.plain(), tls: nginx.tls() },
    ];
    let mut report = Report::default();
    let mut asked_of_gateway = 0;
    for round in 0..plan.rounds {
        for scenario in &plan.scenarios {
            let workload = Workload::new(*scenario, &world);
            for server in &plan.servers {
                let one = running.iter().find(|one| one.server == *server).expect("every server was started");
                let (sample, asked) = turn(plan, one, &workload, &world).await;
                if one.server == Server::Gateway {
                    asked_of_gateway += asked;
                }
                eprintln!("round {}: {scenario} {server:?}: {sample}", round + 1);
                report.add(*scenario, *server, sample);
            }
        }
    }
    // Everything on means that every request is in the audit log, too.
    let recorded = gateway.metric("gateway_audit_records_total", &[]).await;
    assert!(
        (recorded - f64::from(asked_of_gateway)).abs() < 0.5,
        "{asked_of_gateway} requests, {recorded} audit records"
    );
    report.markdown(plan)
}

/// One server's turn: a little to get warm, then the window. Gives the sample and how much was asked in all.
async fn turn(plan: &Plan, one: &Running, workload: &Workload, world: &World) -> (Sample, u32) {
    let address = match workload.transport() {
        Transport::Plain => one.plain,
        Transport::Tls => one.tls,
    };
    let client = Client::new(address, workload.clone(), world, plan.connections);
    let (process, window) = (one.process, plan.window);
    let both = tokio::task::spawn_blocking(move || client.run(WARM_UP, window, || usage::of(process)));
    let (warm, Count { requests, elapsed, before, after }) = both.await.expect("the load is carried");
    let cpu = after.saturating_sub(before);
    (Sample { requests, elapsed, cpu }, warm + requests)
}

/// Long enough for connections, handshakes, verified tokens and sliced policies; not counted.
const WARM_UP: Duration = Duration::from_millis(500);
