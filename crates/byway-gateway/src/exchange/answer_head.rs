//! The head of an answer: what the caller gets of it, and what of it is kept for a look.

use std::sync::atomic::Ordering;

use byway_wire::body::{Body, Framing};
use byway_wire::field::{FieldSpan, Known};
use byway_wire::response::{ResponseHead, ResponseShape};
use byway_wire::{Refusal, Version};

use super::{Exchange, Receiving, Recode, Sending};
use crate::around::Catch;
use crate::head::{self, Cuts, Inward};
use crate::witness::{Caught, LOOK_BYTES_MAX};

/// More interim answers than this are an attack (100, 103 come once or twice).
pub(crate) const N_INTERIM_MAX: u8 = 32;

impl Exchange<'_> {
    pub(super) fn on_head(
        &mut self,
        head_len: usize,
        spans: &mut Vec<FieldSpan>,
    ) -> Result<(), Refusal> {
        let raw = self.answer.rest().get(..head_len).unwrap_or_default();
        let head = ResponseHead::parse(raw, self.request, self.n_fields_max, spans)?;
        let shape = head.shape;
        if shape.status < 200 && !shape.switches {
            let cuts = Cuts::plan(&head, &Inward::default());
            return self.on_interim(head_len, cuts.as_ref());
        }
        self.is_holding = Self::catch(&mut self.caught, self.catch, &head);
        let (mut inward, recode) = self.inward(&shape);
        let location;
        if let Some(home) = &self.home
            && let Some(field) = head.field(Known::Location)
        {
            location = home.map_back(field.value(raw));
            inward.location = location.as_deref();
        }
        if let Some(cuts) = Cuts::plan(&head, &inward) {
            self.answer_ready = cuts.apply(&mut self.answer);
        } else {
            head::write_response(self.added.vec(), &head, &inward);
            self.answer.consume(head_len);
        }
        self.seen.answer = Some(shape);
        self.seen.caller_open = inward.keeps_open;
        self.recode = recode;
        self.body_down = Body::from(shape.framing);
        self.receiving = match (shape.switches, self.body_down.is_done()) {
            (true, _) => Receiving::Switched,
            (false, true) => Receiving::Done,
            (false, false) => Receiving::Body,
        };
        // Head and the body bytes that came with it leave in one write.
        if self.receiving == Receiving::Body && self.recode == Recode::Pass && self.added.is_empty()
        {
            let body = self.answer.rest().get(self.answer_ready..).unwrap_or_default();
            let n = self.body_down.advance(body)?;
            if let Some(caught) = &mut self.caught {
                caught.take(body.get(..n).unwrap_or_default());
            }
            self.answer_ready += n;
            if self.body_down.is_done() {
                self.receiving = Receiving::Done;
            }
        }
        Ok(())
    }

    /// Keeps a copy of what is worth a look. The ordinary answer costs two comparisons here.
    fn catch(caught: &mut Option<Box<Caught>>, catch: Catch, head: &ResponseHead<'_>) -> bool {
        if !catch.is_judged && catch.store_bytes_max == 0 {
            return false;
        }
        let status = head.shape.status;
        let content_type = head.field(Known::ContentType).map(|span| span.value(head.raw));
        // A pause that the provider asks for counts whatever the status.
        let has_mitigation =
            head.field(Known::Mitigation).is_some() || head.field(Known::RetryAfter).is_some();
        let is_suspicious =
            catch.is_judged && catch.suspicion.of_head(status, content_type, has_mitigation);
        let is_held = is_suspicious || catch.is_confirming && status == 304;
        let is_stored = catch.store_bytes_max > 0 && status < 400;
        if is_held || is_stored || catch.learns {
            let look = if is_suspicious { LOOK_BYTES_MAX } else { 0 };
            *caught = Some(Box::new(Caught {
                head: head.raw.to_vec(),
                body: Vec::new(),
                is_suspicious,
                is_chunked: head.shape.framing == Framing::Chunked,
                is_learnt: catch.learns,
                body_bytes_max: if is_stored { catch.store_bytes_max.max(look) } else { look },
                is_cut: false,
            }));
        }
        is_held
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Decides what the caller must be told that the provider did not say.
    fn inward(&self, shape: &ResponseShape) -> (Inward<'static>, Recode) {
        let is_old = self.request.version == Version::Http10;
        let recode = match (shape.framing, is_old) {
            (Framing::UntilClose, false) => Recode::Chunk,
            (Framing::Chunked, true) => Recode::Unchunk,
            _ => Recode::Pass,
        };
        let ends_by_closing =
            is_old && matches!(shape.framing, Framing::UntilClose | Framing::Chunked);
        let unfinished = !matches!(self.sending, Sending::Done);
        let keeps_open =
            self.request.keep_alive && !self.is_draining() && !ends_by_closing && !unfinished;
        let connection = match (keeps_open, is_old) {
            _ if shape.switches => None,
            (false, _) => Some("close"),
            (true, true) => Some("keep-alive"),
            (true, false) => None,
        };
        let inward = Inward {
            connection,
            keeps_open,
            chunk: recode == Recode::Chunk,
            // A bodiless answer to an HTTP/1.0 caller must not announce chunks either.
            unchunk: is_old,
            location: None,
        };
        (inward, recode)
    }

    fn on_interim(&mut self, head_len: usize, cuts: Option<&Cuts>) -> Result<(), Refusal> {
        self.n_interim += 1;
        if self.n_interim > N_INTERIM_MAX {
            return Err(Refusal::StatusLine);
        }
        match cuts {
            // RFC 9110 §15.2: a server must not send 1xx to an HTTP/1.0 client.
            _ if self.request.version == Version::Http10 => self.answer.consume(head_len),
            Some(cuts) => self.answer_ready = cuts.apply(&mut self.answer),
            None => self.answer_ready = head_len,
        }
        self.receiving = Receiving::Interim;
        Ok(())
    }
}
