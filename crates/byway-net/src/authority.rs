//! A local certificate authority: it opens the tunnels of providers that the operator names, and
//! of nobody else.
//!
//! Its certificate carries name constraints (RFC 5280 §4.2.1.10), so that whoever trusts it trusts
//! it for those hosts only, even if its key is stolen. What it covers stands in front of the PEM
//! block as a comment (RFC 7468 §2), so that the gateway never opens a tunnel that a caller could
//! not accept.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use byway_core::route::HostPattern;
use byway_core::time::{after, before, since};
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use crate::tls::{TlsSetupError, crypto};

/// How long an authority is trusted.
const AUTHORITY_LASTS: Duration = Duration::from_secs(397 * DAY);
/// How long a certificate for a host is good: short, as it is made anew in a millisecond.
const HOST_LASTS: Duration = Duration::from_secs(7 * DAY);
/// A certificate is replaced this long before its end.
const HOST_RENEWED: Duration = Duration::from_secs(2 * DAY);
const DAY: u64 = 24 * 3600;
/// Hosts whose certificates are kept; more push all out.
const N_HOSTS_MAX: usize = 1024;
/// The line that says what is covered.
const COVERS: &str = "# byway covers:";

/// An authority as it is written to files.
#[derive(Debug)]
pub struct MadeAuthority {
    /// What it covers, and its certificate.
    pub certificate_pem: String,
    /// Its key.
    pub key_pem: String,
    /// Until when it is good.
    pub until: Timestamp,
}

/// An authority in use.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    hosts: Vec<HostPattern>,
    /// The one key of all certificates for hosts.
    key: KeyPair,
    servers: Mutex<HashMap<String, (Timestamp, TlsAcceptor)>>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes a new one for these hosts.
    ///
    /// # Errors
    /// [`TlsSetupError`] if a host cannot stand in a certificate.
    pub fn make(
        hosts: &[HostPattern],
        instance: &str,
        now: Timestamp,
    ) -> Result<MadeAuthority, TlsSetupError> {
        let key = KeyPair::generate().map_err(cannot)?;
        let until = after(now, AUTHORITY_LASTS);
        let mut params = params(hosts, instance)?;
        lasts(&mut params, now, until);
        let certificate = params.self_signed(&key).map_err(cannot)?;
        let names: Vec<String> = hosts.iter().map(written).collect();
        let certificate_pem = format!(
            "{COVERS} {}\n# byway instance: {instance}\n{}",
            names.join(" "),
            certificate.pem()
        );
        Ok(MadeAuthority { certificate_pem, key_pem: key.serialize_pem(), until })
    }

    /// Reads one that was made.
    ///
    /// # Errors
    /// [`TlsSetupError`] if it is damaged, or was not made here.
    pub fn load(certificate_pem: &[u8], key_pem: &[u8]) -> Result<Self, TlsSetupError> {
        let text = String::from_utf8_lossy(certificate_pem);
        let line = |prefix: &str| text.lines().find_map(|line| line.strip_prefix(prefix));
        let hosts: Option<Vec<HostPattern>> = line(COVERS)
            .map(|hosts| hosts.split_whitespace().filter_map(HostPattern::parse).collect());
        let (Some(hosts), Some(instance)) = (hosts, line("# byway instance:")) else {
            return Err(TlsSetupError::new("the authority was not made by `byway ca make`"));
        };
        let certificates = crate::tls::certificates(certificate_pem)?;
        let certificate = certificates.into_iter().next();
        let certificate = certificate.ok_or_else(|| TlsSetupError::new("no certificate"))?;
        let key = std::str::from_utf8(key_pem).map_err(|_| TlsSetupError::new("no key"))?;
        let key = KeyPair::from_pem(key).map_err(cannot)?;
        let issuer = Issuer::new(params(&hosts, instance.trim())?, key);
        Ok(Self {
            issuer,
            certificate,
            hosts,
            key: KeyPair::generate().map_err(cannot)?,
            servers: Mutex::default(),
        })
    }

    /// Whether it may speak for this host, in lower case.
    pub fn covers(&self, host: &str) -> bool {
        self.hosts.iter().any(|pattern| match pattern {
            HostPattern::Exact(exact) => exact == host,
            HostPattern::Below(domain) => {
                host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.'))
            }
        })
    }

    /// What it may speak for.
    pub fn hosts(&self) -> &[HostPattern] {
        &self.hosts
    }

    /// A TLS server that speaks for this host, HTTP/1.1 only.
    ///
    /// # Errors
    /// [`TlsSetupError`] if it does not cover the host.
    pub fn server(&self, host: &str, now: Timestamp) -> Result<TlsAcceptor, TlsSetupError> {
        if !self.covers(host) {
            return Err(TlsSetupError::new(format!("the authority does not cover `{host}`")));
        }
        let known = self.servers.lock().ok().and_then(|servers| servers.get(host).cloned());
        if let Some((until, acceptor)) = known
            && since(now, until) > HOST_RENEWED
        {
            return Ok(acceptor);
        }
        let until = after(now, HOST_LASTS);
        let acceptor = self.issue(host, now, until)?;
        if let Ok(mut servers) = self.servers.lock() {
            if servers.len() >= N_HOSTS_MAX {
                servers.clear();
            }
            servers.insert(host.to_owned(), (until, acceptor.clone()));
        }
        Ok(acceptor)
    }

    fn issue(
        &self,
        host: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<TlsAcceptor, TlsSetupError> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let mut params = CertificateParams::new(vec![bare.to_owned()]).map_err(cannot)?;
        params.distinguished_name.push(DnType::CommonName, "opened by byway");
        lasts(&mut params, now, until);
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&self.key, &self.issuer).map_err(cannot)?;
        let chain = vec![certificate.der().clone(), self.certificate.clone()];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(crypto())
            .with_safe_default_protocol_versions()
            .map_err(|err| TlsSetupError::new(format!("cannot set up TLS: {err}")))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|err| TlsSetupError::new(format!("cannot speak for `{host}`: {err}")))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// What all certificates of an authority agree on; made the same whenever it is loaded.
