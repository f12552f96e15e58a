//! The shipped signatures: whose edge answered, and which answers are refusals of the edge.
//!
//! Sources: the vendors' public documentation of their error pages and fields (Cloudflare 1xxx and
//! 5xx errors, Akamai reference numbers, AWS WAF actions, DataDome, RFC 6585), and pages as they
//! are seen. A presence rule alone never makes a verdict: its fields are on every good answer too.
//! Rules are tried in order; those that read fields come before those that read pages.

use super::Class;
use super::Confidence::{self, Likely, Strong, Weak};

/// Goes up with every change of the table.
pub(super) const VERSION: u32 = 2;

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
    /// Whether the only part of the body is all of it.
    pub(super) is_whole: bool,
    /// Whether it looks at JSON and XML, too. What they hold is mostly what somebody else said.
    pub(super) reads_data: bool,
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
    is_whole: false,
    reads_data: false,
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

/// The short form of Cloudflare's numbered errors: `error code: 1006` and nothing else. The same
/// words are in messages of Winsock (10060), MySQL (1005 to 1020) and WebSocket (1006).
const fn number(
    name: &'static str,
    says: &'static str,
    verdict: (Class, Confidence),
    body: &'static [&'static str],
) -> Row {
    let row = page("cloudflare", name, says, verdict, body);
    Row { status: &[403], fields: &[("server", "cloudflare")], is_whole: true, ..row }
}

