//! With what does the gateway log in? Reads it where it is kept, each time anew, so that a change is seen.

use std::io::Read;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::settings::Source;

/// What proves the gateway to Vault cannot be read, or is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoProof;

/// What is at `source`, without the end of its line.
pub(super) async fn read(source: &Source) -> Result<Zeroizing<Vec<u8>>, NoProof> {
    let read = match source {
        Source::File(path) => read_file(path).await?,
        Source::Variable(name) => {
            let value = std::env::var_os(name).ok_or(NoProof)?;
            Zeroizing::new(std::os::unix::ffi::OsStringExt::into_vec(value))
        }
    };
    Ok(line(read)).and_then(|line| if line.is_empty() { Err(NoProof) } else { Ok(line) })
}

/// The whole of a file.
pub(super) async fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, NoProof> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || blocking(path)).await.map_err(|_ended| NoProof)?
}

fn blocking(path: PathBuf) -> Result<Zeroizing<Vec<u8>>, NoProof> {
    let file = std::fs::File::open(path).map_err(|_unreadable| NoProof)?;
    if !file.metadata().is_ok_and(|about| about.is_file()) {
        return Err(NoProof);
    }
    // Reserved at once: a buffer that grows would leave a copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(PROOF_BYTES_MAX));
    let limit = u64::try_from(PROOF_BYTES_MAX).unwrap_or(u64::MAX);
    file.take(limit).read_to_end(&mut bytes).map_err(|_unreadable| NoProof)?;
    if bytes.len() == PROOF_BYTES_MAX { Err(NoProof) } else { Ok(bytes) }
}

fn line(mut bytes: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    while bytes.last().is_some_and(|last| matches!(last, b'\n' | b'\r')) {
        bytes.pop();
    }
    bytes
}

/// A chain of certificates, the largest of what is shown.
const PROOF_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_proof_is_read_without_the_end_of_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let at = Source::File(path.clone());
        assert_eq!(read(&at).await, Err(NoProof), "no file");
        for (written, expected) in [("hvs.x\r\n", Ok("hvs.x")), ("hvs.x", Ok("hvs.x")), ("\n", Err(NoProof))]
        {
            std::fs::write(&path, written).unwrap();
            let read = read(&at).await;
            assert_eq!(
                read.as_deref().map(|bytes| &bytes[..]),
                expected.map(str::as_bytes).as_ref().map(|b| *b)
            );
        }
        std::fs::write(&path, vec![b'x'; PROOF_BYTES_MAX]).unwrap();
        assert_eq!(read(&at).await, Err(NoProof), "larger than any proof");
        assert_eq!(read(&Source::File(folder.path().to_owned())).await, Err(NoProof), "a folder");
        assert_eq!(read(&Source::Variable("NO_SUCH_VARIABLE".to_owned())).await, Err(NoProof));
    }
}
