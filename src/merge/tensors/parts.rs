//! The tensors that every block of a kind has, and what merging does to each kind: folds a norm
//! into it, averages it, maps it by a repair. Must not know values.

use crate::architecture::{BlockKind, Description, NeuronActivation, Norm, Projection, Role};

/// A norm on its way into a projection that reads it.
#[derive(Clone, Copy)]
pub(super) struct Folded {
    /// The norm's name.
    pub(super) norm: &'static str,
    /// Added to the stored gain.
    pub(super) offset: f32,
    /// Whether the projection is stored as `[inputs, outputs]`.
    pub(super) transposed: bool,
    /// Outputs of the projection.
    pub(super) outputs: usize,
}

/// What a part of a block is when blocks are averaged.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Gain or bias of a norm, and the value that it has once it is folded; none where the norm is
    /// averaged instead.
    Norm(Option<f32>),
    /// A matrix, and the norm that is folded into it.
    Matrix(Option<Folded>),
    /// A bias of a projection, and the norm whose bias is folded into it; or a number of the
    /// activation, of which none is.
    Bias(Option<Folded>),
}

/// One tensor of every block.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub name: &'static str,
    pub suffix: &'static str,
    pub kind: Kind,
    /// What it is for; of several that share a tensor, the first.
    pub role: Role,
    /// What a repair of the gap does to it.
    pub repaired: Repaired,
    /// Whether it is the last thing that its half of the block does before the stream: what a scale
    /// divides.
    pub writes: bool,
    /// Whether it is a matrix that is stored as `[inputs, outputs]`.
    pub transposed: bool,
    /// The queries in it, where a block's place scales its scores: they make up for a new place.
    pub queries: Option<Projection>,
}

/// What a linear repair does to a part.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Repaired {
    /// Nothing.
    Not,
    /// Its outputs are multiplied by the map.
    Mapped,
    /// The stored gain or bias of the norm after the MLP is multiplied by the map's diagonal.
    Scaled,
}

/// The parts that every block of a kind has.
pub(super) fn parts(description: &Description, kind: &BlockKind) -> Vec<Part> {
    let has = |role: Role| kind.norms.iter().any(|norm| norm.role == role);
    let post_norm = kind.mlp_post_norm().map(|norm| norm.role);
    let norms = kind.norms.iter().flat_map(move |norm| {
        let folds = can_fold(description, kind, norm.role);
        description.norm_suffixes().iter().map(move |suffix| {
            let folded = if *suffix == "weight" { 1.0 - description.gain_offset } else { 0.0 };
            Part {
                name: norm.name,
                suffix,
                kind: Kind::Norm(folds.then_some(folded)),
                role: norm.role,
                repaired: if Some(norm.role) == post_norm { Repaired::Scaled } else { Repaired::Not },
                writes: [Role::AttentionPostNorm, Role::MlpPostNorm].contains(&norm.role),
                transposed: false,
                queries: None,
            }
        })
    });
    let projections = kind.stored_projections().flat_map(move |p| {
        let reads = |norm: &&Norm| Some(norm.role) == p.reads && can_fold(description, kind, norm.role);
        let norm = kind.norms.iter().find(reads);
        let folded = norm.map(|norm| Folded {
            norm: norm.name,
            offset: description.gain_offset,
            transposed: p.transposed,
            outputs: p.stored,
        });
        let writes = match p.role {
            Role::Output => !has(Role::AttentionPostNorm),
            Role::Down => !has(Role::MlpPostNorm),
            _ => false,
        };
        let is_query = |q: &&Projection| q.name == p.name && q.role == Role::Query;
        let queries = kind.projections.iter().find(is_query).filter(|_| description.scaled_by_depth).copied();
        let weight = Part {
            name: p.name,
            suffix: "weight",
            kind: Kind::Matrix(folded),
            role: p.role,
            repaired: if p.role == Role::Down && post_norm.is_none() { Repaired::Mapped } else { Repaired::Not },
            writes,
            transposed: p.transposed,
            queries,
        };
        let takes_bias = folded.filter(|_| description.norm.has_bias());
        let bias = Part { suffix: "bias", kind: Kind::Bias(takes_bias), transposed: false, ..weight };
        std::iter::once(weight).chain(p.bias.then_some(bias))
    });
    let learned = description.activation.learned().into_iter().flat_map(|name| {
        NeuronActivation::LEARNED.into_iter().map(move |(suffix, _)| Part {
            name,
            suffix,
            kind: Kind::Bias(None),
            role: Role::Activation,
            repaired: Repaired::Not,
            writes: false,
            transposed: false,
            queries: None,
        })
    });
    norms.chain(projections).chain(learned).collect()
}

/// Whether a norm can be folded into what reads it: something does, and where the norm has a bias,
/// all of it have one to take it.
fn can_fold(description: &Description, kind: &BlockKind, norm: Role) -> bool {
    let mut readers = kind.projections.iter().filter(|p| p.reads == Some(norm)).peekable();
    readers.peek().is_some() && (!description.norm.has_bias() || readers.all(|p| p.bias))
}

/// Whether the norm that the projection `role` of such a block reads through is folded into it,
/// where norms are folded.
pub fn folds_norm_of(description: &Description, kind: &BlockKind, role: Role) -> bool {
    let norm = kind.projections.iter().find(|p| p.role == role).and_then(|p| p.reads);
    norm.is_some_and(|norm| can_fold(description, kind, norm))
}
