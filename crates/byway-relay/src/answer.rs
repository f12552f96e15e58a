//! Where an answer goes: kept whole, or passed on frame by frame.

use byway_wire::relay::answer::{Answered, End, Failure, Pong};
use byway_wire::relay::frames::{self, Frame};
use byway_wire::relay::{Field, Stage};
use ring::digest::{Context as Digest, SHA256};
use tokio::sync::mpsc::Sender;

/// Writes frames.
pub(crate) struct Out {
    frames: Vec<u8>,
    to: Option<Sender<Vec<u8>>>,
    digest: Digest,
    n_bytes: u64,
    has_head: bool,
    /// Nobody reads any more.
    is_lost: bool,
}

impl Out {
    /// Everything is kept.
    pub(crate) fn whole() -> Self {
        Self {
            frames: frames::intro().to_vec(),
            to: None,
            digest: Digest::new(&SHA256),
            n_bytes: 0,
            has_head: false,
            is_lost: false,
        }
    }

    /// Everything is passed on.
    pub(crate) fn streamed(to: Sender<Vec<u8>>) -> Self {
        Self { to: Some(to), ..Self::whole() }
    }

    pub(crate) fn into_whole(self) -> Vec<u8> {
        self.frames
    }

    /// Whether everything is kept until its end.
    pub(crate) const fn is_whole(&self) -> bool {
        self.to.is_none()
    }

    /// How much of the body has been written.
    pub(crate) const fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    pub(crate) const fn is_lost(&self) -> bool {
        self.is_lost
    }

    pub(crate) async fn head(&mut self, head: Answered) {
        self.has_head |= head.status >= 200;
        frames::put(&mut self.frames, &Frame::Head(Box::new(head)));
        self.pass_on().await;
    }

    pub(crate) async fn data(&mut self, content: &[u8]) {
        self.digest.update(content);
        self.n_bytes += content.len() as u64;
        for piece in content.chunks(frames::DATA_BYTES) {
            frames::put(&mut self.frames, &Frame::Data(piece));
            self.pass_on().await;
        }
    }

    pub(crate) async fn end(&mut self, trailers: Vec<Field>) {
        let digest = std::mem::replace(&mut self.digest, Digest::new(&SHA256)).finish();
        let body_digest = digest.as_ref().try_into().unwrap_or_default();
        let end = End { body_bytes: self.n_bytes, body_digest, trailers };
        frames::put(&mut self.frames, &Frame::End(end));
        self.pass_on().await;
    }

    /// What was kept of an answer is not worth sending if the rest did not come: the sender then
    /// knows that nothing of it was delivered to anybody.
    pub(crate) async fn fail(&mut self, mut failure: Failure) {
        if self.to.is_none() {
            self.frames.truncate(frames::INTRO_BYTES);
        } else if self.has_head {
            failure.stage = Stage::Partial;
        }
        frames::put(&mut self.frames, &Frame::Failed(failure));
        self.pass_on().await;
    }

    pub(crate) async fn pong(&mut self, pong: Pong) {
        frames::put(&mut self.frames, &Frame::Pong(pong));
        self.pass_on().await;
    }

    async fn pass_on(&mut self) {
        let Some(to) = &self.to else { return };
        let frames = std::mem::take(&mut self.frames);
        self.is_lost |= to.send(frames).await.is_err();
    }
}
