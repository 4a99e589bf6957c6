//! Why can a certificate, a key, a bundle or a list not be held?
//!
//! Nothing here repeats bytes of a file: what should be a certificate may be a key in the wrong place.

use std::io;

/// What came from one source, or one of its files, cannot be held.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} {why}")]
pub struct KeyringFault {
    /// The file, or the source.
    pub name: String,
    /// Why.
    #[source]
    pub why: Unusable,
}

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(io::ErrorKind),
    /// It cannot be fetched; the code says why.
    #[error("cannot be fetched ({0})")]
    NotFetched(&'static str),
    /// More than anything of this kind.
    #[error("is larger than anything that belongs here")]
    TooLarge,
    /// A section that is broken.
    #[error("cannot be read as PEM")]
    NotPem,
    /// No certificate in it.
    #[error("holds no certificate")]
    NoCertificate,
    /// Not a certificate, whatever its label says.
    #[error("holds a certificate that is not X.509")]
    NotX509,
    /// A certificate that no path can end in.
    #[error("holds a certificate that cannot be a root")]
    NotARoot,
    /// No private key in it.
    #[error("holds no private key that can be read")]
    NoKey,
    /// Certificate and key are not of each other.
    #[error("does not fit its key")]
    KeyDoesNotFit,
    /// Its time has not come, or is over; what is held stays.
    #[error("holds a certificate that is not valid now")]
    NotValidNow,
    /// No revocation list in it.
    #[error("holds no revocation list")]
    NoList,
    /// Not a list that can be used.
    #[error("holds a revocation list that cannot be used")]
    NotAList,
    /// A list with an older number or date than the one that is held.
    #[error("holds a revocation list that is older than the one in use")]
    OlderList,
    /// Nobody among the roots signed it, although it says so.
    #[error("holds a revocation list that its issuer has not signed")]
    ForgedList,
    /// A bundle with an older sequence number than the one that is held.
    #[error("holds a bundle that is older than the one in use")]
    OlderBundle,
    /// Not a bundle of a trust domain.
    #[error("holds no bundle of a SPIFFE trust domain")]
    NotABundle,
    /// An issuer whose list is held is not in it.
    #[error("lacks the revocation list of an issuer whose list is in use")]
    OtherList,
}

impl Unusable {
    /// A stable code for status pages and metrics.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::NotFetched(reason) => reason,
            Self::TooLarge => "too-large",
            Self::NotPem => "not-pem",
            Self::NoCertificate => "no-certificate",
            Self::NotX509 => "not-x509",
            Self::NotARoot => "not-a-root",
            Self::NoKey => "no-key",
            Self::KeyDoesNotFit => "key-does-not-fit",
            Self::NotValidNow => "not-valid-now",
            Self::NoList => "no-list",
            Self::NotAList => "not-a-list",
            Self::OlderList => "older-list",
            Self::ForgedList => "forged-list",
            Self::OtherList => "other-list",
            Self::OlderBundle => "older-bundle",
            Self::NotABundle => "not-a-bundle",
        }
    }
}
