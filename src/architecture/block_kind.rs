//! The tensors of a block: norms, projections, and the kinds of blocks by which of them they have.
//! Must not know `config.json`, nor the names before a block's number.

use super::role::Role;
use crate::error::{Error, Result};

/// A norm of a block: `{prefix}.{name}.weight` and, of norms by mean and deviation, `.bias`, shape
/// `[size]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Norm {
    /// What it is for.
    pub role: Role,
    /// Its name inside the block.
    pub name: &'static str,
    /// Channels that are normalised together.
    pub size: usize,
}

/// A projection of a block: rows of `{prefix}.{name}.weight`, shape `[stored, columns]` (the other
/// way round where it is transposed), and of `{prefix}.{name}.bias`, shape `[stored]`, where there
/// is one. Several projections may share a tensor.
///
/// Row r is the stored row `first + r / run * stride + r % run`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Projection {
    /// What it is for.
    pub role: Role,
    /// The name of its tensor inside the block.
    pub name: &'static str,
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub columns: usize,
    /// Whether a bias is added.
    pub bias: bool,
    /// The norm whose output it reads; the norm's gain can be folded into its columns.
    pub reads: Option<Role>,
    /// Outputs of the stored tensor.
    pub stored: usize,
    /// The first stored row.
    pub first: usize,
    /// Rows that lie one after the other.
    pub run: usize,
    /// From the start of one run to the next.
    pub stride: usize,
    /// Whether the tensor is stored as `[columns, stored]`.
    pub transposed: bool,
}

impl Projection {
    /// A projection with a tensor of its own.
    pub fn new(
        role: Role,
        name: &'static str,
        [rows, columns]: [usize; 2],
        bias: bool,
        reads: impl Into<Option<Role>>,
    ) -> Self {
        let (reads, stored, first, run, stride) = (reads.into(), rows, 0, rows, rows);
        Self { role, name, rows, columns, bias, reads, stored, first, run, stride, transposed: false }
    }

    /// The same as a part of a tensor of `stored` rows: runs of `run` rows, the first of them at
    /// `first`, `stride` apart.
    pub fn part(self, stored: usize, first: usize, run: usize, stride: usize) -> Self {
        Self { stored, first, run, stride, ..self }
    }

    /// The same, stored as `[columns, stored]`.
    pub fn transposed(self) -> Self {
        Self { transposed: true, ..self }
    }

    /// The stored row of row `row`.
    pub fn stored_row(&self, row: usize) -> usize {
        self.first + row / self.run.max(1) * self.stride + row % self.run.max(1)
    }

    /// The runs of stored rows that make up the rows: `(first stored row, number)`.
    pub fn runs(&self) -> impl Iterator<Item = (usize, usize)> {
        let Self { rows, first, run, stride, .. } = *self;
        (0..rows).step_by(run.max(1)).map(move |row| (first + row / run.max(1) * stride, run.min(rows - row)))
    }
}

/// The tensors of one kind of block: all blocks of a kind have the same ones, in the same shapes
/// and for the same uses, so that they can be averaged and concatenated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockKind {
    /// Its norms.
    pub norms: Vec<Norm>,
    /// Its projections.
    pub projections: Vec<Projection>,
}

impl BlockKind {
    /// The norm that what the MLP adds goes through on its way to the next block, if there is one.
    pub fn mlp_post_norm(&self) -> Option<&Norm> {
        self.norms.iter().find(|norm| matches!(norm.role, Role::MlpPostNorm | Role::MlpStreamNorm))
    }

    /// The projection with this role.
    ///
    /// # Errors
    /// [`Error::MissingTensor`] when such blocks have none.
    pub fn projection(&self, role: Role) -> Result<&Projection> {
        let found = self.projections.iter().find(|p| p.role == role);
        found.ok_or_else(|| Error::MissingTensor { tensor: format!("{role:?} of a block") })
    }

    /// The projections, one for each stored tensor.
    pub fn stored_projections(&self) -> impl Iterator<Item = &Projection> {
        let first = |name| self.projections.iter().position(|p| p.name == name);
        self.projections.iter().enumerate().filter(move |(i, p)| first(p.name) == Some(*i)).map(|(_, p)| p)
    }

    /// Inner channels of the MLP.
    pub fn neurons(&self) -> usize {
        self.projections.iter().find(|p| p.role == Role::Down).map_or(0, |p| p.columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_shared_tensor() {
        let whole = Projection::new(Role::Query, "q", [6, 4], true, Role::AttentionNorm);
        assert_eq!(whole.runs().collect::<Vec<_>>(), [(0, 6)]);
        assert_eq!(whole.part(18, 12, 6, 6).runs().collect::<Vec<_>>(), [(12, 6)]);
        // Keys of three heads of two channels each, query, key and value of a head side by side.
        assert_eq!(whole.part(18, 2, 2, 6).runs().collect::<Vec<_>>(), [(2, 2), (8, 2), (14, 2)]);
    }
}
