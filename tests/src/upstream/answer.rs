//! One answer of the upstream, and the manner in which it is sent.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::gate::Gate;
use crate::http1::{Stream, answer_bytes};

/// What goes back, and how.
#[derive(Debug, Clone)]
#[must_use]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The fields; `Content-Length` is added unless they frame the body themselves.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// How it is sent.
    pub manner: Manner,
    raw: Option<Bytes>,
}

/// How an answer is sent.
#[derive(Debug, Clone)]
pub enum Manner {
    /// At once, and the connection stays open.
    Whole,
    /// At once; then the connection is closed without having said so.
    WholeThenClose,
    /// Nothing before the gate opens.
    Held(Gate),
    /// The head and half of the body at once, the rest when the gate opens.
    BodyHeld(Gate),
    /// Byte by byte, each after this time.
    Trickle(Duration),
    /// The first so many bytes, head included; then the connection is closed.
    Cut(usize),
}

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    KeepAlive,
    Close,
}

impl Answer {
    /// An answer without a body.
    pub const fn new(status: u16) -> Self {
        Self { status, fields: Vec::new(), body: Bytes::new(), manner: Manner::Whole, raw: None }
    }

    /// A JSON answer.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status).header("Content-Type", "application/json").body(body.to_string())
    }

    /// A problem (RFC 9457) as the sample contracts describe it.
    pub fn problem(status: u16) -> Self {
        let body = json!({
            "type": "https://retailer.example/problems/sample",
            "title": "The retail system says no",
            "status": status,
        });
        Self::new(status).header("Content-Type", "application/problem+json").body(body.to_string())
    }

    /// Exactly these bytes, whatever they are; then the connection is closed.
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        let mut answer = Self::new(200).manner(Manner::WholeThenClose);
        answer.raw = Some(bytes.into());
        answer
    }

    /// Closes the connection without a byte.
    pub fn silence() -> Self {
        Self::new(200).manner(Manner::Cut(0))
    }

    /// Adds a field.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes every field of this name away.
    pub fn without_header(mut self, name: &str) -> Self {
        self.fields.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self
    }

    /// Says that the body is of another type.
    pub fn content_type(self, value: &str) -> Self {
        self.without_header("Content-Type").header("Content-Type", value)
    }

    /// Another body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Changes the JSON body, for instance so that it breaks the contract.
    pub fn edit(self, change: impl FnOnce(&mut Value)) -> Self {
        let mut value = serde_json::from_slice(&self.body).expect("the answer's body is JSON");
        change(&mut value);
        self.body(value.to_string())
    }

    /// Another status.
    pub const fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Another manner.
    pub fn manner(mut self, manner: Manner) -> Self {
        self.manner = manner;
        self
    }

    pub(super) async fn send(self, stream: &mut dyn Stream, head_only: bool) -> io::Result<After> {
        let bytes = match &self.raw {
            Some(raw) => raw.to_vec(),
            None => answer_bytes(self.status, &self.fields, &self.body, head_only),
        };
        let after = match self.manner {
            Manner::Whole => {
                stream.write_all(&bytes).await?;
                After::KeepAlive
            }
            Manner::WholeThenClose => {
                stream.write_all(&bytes).await?;
                After::Close
            }
            Manner::Held(gate) => {
                gate.passed().await;
                stream.write_all(&bytes).await?;
                After::KeepAlive
            }
            Manner::BodyHeld(gate) => {
                let (now, later) = bytes.split_at(bytes.len() - self.body.len() / 2);
                stream.write_all(now).await?;
                stream.flush().await?;
                gate.passed().await;
                stream.write_all(later).await?;
                After::KeepAlive
            }
            Manner::Trickle(pause) => {
                for byte in bytes {
                    tokio::time::sleep(pause).await;
                    stream.write_all(&[byte]).await?;
                    stream.flush().await?;
                }
                After::KeepAlive
            }
            Manner::Cut(count) => {
                stream.write_all(&bytes[..count.min(bytes.len())]).await?;
                After::Close
            }
        };
        stream.flush().await?;
        Ok(after)
    }
}