const BANNED: (Class, Confidence) = (Class::BlockedIp, Strong);
const REFUSED: (Class, Confidence) = (Class::BlockedIp, Likely);
const MAYBE: (Class, Confidence) = (Class::BlockedIp, Weak);
const ROBOT: (Class, Confidence) = (Class::Challenge, Strong);
const COUNTRY: (Class, Confidence) = (Class::Denied, Strong);
const LIMIT: (Class, Confidence) = (Class::RateLimited, Strong);
const OURS: (Class, Confidence) = (Class::ClientError, Strong);
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
    number("cf-1006", "Cloudflare 1006: address banned", BANNED, &["error code: 1006"]),
    number("cf-1007", "Cloudflare 1007: address banned", BANNED, &["error code: 1007"]),
    number("cf-1008", "Cloudflare 1008: address banned", BANNED, &["error code: 1008"]),
    number("cf-1106", "Cloudflare 1106: address banned", BANNED, &["error code: 1106"]),
    Row { status: &[403], ..page("cloudflare", "cf-banned", "Cloudflare: address banned", BANNED, &["has banned your ip address", "cloudflare"]) },
    Row { status: &[403], ..page("cloudflare", "cf-banned-your-access", "Cloudflare: address banned", BANNED, &["banned your access based on your ip address"]) },
    Row { status: &[403], ..page("cloudflare", "cf-banned-address", "Cloudflare: address banned", BANNED, &["has banned the ip address you are using"]) },
    number("cf-1005", "Cloudflare 1005: network banned", BANNED, &["error code: 1005"]),
    number("cf-1009", "Cloudflare 1009: country or region refused", COUNTRY, &["error code: 1009"]),
    Row { status: &[403], ..page("cloudflare", "cf-country", "Cloudflare: country or region refused", COUNTRY, &["banned the country or region your ip address is in"]) },
    number("cf-1010", "Cloudflare 1010: browser signature refused", ROBOT, &["error code: 1010"]),
    Row { status: &[403], ..page("cloudflare", "cf-signature", "Cloudflare: browser signature refused", ROBOT, &["banned your access based on your browser's signature"]) },
    number("cf-1012", "Cloudflare 1012: access denied", REFUSED, &["error code: 1012"]),
    Row { status: &[429], ..number("cf-1015", "Cloudflare 1015: rate limited", LIMIT, &["error code: 1015"]) },
    Row { status: &[429], ..page("cloudflare", "cf-limited", "Cloudflare: rate limited", LIMIT, &["you are being rate limited", "cloudflare"]) },
    number("cf-1020", "Cloudflare 1020: firewall rule", MAYBE, &["error code: 1020"]),
    Row { status: &[403, 429, 503], ..page("cloudflare", "cf-challenge-page", "Cloudflare challenge", ROBOT, &["/cdn-cgi/challenge-platform/", "_cf_chl_opt"]) },
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
    Row { status: &[403], ..page("cloudfront", "cloudfront-method", "CloudFront: method not allowed", OURS, &["not configured to allow the http request method", "generated by cloudfront"]) },
    Row { status: &[502, 503, 504], ..page("cloudfront", "cloudfront-origin", "CloudFront: origin unreachable", DOWN, &["generated by cloudfront"]) },
    Row { status: &[403], fields: &[("server", "awselb")], ..page("aws-alb", "alb-403", "AWS load balancer: forbidden", MAYBE, &["<center><h1>403 forbidden</h1></center>"]) },
    Row { status: &[403, 405], ..page("aws-waf", "aws-waf-captcha-page", "AWS WAF captcha", ROBOT, &["awswaf.com", "captcha"]) },
    Row { status: &[202, 403, 405], ..page("aws-waf", "aws-waf-challenge-page", "AWS WAF challenge", ROBOT, &["awswafintegration"]) },
    // Imperva answers 200, too.
    page("imperva", "imperva-incident", "Imperva block", REFUSED, &["incapsula incident id"]),
    // Its script is on good pages, too; its frame is not.
    page("imperva", "imperva-resource", "Imperva challenge", ROBOT, &["<iframe", "src=\"/_incapsula_resource?"]),
    page("imperva", "imperva-script", "Imperva challenge", ROBOT, &["content=\"noindex, nofollow\"", "src=\"/_incapsula_resource?"]),
    page("imperva", "imperva-error-15", "Imperva: access denied", REFUSED, &["powered by", "imperva", "error code: 15"]),
    page("imperva", "imperva-error-16", "Imperva: access denied", REFUSED, &["powered by", "imperva", "error code: 16"]),
    Row { status: &[503], ..page("imperva", "imperva-error-8", "Imperva: origin unreachable", DOWN, &["incapsula", "error code 8"]) },
    // Bot managers.
    Row { status: &[401, 403, 405, 429], ..page("datadome", "datadome-captcha", "DataDome challenge", ROBOT, &["captcha-delivery.com"]) },
    Row { status: &[401, 403, 405, 429], reads_data: true, ..page("datadome", "datadome-json", "DataDome challenge", ROBOT, &["\"url\":\"https://geo.captcha-delivery.com/"]) },
    Row { status: &[403, 429], ..page("human", "px-captcha", "HUMAN challenge", ROBOT, &["px-captcha"]) },
    page("human", "px-blocked", "HUMAN refusal", ROBOT, &["perimeterx.com/whywasiblocked"]),
    Row { status: &[403, 429], ..page("human", "px-tools", "HUMAN refusal", ROBOT, &["we believe you are using automation tools"]) },
    Row { status: &[403, 429], reads_data: true, ..page("human", "px-json", "HUMAN refusal", ROBOT, &["\"blockscript\"", "\"appid\":\"px"]) },
    Row { status: &[429, 403], ..page("kasada", "kasada", "Kasada challenge", ROBOT, &["/149e9513-01fa-4fb0-aad4-566afd725d1b/"]) },
    // F5 answers 200, too.
    page("f5", "f5-rejected", "F5: request rejected", MAYBE, &["the requested url was rejected. please consult with your administrator"]),
    // Google.
    Row { status: &[403], ..page("google", "google-403", "Google: no permission from this client", REFUSED, &["your client does not have permission to get url", "that\u{2019}s an error"]) },
    // Cloud Run and Cloud Functions say the same to whoever lacks the permission.
    Row { status: &[403], ..page("google", "cloud-armor", "Google Cloud: forbidden (firewall, or a permission)", MAYBE, &["<h1>error: forbidden</h1>", "your client does not have permission"]) },
    Row { status: &[403], ..page("google", "google-403-plain", "Google: no permission from this client", REFUSED, &["your client does not have permission to get url"]) },
    Row { status: &[429, 503], ..page("google", "google-sorry", "Google: unusual traffic from this network", REFUSED, &["our systems have detected unusual traffic from your computer network"]) },
    Row { status: &[502], ..page("google", "google-502", "Google front end: origin unreachable", DOWN, &["the server encountered a temporary error and could not complete your request"]) },
    // Others.
    Row { status: &[403], ..page("sucuri", "sucuri-page", "Sucuri block", REFUSED, &["sucuri website firewall", "access denied"]) },
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
    Row { status: &[406], ..page("modsecurity", "modsecurity-406", "ModSecurity block", MAYBE, &["not acceptable!", "mod_security"]) },
    page("barracuda", "barracuda", "Barracuda block", MAYBE, &["barracuda", "you have been blocked"]),
    Row { status: &[403], ..page("azure-front-door", "azure-waf", "Azure WAF block", MAYBE, &["the request is blocked.", "x-azure-ref"]) },
    Row { status: &[403], fields: &[("x-azure-ref", "")], ..page("azure-front-door", "azure-waf-ref", "Azure WAF block", MAYBE, &["the request is blocked"]) },
    Row { status: &[403], ..page("azure-gateway", "azure-gateway", "Azure Application Gateway block", MAYBE, &["<center>microsoft-azure-application-gateway"]) },
    Row { status: &[403], ..page("wordfence", "wordfence", "Wordfence block", REFUSED, &["generated by wordfence", "your access to this site has been limited"]) },
    Row { status: &[503], ..page("wordfence", "wordfence-503", "Wordfence block", REFUSED, &["your access to this service has been limited", "wordfence"]) },
    Row { status: &[403], ..page("stackpath", "stackpath", "StackPath block", REFUSED, &["you performed an action that triggered the service and blocked your request", "stackpath"]) },
    Row { status: &[405], ..page("aliyun", "aliyun-405", "Alibaba Cloud WAF block", MAYBE, &["errors.aliyun.com"]) },
    page("wallarm", "wallarm-page", "Wallarm block", MAYBE, &["malicious activity blocked", "identified as a malicious one"]),
    page("wallarm", "wallarm", "Wallarm block", MAYBE, &["the request was blocked by wallarm"]),
    // Bare pages of web servers: what a rule on addresses (deny, Require not ip) looks like.
    Row { status: &[403], ..page("", "nginx-403", "bare 403 page of nginx", MAYBE, &["<center><h1>403 forbidden</h1></center>", "<center>nginx"]) },
    Row { status: &[403], ..page("", "openresty-403", "bare 403 page of OpenResty", MAYBE, &["<center><h1>403 forbidden</h1></center>", "<center>openresty"]) },
    Row { status: &[403], ..page("", "apache-403", "bare 403 page of Apache", MAYBE, &["<title>403 forbidden</title>", "you don't have permission to access"]) },
    Row { status: &[403], ..page("", "iis-403-6", "IIS 403.6: address rejected", BANNED, &["error 403.6 - forbidden", "ip address"]) },
    Row { status: &[403], ..page("", "iis-403", "bare 403 page of IIS", MAYBE, &["<h2>403 - forbidden: access is denied.</h2>"]) },
    Row { status: &[403], ..page("", "haproxy-403", "bare 403 page of HAProxy", MAYBE, &["<h1>403 forbidden</h1>", "request forbidden by administrative rules"]) },
    // Written by the application itself, about the request.
    Row { status: &[403], ..page("", "csrf-403", "CSRF check of the application", OURS, &["<title>403 forbidden</title>", "csrf verification failed"]) },
];

