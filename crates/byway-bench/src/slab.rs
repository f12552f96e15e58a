//! Numbered slots for connections. A slot freed while a batch of events is handled is not used again
//! before the next batch, so that a late event cannot reach a stranger.

/// Slots of `T`, addressed by the number that `insert` returned.
#[derive(Debug)]
pub struct Slab<T> {
    slots: Vec<Option<T>>,
    free: Vec<usize>,
    freed_now: Vec<usize>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), freed_now: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub fn next_key(&self) -> usize {
        self.free.last().copied().unwrap_or(self.slots.len())
    }

    /// Stores `value` in the slot that `next_key` names.
    pub fn insert(&mut self, value: T) -> usize {
        if let Some(key) = self.free.pop() {
            if let Some(slot) = self.slots.get_mut(key) {
                *slot = Some(value);
            }
            return key;
        }
        self.slots.push(Some(value));
        self.slots.len() - 1
    }

    pub fn get_mut(&mut self, key: usize) -> Option<&mut T> {
        self.slots.get_mut(key)?.as_mut()
    }

    pub fn remove(&mut self, key: usize) -> Option<T> {
        let value = self.slots.get_mut(key)?.take();
        if value.is_some() {
            self.freed_now.push(key);
        }
        value
    }

    /// To be called between two batches of events.
    pub fn batch_done(&mut self) {
        self.free.append(&mut self.freed_now);
    }
}
