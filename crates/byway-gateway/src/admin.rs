//! The operator's listener: metrics and health. The console will share it.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use byway_core::detour::{Order, Said};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::gateway::Observer;

/// Keeps a person's order, so that it outlives the process.
///
/// # Errors
/// Why it could not be kept, for people; then it is not obeyed either.
pub type KeepOrder = Arc<dyn Fn(&str, &Order) -> Result<(), String> + Send + Sync>;

/// What the pages need.
#[derive(Clone)]
struct Admin {
    observer: Observer,
    names: Arc<[String]>,
    keep_order: KeepOrder,
}

/// Serves until told to stop.
///
/// # Errors
/// The system's, if the socket cannot be watched.
pub async fn serve(
    socket: std::net::TcpListener,
    observer: Observer,
    names: Vec<String>,
    keep_order: KeepOrder,
    stop: CancellationToken,
) -> std::io::Result<()> {
    socket.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(socket)?;
    let admin = Admin { observer, names: names.into(), keep_order };
    let pages = Router::new()
        .route("/metrics", get(metrics))
        .route("/-/healthy", get(async || "healthy\n"))
        .route("/-/ready", get(ready))
        .route("/-/explain", get(explain))
        .route("/-/try", post(attempt))
        .route("/-/order", post(order))
        .layer(middleware::from_fn_with_state(admin.clone(), keep_out_web_pages))
        .with_state(admin);
    axum::serve(listener, pages).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, OPEN_METRICS)], admin.observer.metrics())
}

async fn ready(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    if admin.observer.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    }
}

async fn explain(State(admin): State<Admin>, uri: Uri) -> Response {
    let only = uri.query().and_then(|query| query.strip_prefix("provider=")).map(decoded);
    let only = only.as_deref();
    let known = admin.observer.explain(only);
    let is_known = knows_any(&known);
    let status = if only.is_some() && !is_known { StatusCode::NOT_FOUND } else { StatusCode::OK };
    json(status, &known)
}

async fn attempt(State(admin): State<Admin>, body: Bytes) -> Response {
    let Ok(asked) = serde_json::from_slice::<Value>(&body) else { return not_json() };
    let text = |name: &str| asked.get(name).and_then(Value::as_str).unwrap_or_default();
    let method = if text("method").is_empty() { "GET" } else { text("method") };
    match admin.observer.attempt(text("url"), method).await {
        Ok(result) => json(StatusCode::OK, &result),
        Err(why) => json(StatusCode::BAD_REQUEST, &json!({ "error": why })),
    }
}

/// `{"provider": …, "order": "stop" | "lock" | "none", "by": …, "reason": …}`
async fn order(State(admin): State<Admin>, body: Bytes) -> Response {
    let Ok(asked) = serde_json::from_slice::<Value>(&body) else { return not_json() };
    let text = |name: &str| asked.get(name).and_then(Value::as_str).unwrap_or_default().trim();
    let said = Said {
        by: text("by").chars().take(200).collect(),
        reason: text("reason").chars().take(1000).collect(),
        at: admin.observer.now(),
    };
    let order = match text("order") {
        "none" => Order::None,
        "stop" => Order::Stopped(said),
        "lock" if said.reason.is_empty() => {
            let why = "a lock records that the provider said no: it needs a reason";
            return json(StatusCode::BAD_REQUEST, &json!({ "error": why }));
        }
        "lock" => Order::Locked(said),
        _ => {
            let why = "the order is `stop`, `lock` or `none`";
            return json(StatusCode::BAD_REQUEST, &json!({ "error": why }));
        }
    };
    let provider = text("provider");
    if !knows_any(&admin.observer.explain(Some(provider))) {
        let why = format!("no provider `{provider}` is judged here");
        return json(StatusCode::NOT_FOUND, &json!({ "error": why }));
    }
    // A kill switch is pulled first and kept then; what lifts one must be kept before it counts.
    // Elsewhere: a disk that makes it wait must not make metrics and signals wait.
    let holds_back = order != Order::None;
    if holds_back {
        admin.observer.order(provider, order.clone());
    }
    let (keep, name, kept) = (Arc::clone(&admin.keep_order), provider.to_owned(), order.clone());
    let kept = tokio::task::spawn_blocking(move || keep(&name, &kept)).await;
    if let Err(why) = kept.unwrap_or_else(|_| Err("the order cannot be kept".to_owned())) {
        let why = match holds_back {
            true => format!("the order is in force, and forgotten at the next start: {why}"),
            false => why,
        };
        return json(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": why }));
    }
    if !holds_back {
        admin.observer.order(provider, order);
    }
    json(StatusCode::OK, &admin.observer.explain(Some(provider)))
}

/// Without percent-encoding; what is none stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digit = |index: usize| char::from(*after.get(index)?).to_digit(16);
        let code = digit(0).zip(digit(1)).and_then(|(a, b)| u8::try_from(a * 16 + b).ok());
        let (byte, n_used) = match code {
            Some(code) if first == b'%' => (code, 2),
            _ => (first, 0),
        };
        bytes.push(byte);
        rest = after.get(n_used..).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether an explanation is about anybody.
fn knows_any(known: &Value) -> bool {
    known.get("providers").and_then(Value::as_array).is_some_and(|list| !list.is_empty())
}

fn json(status: StatusCode, value: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

fn not_json() -> Response {
    json(StatusCode::BAD_REQUEST, &json!({ "error": "the body is not JSON" }))
}

/// The same wall as the gateway's: a name of ours, and no web page behind the request.
async fn keep_out_web_pages(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let problem = if !is_own_host(request.headers(), &admin.names) {
        Some((StatusCode::MISDIRECTED_REQUEST, "the Host is none of this gateway's names\n"))
    } else if is_web_page(request.headers()) {
        Some((StatusCode::FORBIDDEN, "requests made by web pages are not answered\n"))
    } else {
        None
    };
    match problem {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    }
}

fn is_own_host(headers: &HeaderMap, names: &[String]) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let Ok(host) = byway_wire::target::Authority::parse(host.as_bytes()) else { return false };
    let bare = host.host_bare();
    bare.parse::<std::net::IpAddr>().is_ok()
        || bare.eq_ignore_ascii_case("localhost")
        || names.iter().any(|name| name.eq_ignore_ascii_case(bare))
}

fn is_web_page(headers: &HeaderMap) -> bool {
    let foreign = headers
        .get("sec-fetch-site")
        .is_some_and(|site| !matches!(site.as_bytes(), b"none" | b"same-origin"));
    let own = headers.get(header::HOST).map(|host| host.as_bytes());
    foreign
        || headers.get(header::ORIGIN).is_some_and(|origin| {
            let origin = origin.as_bytes();
            let authority =
                origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
            authority != own
        })
}
