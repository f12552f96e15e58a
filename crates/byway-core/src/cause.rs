//! Everything that can go wrong with a request, as the caller is told it.
//!
//! One value gives the status, the stable code, the `Proxy-Status` error type (RFC 9209 §2.3) and
//! the sentence, so that answer, log, metric and documentation cannot disagree.

use std::fmt;

/// Why a request did not get an answer from its provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The name of the provider is not configured.
    ProviderUnknown,
    /// No provider lists the host, and `unlisted = "refuse"`.
    HostUnlisted,
    /// The `Host` is none of the gateway's names.
    HostUnknown,
    /// The request was made by a web page.
    WebPage,
    /// No or wrong credentials towards the gateway.
    CallerUnauthorised,
    /// The provider has no `url`, so there is nothing to send a base-URL request to.
    ProviderHasNoUrl,
    /// The request came back to where it had been.
    Loop,
    /// Too many connections, from this caller or in all.
    TooManyConnections,
    /// The caller did not finish its head in time.
    HeadTimeout,
    /// The caller did not go on with its body in time.
    RequestBodyTimeout,
    /// The host looks like an IPv4 address and is none.
    HostNotAnAddress,
    /// The destination's address is not public, and nobody lists it.
    DestinationForbidden,
    /// The name does not exist.
    DnsNx,
    /// The name servers failed.
    DnsServfail,
    /// The name servers did not answer.
    DnsTimeout,
    /// Nobody listens there.
    ConnectRefused,
    /// No answer to the connection.
    ConnectTimeout,
    /// No route to the address.
    ConnectUnreachable,
    /// The connection was reset while it was made.
    ConnectReset,
    /// The certificate is not valid for the provider.
    TlsCert,
    /// The provider ended the handshake with an alert.
    TlsAlert,
    /// Not TLS, or not a TLS that we speak.
    TlsProtocol,
    /// The connection was closed during the handshake.
    TlsClosed,
    /// The handshake took too long.
    TlsTimeout,
    /// No byte of an answer in time.
    ReadTimeout,
    /// The provider took no more of the request.
    WriteTimeout,
    /// The answer stopped in its middle.
    BodyTimeout,
    /// The whole request took too long.
    TotalTimeout,
    /// The connection was reset.
    Reset,
    /// The connection was closed before an answer.
    ClosedWithoutAnswer,
    /// The answer is not HTTP/1.
    AnswerMalformed,
    /// The answer ended too soon.
    AnswerTruncated,
    /// The path's proxy cannot be reached.
    PathDown,
    /// The path's proxy refuses our credentials.
    PathCredentials,
    /// The path's proxy refuses to connect us.
    PathRefused,
    /// The path's relay did not answer as one.
    RelayFailed,
    /// The path's relay does not do what it is asked.
    RelayRefused,
    /// The request or its answer is larger, or takes longer, than the path's relay can bear.
    RelayLimit,
    /// Our clock and the relay's are too far apart for a signature to be believed.
    ClockSkew,
    /// The path's source address is not on this machine.
    SourceAddressGone,
    /// The provider asked us to stay away, and that lasts longer than a request may wait.
    Gated,
    /// Our own budget for the provider is spent for longer than a request may wait.
    BudgetSpent,
    /// No free local port.
    PortsExhausted,
    /// No free file descriptor.
    FilesExhausted,
    /// A bug.
    Internal,
}

/// What each cause looks like from outside.
struct Looks {
    code: &'static str,
    status: u16,
    proxy_status: &'static str,
    says: &'static str,
}

impl Cause {
    /// Every cause, in the order of the documentation.
    pub const ALL: &[Self] = &[
        Self::ProviderUnknown,
        Self::HostUnlisted,
        Self::HostUnknown,
        Self::WebPage,
        Self::CallerUnauthorised,
        Self::ProviderHasNoUrl,
        Self::Loop,
        Self::TooManyConnections,
        Self::HeadTimeout,
        Self::RequestBodyTimeout,
        Self::HostNotAnAddress,
        Self::DestinationForbidden,
        Self::DnsNx,
        Self::DnsServfail,
        Self::DnsTimeout,
        Self::ConnectRefused,
        Self::ConnectTimeout,
        Self::ConnectUnreachable,
        Self::ConnectReset,
        Self::TlsCert,
        Self::TlsAlert,
        Self::TlsProtocol,
        Self::TlsClosed,
        Self::TlsTimeout,
        Self::ReadTimeout,
        Self::WriteTimeout,
        Self::BodyTimeout,
        Self::TotalTimeout,
        Self::Reset,
        Self::ClosedWithoutAnswer,
        Self::AnswerMalformed,
        Self::AnswerTruncated,
        Self::PathDown,
        Self::PathCredentials,
        Self::PathRefused,
        Self::RelayFailed,
        Self::RelayRefused,
        Self::RelayLimit,
        Self::ClockSkew,
        Self::SourceAddressGone,
        Self::Gated,
        Self::BudgetSpent,
        Self::PortsExhausted,
        Self::FilesExhausted,
        Self::Internal,
    ];

