//! The shipped signatures: whose edge answered, and which answers are refusals of the edge.
//!
//! Sources: the vendors' public documentation of their error pages and fields (Cloudflare 1xxx and
//! 5xx errors, Akamai reference numbers, AWS WAF actions, DataDome, RFC 6585), and pages as they
//! are seen. A presence rule alone never makes a verdict: its fields are on every good answer too.
//! Rules are tried in order; those that read fields come before those that read pages.

use super::Class;
use super::Confidence::{self, Likely, Strong, Weak};

/// Goes up with every change of the table.
pub(super) const VERSION: u32 = 1;

/// One rule; every part of it must hold.
pub(super) struct Row {
    pub(super) edge: &'static str,
    pub(super) name: &'static str,
    /// What the refusal is, as a noun phrase; empty for a presence rule.
    pub(super) says: &'static str,
    pub(super) verdict: Option<(Class, Confidence)>,
    /// Empty for any.
    pub(super) status: &'static [u16],
    /// Fields that are there, with a part of their value.
    pub(super) fields: &'static [(&'static str, &'static str)],
    pub(super) reason: &'static str,
    /// Parts of the body, in lower case.
    pub(super) body: &'static [&'static str],
}

const NONE: Row = Row {
    edge: "",
    name: "",
    says: "",
    verdict: None,
    status: &[],
    fields: &[],
    reason: "",
    body: &[],
};

const fn presence(edge: &'static str, fields: &'static [(&'static str, &'static str)]) -> Row {
    Row { edge, name: edge, fields, ..NONE }
}

const fn page(
    edge: &'static str,
    name: &'static str,
    says: &'static str,
    verdict: (Class, Confidence),
    body: &'static [&'static str],
) -> Row {
    Row { edge, name, says, verdict: Some(verdict), body, ..NONE }
}

const fn field(
    edge: &'static str,
    name: &'static str,
    says: &'static str,
    verdict: (Class, Confidence),
    fields: &'static [(&'static str, &'static str)],
) -> Row {
    Row { edge, name, says, verdict: Some(verdict), fields, ..NONE }
}

const BANNED: (Class, Confidence) = (Class::BlockedIp, Strong);
const REFUSED: (Class, Confidence) = (Class::BlockedIp, Likely);
const MAYBE: (Class, Confidence) = (Class::BlockedIp, Weak);
const ROBOT: (Class, Confidence) = (Class::Challenge, Strong);
const COUNTRY: (Class, Confidence) = (Class::Denied, Strong);
const LIMIT: (Class, Confidence) = (Class::RateLimited, Strong);
const DOWN: (Class, Confidence) = (Class::Outage, Strong);

/// Whose edge.
pub(super) const PRESENCE: &[Row] = &[
    presence("cloudflare", &[("server", "cloudflare")]),
    presence("cloudflare", &[("cf-ray", "")]),
    presence("akamai", &[("server", "akamaighost")]),
    presence("akamai", &[("server", "akamainetstorage")]),
    presence("akamai", &[("x-akamai-request-id", "")]),
    presence("cloudfront", &[("x-amz-cf-id", "")]),
    presence("cloudfront", &[("via", "cloudfront")]),
    presence("aws-alb", &[("server", "awselb")]),
    presence("aws-api-gateway", &[("x-amz-apigw-id", "")]),
    presence("imperva", &[("x-iinfo", "")]),
    presence("imperva", &[("set-cookie", "incap_ses_")]),
    presence("imperva", &[("set-cookie", "visid_incap_")]),
    presence("imperva", &[("x-cdn", "imperva")]),
    presence("imperva", &[("x-cdn", "incapsula")]),
    presence("datadome", &[("x-datadome", "")]),
    presence("datadome", &[("set-cookie", "datadome=")]),
    presence("human", &[("set-cookie", "_pxhd=")]),
    presence("human", &[("set-cookie", "_px3=")]),
    presence("f5", &[("server", "bigip")]),
    presence("f5", &[("set-cookie", "bigipserver")]),
    presence("google", &[("via", "1.1 google")]),
    presence("google", &[("server", "google frontend")]),
    presence("sucuri", &[("x-sucuri-id", "")]),
    presence("sucuri", &[("server", "sucuri")]),
    presence("fastly", &[("x-fastly-request-id", "")]),
    presence("fastly", &[("x-served-by", "cache-")]),
    presence("radware", &[("x-sl-compstate", "")]),
    presence("reblaze", &[("server", "reblaze")]),
    presence("reblaze", &[("set-cookie", "rbzid=")]),
    presence("fortiweb", &[("set-cookie", "fortiwafsid=")]),
    presence("barracuda", &[("set-cookie", "barra_counter_session=")]),
    presence("barracuda", &[("set-cookie", "bni__barracuda_lb_cookie")]),
    presence("azure-front-door", &[("x-azure-ref", "")]),
    presence("vercel", &[("x-vercel-id", "")]),
    presence("wallarm", &[("server", "nginx-wallarm")]),
    presence("stackpath", &[("x-sp-waf", "")]),
];

