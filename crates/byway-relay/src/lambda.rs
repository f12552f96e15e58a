//! On AWS Lambda: events come from the Runtime API, one at a time.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use lambda_runtime::streaming::{Body, channel};
use lambda_runtime::{
    FunctionResponse, LambdaEvent, MetadataPrelude, StreamResponse, run, service_fn,
};
use serde_json::Value;
use tokio_util::task::TaskTracker;

use crate::event;
use crate::plain::N_PIECES;
use crate::relay::{Relay, Stranger, wall_ms};

/// The function has to have answered this long before it is stopped.
const MARGIN: Duration = Duration::from_millis(500);

/// Serves events until the platform ends the process.
///
/// # Errors
/// If the Runtime API cannot be reached.
pub async fn serve(relay: Arc<Relay>) -> Result<(), lambda_runtime::Error> {
    let tasks = TaskTracker::new();
    run(service_fn(move |event: LambdaEvent<Value>| {
        let (relay, tasks) = (Arc::clone(&relay), tasks.clone());
        async move { Ok::<_, Infallible>(one(&relay, &tasks, event).await) }
    }))
    .await
}

async fn one(
    relay: &Arc<Relay>,
    tasks: &TaskTracker,
    event: LambdaEvent<Value>,
) -> FunctionResponse<Value, Body> {
    let left = event.context.deadline.saturating_sub(wall_ms());
    let within = Some(Duration::from_millis(left).saturating_sub(MARGIN));
    let admitted = match event::body(&event.payload) {
        Some(body) => relay.admit(&body),
        None => Err(relay.refused(Stranger)),
    };
    let admitted = match admitted {
        Err(Stranger) => return FunctionResponse::BufferedResponse(event::refusal()),
        Ok(admitted) if !admitted.may_stream() => {
            let is_text = admitted.is_text();
            let answer = relay.answer(admitted, within).await;
            return FunctionResponse::BufferedResponse(event::answer(&answer, is_text));
        }
        Ok(admitted) => admitted,
    };
    let (pieces, mut come) = tokio::sync::mpsc::channel::<Vec<u8>>(N_PIECES);
    let (mut to, body) = channel();
    let relay = Arc::clone(relay);
    tasks.spawn(async move { relay.stream(admitted, within, pieces).await });
    tasks.spawn(async move {
        while let Some(piece) = come.recv().await {
            if to.send_data(piece.into()).await.is_err() {
                return;
            }
        }
    });
    let mut metadata_prelude = MetadataPrelude::default();
    let content_type = byway_wire::relay::CONTENT_TYPE.parse();
    if let Ok(content_type) = content_type {
        metadata_prelude.headers.insert("content-type", content_type);
    }
    FunctionResponse::StreamingResponse(StreamResponse { metadata_prelude, stream: body })
}
