//! Read and write buffers, recycled per thread.
//!
//! An idle connection holds none. The list is last-in first-out, so that a busy thread works in
//! one or two buffers that stay in the processor's cache.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncRead;

/// Large enough that 64 KiB bodies pass in one read (a fixed 8 KiB buffer triples their cost).
pub(crate) const BUF_BYTES: usize = 64 * 1024;
/// Buffers kept per thread, 16 MiB in all; more are given back to the allocator.
///
/// Each request under way holds one, and taking one from the allocator costs more than parsing a
/// head.
const N_KEPT_MAX: usize = 256;

thread_local! {
    static FREE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A byte buffer that returns to its thread's list when dropped.
#[derive(Debug, Default)]
pub(crate) struct Buf {
    bytes: Vec<u8>,
    /// Bytes before this have been dealt with.
    start: usize,
}

impl Buf {
    /// An empty buffer without memory of its own.
    pub(crate) const fn none() -> Self {
        Self { bytes: Vec::new(), start: 0 }
    }

    /// What has not been dealt with.
    pub(crate) fn rest(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Whether everything has been dealt with.
    pub(crate) fn is_empty(&self) -> bool {
        self.start >= self.bytes.len()
    }

    /// The number of bytes not dealt with.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.start)
    }

    /// Marks bytes as dealt with; gives the memory back once nothing is left.
    pub(crate) fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.bytes.len());
        if self.start == self.bytes.len() {
            self.release();
        }
    }

    /// Marks bytes as dealt with, but keeps everything so that it can be read again.
    pub(crate) fn advance(&mut self, n: usize) {
        self.start = (self.start + n).min(self.bytes.len());
    }

    /// Goes back to the first byte.
    pub(crate) fn rewind(&mut self) {
        self.start = 0;
    }

    /// Everything, whether dealt with or not.
    pub(crate) fn whole(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes that are left, for changes in place.
    pub(crate) fn rest_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..).unwrap_or_default()
    }

    /// The vector itself, to append to.
    pub(crate) fn vec(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.acquire();
        }
        &mut self.bytes
    }

    fn acquire(&mut self) {
        let recycled = FREE.with(|free| free.borrow_mut().pop());
        self.bytes = recycled.unwrap_or_else(|| Vec::with_capacity(BUF_BYTES));
        self.start = 0;
    }

    /// Gives the memory back.
    pub(crate) fn release(&mut self) {
        self.start = 0;
        let mut bytes = std::mem::take(&mut self.bytes);
        if bytes.capacity() != BUF_BYTES {
            return;
        }
        bytes.clear();
        // The list may be gone already while a thread ends; then the memory is simply freed.
        let _gone = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < N_KEPT_MAX {
                free.push(bytes);
            }
        });
    }

    /// Reads once; holds no memory while nothing has come.
    ///
    /// Calls `poll_read` of the stream and not `try_read`: only the former takes a short read for
    /// a drained socket, which saves the read that would say so.
    pub(crate) fn poll_fill(
        &mut self,
        io: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.bytes.capacity() == 0 {
            self.acquire();
        }
        if self.bytes.capacity() - self.bytes.len() < 4096 {
            if self.start > 0 {
                self.bytes.drain(..self.start);
                self.start = 0;
            }
            self.bytes.reserve(BUF_BYTES / 2);
        }
        let read = tokio_util::io::poll_read_buf(Pin::new(io), cx, &mut self.bytes);
        if self.bytes.is_empty() {
            self.release();
        }
        read
    }
}

impl From<Vec<u8>> for Buf {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, start: 0 }
    }
}

impl Drop for Buf {
    fn drop(&mut self) {
        self.release();
    }
}