/// Refusals, limits and outages of edges.
#[rustfmt::skip] // a table reads by rows
pub(super) const VERDICTS: &[Row] = &[
    // Fields first: they beat the status.
    field("cloudflare", "cf-challenge", "Cloudflare challenge", ROBOT, &[("cf-mitigated", "challenge")]),
    field("aws-waf", "aws-waf-challenge", "AWS WAF challenge", ROBOT, &[("x-amzn-waf-action", "challenge")]),
    field("aws-waf", "aws-waf-captcha", "AWS WAF captcha", ROBOT, &[("x-amzn-waf-action", "captcha")]),
    Row { status: &[401, 403], ..field("datadome", "datadome-block", "DataDome refusal", ROBOT, &[("x-dd-b", "")]) },
    field("sucuri", "sucuri-block", "Sucuri block", REFUSED, &[("x-sucuri-block", "")]),
    Row { status: &[403], ..field("vercel", "vercel-challenge", "Vercel challenge", ROBOT, &[("x-vercel-mitigated", "challenge")]) },
    Row { status: &[403, 429], ..field("vercel", "vercel-deny", "Vercel firewall block", REFUSED, &[("x-vercel-mitigated", "deny")]) },
    field("cloudflare", "cf-origin-down", "Cloudflare: origin unreachable", DOWN, &[("cf-error-type", "52")]),
    Row { status: &[520, 521, 522, 523, 524, 525, 526, 527, 530], ..field("cloudflare", "cf-52x", "Cloudflare: origin unreachable", DOWN, &[("server", "cloudflare")]) },
    Row { reason: "modsecurity action", status: &[403, 406], says: "ModSecurity block", name: "modsecurity-reason", edge: "modsecurity", verdict: Some(MAYBE), ..NONE },
    Row { status: &[511], edge: "", name: "captive-portal", says: "captive portal of our own network (RFC 6585)", verdict: Some((Class::Contract, Strong)), ..NONE },
    // Cloudflare's numbered pages.
    page("cloudflare", "cf-1006", "Cloudflare 1006: address banned", BANNED, &["error code: 1006"]),
    page("cloudflare", "cf-1007", "Cloudflare 1007: address banned", BANNED, &["error code: 1007"]),
    page("cloudflare", "cf-1008", "Cloudflare 1008: address banned", BANNED, &["error code: 1008"]),
    page("cloudflare", "cf-1106", "Cloudflare 1106: address banned", BANNED, &["error code: 1106"]),
    page("cloudflare", "cf-banned", "Cloudflare: address banned", BANNED, &["has banned your ip address", "cloudflare"]),
    page("cloudflare", "cf-banned-your-access", "Cloudflare: address banned", BANNED, &["banned your access based on your ip address"]),
    page("cloudflare", "cf-banned-address", "Cloudflare: address banned", BANNED, &["has banned the ip address you are using"]),
    page("cloudflare", "cf-1005", "Cloudflare 1005: network banned", BANNED, &["error code: 1005"]),
    page("cloudflare", "cf-1009", "Cloudflare 1009: country or region refused", COUNTRY, &["error code: 1009"]),
    page("cloudflare", "cf-country", "Cloudflare: country or region refused", COUNTRY, &["banned the country or region your ip address is in"]),
    page("cloudflare", "cf-1010", "Cloudflare 1010: browser signature refused", ROBOT, &["error code: 1010"]),
    page("cloudflare", "cf-signature", "Cloudflare: browser signature refused", ROBOT, &["banned your access based on your browser's signature"]),
    page("cloudflare", "cf-1012", "Cloudflare 1012: access denied", REFUSED, &["error code: 1012"]),
    page("cloudflare", "cf-1015", "Cloudflare 1015: rate limited", LIMIT, &["error code: 1015"]),
    page("cloudflare", "cf-limited", "Cloudflare: rate limited", LIMIT, &["you are being rate limited", "cloudflare"]),
    page("cloudflare", "cf-1020", "Cloudflare 1020: firewall rule", MAYBE, &["error code: 1020"]),
    page("cloudflare", "cf-challenge-page", "Cloudflare challenge", ROBOT, &["/cdn-cgi/challenge-platform/", "_cf_chl_opt"]),
    Row { status: &[403, 429, 503], ..page("cloudflare", "cf-moment", "Cloudflare challenge", ROBOT, &["<title>just a moment...</title>"]) },
    Row { status: &[403, 429, 503], ..page("cloudflare", "cf-attention", "Cloudflare block", REFUSED, &["attention required! | cloudflare"]) },
    Row { status: &[403], ..page("cloudflare", "cf-restrict", "Cloudflare block", REFUSED, &["used cloudflare to restrict access"]) },
    Row { status: &[403], ..page("cloudflare", "cf-blocked", "Cloudflare block", REFUSED, &["sorry, you have been blocked", "cloudflare ray id"]) },
    // Akamai: 18 is ERR_ACCESS_DENIED; it may look at more than the address.
    Row { status: &[403], ..page("akamai", "akamai-18", "Akamai Reference #18: access denied", REFUSED, &["access denied", "reference #18."]) },
    Row { status: &[403], ..page("akamai", "akamai-18-entity", "Akamai Reference #18: access denied", REFUSED, &["access denied", "reference&#32;&#35;18&#46;"]) },
    Row { status: &[403], ..page("akamai", "akamai-edgesuite", "Akamai: access denied", REFUSED, &["access denied", "errors.edgesuite.net"]) },
    Row { status: &[500, 502, 503, 504], ..page("akamai", "akamai-reference", "Akamai: origin unreachable", DOWN, &["an error occurred while processing your request", "reference #"]) },
    Row { status: &[500, 502, 503, 504], ..page("akamai", "akamai-reference-entity", "Akamai: origin unreachable", DOWN, &["reference&#32;&#35;"]) },
    Row { status: &[503], ..page("akamai", "akamai-dns", "Akamai: origin has no address", DOWN, &["service unavailable - dns failure", "reference #11."]) },
    // AWS.
    Row { fields: &[("x-cache", "error from cloudfront")], ..page("cloudfront", "cloudfront-blocked", "CloudFront: request blocked", REFUSED, &["request blocked", "generated by cloudfront"]) },
    page("cloudfront", "cloudfront-blocked-page", "CloudFront: request blocked", REFUSED, &["request blocked.", "generated by cloudfront (cloudfront)"]),
    page("cloudfront", "cloudfront-country", "CloudFront: country refused", COUNTRY, &["configured to block access from your country", "cloudfront"]),
    Row { status: &[502, 503, 504], ..page("cloudfront", "cloudfront-origin", "CloudFront: origin unreachable", DOWN, &["generated by cloudfront"]) },
    Row { status: &[403], fields: &[("server", "awselb")], ..page("aws-alb", "alb-403", "AWS load balancer: forbidden", MAYBE, &["<center><h1>403 forbidden</h1></center>"]) },
    page("aws-waf", "aws-waf-captcha-page", "AWS WAF captcha", ROBOT, &["awswaf.com", "captcha"]),
    Row { status: &[202, 403, 405], ..page("aws-waf", "aws-waf-challenge-page", "AWS WAF challenge", ROBOT, &["awswafintegration"]) },
    // Imperva answers 200, too.
    page("imperva", "imperva-incident", "Imperva block", REFUSED, &["incapsula incident id"]),
    page("imperva", "imperva-resource", "Imperva challenge", ROBOT, &["/_incapsula_resource?"]),
    page("imperva", "imperva-error-15", "Imperva: access denied", REFUSED, &["powered by", "imperva", "error code: 15"]),
    page("imperva", "imperva-error-16", "Imperva: access denied", REFUSED, &["powered by", "imperva", "error code: 16"]),
    Row { status: &[503], ..page("imperva", "imperva-error-8", "Imperva: origin unreachable", DOWN, &["incapsula", "error code 8"]) },
    // Bot managers.
    page("datadome", "datadome-captcha", "DataDome challenge", ROBOT, &["captcha-delivery.com"]),
    Row { status: &[403, 429], ..page("human", "px-captcha", "HUMAN challenge", ROBOT, &["px-captcha"]) },
    page("human", "px-blocked", "HUMAN refusal", ROBOT, &["perimeterx.com/whywasiblocked"]),
    Row { status: &[403, 429], ..page("human", "px-tools", "HUMAN refusal", ROBOT, &["we believe you are using automation tools"]) },
    Row { status: &[403, 429], ..page("human", "px-json", "HUMAN refusal", ROBOT, &["\"blockscript\"", "\"appid\":\"px"]) },
    Row { status: &[429, 403], ..page("kasada", "kasada", "Kasada challenge", ROBOT, &["/149e9513-01fa-4fb0-aad4-566afd725d1b/"]) },
    // F5 answers 200, too.
    page("f5", "f5-rejected", "F5: request rejected", MAYBE, &["the requested url was rejected. please consult with your administrator"]),
    // Google.
    Row { status: &[403], ..page("google", "google-403", "Google: no permission from this client", REFUSED, &["your client does not have permission to get url", "that\u{2019}s an error"]) },
    Row { status: &[403], ..page("google", "google-403-plain", "Google: no permission from this client", REFUSED, &["your client does not have permission to get url"]) },
    Row { status: &[403], ..page("google", "cloud-armor", "Google Cloud Armor block", MAYBE, &["<h1>error: forbidden</h1>", "your client does not have permission"]) },
    Row { status: &[429, 503], ..page("google", "google-sorry", "Google: unusual traffic from this network", REFUSED, &["our systems have detected unusual traffic from your computer network"]) },
    Row { status: &[502], ..page("google", "google-502", "Google front end: origin unreachable", DOWN, &["the server encountered a temporary error and could not complete your request"]) },
    // Others.
    page("sucuri", "sucuri-page", "Sucuri block", REFUSED, &["sucuri website firewall", "access denied"]),
    Row { status: &[403], ..page("fastly", "fastly-403", "Fastly: forbidden", MAYBE, &["fastly error: forbidden"]) },
    Row { status: &[503], ..page("fastly", "fastly-503", "Fastly: origin unreachable", DOWN, &["guru meditation", "varnish cache server"]) },
    Row { status: &[500], ..page("fastly", "fastly-unknown", "Fastly: unknown domain", DOWN, &["fastly error: unknown domain"]) },
    page("radware", "radware", "Radware block", REFUSED, &["unauthorized activity has been detected", "case number"]),
    page("radware", "radware-page", "Radware block", REFUSED, &["unauthorized request blocked"]),
    page("reblaze", "reblaze", "Reblaze block", REFUSED, &["current session has been terminated", "reblaze"]),
    page("reblaze", "reblaze-page", "Reblaze block", REFUSED, &["access denied (403)", "current session has been terminated"]),
    page("fortiweb", "fortiweb", "FortiWeb block", MAYBE, &["fgd_icon", "web page blocked"]),
    page("fortiweb", "fortigate", "FortiGuard block", MAYBE, &["fortiguard intrusion prevention", "access blocked"]),
    page("modsecurity", "modsecurity", "ModSecurity block", MAYBE, &["this error was generated by mod_security"]),
    Row { status: &[406], ..page("modsecurity", "modsecurity-406", "ModSecurity block", MAYBE, &["not acceptable!", "generated by mod_security"]) },
    page("barracuda", "barracuda", "Barracuda block", MAYBE, &["barracuda", "you have been blocked"]),
    Row { status: &[403], ..page("azure-front-door", "azure-waf", "Azure WAF block", MAYBE, &["the request is blocked.", "x-azure-ref"]) },
    Row { status: &[403], fields: &[("x-azure-ref", "")], ..page("azure-front-door", "azure-waf-ref", "Azure WAF block", MAYBE, &["the request is blocked"]) },
    Row { status: &[403], ..page("azure-gateway", "azure-gateway", "Azure Application Gateway block", MAYBE, &["<center>microsoft-azure-application-gateway"]) },
    Row { status: &[403], ..page("wordfence", "wordfence", "Wordfence block", REFUSED, &["generated by wordfence", "your access to this site has been limited"]) },
    Row { status: &[503], ..page("wordfence", "wordfence-503", "Wordfence block", REFUSED, &["your access to this service has been limited", "wordfence"]) },
    Row { status: &[403], ..page("stackpath", "stackpath", "StackPath block", REFUSED, &["you performed an action that triggered the service and blocked your request", "stackpath"]) },
    Row { status: &[405], ..page("aliyun", "aliyun-405", "Alibaba Cloud WAF block", MAYBE, &["errors.aliyun.com"]) },
    page("wallarm", "wallarm", "Wallarm block", MAYBE, &["the request was blocked by wallarm"]),
    // Bare pages of web servers: what a rule on addresses (deny, Require not ip) looks like.
    Row { status: &[403], ..page("", "nginx-403", "bare 403 page of nginx", MAYBE, &["<center><h1>403 forbidden</h1></center>", "<center>nginx"]) },
    Row { status: &[403], ..page("", "openresty-403", "bare 403 page of OpenResty", MAYBE, &["<center><h1>403 forbidden</h1></center>", "<center>openresty"]) },
    Row { status: &[403], ..page("", "apache-403", "bare 403 page of Apache", MAYBE, &["<title>403 forbidden</title>", "you don't have permission to access"]) },
    Row { status: &[403], ..page("", "iis-403-6", "IIS 403.6: address rejected", BANNED, &["403.6", "ip address"]) },
    Row { status: &[403], ..page("", "haproxy-403", "bare 403 page of HAProxy", MAYBE, &["<h1>403 forbidden</h1>", "request forbidden by administrative rules"]) },
];

/// Plain words, in whatever answers with 401, 403 or 429: the address is refused. Each entry's
/// parts must all be there.
pub(super) const WORDS: &[&[&str]] = &[
    &["your ip address", "blocked"],
    &["your ip address", "banned"],
    &["your ip address", "not allowed"],
    &["your ip", "has been blocked"],
    &["your ip", "blacklist"],
    &["ip address", "not in the whitelist"],
    &["ip address", "is not whitelisted"],
    &["ip", "not allowed to access this resource"],
    &["ip_not_allowed"],
    &["ip_blocked"],
    &["ip not allowed"],
    &["ip address not allowed"],
    &["unauthorized ip"],
    &["허용되지 않은 ip"],
    &["등록되지 않은 ip"],
    &["접근이 허용되지 않은 ip"],
    &["차단된 ip"],
    &["ip", "차단되었습니다"],
    &["ip가 차단"],
];

/// Plain words: refused for what or where we are.
pub(super) const DENIED: &[&[&str]] = &[
    &["not available in your country"],
    &["not available in your region"],
    &["sanction", "not permitted"],
    &["unsupported_country_region_territory"],
    &["account", "has been suspended"],
    &["account_suspended"],
    &["account_deactivated"],
];
