//! The operator's listener: metrics and health. The console will share it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio_util::sync::CancellationToken;

use crate::gateway::Observer;

/// What the pages need.
#[derive(Debug, Clone)]
struct Admin {
    observer: Observer,
    names: Arc<[String]>,
}

/// Serves until told to stop.
///
/// # Errors
/// The system's, if the socket cannot be watched.
pub async fn serve(
    socket: std::net::TcpListener,
    observer: Observer,
    names: Vec<String>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    socket.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(socket)?;
    let admin = Admin { observer, names: names.into() };
    let pages = Router::new()
        .route("/metrics", get(metrics))
        .route("/-/healthy", get(async || "healthy\n"))
        .route("/-/ready", get(ready))
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
