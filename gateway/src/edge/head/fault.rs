//! What is wrong with a head, in which code, and what kind of wrong is it?

/// Why a head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request head is refused ({})", self.reason())]
pub(crate) enum HeadFault {
    BareLf,
    BareCr,
    LeadingWhitespace,
    FoldedLine,
    HeadTooLong,
    FieldTooLong,
    TooManyFields,
    TargetTooLong,
    RequestLine,
    Version,
    VersionUnknown,
    Method,
    MethodUnknown,
    TargetForm,
    TargetByte,
    TargetAuthority,
    FieldWithoutColon,
    FieldNameSpace,
    FieldName,
    FieldValue,
    HostMissing,
    HostRepeated,
    HostInvalid,
    HostDiffers,
    LengthRepeated,
    LengthInvalid,
    LengthAndCoding,
    CodingRepeated,
    CodingUnknown,
    CodingInHttp10,
    ConnectionInvalid,
    ConnectionNamesCritical,
    UpgradeToHttp2,
    ExpectationUnknown,
}

/// What kind of wrong: as much as an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadClass {
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
    pub(crate) const fn reason(self) -> &'static str {
        self.told().0
    }

    /// The kind.
    pub(crate) const fn class(self) -> HeadClass {
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