/// Phrases that say by themselves that an address is refused; words as `words.rs` makes them, so
/// that `IP_NOT_ALLOWED` is "ip not allowed" and `@` is an address.
#[rustfmt::skip] // by the line
pub(super) const WORDS: &[&str] = &[
    "unauthorized ip", "unauthorised ip", "blocked your ip", "banned your ip", "ipnotallowed",
    "ipblocked", "access denied for ip", "access denied for your ip", "access denied from ip",
    "access denied from your ip", "not allowed from your ip", "not allowed from this ip",
    "not permitted from your ip", "not permitted from this ip", "not authorized from this ip",
    "허용되지 않은 ip", "허용되지 않는 ip", "등록되지 않은 ip", "인증되지 않은 ip",
    "차단된 ip 입", "차단된 ip 주소입", "차단된 ip 에서", "미등록 ip", "접근 권한이 없는 ip", "허용된 ip 가 아닙니다", "허용된 ip 주소가 아닙니다",
];

/// What is said of an address that is refused, behind the word "IP" and small words.
#[rustfmt::skip] // by the line
pub(super) const IS_REFUSED: &[&str] = &[
    "blocked", "banned", "blacklisted", "blocklisted", "denied", "rejected", "refused", "forbidden",
    "restricted", "not allowed", "not permitted", "not authorized", "not authorised", "not accepted",
    "not whitelisted", "not allowlisted", "not in the whitelist", "not in whitelist",
    "not in your whitelist", "not in the allowlist", "not in the allow list", "not in allowlist",
    "not on the allow list", "not on the allowlist", "on the blacklist", "on our blacklist",
    "on a blacklist", "violates this restriction", "차단되", "차단됐", "차단 되", "차단된 상태",
    "차단 상태", "차단 중", "허용되지", "등록되지", "등록되어 있지",
];

/// Behind all that: it was the name of a thing, such as a list.
pub(super) const THINGS: &[&str] =
    &["list", "lists", "rule", "rules", "range", "ranges", "policy", "목록", "대역", "규칙"];

