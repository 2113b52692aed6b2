//! What repairs need beside a recipe, as a file: the maps T by their step, and projections that
//! were fitted anew by the names of the original tensors.

use std::rc::Rc;

use indexmap::IndexMap;
use safetensors::SafeTensors;

use crate::checkpoint::StoredTensor;
use crate::checkpoint::read::readable_dtype;
use crate::checkpoint::source::MemorySource;
use crate::checkpoint::write::{OutputFile, safetensors_file};
use crate::error::{Error, Result};
use crate::merge::context::MergeContext;
use crate::merge::recipe::Repairs;
use crate::merge::state::{Fitted, MergeState, RepairMap};
use crate::platform::off_heap::OffHeapBuffer;

/// The file's name.
pub const FILE: &str = "repair.safetensors";

/// The file, if there were repairs that need it.
///
/// # Errors
/// [`Error::BadHeader`] when its header cannot be written.
pub fn repair_file(context: &MergeContext, state: &MergeState) -> Result<Option<OutputFile>> {
    let (dense, meter) = (&context.original, &context.meter);
    let stored = |name: &str, values: &OffHeapBuffer, like: StoredTensor| {
        let mut bytes = vec![0; values.len()];
        values.read(0, &mut bytes);
        let source = Rc::new(MemorySource::new(name.to_string(), &bytes, meter)?);
        Ok::<_, Error>(StoredTensor { source, start: 0, bytes: bytes.len() as u64, ..like })
    };
    let mut tensors = IndexMap::new();
    for survivor in state.blocks() {
        if let Some(map) = &survivor.repair {
            let name = format!("T.{}", map.step);
            let kind = dense.description.kind_of(survivor.layer);
            let shape = RepairMap::shape(&dense.description, kind).into_iter().map(|size| size as u64).collect();
            let source = Rc::new(MemorySource::new(name.clone(), &[], meter)?);
            let like = StoredTensor { dtype: safetensors::Dtype::F32, shape, source, start: 0, bytes: 0 };
            tensors.insert(name.clone(), stored(&name, &map.values, like)?);
        }
        for fitted in &survivor.fitted {
            let name = dense.description.weight_of(survivor.layer, fitted.role)?;
            let like = dense.checkpoint.tensor(&name)?.clone();
            tensors.insert(name.clone(), stored(&name, &fitted.weights, like)?);
        }
    }
    if tensors.is_empty() { Ok(None) } else { safetensors_file(FILE, &tensors).map(Some) }
}

/// The repairs in the content of such a file, made for this model.
///
/// # Errors
/// [`Error::BadArgument`] when it is not such a file.
pub fn read_repairs(context: &MergeContext, bytes: &[u8]) -> Result<Repairs> {
    let (description, checkpoint) = (&context.original.description, &context.original.checkpoint);
    let bad = |reason: String| Error::argument("repair", reason);
    let file = SafeTensors::deserialize(bytes).map_err(|e| bad(format!("it is not a {FILE}: {e}")))?;
    let mut repairs = Repairs::default();
    let mut places = std::collections::HashMap::new();
    for layer in 0..description.layers {
        let kind = description.kind_of(layer);
        for role in Fitted::ROLES.into_iter().filter(|role| kind.projection(*role).is_ok()) {
            // Gate and up may share a tensor.
            places.entry(description.weight_of(layer, role)?).or_insert((layer, role));
        }
    }
    for (name, tensor) in file.iter() {
        let place = places.get(name).copied();
        let step = name.strip_prefix("T.").and_then(|step| step.parse::<usize>().ok());
        let (dtype, mut shapes) = match place {
            Some(_) => {
                let original = checkpoint.tensor(name)?;
                readable_dtype(name, original)?;
                (original.dtype, vec![original.shape.iter().map(|size| *size as usize).collect()])
            }
            // After which block the gap is, the recipe says.
            None => {
                let shapes = description.kinds.iter().map(|kind| RepairMap::shape(description, kind));
                (safetensors::Dtype::F32, shapes.collect::<Vec<_>>())
            }
        };
        shapes.dedup();
        if tensor.dtype() != dtype || !shapes.iter().any(|shape| tensor.shape() == shape) {
            let found = format!("{:?} {:?}", tensor.dtype(), tensor.shape());
            let shapes: Vec<String> = shapes.iter().map(|shape| format!("{shape:?}")).collect();
            return Err(bad(format!("{name} is {found}, expected {dtype:?} {}", shapes.join(" or "))));
        }
        let values = OffHeapBuffer::zeros(tensor.data().len(), &context.meter)?;
        values.write(0, tensor.data());
        match (place, step) {
            (Some((layer, role)), _) => {
                repairs.fitted.entry(layer).or_default().push(Rc::new(Fitted { role, weights: values }));
            }
            (None, Some(step)) => {
                repairs.maps.insert(step, Rc::new(RepairMap { step, values }));
            }
            (None, None) => {
                return Err(bad(format!("it has a tensor {name:?}, expected T.<step> or a projection's name")));
            }
        }
    }
    Ok(repairs)
}
