//! Causal attention in tiles of queries: scores by `gemm`, a softmax over the keys that each query
//! attends to, values by `gemm`.

use std::ops::Range;

use super::gemm::gemm;
use super::layout::Layout;
use super::math;
use crate::compute::Attention;

/// Queries that share one product; the keys after the last of them are never touched.
const TILE: usize = 64;

/// Attention of the query heads of `kv_heads`: q and out `[sequences * length, heads * head_size]`,
/// k and v `[sequences * keys, kv_heads * head_size]`; the caller has checked the shapes. `scores`
/// is scratch. False when a buffer is too short.
#[expect(clippy::too_many_arguments, reason = "three inputs, their shape, scratch and the output")]
pub fn attention(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    shape: &Attention,
    (length, keys): (usize, usize),
    kv_heads: Range<usize>,
    scores: &mut Vec<f32>,
    out: &mut [f32],
) -> bool {
    let size = shape.head_size;
    let (q_stride, kv_stride) = (shape.heads * size, shape.kv_heads * size);
    let group = shape.heads / shape.kv_heads;
    let window = shape.window.unwrap_or(usize::MAX);
    let mut done = true;
    for sequence in 0..shape.sequences {
        for kv_head in kv_heads.clone() {
            let kv_at = sequence * keys * kv_stride + kv_head * size;
            for head in kv_head * group..(kv_head + 1) * group {
                for tile in (0..length).step_by(TILE) {
                    let count = TILE.min(length - tile);
                    let end = shape.past + tile + count;
                    // The keys before the window of the tile's first query, and so of all.
                    let first = (shape.past + tile + 1).saturating_sub(window);
                    let span = end - first;
                    let q_at = (sequence * length + tile) * q_stride + head * size;
                    let kv_at = kv_at + first * kv_stride;
                    scores.resize(count * span, 0.0);
                    done &= gemm(
                        (count, span, size),
                        (scores, Layout::rows(0, span)),
                        (q, Layout::rows(q_at, q_stride)),
                        (k, Layout::transposed(kv_at, kv_stride)),
                        shape.scale,
                    );
                    for (i, row) in scores.chunks_exact_mut(span).enumerate() {
                        let last = shape.past + tile + i + 1;
                        let visible = last.saturating_sub(window) - first..last - first;
                        if let Some(cap) = shape.cap {
                            math::soft_cap(&mut row[visible.clone()], cap);
                        }
                        softmax(row, visible);
                    }
                    done &= gemm(
                        (count, size, span),
                        (out, Layout::rows(q_at, q_stride)),
                        (scores, Layout::rows(0, span)),
                        (v, Layout::rows(kv_at, kv_stride)),
                        1.0,
                    );
                }
            }
        }
    }
    done
}

/// Softmax of the visible scores; the others get weight 0.
fn softmax(row: &mut [f32], visible: Range<usize>) {
    let (row, later) = row.split_at_mut(visible.end);
    let (earlier, scores) = row.split_at_mut(visible.start);
    let scale = math::exp_sum(scores, math::max(scores)).recip();
    scores.iter_mut().for_each(|weight| *weight *= scale);
    earlier.fill(0.0);
    later.fill(0.0);
}
