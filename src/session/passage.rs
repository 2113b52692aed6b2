//! The original model's way over the blocks that one survivor does the work of: what its projections are fitted to, several of them and again and again.
//! It is computed once, as far as there is room to keep it. Must not know what is fitted.

use std::cell::{Cell, OnceCell};
use std::ops::Range;

use crate::compute::Tensor;
use crate::error::Result;
use crate::task::Task;
use crate::transformer::{Stream, Transformer, Way};

/// Bytes that are kept at most; what lies beyond is computed each time that it is asked for.
pub(super) const MOST_KEPT: u64 = 256 << 20;

/// What a block is fitted by.
#[derive(Clone, Copy)]
pub(super) struct Lesson<'a> {
    /// The stream of the current model in front of the block.
    pub input: &'a Stream,
    /// The way of the original model over the blocks whose work it does.
    pub original: &'a Passage<'a>,
}

/// The original model from in front of some blocks to behind them.
pub(super) struct Passage<'a> {
    original: &'a Transformer,
    /// In front of the first block.
    stream: Stream,
    /// The original blocks.
    pub blocks: Range<usize>,
    /// Of each chunk, what was kept, as in [`Way`], without the first: that is the stream.
    kept: Vec<OnceCell<Vec<Tensor>>>,
    room: Cell<u64>,
}

impl<'a> Passage<'a> {
    /// Nothing is computed yet. `stream` is in front of the first of `blocks`.
    pub(super) fn new(original: &'a Transformer, stream: Stream, blocks: Range<usize>) -> Self {
        let kept = (0..stream.chunk_count()).map(|_| OnceCell::new()).collect();
        Self { original, stream, blocks, kept, room: Cell::new(MOST_KEPT) }
    }

    /// What a block is fitted by that reads what the original model reads.
    pub(super) fn lesson(&self) -> Lesson<'_> {
        Lesson { input: &self.stream, original: self }
    }

    /// What chunk `chunk` meets.
    ///
    /// # Errors
    /// As [`Transformer::way`].
    pub(super) async fn way(&self, chunk: usize, task: &Task) -> Result<Way> {
        let engine = self.original.engine.as_ref();
        let Some(kept) = self.kept.get(chunk).and_then(OnceCell::get) else {
            let way = self.original.way(self.blocks.clone(), &self.stream, chunk, task).await?;
            self.keep(chunk, &way)?;
            return Ok(way);
        };
        let front = self.stream.states(engine, chunk)?;
        let Some((behind, kept)) = kept.split_last() else {
            return Ok(Way { attention: Vec::new(), behind: front });
        };
        let behind = engine.unpark(behind)?;
        let mut states = std::iter::once(Ok(front)).chain(kept.iter().map(|states| engine.unpark(states)));
        let mut attention = Vec::new();
        while let (Some(front), Some(behind)) = (states.next(), states.next()) {
            attention.push([front?, behind?]);
        }
        Ok(Way { attention, behind })
    }

    fn keep(&self, chunk: usize, way: &Way) -> Result<()> {
        let engine = self.original.engine.as_ref();
        let states = way.attention.iter().flatten().skip(1).chain([&way.behind]);
        let bytes: u64 = states.clone().map(|states| 4 * (states.rows * states.columns) as u64).sum();
        if let (Some(left), Some(place)) = (self.room.get().checked_sub(bytes), self.kept.get(chunk)) {
            let park = |states: &Tensor| engine.park(engine.unpark(states)?);
            let _ = place.set(states.map(park).collect::<Result<_>>()?);
            self.room.set(left);
        }
        Ok(())
    }

    /// The stream behind the last block.
    ///
    /// # Errors
    /// As [`Transformer::way`].
    pub(super) async fn behind(mut self, task: &Task) -> Result<Stream> {
        for chunk in 0..self.stream.chunk_count() {
            let behind = self.way(chunk, task).await?.behind;
            self.stream.set_states(self.original.engine.as_ref(), chunk, behind)?;
        }
        Ok(self.stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::miniature::open;

    /// One after the other and side by side, kept, kept in part, and never kept: all is what the blocks give one by one.
    #[test]
    fn what_is_kept_is_what_is_computed() {
        for miniature in ["llama", "phi"] {
            let (model, task) = (open(miniature), Task::silent());
            pollster::block_on(async {
                let (t, engine) = (&model.transformer, model.transformer.engine.as_ref());
                let hidden = t.description.hidden;
                let read = async |states: &Tensor| engine.read(states).await.unwrap();
                // Windows long enough for several chunks.
                let window: Vec<u32> = (0..61).map(|i| (i * 17 + 1) % t.description.vocabulary as u32).collect();
                let windows = vec![window; 2 * engine.info().chunk_tokens / 61 + 1];
                let stream = t.embed(&windows, &task).await.unwrap();
                assert!(stream.chunk_count() > 1);
                let one_chunk = 4 * 4 * stream.values(engine, 0).await.unwrap().len() as u64;
                for room in [MOST_KEPT, one_chunk, 0] {
                    let mut passage = Passage::new(t, stream.fork(engine).unwrap(), 0..2);
                    passage.room = Cell::new(room);
                    for chunk in (0..stream.chunk_count()).chain(0..stream.chunk_count()) {
                        let way = passage.way(chunk, &task).await.unwrap();
                        let mut front = stream.fork(engine).unwrap();
                        for (layer, told) in way.attention.iter().enumerate() {
                            let parts = t.attention_parts(layer, &front, chunk, &task).await.unwrap();
                            let [ahead, stream] = [read(&told[0]).await, read(&told[1]).await];
                            assert_eq!(ahead, front.values(engine, chunk).await.unwrap(), "{miniature} {layer}");
                            assert_eq!(stream, read(&parts.stream).await, "{miniature} {layer}");
                            let step = task.step("test", 1, "blocks");
                            t.forward(&mut front, layer..layer + 1, None, &task, &step).await.unwrap();
                        }
                        assert_eq!(way.attention.len(), 2);
                        assert_eq!(read(&way.behind).await, front.values(engine, chunk).await.unwrap());
                        assert_eq!(way.behind.columns, hidden);
                    }
                    let kept = passage.kept.iter().filter(|kept| kept.get().is_some()).count();
                    assert_eq!(
                        kept,
                        if room == one_chunk { 1 } else { (room / MOST_KEPT) as usize * stream.chunk_count() }
                    );
                    let behind = passage.behind(&task).await.unwrap();
                    let mut expected = stream.fork(engine).unwrap();
                    t.forward(&mut expected, 0..2, None, &task, &task.step("test", 2, "blocks")).await.unwrap();
                    for chunk in 0..stream.chunk_count() {
                        let found = behind.values(engine, chunk).await.unwrap();
                        assert_eq!(found, expected.values(engine, chunk).await.unwrap());
                    }
                }
            });
        }
    }
}
