//! What the norms and projections of a block are for.

/// What a tensor of a block does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The norm before attention.
    AttentionNorm,
    /// Queries.
    Query,
    /// Keys.
    Key,
    /// Values.
    Value,
    /// The norm of the queries, of each head or of all channels.
    QueryNorm,
    /// The norm of the keys.
    KeyNorm,
    /// From the heads back into the stream.
    Output,
    /// The norm between attention and the stream.
    AttentionPostNorm,
    /// The norm that the stream itself goes through after attention.
    AttentionStreamNorm,
    /// The norm before the MLP.
    MlpNorm,
    /// The gate of the MLP; none where it is plain.
    Gate,
    /// The MLP's input projection.
    Up,
    /// What the activation of the MLP has learned.
    Activation,
    /// From the MLP back into the stream.
    Down,
    /// The norm between the MLP and the stream.
    MlpPostNorm,
    /// The norm that the stream itself goes through after the MLP.
    MlpStreamNorm,
}

impl Role {
    /// Its name in a hash of a merge: never another one for the same role.
    pub fn name(self) -> &'static str {
        match self {
            Self::AttentionNorm => "attention-norm",
            Self::Query => "query",
            Self::Key => "key",
            Self::Value => "value",
            Self::QueryNorm => "query-norm",
            Self::KeyNorm => "key-norm",
            Self::Output => "output",
            Self::AttentionPostNorm => "attention-post-norm",
            Self::AttentionStreamNorm => "attention-stream-norm",
            Self::MlpNorm => "mlp-norm",
            Self::Gate => "gate",
            Self::Up => "up",
            Self::Activation => "activation",
            Self::Down => "down",
            Self::MlpPostNorm => "mlp-post-norm",
            Self::MlpStreamNorm => "mlp-stream-norm",
        }
    }

    /// Whether it belongs to the MLP, and not to attention.
    pub fn is_of_mlp(self) -> bool {
        let of_mlp = [Self::MlpNorm, Self::Gate, Self::Up, Self::Activation, Self::Down, Self::MlpPostNorm];
        of_mlp.contains(&self) || self == Self::MlpStreamNorm
    }
}
