//! A simulated server of files over HTTPS: revocation lists and bundles. A good one, a slow, a wrong, a dead or
//! a hostile one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;

use crate::certificates::Identity;
use crate::http1::{Stream, answer_bytes, read_request};
use crate::issuer::Fault;
use crate::seen::Seen;
use crate::server::Server;
use crate::tls;

/// A running server.
#[derive(Debug)]
pub struct Depot {
    server: Server,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    faults: Mutex<BTreeMap<String, Fault>>,
    seen: Seen,
}

impl Depot {
    /// Starts a server that has nothing.
    pub async fn start(identity: &Identity) -> Self {
        let shared =
            Arc::new(Shared { files: Mutex::default(), faults: Mutex::default(), seen: Seen::new() });
        let for_connections = Arc::clone(&shared);
        let server = Server::start(Some(tls::server(identity, None)), move |stream, number| {
            serve(Arc::clone(&for_connections), stream, number)
        })
        .await;
        Self { server, shared }
    }

    /// The address of a file.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.server.address)
    }

    /// Lays a file there, in the place of the one before.
    pub fn put(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.shared.files.lock().unwrap().insert(path.to_owned(), bytes.into());
    }

    /// Makes a path fail until [`Depot::heal`].
    pub fn fail(&self, path: &str, fault: Fault) {
        self.shared.faults.lock().unwrap().insert(path.to_owned(), fault);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.shared.faults.lock().unwrap().clear();
    }

    /// How often a path was asked for.
    #[must_use]
    pub fn requests(&self, path: &str) -> usize {
        self.shared.seen.all().iter().filter(|request| request.path() == path).count()
    }
}

async fn serve(shared: Arc<Shared>, mut stream: Box<dyn Stream>, number: u64) {
    let mut buffer = BytesMut::new();
    while let Ok(Some(request)) = read_request(&mut stream, &mut buffer, number).await {
        let path = request.path().to_owned();
        let fault = shared.faults.lock().unwrap().get(&path).cloned();
        shared.seen.add(request);
        let bytes = match fault {
            None => own_answer(&shared, &path),
            Some(Fault::Held(gate)) => {
                gate.passed().await;
                own_answer(&shared, &path)
            }
            Some(Fault::Dead) => return,
            Some(Fault::Status(status)) => answer_bytes(status, &[], b"no", false),
            Some(Fault::Body(body)) => answer_bytes(200, &[], body.as_bytes(), false),
            Some(Fault::Redirect(to)) => answer_bytes(302, &[("Location".to_owned(), to)], b"", false),
            Some(Fault::Oversized(size)) => answer_bytes(200, &[], &vec![b'0'; size], false),
        };
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
    drop(stream.shutdown().await);
}

fn own_answer(shared: &Shared, path: &str) -> Vec<u8> {
    match shared.files.lock().unwrap().get(path) {
        Some(bytes) => answer_bytes(200, &[], bytes, false),
        None => answer_bytes(404, &[], b"", false),
    }
}