fn params(hosts: &[HostPattern], instance: &str) -> Result<CertificateParams, TlsSetupError> {
    let mut params = CertificateParams::new(Vec::new()).map_err(cannot)?;
    params
        .distinguished_name
        .push(DnType::CommonName, format!("Byway authority of {instance}, listed hosts only"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let mut permitted = Vec::new();
    let (mut has_v4, mut has_v6) = (false, false);
    for host in hosts {
        let name = match host {
            HostPattern::Exact(name) | HostPattern::Below(name) => name,
        };
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        permitted.push(match bare.parse::<IpAddr>() {
            Ok(IpAddr::V4(ip)) => {
                has_v4 = true;
                GeneralSubtree::IpAddress(CidrSubnet::V4(ip.octets(), [255; 4]))
            }
            Ok(IpAddr::V6(ip)) => {
                has_v6 = true;
                GeneralSubtree::IpAddress(CidrSubnet::V6(ip.octets(), [255; 16]))
            }
            Err(_) => GeneralSubtree::DnsName(bare.to_owned()),
        });
    }
    let has_names = permitted.iter().any(|tree| matches!(tree, GeneralSubtree::DnsName(_)));
    if !has_names {
        // A kind of name without any permitted subtree would be free: this one nobody has.
        permitted.push(GeneralSubtree::DnsName("byway.invalid".to_owned()));
    }
    let mut excluded = Vec::new();
    if !has_v4 && !has_v6 {
        excluded.push(GeneralSubtree::IpAddress(CidrSubnet::V4([0; 4], [0; 4])));
        excluded.push(GeneralSubtree::IpAddress(CidrSubnet::V6([0; 16], [0; 16])));
    }
    params.name_constraints =
        Some(NameConstraints { permitted_subtrees: permitted, excluded_subtrees: excluded });
    Ok(params)
}

fn written(host: &HostPattern) -> String {
    match host {
        HostPattern::Exact(host) => host.clone(),
        HostPattern::Below(domain) => format!("*.{domain}"),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn cannot(error: rcgen::Error) -> TlsSetupError {
    TlsSetupError::new(format!("cannot make a certificate: {error}"))
}

/// From the day before now until a day.
fn lasts(params: &mut CertificateParams, now: Timestamp, until: Timestamp) {
    let day = |at: Timestamp| {
        let date = at.to_zoned(jiff::tz::TimeZone::UTC).date();
        let part = |n: i8| u8::try_from(n).unwrap_or(1);
        rcgen::date_time_ymd(i32::from(date.year()), part(date.month()), part(date.day()))
    };
    params.not_before = day(before(now, Duration::from_secs(DAY)));
    params.not_after = day(until);
}

#[cfg(test)]
mod tests;