/// Small words between the two.
#[rustfmt::skip] // by the line
pub(super) const FILLERS: &[&str] = &[
    "address", "access", "is", "are", "was", "has", "have", "been", "currently", "permanently",
    "temporarily", "automatically", "from", "your", "of", "the", "call", "request", "가", "는", "은",
    "이", "의", "에서", "에서의", "주소", "주소가", "주소는", "주소의", "주소에서", "접근이", "접근은",
    "접속이", "접속은", "요청이", "요청은",
];

/// Before the word "IP": an address that the request is about, not the one it came from.
#[rustfmt::skip] // by the line
pub(super) const NOT_OURS: &[&str] = &[
    "private", "internal", "loopback", "local", "reserved", "webhook", "callback", "redirect",
    "target", "destination", "static", "elastic", "floating", "virtual", "shared", "dedicated",
    "invalid", "new", "device", "customer", "host", "dns", "an", "any", "내부", "사설", "고정", "대상",
];

/// A sentence with one of these supposes, or explains; it does not say what happened.
#[rustfmt::skip] // by the line
pub(super) const SUPPOSES: &[&str] = &[
    "if", "whether", "when", "unless", "may", "might", "maybe", "perhaps", "possibly",
    "make sure", "check that", "ensure", "e g", "for example", "how to", "경우", "수 있", "만약",
    "여부",
];

/// Parts in this order, in a sentence: a limit, whatever the status.
pub(super) const LIMITED: &[&[&str]] = &[
    &["rate limit", "exceeded"],
    &["ratelimitexceeded"],
    &["userratelimitexceeded"],
    &["exceeded", "rate limit"],
    &["too many requests"],
    // Without what is called, it is the limit of a card.
    &["호출 한도", "초과"],
    &["호출 횟수", "초과"],
    &["요청 한도", "초과"],
    &["요청 횟수", "초과"],
];

/// Parts in this order, in a sentence: refused for what or where we are.
pub(super) const DENIED: &[&[&str]] = &[
    &["not available in your country"],
    &["not available in your region"],
    &["not permitted", "sanctions"],
    &["sanctions", "not permitted"],
    &["unsupported country region territory"],
    &["account", "has been suspended"],
    &["account suspended"],
    &["account deactivated"],
    &["account is suspended"],
];

/// The EUC-KR codes of the syllables in the words above, of which servers of a certain age make
/// their pages.
#[rustfmt::skip] // by the line
pub(super) const SYLLABLES: &[(u16, char)] = &[
    (0xb0a1, '가'), (0xb0e6, '경'), (0xb0ed, '고'), (0xb0fa, '과'), (0xb1c7, '권'), (0xb1d4, '규'),
    (0xb1d9, '근'), (0xb3bb, '내'), (0xb4c2, '는'), (0xb4cf, '니'), (0xb4d5, '닙'), (0xb4d9, '다'),
    (0xb4dc, '단'), (0xb4eb, '대'), (0xb5b5, '도'), (0xb5c6, '됐'), (0xb5c7, '되'), (0xb5c8, '된'),
    (0xb5ee, '등'), (0xb7cf, '록'), (0xb8b8, '만'), (0xb8f1, '목'), (0xb9cc, '미'), (0xbace, '부'),
    (0xbbe7, '사'), (0xbbf3, '상'), (0xbcad, '서'), (0xbcb3, '설'), (0xbcd2, '소'), (0xbcd3, '속'),
    (0xbcf6, '수'), (0xbec6, '아'), (0xbeca, '않'), (0xbee0, '약'), (0xbeee, '어'), (0xbef8, '없'),
    (0xbfa1, '에'), (0xbfa9, '여'), (0xbfaa, '역'), (0xbfe4, '요'), (0xbfeb, '용'), (0xbfec, '우'),
    (0xc0ba, '은'), (0xc0c7, '의'), (0xc0cc, '이'), (0xc0ce, '인'), (0xc0d4, '입'), (0xc0d6, '있'),
    (0xc1a2, '접'), (0xc1a4, '정'), (0xc1d6, '주'), (0xc1df, '중'), (0xc1f5, '증'), (0xc1f6, '지'),
    (0xc2f7, '차'), (0xc3bb, '청'), (0xc3ca, '초'), (0xc3e2, '출'), (0xc4a2, '칙'), (0xc5c2, '태'),
    (0xc7d1, '한'), (0xc7e3, '허'), (0xc8a3, '호'), (0xc8bd, '횟'),
];
