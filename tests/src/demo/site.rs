//! Where does the demo keep what it writes? The run folder: settings, tokens, audit log, the gateway's log.

use std::fs::{self, File, TryLockError};
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use gateway::document::Document;

use crate::certificates::write_private;
use crate::peers::Peers;

/// The run folder, held by this demo alone.
#[derive(Debug)]
pub(super) struct Site {
    folder: PathBuf,
    _lock: File,
}

impl Site {
    /// Makes `deploy/run` ready: of an earlier run nothing stays.
    pub(super) fn prepare(repository: &Path) -> io::Result<Self> {
        let folder = repository.join("deploy/run");
        fs::create_dir_all(folder.join("tokens"))?;
        let lock = File::create(folder.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other("another demo runs in deploy/run; end it first"));
            }
            Err(TryLockError::Error(fault)) => return Err(fault),
        }
        match fs::remove_dir_all(folder.join("audit")) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
            Ok(()) | Err(_) => {}
        }
        Ok(Self { folder, _lock: lock })
    }

    /// Writes `gateway.yaml` for these peers.
    pub(super) fn write_settings(&self, peers: &Peers) -> io::Result<()> {
        let text = SETTINGS
            .replace("PUBLIC", &free_or_any(8443))
            .replace("ADMIN", &free_or_any(9901))
            .replace("ISSUER", &peers.issuer.name())
            .replace("ODOO", &peers.odoo.address().to_string())
            .replace("WAREHOUSE", &peers.warehouse.address().to_string());
        fs::write(self.settings(), text)
    }

    /// Writes the order that the contract has as its example.
    pub(super) fn write_order(&self, contracts: &Path) -> io::Result<()> {
        let contract = contracts.join("orders/v2/openapi.yaml");
        let document = Document::read(&contract, "orders/v2/openapi.yaml")
            .map_err(|mistake| io::Error::other(mistake.to_string()))?;
        let order =
            document.value().pointer(ORDER).ok_or_else(|| io::Error::other("the contract has no order"))?;
        fs::write(self.folder.join("order.json"), format!("{order:#}\n"))
    }

    /// Writes a caller's token, in one step: a line that is pasted meanwhile reads the old or the new one.
    pub(super) fn write_token(&self, caller: &str, token: &str) -> io::Result<()> {
        let tokens = self.folder.join("tokens");
        let next = tokens.join(format!("{caller}.next"));
        write_private(&next, token);
        fs::rename(next, tokens.join(caller))
    }

    pub(super) fn settings(&self) -> PathBuf {
        self.folder.join("gateway.yaml")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("gateway.log")
    }
}

/// The address at this port when nobody has it, else at any.
fn free_or_any(port: u16) -> String {
    match TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => format!("127.0.0.1:{port}"),
        Err(_) => "127.0.0.1:0".to_owned(),
    }
}

const SETTINGS: &str = include_str!("gateway.yaml");
const ORDER: &str = "/paths/~1orders/post/requestBody/content/application~1json/examples/parcel/value";
