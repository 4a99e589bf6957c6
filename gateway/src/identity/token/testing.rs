//! An issuer for tests: keys made on the spot, tokens good and evil, and a key server that misbehaves on demand.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test"
)]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self as sig, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::{IssuerSettings, Issuers, KeySource};

/// The `iss` and the audience of the test issuer.
pub(in crate::identity) const ISS: &str = "https://issuer.example";
pub(in crate::identity) const AUD: &str = "https://api.example";
/// Noon of the day of these tests.
pub(in crate::identity) const NOW: i64 = 1_795_435_200;

pub(in crate::identity) fn now() -> Timestamp {
    later(0)
}

pub(in crate::identity) fn later(seconds: i64) -> Timestamp {
    Timestamp::from_second(NOW + seconds).unwrap()
}

pub(in crate::identity) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The claims of a token that RFC 9068 has nothing against, with `changes` merged in; null takes a claim out.
pub(in crate::identity) fn claims(changes: Value) -> Value {
    let mut claims = json!({
        "iss": ISS, "aud": AUD, "sub": "acme", "client_id": "acme", "jti": "t1",
        "iat": NOW - 60, "exp": NOW + 600, "scope": "orders:read orders:write",
    });
    merge(&mut claims, changes);
    claims
}

fn merge(into: &mut Value, changes: Value) {
    let members = into.as_object_mut().unwrap();
    let Value::Object(changes) = changes else { panic!("an object") };
    for (name, value) in changes {
        if value.is_null() {
            members.remove(&name);
        } else {
            members.insert(name, value);
        }
    }
}

/// A key pair with its id.
pub(in crate::identity) struct Signer {
    pub(in crate::identity) kid: String,
    alg: &'static str,
    pair: Pair,
}

enum Pair {
    Ec(EcdsaKeyPair, &'static str),
    Ed(Ed25519KeyPair),
    Rsa(&'static RsaKeyPair, &'static dyn sig::RsaEncoding),
}

impl Signer {
    pub(in crate::identity) fn new(kid: &str, alg: &'static str) -> Self {
        let ec = |signing: &'static sig::EcdsaSigningAlgorithm| EcdsaKeyPair::generate(signing).unwrap();
        let pair = match alg {
            "ES256" => Pair::Ec(ec(&sig::ECDSA_P256_SHA256_FIXED_SIGNING), "P-256"),
            "ES384" => Pair::Ec(ec(&sig::ECDSA_P384_SHA384_FIXED_SIGNING), "P-384"),
            "EdDSA" => Pair::Ed(Ed25519KeyPair::generate().unwrap()),
            "RS256" => Pair::Rsa(rsa(), &sig::RSA_PKCS1_SHA256),
            "RS384" => Pair::Rsa(rsa(), &sig::RSA_PKCS1_SHA384),
            "RS512" => Pair::Rsa(rsa(), &sig::RSA_PKCS1_SHA512),
            "PS256" => Pair::Rsa(rsa(), &sig::RSA_PSS_SHA256),
            "PS384" => Pair::Rsa(rsa(), &sig::RSA_PSS_SHA384),
            "PS512" => Pair::Rsa(rsa(), &sig::RSA_PSS_SHA512),
            other => panic!("{other} signs nothing"),
        };
        Self { kid: kid.to_owned(), alg, pair }
    }

    /// The public key as it is published.
    pub(in crate::identity) fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Ec(pair, curve) => {
                let point = pair.public_key().as_ref();
                let (x, y) = point[1..].split_at(point.len() / 2);
                json!({"kty": "EC", "crv": curve, "x": b64(x), "y": b64(y)})
            }
            Pair::Ed(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": b64(pair.public_key())}),
            Pair::Rsa(pair, _) => {
                let RsaPublicKeyComponents::<Vec<u8>> { n, e } = pair.public_key().into();
                json!({"kty": "RSA", "n": b64(n), "e": b64(e)})
            }
        };
        merge(&mut jwk, json!({"kid": self.kid, "alg": self.alg, "use": "sig"}));
        jwk
    }

    pub(in crate::identity) fn jwk_with(&self, changes: Value) -> Value {
        let mut jwk = self.jwk();
        merge(&mut jwk, changes);
        jwk
    }

    /// A token with the usual header and these claims.
    pub(in crate::identity) fn token(&self, claims: &Value) -> String {
        self.token_with(json!({}), claims)
    }

    /// A token whose header has `changes`; null takes a parameter out.
    pub(in crate::identity) fn token_with(&self, changes: Value, claims: &Value) -> String {
        let mut header = json!({"alg": self.alg, "kid": self.kid, "typ": "at+jwt"});
        merge(&mut header, changes);
        self.sign(&header.to_string(), &claims.to_string())
    }

