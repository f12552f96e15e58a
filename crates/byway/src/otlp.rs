//! Spans to an OTLP/HTTP collector, on a thread of their own.

use std::sync::mpsc::{self, SyncSender};
use std::thread::JoinHandle;
use std::time::SystemTime;

use anyhow::Context as _;
use byway_core::settings::Otlp;
use byway_gateway::FinishedSpan;
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

/// Spans waiting for the exporter; what finds no room is dropped and counted by the gateway.
const N_WAITING_MAX: usize = 4096;

/// The exporting thread; ends once the gateway has dropped its sender.
#[derive(Debug)]
pub(crate) struct Exporter(JoinHandle<()>);

impl Exporter {
    /// Starts exporting.
    ///
    /// # Errors
    /// If the endpoint cannot be used.
    pub(crate) fn start(
        otlp: &Otlp,
        instance: &str,
    ) -> anyhow::Result<(SyncSender<FinishedSpan>, Self)> {
        let endpoint = format!("{}/v1/traces", otlp.endpoint.trim_end_matches('/'));
        let exporter = SpanExporter::builder()
            .with_http()
            .with_endpoint(&endpoint)
            .build()
            .with_context(|| format!("cannot export spans to {endpoint}"))?;
        let resource = Resource::builder()
            .with_service_name("byway")
            .with_attribute(KeyValue::new("service.instance.id", instance.to_owned()))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        let (sender, receiver) = mpsc::sync_channel::<FinishedSpan>(N_WAITING_MAX);
        let thread =
            std::thread::Builder::new().name("byway-otlp".to_owned()).spawn(move || {
                let tracer = provider.tracer("byway");
                for finished in receiver {
                    record(&tracer, finished);
                }
                if let Err(error) = provider.shutdown() {
                    tracing::warn!(%error, "the last spans were not exported");
                }
            })?;
        Ok((sender, Self(thread)))
    }

    /// Waits until the last spans are sent; the gateway must be gone.
    pub(crate) fn finish(self) {
        if self.0.join().is_err() {
            tracing::error!(bug = true, "the span exporter panicked");
        }
    }
}

/// Names are OpenTelemetry's semantic conventions for HTTP clients, where there are such.
fn record(tracer: &SdkTracer, finished: FinishedSpan) {
    let parent = finished.parent.map(|parent| {
        let (trace, span) = (TraceId::from(parent.trace), SpanId::from(parent.span));
        let context =
            SpanContext::new(trace, span, TraceFlags::SAMPLED, true, TraceState::default());
        Context::new().with_remote_span_context(context)
    });
    let mut attributes = vec![
        KeyValue::new("http.request.method", finished.method.clone()),
        KeyValue::new("server.address", finished.host),
        KeyValue::new("byway.provider", finished.provider),
        KeyValue::new("byway.path", finished.path),
        KeyValue::new("byway.class", finished.class),
    ];
    if let Some(status) = finished.status {
        attributes.push(KeyValue::new("http.response.status_code", i64::from(status)));
    }
    if let Some(peer) = finished.peer {
        attributes.push(KeyValue::new("network.peer.address", peer.ip().to_string()));
        attributes.push(KeyValue::new("network.peer.port", i64::from(peer.port())));
    }
    if let Some(code) = &finished.code {
        attributes.push(KeyValue::new("error.type", code.clone()));
    }
    let start = SystemTime::from(finished.at);
    let mut span = tracer
        .span_builder(finished.method)
        .with_kind(SpanKind::Client)
        .with_start_time(start)
        .with_attributes(attributes)
        .start_with_context(tracer, &parent.unwrap_or_default());
    if let Some(code) = finished.code {
        span.set_status(Status::error(code));
    }
    span.end_with_timestamp(start + finished.took);
}
