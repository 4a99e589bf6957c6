//! An authorization server on this machine that answers as it is told and keeps what it was asked.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// What was asked: `METHOD PATH`, the head in lower case, and the body.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Asked {
    /// The one value of a parameter of its form.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let mut found =
            self.body.split('&').filter_map(|pair| pair.split_once('=')).filter(|(n, _)| *n == name);
        let (_, value) = found.next()?;
        assert!(found.next().is_none(), "{name} stands once");
        let value = value.replace('+', " ");
        Some(percent_encoding::percent_decode_str(&value).decode_utf8().unwrap().into_owned())
    }
}

pub(crate) struct Fake {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    /// By path.
    answers: Mutex<HashMap<String, Answer>>,
    asked: Mutex<Vec<Asked>>,
    /// An answer takes one; there are none while the server is held.
    let_through: Semaphore,
}

/// Status, media type, more header lines, body.
type Answer = (u16, &'static str, String, String);

impl Fake {
    pub(crate) async fn start() -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            answers: Mutex::default(),
            asked: Mutex::default(),
            let_through: Semaphore::new(Semaphore::MAX_PERMITS),
        });
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&serving).serve(stream));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What `path` answers from now on.
    pub(crate) fn answer(&self, path: &str, status: u16, media_type: &'static str, body: impl ToString) {
        let answer = (status, media_type, String::new(), body.to_string());
        self.shared.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    pub(crate) fn redirect(&self, path: &str, to: &str) {
        let answer = (302, "text/plain", format!("location: {to}\r\n"), String::new());
        self.shared.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// Answers nobody until [`Fake::release`].
    pub(crate) fn hold(&self) {
        self.shared.let_through.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn release(&self) {
        self.shared.let_through.add_permits(1_000);
    }

    /// Answers nothing at `path` but the end of the connection.
    pub(crate) fn forget(&self, path: &str) {
        self.shared.answers.lock().unwrap().remove(path);
    }

    /// Returns once it has been asked `times`.
    pub(crate) async fn until_asked(&self, times: usize) {
        while self.asked().len() < times {
            tokio::task::yield_now().await;
        }
    }

    /// All that it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }
}

impl Shared {
    async fn serve(self: Arc<Self>, mut stream: TcpStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let head = String::from_utf8(head).unwrap();
        let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |n| n.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        let path = line.split_once(' ').unwrap().1.to_owned();
        let body = String::from_utf8(body).unwrap();
        self.asked.lock().unwrap().push(Asked { line, head, body });
        let Ok(permit) = self.let_through.acquire().await else { return };
        permit.forget();
        let answer = self.answers.lock().unwrap().get(&path).cloned();
        let Some((status, media_type, more, body)) = answer else { return };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-type: {media_type}\r\n{more}content-length: {length}\r\n\r\n"
        );
        // Nobody may be listening any more, which is what some tests are about.
        let _sent_or_not = stream.write_all(format!("{head}{body}").as_bytes()).await;
    }
}
