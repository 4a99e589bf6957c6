//! Why did a handshake fail? One of a few codes, never a byte of what the peer sent.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

/// Why a handshake failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The client certificate is past its end.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// Its authority has revoked it.
    Revoked,
    /// It leads to none of the authorities that are believed here.
    IssuerUnknown,
    /// No revocation list of its authority is at hand.
    RevocationUnknown,
    /// The revocation list of its authority is past its end.
    RevocationListEnded,
    /// It is not signed by whom it names, or the client does not hold its key.
    Signature,
    /// It is not for clients.
    Purpose,
    /// It cannot be read.
    Unreadable,
    /// Something else is wrong with it.
    CertificateInvalid,
    /// The client does not believe the certificate that the gateway shows.
    Distrusted,
    /// No version of TLS in common.
    Version,
    /// No algorithm in common.
    Algorithms,
    /// No protocol over TLS in common.
    Protocol,
    /// What came is not TLS.
    NotTls,
    /// The client broke the protocol.
    Misbehaved,
    /// The client ended it with another alert.
    Alert,
    /// The listener has no certificate to show yet.
    NoCertificate,
    /// The client went away.
    Left,
    /// It took too long.
    Slow,
    /// Something else.
    Other,
}

impl Cause {
    /// The cause in what the handshake gave as its error.
    #[must_use]
    pub fn of(fault: &io::Error) -> Self {
        let inner = fault.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        match inner {
            Some(error) => Self::of_tls(error),
            None => Self::Left,
        }
    }

    fn of_tls(error: &Error) -> Self {
        match error {
            Error::InvalidCertificate(fault) => Self::of_certificate(fault),
            Error::InvalidCertRevocationList(_) => Self::RevocationUnknown,
            Error::PeerIncompatible(
                PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::SupportedVersionsExtensionRequired
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
            ) => Self::Version,
            Error::PeerIncompatible(_) => Self::Algorithms,
            Error::NoApplicationProtocol => Self::Protocol,
            Error::AlertReceived(
                AlertDescription::UnknownCA
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown,
            ) => Self::Distrusted,
            Error::AlertReceived(AlertDescription::ProtocolVersion) => Self::Version,
            Error::AlertReceived(_) => Self::Alert,
            Error::InvalidMessage(_) => Self::NotTls,
            Error::PeerMisbehaved(_)
            | Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. }
            | Error::DecryptError
            | Error::PeerSentOversizedRecord => Self::Misbehaved,
            // What rustls says when nothing can be shown.
            Error::General(_) => Self::NoCertificate,
            // The library's list, which grows.
            _ => Self::Other,
        }
    }

    fn of_certificate(fault: &CertificateError) -> Self {
        match fault {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::Revoked => Self::Revoked,
            CertificateError::UnknownIssuer => Self::IssuerUnknown,
            CertificateError::UnknownRevocationStatus => Self::RevocationUnknown,
            CertificateError::ExpiredRevocationList
            | CertificateError::ExpiredRevocationListContext { .. } => Self::RevocationListEnded,
            CertificateError::BadSignature => Self::Signature,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                Self::Purpose
            }
            CertificateError::BadEncoding => Self::Unreadable,
            // The library's list, which grows.
            _ => Self::CertificateInvalid,
        }
    }

    /// A stable code for the audit log, the metrics and the log.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Expired => "handshake-certificate-expired",
            Self::NotYetValid => "handshake-certificate-not-yet-valid",
            Self::Revoked => "handshake-certificate-revoked",
            Self::IssuerUnknown => "handshake-certificate-issuer-unknown",
            Self::RevocationUnknown => "handshake-revocation-unknown",
            Self::RevocationListEnded => "handshake-revocation-list-ended",
            Self::Signature => "handshake-certificate-signature",
            Self::Purpose => "handshake-certificate-purpose",
            Self::Unreadable => "handshake-certificate-unreadable",
            Self::CertificateInvalid => "handshake-certificate-invalid",
            Self::Distrusted => "handshake-gateway-distrusted",
            Self::Version => "handshake-version",
            Self::Algorithms => "handshake-algorithms",
            Self::Protocol => "handshake-protocol",
            Self::NotTls => "handshake-not-tls",
            Self::Misbehaved => "handshake-misbehaved",
            Self::Alert => "handshake-alert",
            Self::NoCertificate => "handshake-no-certificate",
            Self::Left => "handshake-left",
            Self::Slow => "handshake-slow",
            Self::Other => "handshake-other",
        }
    }

    /// Whether somebody was turned away. Who connects and says nothing, as load balancers do to see whether
    /// somebody is there, was not.
    #[must_use]
    pub const fn is_a_refusal(self) -> bool {
        !matches!(self, Self::Left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_apart_and_quote_nothing() {
        for (error, cause) in [
            (Error::InvalidCertificate(CertificateError::Revoked), Cause::Revoked),
            (Error::InvalidCertificate(CertificateError::UnknownIssuer), Cause::IssuerUnknown),
            (
                Error::InvalidCertificate(CertificateError::UnhandledCriticalExtension),
                Cause::CertificateInvalid,
            ),
            (Error::AlertReceived(AlertDescription::UnknownCA), Cause::Distrusted),
            (Error::AlertReceived(AlertDescription::Unknown(77)), Cause::Alert),
            (Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered), Cause::Version),
            (Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon), Cause::Algorithms),
            (Error::General("quoted".to_owned()), Cause::NoCertificate),
            (Error::FailedToGetCurrentTime, Cause::Other),
        ] {
            let found = Cause::of(&io::Error::new(io::ErrorKind::InvalidData, error));
            assert_eq!(found, cause);
            assert!(found.reason().starts_with("handshake-") && !found.reason().contains("quoted"));
        }
        assert_eq!(Cause::of(&io::ErrorKind::UnexpectedEof.into()), Cause::Left);
    }
}