    /// The stable code.
    pub const fn code(self) -> &'static str {
        self.looks().code
    }

    /// The status that the caller gets.
    pub const fn status(self) -> u16 {
        self.looks().status
    }

    /// The error type of `Proxy-Status`.
    pub const fn proxy_status(self) -> &'static str {
        self.looks().proxy_status
    }

    /// What happened, as a sentence without a full stop.
    pub const fn says(self) -> &'static str {
        self.looks().says
    }

    /// Whether a relay or peer can see it of a provider; everything else that it says is its own.
    pub const fn is_seen_there(self) -> bool {
        matches!(
            self,
            Self::DestinationForbidden
                | Self::HostNotAnAddress
                | Self::DnsNx
                | Self::DnsServfail
                | Self::DnsTimeout
                | Self::ConnectRefused
                | Self::ConnectTimeout
                | Self::ConnectUnreachable
                | Self::ConnectReset
                | Self::TlsCert
                | Self::TlsAlert
                | Self::TlsProtocol
                | Self::TlsClosed
                | Self::TlsTimeout
                | Self::ReadTimeout
                | Self::WriteTimeout
                | Self::BodyTimeout
                | Self::Reset
                | Self::ClosedWithoutAnswer
                | Self::AnswerMalformed
                | Self::AnswerTruncated
        )
    }

    #[expect(clippy::too_many_lines, reason = "a table, one row a cause")]
    const fn looks(self) -> Looks {
        match self {
            Self::ProviderUnknown => Looks {
                code: "provider_unknown",
                status: 404,
                proxy_status: "http_request_denied",
                says: "no provider of that name is configured",
            },
            Self::HostUnlisted => Looks {
                code: "host_unlisted",
                status: 403,
                proxy_status: "http_request_denied",
                says: "no provider lists this host, and unlisted hosts are refused",
            },
            Self::HostUnknown => Looks {
                code: "host_unknown",
                status: 421,
                proxy_status: "http_request_denied",
                says: "the Host is none of this gateway's names",
            },
            Self::WebPage => Looks {
                code: "web_page",
                status: 403,
                proxy_status: "http_request_denied",
                says: "requests made by web pages are not forwarded",
            },
            Self::CallerUnauthorised => Looks {
                code: "caller_unauthorised",
                status: 407,
                proxy_status: "http_request_denied",
                says: "this listener needs valid Proxy-Authorization",
            },
            Self::ProviderHasNoUrl => Looks {
                code: "provider_has_no_url",
                status: 404,
                proxy_status: "proxy_configuration_error",
                says: "the provider has no `url`, so a base-URL request has no destination",
            },
            Self::Loop => Looks {
                code: "loop",
                status: 508,
                proxy_status: "proxy_loop_detected",
                says: "the request came back to this gateway",
            },
            Self::TooManyConnections => Looks {
                code: "too_many_connections",
                status: 503,
                proxy_status: "connection_limit_reached",
                says: "too many connections",
            },
            Self::HeadTimeout => Looks {
                code: "head_timeout",
                status: 408,
                proxy_status: "http_request_error",
                says: "the head of the request did not arrive in time",
            },
            Self::RequestBodyTimeout => Looks {
                code: "request_body_timeout",
                status: 408,
                proxy_status: "http_request_error",
                says: "the body of the request did not go on in time",
            },
            Self::HostNotAnAddress => Looks {
                code: "host_not_an_address",
                status: 400,
                proxy_status: "http_request_error",
                says: "the host looks like an IPv4 address and is none",
            },
            Self::DestinationForbidden => Looks {
                code: "destination_forbidden",
                status: 403,
                proxy_status: "destination_ip_prohibited",
                says: "the destination's address is not public and no provider allows it",
            },
            Self::Internal => Looks {
                code: "internal",
                status: 500,
                proxy_status: "proxy_internal_error",
                says: "a fault in the gateway itself",
            },
            Self::DnsNx => Looks {
                code: "dns_nx",
                status: 502,
                proxy_status: "dns_error",
                says: "the provider's name does not exist",
            },
            Self::DnsServfail => Looks {
                code: "dns_servfail",
                status: 502,
                proxy_status: "dns_error",
                says: "the name servers failed to resolve the provider's name",
            },
            Self::DnsTimeout => Looks {
                code: "dns_timeout",
                status: 504,
                proxy_status: "dns_timeout",
                says: "the name servers did not answer in time",
            },
            Self::ConnectRefused => Looks {
                code: "connect_refused",
                status: 502,
                proxy_status: "connection_refused",
                says: "the provider refused the connection",
            },
            Self::ConnectTimeout => Looks {
                code: "connect_timeout",
                status: 504,
                proxy_status: "connection_timeout",
                says: "the provider did not accept the connection in time",
            },
            Self::ConnectUnreachable => Looks {
                code: "connect_unreachable",
                status: 502,
                proxy_status: "destination_ip_unroutable",
                says: "there is no route to the provider",
            },
            Self::ConnectReset => Looks {
                code: "connect_reset",
                status: 502,
                proxy_status: "connection_terminated",
                says: "the connection was reset while it was made",
            },
            Self::TlsCert => Looks {
                code: "tls_cert",
                status: 502,
                proxy_status: "tls_certificate_error",
                says: "the provider's certificate is not valid",
            },
            Self::TlsAlert => Looks {
                code: "tls_alert",
                status: 502,
                proxy_status: "tls_alert_received",
                says: "the provider ended the TLS handshake with an alert",
            },
            Self::TlsProtocol => Looks {
                code: "tls_protocol",
                status: 502,
                proxy_status: "tls_protocol_error",
                says: "the provider does not speak a TLS that we speak",
            },
            Self::TlsClosed => Looks {
                code: "tls_closed",
                status: 502,
                proxy_status: "tls_protocol_error",
                says: "the provider closed the connection during the TLS handshake",
            },
            Self::TlsTimeout => Looks {
                code: "tls_timeout",
                status: 504,
                proxy_status: "connection_timeout",
                says: "the TLS handshake with the provider took too long",
            },
            Self::ReadTimeout => Looks {
                code: "read_timeout",
                status: 504,
                proxy_status: "http_response_timeout",
                says: "the provider did not begin its answer in time",
            },
            Self::WriteTimeout => Looks {
                code: "write_timeout",
                status: 504,
                proxy_status: "connection_write_timeout",
                says: "the provider took no more of the request",
            },
            Self::BodyTimeout => Looks {
                code: "body_timeout",
                status: 504,
                proxy_status: "connection_read_timeout",
                says: "the provider stopped in the middle of its answer",
            },
            Self::TotalTimeout => Looks {
                code: "total_timeout",
                status: 504,
                proxy_status: "http_response_timeout",
                says: "the whole request took too long",
            },
            Self::Reset => Looks {
                code: "reset",
                status: 502,
                proxy_status: "connection_terminated",
                says: "the provider reset the connection",
            },
            Self::ClosedWithoutAnswer => Looks {
                code: "closed_without_answer",
                status: 502,
                proxy_status: "connection_terminated",
                says: "the provider closed the connection without an answer",
            },
            Self::AnswerMalformed => Looks {
                code: "answer_malformed",
                status: 502,
                proxy_status: "http_protocol_error",
                says: "the provider's answer is not valid HTTP/1",
            },
            Self::AnswerTruncated => Looks {
                code: "answer_truncated",
                status: 502,
                proxy_status: "http_response_incomplete",
                says: "the provider's answer ended too soon",
            },
            Self::PathDown => Looks {
                code: "path_down",
                status: 502,
                proxy_status: "destination_unavailable",
                says: "our way out does not work: its proxy cannot be reached",
            },
            Self::PathCredentials => Looks {
                code: "path_credentials",
                status: 502,
                proxy_status: "proxy_configuration_error",
                says: "our way out does not work: its proxy refuses our credentials",
            },
            Self::PathRefused => Looks {
                code: "path_refused",
                status: 502,
                proxy_status: "proxy_configuration_error",
                says: "our way out does not work: its proxy refuses to connect us",
            },
            Self::RelayFailed => Looks {
                code: "relay_failed",
                status: 502,
                proxy_status: "destination_unavailable",
                says: "our way out does not work: its relay did not answer as one",
            },
            Self::RelayRefused => Looks {
                code: "relay_refused",
                status: 502,
                proxy_status: "proxy_configuration_error",
                says: "our way out does not work: its relay refuses to do this",
            },
            Self::RelayLimit => Looks {
                code: "relay_limit",
                status: 502,
                proxy_status: "proxy_configuration_error",
                says: "our way out cannot bear this request or its answer: too large, or too slow",
            },
            Self::ClockSkew => Looks {
                code: "clock_skew",
                status: 502,
                proxy_status: "proxy_configuration_error",
                says: "our clock and the relay's are too far apart for a signature to be believed",
            },
            Self::SourceAddressGone => Looks {
                code: "source_address_gone",
                status: 502,
                proxy_status: "proxy_configuration_error",
                says: "our way out does not work: its source address is not on this machine",
            },
            Self::Gated => Looks {
                code: "gated",
                status: 429,
                proxy_status: "http_request_denied",
                says: "the provider asked for a pause, which holds on every path",
            },
            Self::BudgetSpent => Looks {
                code: "budget_spent",
                status: 429,
                proxy_status: "http_request_denied",
                says: "our own budget for this provider is spent",
            },
            Self::PortsExhausted => Looks {
                code: "ports_exhausted",
                status: 503,
                proxy_status: "proxy_internal_error",
                says: "no local port is free",
            },
            Self::FilesExhausted => Looks {
                code: "files_exhausted",
                status: 503,
                proxy_status: "proxy_internal_error",
                says: "no file descriptor is free",
            },
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.says())
    }
}

impl std::error::Error for Cause {}
