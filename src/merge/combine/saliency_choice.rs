//! Which neurons of two blocks a fit of one down projection can least do without: those that make one block of both.
//!
//! The neurons of both read what the front block's attention gives, through the best guess of what they read where they come from ([`super::readers`]); all of
//! them together are fitted to the original stream behind the two, and those stay whose loss costs that fit the most. The heads are the front block's.

use super::Model;
use super::lesson::Lesson;
use super::plan::MOST_NEURONS;
use super::strength::{add_squares, column_squares};
use crate::architecture::Role;
use crate::compute::Tensor;
use crate::error::Result;
use crate::merge::combine::Norms;
use crate::merge::concatenate::strongest;
use crate::merge::repair::{Read, Rows, Sums};
use crate::merge::{Kept, Survivors};
use crate::task::Task;
use crate::transformer::Transformer;

/// What the neurons of both blocks of a pair give on a chunk of the stream in front of it.
struct Both {
    /// `[tokens, neurons]` of the front and of the back block.
    neurons: [Tensor; 2],
    /// The front block's post-attention stream, `[tokens, hidden]`.
    stream: Tensor,
}

impl Model {
    /// The parts of two survivors, which do the work of the original blocks of the lesson, that make one block of them; the stream in front of them is the
    /// original's.
    ///
    /// # Errors
    /// As [`Sums::saliencies`]; [`crate::error::Error::Cancelled`], or what reading and computing fail with.
    pub(super) async fn most_useful(
        &self,
        two: &Survivors,
        lesson: &Lesson<'_>,
        (norms, ridge): (Norms, f64),
        task: &Task,
    ) -> Result<Kept> {
        let mut fitted = two.clone();
        for (place, survivor) in two.blocks().iter().enumerate() {
            // The front block's own neurons read what they did.
            if place > 0 || survivor.picks.is_some() {
                self.fit_readers(&mut fitted, [0, place], lesson, norms, task).await?;
            }
        }
        let pair = &self.merged(&fitted, norms, task).await?.0;
        let (count, hidden) = (pair.description.neurons(), pair.description.hidden);
        let pool = self.pool(pair, lesson, task).await?;
        let inputs = pool[0].len() + pool[1].len();
        let engine = self.lab.engine.as_ref();
        let mut sums = Sums::whole(engine, inputs, hidden)?;
        for chunk in 0..lesson.input.chunk_count() {
            let Both { neurons: [front, back], stream } = both(pair, lesson, chunk, task).await?;
            let read = [(&front, &pool[0]), (&back, &pool[1])].map(|(values, pool)| Read {
                values,
                channels: Some(pool).filter(|pool| pool.len() < count).map(Vec::as_slice),
            });
            let target = lesson.way(chunk, task).await?.behind;
            let rows = Rows { read: &read, stream: &stream, target: &target };
            sums.add(engine, rows, lesson.input.window(), usize::MAX, task).await?;
        }
        let saliencies = sums.saliencies(engine, ridge, task).await?;
        let mut of = [vec![f64::NEG_INFINITY; count], vec![f64::NEG_INFINITY; count]];
        let places = pool.iter().enumerate().flat_map(|(block, pool)| pool.iter().map(move |neuron| (block, *neuron)));
        places.zip(saliencies).for_each(|((block, neuron), saliency)| of[block][neuron as usize] = saliency);
        Ok(Kept::neurons([&of[0], &of[1]], pair.description.kv_heads))
    }

    /// The neurons of either that the fit chooses from: all, or where that would take too much memory the strongest.
    async fn pool(&self, pair: &Transformer, lesson: &Lesson<'_>, task: &Task) -> Result<[Vec<u32>; 2]> {
        let count = pair.description.neurons();
        if 2 * count <= MOST_NEURONS {
            let all: Vec<u32> = (0..count as u32).collect();
            return Ok([all.clone(), all]);
        }
        let mut strengths = [vec![0.0; count], vec![0.0; count]];
        for chunk in 0..lesson.input.chunk_count() {
            let both = both(pair, lesson, chunk, task).await?;
            for (sums, neurons) in strengths.iter_mut().zip(&both.neurons) {
                add_squares(sums, &pair.engine.read(neurons).await?);
            }
        }
        for (layer, strengths) in strengths.iter_mut().enumerate() {
            let columns = column_squares(pair, layer, Role::Down).await?;
            strengths.iter_mut().zip(&columns).for_each(|(strength, column)| *strength *= column);
        }
        Ok(strongest([&strengths[0], &strengths[1]], MOST_NEURONS))
    }
}

async fn both(pair: &Transformer, lesson: &Lesson<'_>, chunk: usize, task: &Task) -> Result<Both> {
    let [front, stream] = lesson.neurons(pair, chunk, task).await?;
    let beside = lesson.beside(chunk)?;
    let back = pair.neurons(1, beside.as_ref().unwrap_or(&stream), task).await?;
    Ok(Both { neurons: [front, back], stream })
}
