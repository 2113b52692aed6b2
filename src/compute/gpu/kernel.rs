//! Kernels: WGSL compiled when first used and kept. Must not know what they compute.
//!
//! Every kernel has its parameters, `u32` or `f32` words, at binding 0, what it reads from binding
//! 1 on, and the one buffer that it writes after those. WGSL has no includes, but its declarations
//! may come in any order, so that sources are put together from parts.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// Invocations of one workgroup in kernels whose invocations share nothing.
pub(super) const GROUP: usize = 64;
/// The most workgroups in one direction; WebGPU grants this everywhere.
const MOST_GROUPS: usize = 65_535;
/// Distance of two parameter blocks in their buffer: the largest alignment that a device may
/// require.
pub(super) const PARAMETER_BYTES: usize = 256;

/// A compiled kernel.
pub(super) struct Kernel {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
}

/// The kernels that were used so far.
#[derive(Default)]
pub(super) struct Kernels(RefCell<HashMap<(&'static str, usize), Rc<Kernel>>>);

impl Kernels {
    /// The kernel `name`, of which there may be variants (per dtype, per head size), that reads
    /// `inputs` buffers; `source` is called once.
    pub(super) fn get(
        &self,
        device: &wgpu::Device,
        (name, variant): (&'static str, usize),
        inputs: u32,
        source: impl FnOnce() -> String,
    ) -> Rc<Kernel> {
        if let Some(kernel) = self.0.borrow().get(&(name, variant)) {
            return Rc::clone(kernel);
        }
        let kernel = Rc::new(compile(device, name, inputs, source()));
        let mut kernels = self.0.borrow_mut();
        Rc::clone(kernels.entry((name, variant)).or_insert(kernel))
    }
}

fn compile(device: &wgpu::Device, name: &'static str, inputs: u32, source: String) -> Kernel {
    let entry = |binding, ty, has_dynamic_offset| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset, min_binding_size: None },
        count: None,
    };
    let mut entries = vec![entry(0, wgpu::BufferBindingType::Uniform, true)];
    entries.extend((1..=inputs + 1).map(|binding| {
        let read_only = binding <= inputs;
        entry(binding, wgpu::BufferBindingType::Storage { read_only }, false)
    }));
    let layout =
        device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(name), entries: &entries });
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(name),
        source: wgpu::ShaderSource::Wgsl(source.into()),
    });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(name),
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(name),
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    });
    Kernel { pipeline, layout }
}

/// Workgroups `(x, y)` whose number is at least `count`; the kernel numbers them
/// `x + y * (workgroups in x)`.
pub(super) fn grid(count: usize) -> (u32, u32) {
    let y = count.div_ceil(MOST_GROUPS).max(1);
    (count.div_ceil(y) as u32, y as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_hold_every_group_and_stay_within_the_limit() {
        for count in [1, 2, 65_535, 65_536, 65_537, 131_071, 1_000_003, 3_000_000_000] {
            let (x, y) = grid(count);
            assert!(x <= 65_535 && y <= 65_535 && x as usize * y as usize >= count);
            assert!((x as usize * y as usize) < count + y as usize);
        }
    }
}
