//! Operational messages, on standard error. Request lines go to standard output by themselves.

use byway_core::settings::LogFormat;
use tracing_subscriber::EnvFilter;

/// Starts logging; `BYWAY_LOG` filters it (`debug`, `byway_gateway=debug`), `info` by default.
pub(crate) fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_env("BYWAY_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    match format {
        LogFormat::Text => builder.compact().init(),
        LogFormat::Json => builder.json().init(),
    }
}
