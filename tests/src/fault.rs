//! A simulated server that is dead, slow, wrong or hostile at some of its paths: what does it do instead of its duty?

use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;

use crate::gate::Gate;
use crate::http1::{Received, Stream, answer_bytes, read_request};
use crate::seen::Seen;

/// What a path does instead of its duty.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Answers as it should, but not before the gate opens.
    Held(Gate),
    /// Closes the connection without a byte.
    Dead,
    /// This status, with a body that is no JSON.
    Status(u16),
    /// 200 and this body, said to be JSON.
    Body(String),
    /// 302 to this place.
    Redirect(String),
    /// 200 and so many bytes of valid JSON before anything useful.
    Oversized(usize),
}

/// Which paths of a server fail, and what it was asked for, faulty answers included.
#[derive(Debug)]
pub(crate) struct Faults {
    by_path: Mutex<BTreeMap<String, Fault>>,
    seen: Seen,
}

impl Faults {
    /// Of a server that was not asked for anything yet, and does its duty.
    pub(crate) fn new() -> Self {
        Self { by_path: Mutex::default(), seen: Seen::new() }
    }

    /// Makes a path fail until [`Faults::heal`].
    pub(crate) fn fail(&self, path: &str, fault: Fault) {
        self.by_path.lock().unwrap().insert(path.to_owned(), fault);
    }

    /// Ends all of them.
    pub(crate) fn heal(&self) {
        self.by_path.lock().unwrap().clear();
    }

    /// How often a path was asked for.
    pub(crate) fn requests(&self, path: &str) -> usize {
        self.seen.all().iter().filter(|request| request.path() == path).count()
    }

    /// Waits until a path was asked for `count` times in all.
    pub(crate) async fn wait_for_requests(&self, path: &str, count: usize) {
        self.seen.wait(count, |request| request.path() == path).await;
    }

    /// Serves a connection; `duty` gives what would be right.
    pub(crate) async fn serve(
        &self,
        mut stream: Box<dyn Stream>,
        number: u64,
        duty: impl Fn(&Received) -> Vec<u8>,
    ) {
        let mut buffer = BytesMut::new();
        while let Ok(Some(request)) = read_request(&mut stream, &mut buffer, number).await {
            let fault = self.by_path.lock().unwrap().get(request.path()).cloned();
            self.seen.add(request.clone());
            let bytes = match fault {
                None => duty(&request),
                Some(Fault::Dead) => return,
                Some(Fault::Held(gate)) => {
                    gate.passed().await;
                    duty(&request)
                }
                Some(Fault::Status(status)) => answer_bytes(status, &[], b"<h1>no</h1>", false),
                Some(Fault::Body(body)) => json(&body),
                Some(Fault::Redirect(to)) => answer_bytes(302, &[("Location".to_owned(), to)], b"", false),
                Some(Fault::Oversized(size)) => {
                    json(&format!("{{\"padding\":\"{}\",\"keys\":[]}}", "x".repeat(size)))
                }
            };
            if stream.write_all(&bytes).await.is_err() {
                return;
            }
        }
        drop(stream.shutdown().await);
    }
}

fn json(body: &str) -> Vec<u8> {
    let kind = ("Content-Type".to_owned(), "application/json".to_owned());
    answer_bytes(200, &[kind], body.as_bytes(), false)
}
