//! A simulated server of files over HTTPS: revocation lists and bundles. A good one, a slow, a wrong, a dead or
//! a hostile one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::certificates::Identity;
use crate::fault::{Fault, Faults};
use crate::http1::answer_bytes;
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
    faults: Faults,
}

impl Depot {
    /// Starts a server that has nothing.
    pub async fn start(identity: &Identity) -> Self {
        let shared = Arc::new(Shared { files: Mutex::default(), faults: Faults::new() });
        let for_connections = Arc::clone(&shared);
        let server = Server::start(Some(tls::server(identity, None)), move |stream, number| {
            let shared = Arc::clone(&for_connections);
            async move { shared.faults.serve(stream, number, |request| duty(&shared, request.path())).await }
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
        self.shared.faults.fail(path, fault);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.shared.faults.heal();
    }

    /// How often a path was asked for.
    #[must_use]
    pub fn requests(&self, path: &str) -> usize {
        self.shared.faults.requests(path)
    }
}

fn duty(shared: &Shared, path: &str) -> Vec<u8> {
    match shared.files.lock().unwrap().get(path) {
        Some(bytes) => answer_bytes(200, &[], bytes, false),
        None => answer_bytes(404, &[], b"", false),
    }
}
