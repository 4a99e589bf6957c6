//! Traffic while something is replaced: is every call served?

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http::StatusCode;
use rustls::ALL_VERSIONS;
use testbed::certificates::Identity;
use testbed::gateway::{Gateway, Reply};
use testbed::{SERVER_NAME, World};
use tokio::task::JoinSet;

use crate::handshake::TlsClient;

/// Open to a certificate alone, where it is the warehouse's, and to a token.
const ORDER: &str = "/orders/v2/orders/S00042";

/// Clients that call without a pause until they are told to stop.
pub(crate) struct Load {
    tasks: JoinSet<()>,
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    failed: Arc<Mutex<Vec<String>>>,
    /// The certificates that the gateway showed.
    shown: Arc<Mutex<BTreeSet<Vec<u8>>>>,
}

impl Load {
    fn new() -> Self {
        Self {
            tasks: JoinSet::new(),
            stop: Arc::default(),
            served: Arc::default(),
            failed: Arc::default(),
            shown: Arc::default(),
        }
    }

    /// Clients with this certificate: some make a connection for each call, one keeps its own.
    pub(crate) fn of_connections(gateway: &Gateway, roots_pem: &str, identity: &Identity) -> Self {
        let mut load = Self::new();
        for _ in 0..2 {
            let client = TlsClient::new(gateway.address("public"), roots_pem, Some(identity), ALL_VERSIONS);
            let (client, shown) = (Arc::new(client), Arc::clone(&load.shown));
            load.client(move || {
                let (client, shown) = (Arc::clone(&client), Arc::clone(&shown));
                async move {
                    let mut connection =
                        client.connect_to(SERVER_NAME).await.map_err(|fault| fault.to_string())?;
                    shown.lock().unwrap().insert(connection.certificate());
                    match connection.get(ORDER).await {
                        Ok(200) => Ok(()),
                        other => Err(format!("{other:?}")),
                    }
                }
            });
        }
        let kept = gateway.client().certificate(identity).build();
        load.client(move || {
            let kept = kept.clone();
            async move { served(&kept.get(ORDER).await) }
        });
        load
    }

    /// Clients without a certificate, which keep their connections.
    pub(crate) fn of_calls(gateway: &Gateway, path: &'static str) -> Self {
        let mut load = Self::new();
        for _ in 0..3 {
            let client = gateway.client().build();
            load.client(move || {
                let client = client.clone();
                async move { served(&client.get(path).await) }
            });
        }
        load
    }

    /// Clients that show the token of the moment, and keep their connections.
    pub(crate) fn of_tokens(gateway: &Gateway, token: impl Fn() -> String + Clone + Send + 'static) -> Self {
        let mut load = Self::new();
        for _ in 0..4 {
            let (client, token) = (gateway.client().build(), token.clone());
            load.client(move || {
                let (client, token) = (client.clone(), token());
                async move { served(&client.get_as(&token, ORDER).await) }
            });
        }
        load
    }

    /// One more client; `call` gives why it failed.
    fn client<F>(&mut self, call: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = Result<(), String>> + Send,
    {
        let (stop, served) = (Arc::clone(&self.stop), Arc::clone(&self.served));
        let failed = Arc::clone(&self.failed);
        self.tasks.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                match call().await {
                    Ok(()) => drop(served.fetch_add(1, Ordering::Relaxed)),
                    Err(why) => failed.lock().unwrap().push(why),
                }
            }
        });
    }

    fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }

    /// Whether the gateway has shown this certificate, in DER.
    pub(crate) fn has_shown(&self, certificate: &[u8]) -> bool {
        self.shown.lock().unwrap().contains(certificate)
    }

    /// How many certificates the gateway showed.
    pub(crate) fn certificates(&self) -> usize {
        self.shown.lock().unwrap().len()
    }

    /// Waits for some calls more than there were.
    pub(crate) async fn goes_on(&self, gateway: &Gateway) {
        let before = self.served();
        gateway.until("more calls", async || (self.served() > before + 20).then_some(())).await;
    }

    /// Every call was served; how many that were.
    pub(crate) async fn end(mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        assert_eq!(*self.failed.lock().unwrap(), Vec::<String>::new(), "of {}", self.served());
        self.served()
    }
}

fn served(reply: &Reply) -> Result<(), String> {
    if reply.status == StatusCode::OK { Ok(()) } else { Err(format!("{reply:?}")) }
}

/// Lets the marketplace call as often as a machine can.
pub(crate) fn unlimited(world: &World) {
    let plan = ["name: burst, quota: 600,", "name: daily, quota: 200000,"];
    for window in plan {
        let (name, _) = window.split_once(" quota").unwrap();
        world.folder.replace("policies/limits.yaml", window, &format!("{name} quota: 50000000,"));
    }
}
