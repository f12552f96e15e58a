//! What a route's normal answers look like, learnt from them.

/// What is usual on a route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usual;
