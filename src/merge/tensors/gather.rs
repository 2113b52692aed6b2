//! Which stored row or column of which parent each one of a concatenated block is.

use super::parts::{Kind, Part};
use crate::architecture::{Description, Role};
use crate::merge::combine::ChannelOrigins;

/// How the parents of a tensor are put together: `(parent, row or column of its tensor)` for each
/// row or column of the new one.
pub(super) enum Gather {
    /// They are summed by their weights.
    Nothing,
    /// Row by row.
    Rows(Vec<(usize, usize)>),
    /// Column by column.
    Columns(Vec<(usize, usize)>),
}

/// How a part is put together from the channels of a concatenated block; `layers` are its parents,
/// ascending and all of one kind.
pub(super) fn gather_of(description: &Description, part: &Part, origins: &ChannelOrigins, layers: &[usize]) -> Gather {
    let kind = layers.first().map_or(description.block(), |layer| description.kind_of(*layer));
    let unit = |role: Role| match role {
        Role::Query | Role::QueryNorm | Role::Output => {
            Some((&origins.heads, description.heads / description.kv_heads * description.head_size))
        }
        Role::Key | Role::Value | Role::KeyNorm => Some((&origins.heads, description.head_size)),
        Role::Gate | Role::Up | Role::Down => Some((&origins.neurons, 1)),
        _ => None,
    };
    // Channel `channel` of the new block, and where it comes from.
    let source = |role: Role, channel: usize| {
        let (parts, size) = unit(role)?;
        let (layer, index) = *parts.get(channel / size)?;
        let parent = layers.iter().position(|found| *found == layer)?;
        Some((parent, index as usize * size + channel % size))
    };
    let stored = || kind.projections.iter().filter(|p| p.name == part.name);
    let Some(first) = stored().next() else {
        // The norm of queries or keys: of all channels it goes with the heads, of each head it is
        // one for all and is averaged.
        let norm = kind.norms.iter().find(|norm| norm.role == part.role);
        let wide = norm.filter(|norm| unit(norm.role).is_some() && norm.size > description.head_size);
        return wide.map_or(Gather::Nothing, |norm| {
            Gather::Rows((0..norm.size).filter_map(|channel| source(norm.role, channel)).collect())
        });
    };
    if [Role::Output, Role::Down].contains(&part.role) {
        if matches!(part.kind, Kind::Bias(_)) {
            return Gather::Nothing;
        }
        let inputs = (0..first.columns).filter_map(|channel| source(part.role, channel)).collect();
        return if part.transposed { Gather::Rows(inputs) } else { Gather::Columns(inputs) };
    }
    let mut outputs = vec![(0, 0); first.stored];
    for projection in stored() {
        for channel in 0..projection.rows {
            if let Some((parent, from)) = source(projection.role, channel) {
                outputs[projection.stored_row(channel)] = (parent, projection.stored_row(from));
            }
        }
    }
    if part.transposed { Gather::Columns(outputs) } else { Gather::Rows(outputs) }
}
