//! Why a message is refused: one variant, one stable code, one sentence.

use std::fmt;

/// A message that cannot be forwarded safely.
///
/// Codes are stable: they stand in answers, logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// RFC 9112 §3.
    RequestLine,
    /// RFC 9110 §9.1: a method is a token.
    Method,
    /// Space, control characters and DEL cannot stand in a request target.
    TargetByte,
    /// Not origin-, absolute-, authority- or asterisk-form (RFC 9112 §3.2).
    TargetForm,
    /// RFC 9110 §4.2.4 warns of userinfo in a target; dropping it would change the request.
    TargetUserinfo,
    /// The authority is not `host[:port]`.
    TargetAuthority,
    /// Longer than the configured limit.
    TargetTooLong,
    /// HTTP/0.9, HTTP/2 preface, or something else.
    Version,
    /// RFC 9112 §4.
    StatusLine,
    /// RFC 9112 §2.2 lets a recipient accept it; two parsers then disagree.
    BareLf,
    /// RFC 9112 §2.2.
    BareCr,
    /// Longer than the configured limit.
    HeadTooLarge,
    /// More than [`crate::N_FIELDS_MAX`] or the configured limit.
    TooManyFields,
    /// RFC 9110 §5.1: a field name is a token.
    FieldName,
    /// RFC 9112 §5.1: no whitespace between name and colon.
    SpaceBeforeColon,
    /// RFC 9112 §5.2.
    ObsFold,
    /// RFC 9110 §5.5.
    FieldValue,
    /// RFC 9112 §6.3: the sign of request smuggling.
    LengthAndCoding,
    /// RFC 9110 §8.6.
    LengthRepeated,
    /// RFC 9110 §8.6: digits only.
    LengthSyntax,
    /// RFC 9112 §6.1: we know `chunked` only.
    CodingUnknown,
    /// RFC 9112 §6.1.
    CodingRepeated,
    /// RFC 9112 §6.1.
    CodingInHttp10,
    /// RFC 9112 §3.2.
    HostMissing,
    /// RFC 9112 §3.2.
    HostRepeated,
    /// RFC 9112 §3.2.
    HostSyntax,
    /// A `Connection` option may not name what frames or addresses the message.
    ConnectionOption,
    /// RFC 9110 §9.3.6: content in CONNECT has no meaning.
    ConnectBody,
    /// RFC 9112 §7.1.
    ChunkSize,
    /// RFC 9112 §7.1.1.
    ChunkExtension,
    /// RFC 9112 §7.1.
    ChunkEnd,
    /// RFC 9112 §7.1.2.
    TrailerSyntax,
    /// RFC 9110 §6.5.1: fields that frame or route a message cannot stand in trailers.
    TrailerForbidden,
    /// More than 16 KiB of trailers.
    TrailerTooLarge,
    /// RFC 9112 §8.
    Truncated,
}

impl Refusal {
    /// Every refusal there is, in the order of the documentation.
    pub const ALL: &[Self] = &[
        Self::RequestLine,
        Self::Method,
        Self::TargetByte,
        Self::TargetForm,
        Self::TargetUserinfo,
        Self::TargetAuthority,
        Self::TargetTooLong,
        Self::Version,
        Self::StatusLine,
        Self::BareLf,
        Self::BareCr,
        Self::HeadTooLarge,
        Self::TooManyFields,
        Self::FieldName,
        Self::SpaceBeforeColon,
        Self::ObsFold,
        Self::FieldValue,
        Self::LengthAndCoding,
        Self::LengthRepeated,
        Self::LengthSyntax,
        Self::CodingUnknown,
        Self::CodingRepeated,
        Self::CodingInHttp10,
        Self::HostMissing,
        Self::HostRepeated,
        Self::HostSyntax,
        Self::ConnectionOption,
        Self::ConnectBody,
        Self::ChunkSize,
        Self::ChunkExtension,
        Self::ChunkEnd,
        Self::TrailerSyntax,
        Self::TrailerForbidden,
        Self::TrailerTooLarge,
        Self::Truncated,
    ];

