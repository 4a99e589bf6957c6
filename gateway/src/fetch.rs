//! How is a server asked that may be slow, wrong or not ours?
//!
//! One request, bounded in time and size, that follows nobody and lets no environment decide. What is asked
//! for, and what the answer means, is not known here.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{
    Certificate, Client, ClientBuilder, Identity, RequestBuilder, Response, StatusCode, Url, redirect,
};
use zeroize::Zeroizing;

/// Whom to believe to be the server, and how long to wait for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// PEM certificates that sign the server's; the system's own when there are none.
    pub ca: Option<Vec<u8>>,
    /// How long one request may take in all.
    pub timeout: Duration,
}

/// What a server said.
pub struct Answer {
    /// Its status. Never a redirect.
    pub status: StatusCode,
    /// The media type of its body, in lower case and without parameters; empty when it said none.
    pub media_type: String,
    /// Its body. Tokens and secrets come in bodies.
    pub body: Zeroizing<Vec<u8>>,
}

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FetchFault {
    /// Nothing came, or not all, in the time there was.
    #[error("the server did not answer in time")]
    TimedOut,
    /// No connection, no trust, or no answer on it.
    #[error("the server cannot be reached")]
    Unreachable(#[source] Arc<reqwest::Error>),
    /// The answer ended before its end.
    #[error("the server's answer was cut off")]
    CutOff(#[source] Arc<reqwest::Error>),
    /// A redirect would let whoever answers choose who is believed.
    #[error("the server answered with a redirect")]
    Redirected,
    /// More bytes than whoever asked wants to read.
    #[error("the server's answer is too large")]
    TooLarge,
}

impl FetchFault {
    /// A stable code for status pages and metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TimedOut => "timed-out",
            Self::Unreachable(_) => "unreachable",
            Self::CutOff(_) => "cut-off",
            Self::Redirected => "redirected",
            Self::TooLarge => "too-large",
        }
    }

    fn of(error: reqwest::Error, otherwise: fn(Arc<reqwest::Error>) -> Self) -> Self {
        // Where a server is asked may hold what a log must not.
        let error = error.without_url();
        if error.is_timeout() { Self::TimedOut } else { otherwise(Arc::new(error)) }
    }
}

/// A client for one server, or what is wrong with its trust roots or with the certificate it is shown.
///
/// `shown` is a PEM chain with its PEM key.
///
/// # Errors
/// What is wrong, to be read after the name of what holds it.
pub fn client(trust: &Trust, shown: Option<&[u8]>) -> Result<Client, &'static str> {
    let roots = trust.ca.as_deref().map(roots).transpose()?;
    let identity = shown.map(Identity::from_pem).transpose();
    let identity = identity.or(Err("does not hold a PEM certificate and its key"))?;
    let builder = hardened(roots.as_deref(), identity, trust.timeout)?
        .timeout(trust.timeout)
        // Requests are rare and may come from different runtimes: no connection outlives its own.
        .pool_max_idle_per_host(0);
    builder.build().or(Err("cannot be used as trust roots, or its key is not its certificate's"))
}

/// PEM certificates as the only roots.
///
/// # Errors
/// There are none.
pub fn roots(pem: &[u8]) -> Result<Vec<Certificate>, &'static str> {
    let roots = Certificate::from_pem_bundle(pem).ok().filter(|roots| !roots.is_empty());
    roots.ok_or("does not hold PEM certificates")
}

/// What every client has that asks a server: it follows nobody, and takes nothing from the environment. How long
/// a request may take, and a connection be kept, is left to whoever makes it.
///
/// # Errors
/// The process has no cryptography.
pub fn hardened(
    roots: Option<&[Certificate]>,
    identity: Option<Identity>,
    timeout: Duration,
) -> Result<ClientBuilder, &'static str> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // The library would panic.
        return Err("needs TLS, and the process has no provider of cryptography installed");
    }
    let mut builder = Client::builder()
        // A redirect would let whoever answers choose who is believed, and who sees what is shown.
        .redirect(redirect::Policy::none())
        .referer(false)
        .no_proxy()
        // An address that does not answer leaves time for the next.
        .connect_timeout(timeout.min(CONNECT_TIMEOUT))
        .http1_only();
    if let Some(roots) = roots {
        builder = builder.tls_certs_only(roots.iter().cloned());
    }
    if let Some(identity) = identity {
        builder = builder.identity(identity);
    }
    Ok(builder)
}

