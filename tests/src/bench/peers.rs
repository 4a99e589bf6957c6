//! What the gateway is compared with: Pingora's own proxy and nginx, one thread each, nothing checked.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use clap::Args;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;

use crate::process::{Process, TIME_MAX};
use crate::tls::install_provider;
use crate::world::World;

/// Where bare Pingora listens, and what stands behind it.
#[derive(Debug, Clone, Args)]
pub struct Bare {
    /// Where it listens without TLS.
    #[arg(long)]
    plain: SocketAddr,
    /// Where it listens with TLS.
    #[arg(long)]
    tls: SocketAddr,
    /// Its certificate, a PEM file.
    #[arg(long)]
    certificate: PathBuf,
    /// The certificate's key, a PEM file.
    #[arg(long)]
    key: PathBuf,
    /// Where it passes everything on to.
    #[arg(long)]
    upstream: SocketAddr,
}

/// A peer that listens. It is gone when this value is dropped.
pub(super) struct Peer {
    process: Process,
    plain: SocketAddr,
    tls: SocketAddr,
}

impl Peer {
    /// Starts bare Pingora: this very program, under another command.
    pub(super) async fn bare_pingora(world: &World, origin: SocketAddr) -> Self {
        let (plain, tls) = (free_address(), free_address());
        let mut command = Command::new(std::env::current_exe().expect("a program knows where it is"));
        command
            .args(["bare-pingora", "--plain", &plain.to_string(), "--tls", &tls.to_string()])
            .args(["--upstream", &origin.to_string()])
            .arg("--certificate")
            .arg(world.folder.join("certs/server.pem"))
            .arg("--key")
            .arg(world.folder.join("certs/server.key"));
        Self { process: Process::spawn(command), plain, tls }.listening().await
    }

    /// Starts nginx, which Debian has as `nginx-light`.
    pub(super) async fn nginx(world: &World, origin: SocketAddr) -> Self {
        let (plain, tls) = (free_address(), free_address());
        let folder = world.folder.join("nginx");
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        let text = NGINX
            .replace("@ORIGIN@", &origin.to_string())
            .replace("@PLAIN@", &plain.to_string())
            .replace("@TLS@", &tls.to_string())
            .replace("@CERTS@", &world.folder.join("certs").to_string_lossy());
        world.folder.write("nginx/nginx.conf", &text);
        let mut command = Command::new(nginx_program());
        command.arg("-p").arg(&folder).args(["-e", "stderr", "-c", "nginx.conf"]);
        Self { process: Process::spawn(command), plain, tls }.listening().await
    }

    pub(super) const fn id(&self) -> u32 {
        self.process.id()
    }

    pub(super) const fn plain(&self) -> SocketAddr {
        self.plain
    }

    pub(super) const fn tls(&self) -> SocketAddr {
        self.tls
    }

    /// Waits until both of its addresses take connections.
    async fn listening(self) -> Self {
        let started = Instant::now();
        for address in [self.plain, self.tls] {
            while tokio::net::TcpStream::connect(address).await.is_err() {
                assert!(started.elapsed() < TIME_MAX, "it does not listen:\n{}", self.process.printed());
                // It does not say when it does.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        self
    }
}

/// `/usr/sbin` is not in everybody's path.
pub(super) fn nginx_program() -> &'static Path {
    let debian = Path::new("/usr/sbin/nginx");
    if debian.is_file() { debian } else { Path::new("nginx") }
}

/// A port that was free just now: these peers cannot say which one they took.
fn free_address() -> SocketAddr {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    socket.local_addr().expect("a bound socket has an address")
}

/// One process does all the work, so that its accounting is the whole of it.
const NGINX: &str = "\
daemon off;
master_process off;
worker_processes 1;
pid nginx.pid;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    keepalive_requests 1000000000;
    upstream origin { server @ORIGIN@; keepalive 64; keepalive_requests 1000000000; }
    server {
        listen @PLAIN@;
        listen @TLS@ ssl;
        ssl_certificate @CERTS@/server.pem;
        ssl_certificate_key @CERTS@/server.key;
        ssl_protocols TLSv1.3;
        location / {
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
        }
    }
}
";

/// Passes everything on.
struct PassOn {
    upstream: SocketAddr,
}

#[async_trait]
impl ProxyHttp for PassOn {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(&self, _: &mut Session, _: &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }
}

/// Serves as bare Pingora, for ever.
///
/// # Panics
/// An address or the certificate cannot be used.
pub fn serve_bare(bare: &Bare) -> ! {
    install_provider();
    let mut server = Server::new_with_opt_and_conf(None, ServerConf { threads: 1, ..ServerConf::default() });
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, PassOn { upstream: bare.upstream });
    service.add_tcp(&bare.plain.to_string());
    let (certificate, key) = (bare.certificate.to_string_lossy(), bare.key.to_string_lossy());
    service.add_tls(&bare.tls.to_string(), &certificate, &key).expect("a certificate and its key");
    server.add_service(service);
    server.run_forever()
}
