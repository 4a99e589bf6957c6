//! What is wrong with a head, in which code, and what kind of wrong is it?

/// Why a head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request head is refused ({})", self.reason())]
pub enum HeadFault {
    /// A line ends with a line feed alone.
    BareLf,
    /// A carriage return stands alone.
    BareCr,
    /// White space before the first field.
    LeadingWhitespace,
    /// A field goes on in the next line.
    FoldedLine,
    /// More bytes than are read.
    HeadTooLong,
    /// A field line longer than is read.
    FieldTooLong,
    /// More fields than are read.
    TooManyFields,
    /// A target longer than is read.
    TargetTooLong,
    /// Not a method, a target and a version, with one space between.
    RequestLine,
    /// Not a version of HTTP.
    Version,
    /// Another version than 1.0 and 1.1.
    VersionUnknown,
    /// Not a method.
    Method,
    /// A method that nobody serves.
    MethodUnknown,
    /// Neither a path nor an absolute `http` target.
    TargetForm,
    /// A byte that a target may not have.
    TargetByte,
    /// An absolute target whose authority is none.
    TargetAuthority,
    /// A line without a colon.
    FieldWithoutColon,
    /// White space before a colon.
    FieldNameSpace,
    /// A name that is no token.
    FieldName,
    /// A control byte in a value.
    FieldValue,
    /// No `Host` in HTTP/1.1.
    HostMissing,
    /// `Host` twice.
    HostRepeated,
    /// A `Host` that is none.
    HostInvalid,
    /// `Host` and an absolute target name different hosts.
    HostDiffers,
    /// `Content-Length` twice.
    LengthRepeated,
    /// A `Content-Length` that is no number.
    LengthInvalid,
    /// `Content-Length` and `Transfer-Encoding` together.
    LengthAndCoding,
    /// `Transfer-Encoding` twice.
    CodingRepeated,
    /// A transfer coding other than `chunked`.
    CodingUnknown,
    /// A transfer coding in HTTP/1.0.
    CodingInHttp10,
    /// A `Connection` that names no fields.
    ConnectionInvalid,
    /// A `Connection` that names a field by which the request is decided.
    ConnectionNamesCritical,
    /// An upgrade to HTTP/2 in clear.
    UpgradeToHttp2,
    /// An expectation other than `100-continue`.
    ExpectationUnknown,
    /// A stream of HTTP/2 whose head is none, or is ambiguous: RFC 9113 section 8.1.1.
    Stream,
}

/// What kind of wrong: as much as an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadClass {
    /// Not a request (400).
    Malformed,
    /// Too many or too long fields (431).
    TooLarge,
    /// The target is too long (414).
    TargetTooLong,
    /// A method or a transfer coding that nobody serves here (501).
    NotImplemented,
    /// Another version of HTTP (505).
    VersionUnsupported,
    /// An expectation other than `100-continue` (417).
    ExpectationFailed,
}

impl HeadFault {
    /// The code in audit records and metrics.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        self.told().0
    }

    /// The kind.
    #[must_use]
    pub const fn class(self) -> HeadClass {
        self.told().1
    }

    const fn told(self) -> (&'static str, HeadClass) {
        use HeadClass::{
            ExpectationFailed, Malformed, NotImplemented, TargetTooLong, TooLarge, VersionUnsupported,
        };
        match self {
            Self::BareLf => ("head-bare-lf", Malformed),
            Self::BareCr => ("head-bare-cr", Malformed),
            Self::LeadingWhitespace => ("head-leading-whitespace", Malformed),
            Self::FoldedLine => ("head-folded-line", Malformed),
            Self::HeadTooLong => ("head-too-long", TooLarge),
            Self::FieldTooLong => ("head-field-too-long", TooLarge),
            Self::TooManyFields => ("head-too-many-fields", TooLarge),
            Self::TargetTooLong => ("head-target-too-long", TargetTooLong),
            Self::RequestLine => ("head-request-line", Malformed),
            Self::Version => ("head-version", Malformed),
            Self::VersionUnknown => ("head-version-unknown", VersionUnsupported),
            Self::Method => ("head-method", Malformed),
            Self::MethodUnknown => ("head-method-unknown", NotImplemented),
            Self::TargetForm => ("head-target-form", Malformed),
            Self::TargetByte => ("head-target-byte", Malformed),
            Self::TargetAuthority => ("head-target-authority", Malformed),
            Self::FieldWithoutColon => ("head-field-without-colon", Malformed),
            Self::FieldNameSpace => ("head-field-name-space", Malformed),
            Self::FieldName => ("head-field-name", Malformed),
            Self::FieldValue => ("head-field-value", Malformed),
            Self::HostMissing => ("head-host-missing", Malformed),
            Self::HostRepeated => ("head-host-repeated", Malformed),
            Self::HostInvalid => ("head-host-invalid", Malformed),
            Self::HostDiffers => ("head-host-differs", Malformed),
            Self::LengthRepeated => ("head-length-repeated", Malformed),
            Self::LengthInvalid => ("head-length-invalid", Malformed),
            Self::LengthAndCoding => ("head-length-and-coding", Malformed),
            Self::CodingRepeated => ("head-coding-repeated", Malformed),
            Self::CodingUnknown => ("head-coding-unknown", NotImplemented),
            Self::CodingInHttp10 => ("head-coding-in-http10", Malformed),
            Self::ConnectionInvalid => ("head-connection-invalid", Malformed),
            Self::ConnectionNamesCritical => ("head-connection-names-critical", Malformed),
            Self::UpgradeToHttp2 => ("head-upgrade-to-http2", Malformed),
            Self::ExpectationUnknown => ("head-expectation-unknown", ExpectationFailed),
            Self::Stream => ("head-stream", Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_by_its_code_and_kind() {
        assert_eq!(HeadFault::BareLf.to_string(), "the request head is refused (head-bare-lf)");
        assert_eq!(HeadFault::BareLf.class(), HeadClass::Malformed);
        assert_eq!(HeadFault::TooManyFields.class(), HeadClass::TooLarge);
        assert_eq!(HeadFault::TargetTooLong.class(), HeadClass::TargetTooLong);
        assert_eq!(HeadFault::MethodUnknown.class(), HeadClass::NotImplemented);
        assert_eq!(HeadFault::VersionUnknown.class(), HeadClass::VersionUnsupported);
        assert_eq!(HeadFault::ExpectationUnknown.class(), HeadClass::ExpectationFailed);
    }
}
