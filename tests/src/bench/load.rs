//! Who asks: a fixed number of connections, each with one request at a time, for a fixed time.
//!
//! Every answer is compared with the expected one; the first that differs ends the run.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio_rustls::TlsConnector;

use super::origin::end_of_message;
use super::workload::{Transport, Workload};
use crate::http1::Stream;
use crate::tls;
use crate::world::{SERVER_NAME, World};

/// Everything a turn needs.
pub(super) struct Client {
    address: SocketAddr,
    workload: Workload,
    tls: Arc<ClientConfig>,
    connections: usize,
}

/// What a window came to.
pub(super) struct Count {
    pub(super) requests: u32,
    pub(super) elapsed: Duration,
    /// What was measured when the window opened, and when its last answer was there.
    pub(super) before: Duration,
    pub(super) after: Duration,
}

impl Client {
    pub(super) fn new(address: SocketAddr, workload: Workload, world: &World, connections: usize) -> Self {
        let mut config = tls::client(&world.servers.pem(), Some(&world.identity(super::workload::CALLER)));
        Arc::make_mut(&mut config).alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { address, workload, tls: config, connections }
    }

    /// Asks for `warm_up`, then for `window` between two measurements. Gives what the warm-up asked, and the count.
    pub(super) fn run(
        self,
        warm_up: Duration,
        window: Duration,
        measure: impl Fn() -> Duration,
    ) -> (u32, Count) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        LocalSet::new().block_on(&runtime.expect("a runtime can be made"), async {
            let mut open = Vec::new();
            for _ in 0..self.connections {
                open.push(self.connect().await);
            }
            let workload = Rc::new(self.workload);
            let (warm, open) = ask(open, &workload, warm_up).await;
            let (before, started) = (measure(), Instant::now());
            let (requests, open) = ask(open, &workload, window).await;
            let (after, elapsed) = (measure(), started.elapsed());
            drop(open);
            (warm, Count { requests, elapsed, before, after })
        })
    }

    async fn connect(&self) -> Box<dyn Stream> {
        let tcp = TcpStream::connect(self.address).await.expect("the server listens");
        tcp.set_nodelay(true).expect("TCP has no delay");
        match self.workload.transport() {
            Transport::Plain => Box::new(tcp),
            Transport::Tls => {
                let name = ServerName::try_from(SERVER_NAME).expect("a name is a name");
                let connector = TlsConnector::from(Arc::clone(&self.tls));
                Box::new(connector.connect(name, tcp).await.expect("the handshake succeeds"))
            }
        }
    }
}

/// All connections at once until the time is over and their last answers are there.
async fn ask(
    open: Vec<Box<dyn Stream>>,
    workload: &Rc<Workload>,
    time: Duration,
) -> (u32, Vec<Box<dyn Stream>>) {
    let deadline = Instant::now() + time;
    let tasks = open.into_iter().map(|mut stream| {
        let workload = Rc::clone(workload);
        tokio::task::spawn_local(async move {
            let (mut requests, mut buffer) = (0, Vec::with_capacity(1 << 16));
            while Instant::now() < deadline {
                exchange(&mut stream, &mut buffer, &workload).await;
                requests += 1;
            }
            (requests, stream)
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let (mut requests, mut open) = (0, Vec::new());
    for task in tasks {
        let (asked, stream) = task.await.expect("every answer is the expected one");
        requests += asked;
        open.push(stream);
    }
    (requests, open)
}

async fn exchange(stream: &mut Box<dyn Stream>, buffer: &mut Vec<u8>, workload: &Workload) {
    stream.write_all(workload.request()).await.expect("the server reads");
    stream.flush().await.expect("the server reads");
    loop {
        if let Some(end) = end_of_message(buffer) {
            workload.judge(&buffer[..end]);
            assert_eq!(buffer.len(), end, "one answer to one request");
            buffer.clear();
            return;
        }
        assert_ne!(stream.read_buf(buffer).await.expect("the server answers"), 0, "the server has closed");
    }
}