    /// The stable code.
    pub const fn code(self) -> &'static str {
        self.parts().0
    }

    /// What is wrong, as a sentence without a full stop.
    pub const fn says(self) -> &'static str {
        self.parts().1
    }

    #[expect(clippy::too_many_lines, reason = "a table, one row a refusal")]
    const fn parts(self) -> (&'static str, &'static str) {
        match self {
            Self::RequestLine => {
                ("request_line", "the request line is not `method SP target SP HTTP/1.x`")
            }
            Self::Method => ("method", "the method is not a token"),
            Self::TargetByte => {
                ("target_byte", "the request target contains a space or a control character")
            }
            Self::TargetForm => {
                ("target_form", "the request target has none of the four forms of RFC 9112")
            }
            Self::TargetUserinfo => {
                ("target_userinfo", "the request target carries a user name or password")
            }
            Self::TargetAuthority => {
                ("target_authority", "the host or port in the request target is malformed")
            }
            Self::TargetTooLong => {
                ("target_too_long", "the request target is longer than the limit")
            }
            Self::Version => ("version", "the HTTP version is neither 1.0 nor 1.1"),
            Self::StatusLine => {
                ("status_line", "the status line is not `HTTP/1.x SP 3DIGIT SP reason`")
            }
            Self::BareLf => ("bare_lf", "a line ends in LF without CR"),
            Self::BareCr => ("bare_cr", "a CR stands without LF"),
            Self::HeadTooLarge => ("head_too_large", "the head is larger than the limit"),
            Self::TooManyFields => ("too_many_fields", "the head has more fields than the limit"),
            Self::FieldName => ("field_name", "a field name is not a token"),
            Self::SpaceBeforeColon => {
                ("space_before_colon", "whitespace stands between a field name and its colon")
            }
            Self::ObsFold => ("obs_fold", "a field is folded over several lines"),
            Self::FieldValue => ("field_value", "a field value contains a control character"),
            Self::LengthAndCoding => {
                ("length_and_coding", "both Content-Length and Transfer-Encoding are present")
            }
            Self::LengthRepeated => ("length_repeated", "Content-Length is given more than once"),
            Self::LengthSyntax => {
                ("length_syntax", "Content-Length is not a number of bytes below 2^63")
            }
            Self::CodingUnknown => {
                ("coding_unknown", "Transfer-Encoding names something other than `chunked`")
            }
            Self::CodingRepeated => {
                ("coding_repeated", "Transfer-Encoding is given more than once")
            }
            Self::CodingInHttp10 => {
                ("coding_in_http10", "an HTTP/1.0 message has a Transfer-Encoding")
            }
            Self::HostMissing => ("host_missing", "an HTTP/1.1 request has no Host"),
            Self::HostRepeated => ("host_repeated", "Host is given more than once"),
            Self::HostSyntax => ("host_syntax", "Host is not `host[:port]`"),
            Self::ConnectionOption => {
                ("connection_option", "Connection is malformed or names a framing field")
            }
            Self::ConnectBody => ("connect_body", "a CONNECT request announces a body"),
            Self::ChunkSize => {
                ("chunk_size", "a chunk size is not a hexadecimal number below 2^63")
            }
            Self::ChunkExtension => {
                ("chunk_extension", "a chunk extension is malformed or longer than 4 KiB")
            }
            Self::ChunkEnd => ("chunk_end", "a chunk is not followed by CR LF"),
            Self::TrailerSyntax => ("trailer_syntax", "a trailer field is malformed"),
            Self::TrailerForbidden => {
                ("trailer_forbidden", "a trailer names a field that only a head may carry")
            }
            Self::TrailerTooLarge => ("trailer_too_large", "the trailers are larger than 16 KiB"),
            Self::Truncated => ("truncated", "the connection ended before the message did"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.says())
    }
}

impl std::error::Error for Refusal {}
