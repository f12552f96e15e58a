//! On AWS Lambda: events come from the Runtime API, one at a time.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use byway_wire::relay::{CONTENT_TYPE, CONTENT_TYPE_TEXT};
use http::{HeaderValue, StatusCode};
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
///
/// `streams` is what the URL in front does with an answer: a function cannot see it, and an answer in
/// the other form reaches the caller as raw JSON.
pub async fn serve(relay: Arc<Relay>, streams: bool) -> Result<(), lambda_runtime::Error> {
    let tasks = TaskTracker::new();
    run(service_fn(move |event: LambdaEvent<Value>| {
        let (relay, tasks) = (Arc::clone(&relay), tasks.clone());
        async move {
            let answered = if streams {
                streamed(&relay, &tasks, event)
            } else {
                FunctionResponse::BufferedResponse(whole(&relay, event).await)
            };
            Ok::<_, Infallible>(answered)
        }
    }))
    .await
}

/// How long the platform leaves.
fn within(event: &LambdaEvent<Value>) -> Option<Duration> {
    let left = event.context.deadline.saturating_sub(wall_ms());
    Some(Duration::from_millis(left).saturating_sub(MARGIN))
}

async fn whole(relay: &Relay, event: LambdaEvent<Value>) -> Value {
    let within = within(&event);
    event::handle(relay, &event.payload, within).await
}

fn streamed(
    relay: &Arc<Relay>,
    tasks: &TaskTracker,
    event: LambdaEvent<Value>,
) -> FunctionResponse<Value, Body> {
    let within = within(&event);
    let admitted = match event::body(&event.payload) {
        Some(body) => relay.admit(&body),
        None => Err(relay.refused(Stranger)),
    };
    let (mut to, stream) = channel();
    let mut metadata_prelude = MetadataPrelude::default();
    let content_type = match &admitted {
        Err(Stranger) => {
            metadata_prelude.status_code = StatusCode::FORBIDDEN;
            "text/plain"
        }
        Ok(admitted) if admitted.is_text() => CONTENT_TYPE_TEXT,
        Ok(_) => CONTENT_TYPE,
    };
    metadata_prelude.headers.insert("content-type", HeaderValue::from_static(content_type));
    let relay = Arc::clone(relay);
    tasks.spawn(async move {
        let admitted = match admitted {
            Err(Stranger) => return drop(to.send_data(event::REFUSED.into()).await),
            Ok(admitted) => admitted,
        };
        if admitted.is_text() {
            let answer = relay.answer(admitted, within).await;
            return drop(to.send_data(answer.into()).await);
        }
        let (pieces, mut come) = tokio::sync::mpsc::channel::<Vec<u8>>(N_PIECES);
        let pump = async {
            while let Some(piece) = come.recv().await {
                if to.send_data(piece.into()).await.is_err() {
                    return;
                }
            }
        };
        tokio::join!(relay.stream(admitted, within, pieces), pump);
    });
    FunctionResponse::StreamingResponse(StreamResponse { metadata_prelude, stream })
}