/// Sends `request` and reads the whole answer, if it has no more than `bytes_max`.
///
/// # Errors
/// There is no answer that could be read.
pub async fn send(request: RequestBuilder, bytes_max: usize) -> Result<Answer, FetchFault> {
    let answer = request.send().await.map_err(|e| FetchFault::of(e, FetchFault::Unreachable))?;
    let status = answer.status();
    if status.is_redirection() {
        return Err(FetchFault::Redirected);
    }
    let named = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = named.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let body = read(answer, bytes_max).await?;
    Ok(Answer { status, media_type, body })
}

/// Reads a body of no more than `bytes_max`. The length that a server tells reserves room, and is not believed; one
/// that tells of more is left at once, without the wait for bytes that nobody wants.
///
/// # Errors
/// It is larger, or ends before its end.
pub async fn read(mut answer: Response, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, FetchFault> {
    let room = match answer.content_length().map(usize::try_from) {
        Some(Ok(told)) if told <= bytes_max => told,
        Some(_) => return Err(FetchFault::TooLarge),
        None => BODY_BYTES.min(bytes_max),
    };
    let mut body = Zeroizing::new(Vec::with_capacity(room));
    while let Some(chunk) = answer.chunk().await.map_err(|e| FetchFault::of(e, FetchFault::CutOff))? {
        let whole = body.len().saturating_add(chunk.len());
        if whole > bytes_max {
            return Err(FetchFault::TooLarge);
        }
        if whole > body.capacity() {
            // Moved by hand, so that what was outgrown is wiped: tokens and secrets come in bodies.
            let mut larger = Zeroizing::new(Vec::with_capacity(whole.saturating_mul(2)));
            larger.extend_from_slice(&body);
            body = larger;
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// RFC 9110 section 4.3.4 and RFC 8414 section 2: what is trusted comes over TLS, or from this machine, from
/// an address that holds no user and no password.
#[must_use]
pub fn is_safe(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let is_loopback = || match url.host_str() {
        Some("localhost" | "[::1]") => true,
        Some(host) => host.parse().is_ok_and(|address: std::net::Ipv4Addr| address.is_loopback()),
        None => false,
    };
    let names_a_user = !url.username().is_empty() || url.password().is_some();
    !names_a_user
        && match url.scheme() {
            "https" => true,
            "http" => is_loopback(),
            _ => false,
        }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

/// A token or a secret of a few fields.
const BODY_BYTES: usize = 16 << 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// What is read, up to ten bytes, from a server that sends this and then waits for its client to go.
    async fn read_from(sent: &'static str) -> Result<String, &'static str> {
        drop(rustls::crypto::ring::default_provider().install_default());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0, "a request");
            stream.write_all(sent.as_bytes()).await.unwrap();
            drop(stream.read_to_end(&mut Vec::new()).await);
        });
        let client = client(&Trust { ca: None, timeout: Duration::from_secs(20) }, None).unwrap();
        let answer = send(client.get(url), 10).await;
        server.await.unwrap();
        answer.map(|answer| String::from_utf8(answer.body.to_vec()).unwrap()).map_err(|fault| fault.reason())
    }

    #[tokio::test]
    async fn an_answer_is_read_to_its_limit_and_one_that_tells_of_more_not_at_all() {
        for (sent, read) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789", Ok("0123456789")),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n",
                Ok("0123456789"),
            ),
            // No byte of it ever comes.
            ("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n", Err("too-large")),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n", Err("too-large")),
            // It never ends.
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n0123456789a\r\n", Err("too-large")),
        ] {
            assert_eq!(read_from(sent).await, read.map(str::to_owned), "{sent:?}");
        }
    }

    #[test]
    fn what_is_trusted_comes_over_tls_or_from_this_machine() {
        for (url, safe) in [
            ("https://issuer.example/jwks", true),
            ("http://127.0.0.1:8080/jwks", true),
            ("http://127.9.9.9/jwks", true),
            ("http://[::1]:1/jwks", true),
            ("http://localhost/jwks", true),
            ("http://issuer.example/jwks", false),
            ("http://127.0.0.1.evil.example/jwks", false),
            ("http://localhost.evil.example/jwks", false),
            ("http://10.0.0.1/jwks", false),
            ("https://user:secret@issuer.example/jwks", false),
            ("https://user@issuer.example/jwks", false),
            ("file:///etc/passwd", false),
            ("data:application/json,{}", false),
            ("ftp://127.0.0.1/jwks", false),
            ("jwks", false),
            ("", false),
        ] {
            assert_eq!(is_safe(url), safe, "{url}");
        }
    }

    #[test]
    fn an_answer_is_not_shown() {
        let body = Zeroizing::new(b"s3cret".to_vec());
        let answer = Answer { status: StatusCode::OK, media_type: String::new(), body };
        assert!(!format!("{answer:?}").contains("s3cret"));
    }
}