    /// Whatever it is, signed.
    pub(in crate::identity) fn sign(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", b64(header), b64(claims));
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Ec(pair, _) => pair.sign(&random, signed.as_bytes()).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(signed.as_bytes()).as_ref().to_vec(),
            Pair::Rsa(pair, padding) => {
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(*padding, &random, signed.as_bytes(), &mut out).unwrap();
                out
            }
        };
        format!("{signed}.{}", b64(signature))
    }

    /// The public key in DER, for those who would use it as a secret.
    pub(in crate::identity) fn public_der(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Ec(pair, _) => AsDer::as_der(pair.public_key()).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Rsa(pair, _) => AsDer::as_der(pair.public_key()).unwrap().as_ref().to_vec(),
        }
    }
}

/// Making an RSA key takes a while: one for all tests.
fn rsa() -> &'static RsaKeyPair {
    static PAIR: OnceLock<RsaKeyPair> = OnceLock::new();
    PAIR.get_or_init(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
}

pub(in crate::identity) fn jwks(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// A key server on this machine.
pub(in crate::identity) struct KeyServer {
    pub(in crate::identity) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    answer: Mutex<Answer>,
    asked: AtomicUsize,
    /// An answer takes one; there are none while the server is held.
    let_through: Semaphore,
}

#[derive(Clone)]
pub(in crate::identity) enum Answer {
    Body(String),
    Status(u16),
    /// To a place where good keys are.
    Redirect(String),
    /// No end, and no length said.
    Endless,
    /// A body shorter than was said.
    CutOff,
    /// The connection closes without a word.
    Nothing,
}

impl KeyServer {
    pub(in crate::identity) async fn start(answer: Answer) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            answer: Mutex::new(answer),
            asked: AtomicUsize::new(0),
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

    pub(in crate::identity) async fn with_keys(keys: &[Value]) -> Self {
        Self::start(Answer::Body(jwks(keys))).await
    }

    pub(in crate::identity) fn answer(&self, answer: Answer) {
        *self.shared.answer.lock().unwrap() = answer;
    }

    pub(in crate::identity) fn publish(&self, keys: &[Value]) {
        self.answer(Answer::Body(jwks(keys)));
    }

    /// How often it was asked for keys.
    pub(in crate::identity) fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// Answers nobody until [`KeyServer::release`].
    pub(in crate::identity) fn hold(&self) {
        self.shared.let_through.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(in crate::identity) fn release(&self) {
        self.shared.let_through.add_permits(1_000);
    }

    /// Returns once it has been asked `times`.
    pub(in crate::identity) async fn until_asked(&self, times: usize) {
        while self.asked() < times {
            tokio::task::yield_now().await;
        }
    }

    pub(in crate::identity) fn url(&self) -> String {
        format!("http://{}/jwks", self.address)
    }

    pub(in crate::identity) fn settings(&self) -> IssuerSettings {
        IssuerSettings::strict("retail", ISS, vec![AUD.to_owned()], KeySource::Url(self.url()))
    }

    /// The issuer whose server this is, its keys fetched.
    pub(in crate::identity) async fn issuers(&self, change: impl FnOnce(&mut IssuerSettings)) -> Issuers {
        let mut settings = self.settings();
        change(&mut settings);
        let issuers = Issuers::new(vec![settings], None).unwrap();
        issuers.refresh(now()).await;
        issuers
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
        self.asked.fetch_add(1, Ordering::SeqCst);
        let Ok(permit) = self.let_through.acquire().await else { return };
        permit.forget();
        let answer = self.answer.lock().unwrap().clone();
        let head =
            |status: u16, more: &str| format!("HTTP/1.1 {status} x\r\nconnection: close\r\n{more}\r\n");
        // Nobody may be listening any more, which is what some tests are about.
        let _sent_or_not = match answer {
            Answer::Body(body) => {
                let head = head(200, &format!("content-length: {}\r\n", body.len()));
                stream.write_all(format!("{head}{body}").as_bytes()).await
            }
            Answer::Status(status) => {
                stream.write_all(head(status, "content-length: 0\r\n").as_bytes()).await
            }
            Answer::Redirect(to) => {
                let more = format!("location: {to}\r\ncontent-length: 0\r\n");
                stream.write_all(head(302, &more).as_bytes()).await
            }
            Answer::CutOff => {
                stream
                    .write_all(format!("{}{{\"keys\":", head(200, "content-length: 999\r\n")).as_bytes())
                    .await
            }
            Answer::Endless => {
                let mut sent = stream.write_all(head(200, "").as_bytes()).await;
                while sent.is_ok() {
                    sent = stream.write_all(&[b' '; 4096]).await;
                }
                sent
            }
            Answer::Nothing => Ok(()),
        };
    }
}
