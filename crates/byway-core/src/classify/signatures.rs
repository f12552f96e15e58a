//! Known edges and their refusals: data, not code.

/// Whose edge: an index into [`Signatures::edges`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EdgeId(pub u16);

/// Which signature: an index into [`Signatures`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignatureId(pub u16);

/// All signatures in force: the shipped ones and the operator's.
#[derive(Debug, Clone, Default)]
pub struct Signatures;

impl Signatures {
    /// The name of an edge.
    pub fn edge_name(&self, _edge: EdgeId) -> &str {
        ""
    }

    /// What a signature says, as a noun phrase.
    pub fn says(&self, _signature: SignatureId) -> &str {
        ""
    }
}
