//! Records commands, submits them in slices, and waits without letting the queue grow. Must not
//! know what the commands compute.
//!
//! Commands are collected until their estimated work fills a slice, or until
//! [`Recorder::yield_now`] or [`Recorder::read`] is called; so tiny operations share a submission,
//! and no submission holds the device for long. Waiting for the device is also what gives the event
//! loop its turn.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use web_time::Instant;

use super::buffer::{DeferredDestroy, DeviceBuffer};
use super::faults::{Fault, Faults};
use super::kernel::{Kernel, Kernels, PARAMETER_BYTES};
use super::signal::Signal;
use crate::error::{Error, Result};
use crate::platform::off_heap::Meter;

/// The most dispatches of one submission: as many as parameter blocks fit their buffer.
const MOST_DISPATCHES: usize = 256;
/// Submissions that may be under way when [`Recorder::yield_now`] returns: one runs, the next is
/// ready.
const IN_FLIGHT: usize = 2;
/// Milliseconds after which [`Recorder::yield_now`] waits for a submission even if few are under
/// way, so that the event loop has its turn.
const TURN_MS: u128 = 30;
/// Bytes of uploads, or of dropped buffers that commands still name, that force a submission.
const MOST_PENDING_BYTES: u64 = 64 << 20;
/// Bytes that are read back at once. Larger pieces leave garbage of their size in a browser.
const READ_BYTES: u64 = 4 << 20;
/// Buffers are this long at least, and a multiple of it, so that they can be bound as arrays of
/// `vec4<f32>`.
const BUFFER_GRAIN: u64 = 16;

/// A device and its queue, with what is recorded, what is under way and what has failed.
pub(super) struct Recorder {
    device: wgpu::Device,
    kernels: Kernels,
    queue: wgpu::Queue,
    faults: Faults,
    deferred: Rc<DeferredDestroy>,
    meter: Meter,
    parameters: wgpu::Buffer,
    recording: RefCell<Recording>,
    in_flight: RefCell<VecDeque<Submission>>,
    last_turn: Cell<Instant>,
    largest_buffer: u64,
    slice_flops: f64,
}

/// Commands that are not submitted yet.
#[derive(Default)]
struct Recording {
    /// Open while dispatches follow each other; ends before the encoder is used otherwise.
    /// Declared, and so dropped, first.
    pass: Option<wgpu::ComputePass<'static>>,
    encoder: Option<wgpu::CommandEncoder>,
    /// One block for each dispatch.
    parameters: Vec<u8>,
    /// Estimated floating-point operations.
    work: f64,
    /// Bytes written to buffers since the last submission.
    uploaded: u64,
}

/// Commands that the device works on.
struct Submission {
    done: Signal,
    index: wgpu::SubmissionIndex,
}

impl Recording {
    fn encoder(&mut self, device: &wgpu::Device) -> &mut wgpu::CommandEncoder {
        self.encoder.get_or_insert_with(|| device.create_command_encoder(&Default::default()))
    }
}

impl Recorder {
    pub(super) fn new(device: wgpu::Device, queue: wgpu::Queue, largest_buffer: u64, slice_flops: f64) -> Self {
        let faults = Faults::default();
        faults.listen(&device);
        let parameters = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("parameters"),
            size: (MOST_DISPATCHES * PARAMETER_BYTES) as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Self {
            device,
            kernels: Kernels::default(),
            queue,
            faults,
            deferred: Rc::default(),
            meter: Meter::default(),
            parameters,
            recording: RefCell::default(),
            in_flight: RefCell::default(),
            last_turn: Cell::new(Instant::now()),
            largest_buffer,
            slice_flops,
        }
    }

    /// Bytes in buffers now, and at the peak.
    pub(super) fn memory(&self) -> (u64, u64) {
        (self.meter.now(), self.meter.peak())
    }

    /// Floating-point operations that one submission should stay under.
    pub(super) fn slice_flops(&self) -> f64 {
        self.slice_flops
    }

    /// The compiled kernel; see [`Kernels::get`].
    pub(super) fn kernel(
        &self,
        name_and_variant: (&'static str, usize),
        inputs: u32,
        source: impl FnOnce() -> String,
    ) -> Rc<Kernel> {
        self.kernels.get(&self.device, name_and_variant, inputs, source)
    }

    /// A buffer of zeros for at least `bytes`. That the device has no room is found out later, by
    /// [`Recorder::yield_now`] or [`Recorder::read`].
    pub(super) fn allocate(&self, bytes: u64) -> Result<DeviceBuffer> {
        self.faults.lost().map_or(Ok(()), Err)?;
        let size = bytes.max(1).next_multiple_of(BUFFER_GRAIN);
        if size > self.largest_buffer {
            let mib = |bytes: u64| bytes.div_ceil(1 << 20);
            return Err(Error::OutOfMemory {
                what: format!("a buffer of {} MiB, this GPU allows {} MiB", mib(size), mib(self.largest_buffer)),
            });
        }
        if self.deferred.bytes() > MOST_PENDING_BYTES {
            self.submit();
        }
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Ok(DeviceBuffer::new(buffer, &self.deferred, self.meter.hold(size)))
    }

    /// Writes `bytes` from byte `at` on; both multiples of 4. Commands that were recorded before
    /// read the old content.
    pub(super) fn write(&self, buffer: &DeviceBuffer, at: u64, bytes: &[u8]) {
        if buffer.is_in_flight() || self.recording.borrow().uploaded > MOST_PENDING_BYTES {
            self.submit();
        }
        self.recording.borrow_mut().uploaded += bytes.len() as u64;
        self.queue.write_buffer(&buffer.buffer, at, bytes);
    }

    /// Records `groups` workgroups of `kernel` on `buffers`, in the order of its bindings, with
    /// about `work` floating-point operations.
    pub(super) fn dispatch(
        &self,
        kernel: &Kernel,
        parameters: &[u32],
        buffers: &[&DeviceBuffer],
        (x, y): (u32, u32),
        work: f64,
    ) -> Result<()> {
        self.faults.lost().map_or(Ok(()), Err)?;
        self.make_room(work);
        let mut entries = vec![wgpu::BindGroupEntry {
            binding: 0,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: &self.parameters,
                offset: 0,
                size: wgpu::BufferSize::new(PARAMETER_BYTES as u64),
            }),
        }];
        entries.extend(
            (1..)
                .zip(buffers)
                .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.buffer.as_entire_binding() }),
        );
        let bind_group = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &kernel.layout,
            entries: &entries,
        });
        buffers.iter().for_each(|buffer| buffer.mark());

        let recording = &mut *self.recording.borrow_mut();
        let offset = recording.parameters.len();
        recording.parameters.extend_from_slice(bytemuck::cast_slice(parameters));
        recording.parameters.resize(offset + PARAMETER_BYTES, 0);
        recording.work += work;
        if recording.pass.is_none() {
            let pass = recording.encoder(&self.device).begin_compute_pass(&Default::default()).forget_lifetime();
            recording.pass = Some(pass);
        }
        if let Some(pass) = &mut recording.pass {
            pass.set_pipeline(&kernel.pipeline);
            pass.set_bind_group(0, &bind_group, &[offset as u32]);
            pass.dispatch_workgroups(x, y, 1);
        }
        Ok(())
    }

    /// Records a copy of `bytes`, a multiple of 4, from the start of `source` to byte `at` of
    /// `target`.
    pub(super) fn copy(&self, source: &DeviceBuffer, target: &DeviceBuffer, at: u64, bytes: u64) -> Result<()> {
        self.faults.lost().map_or(Ok(()), Err)?;
        self.make_room(bytes as f64);
        source.mark();
        target.mark();
        self.record_copy(&source.buffer, 0, &target.buffer, at, bytes);
        Ok(())
    }

    fn record_copy(&self, source: &wgpu::Buffer, from: u64, target: &wgpu::Buffer, to: u64, bytes: u64) {
        let recording = &mut *self.recording.borrow_mut();
        recording.pass = None;
        recording.work += bytes as f64;
        let encoder = recording.encoder(&self.device);
        encoder.copy_buffer_to_buffer(source, from, target, to, bytes);
    }

    /// Submits what is recorded if `work` more would overfill the slice.
    fn make_room(&self, work: f64) {
        let recording = self.recording.borrow();
        let full = recording.parameters.len() >= MOST_DISPATCHES * PARAMETER_BYTES
            || (recording.work > 0.0 && recording.work + work > self.slice_flops);
        drop(recording);
        if full {
            self.submit();
        }
    }

    /// Hands everything recorded to the device.
    fn submit(&self) {
        let mut recording = self.recording.take();
        if recording.encoder.is_none() && recording.uploaded == 0 {
            return;
        }
        recording.pass = None;
        if !recording.parameters.is_empty() {
            self.queue.write_buffer(&self.parameters, 0, &recording.parameters);
        }
        let commands = recording.encoder.map(wgpu::CommandEncoder::finish);
        let index = self.queue.submit(commands);
        self.deferred.destroy_all();
        let done = self.signal_when_done();
        self.in_flight.borrow_mut().push_back(Submission { done, index });
    }

    fn signal_when_done(&self) -> Signal {
        let done = Signal::default();
        let setter = done.clone();
        self.queue.on_submitted_work_done(move || setter.set(true));
        done
    }

    /// See [`crate::compute::Compute::yield_now`].
    pub(super) async fn yield_now(&self) -> Result<()> {
        self.forget_finished();
        let (work, uploaded) = {
            let recording = self.recording.borrow();
            (recording.work, recording.uploaded)
        };
        let idle = self.in_flight.borrow().is_empty();
        if idle || work > self.slice_flops / 8.0 || uploaded > MOST_PENDING_BYTES / 4 {
            self.submit();
        }
        while self.in_flight.borrow().len() > IN_FLIGHT {
            self.wait_for_oldest().await;
        }
        if self.last_turn.get().elapsed().as_millis() >= TURN_MS {
            if self.in_flight.borrow().is_empty() {
                self.wait(self.signal_when_done(), None).await;
            } else {
                self.wait_for_oldest().await;
            }
        }
        self.settle().await
    }

    /// The first `count` values of `buffer`, as they are after all that was recorded.
    pub(super) async fn read(&self, buffer: &DeviceBuffer, count: usize) -> Result<Vec<f32>> {
        self.forget_finished();
        self.faults.lost().map_or(Ok(()), Err)?;
        let mut values = vec![0.0f32; count];
        let mut at = 0;
        for piece in values.chunks_mut((READ_BYTES / 4) as usize) {
            let bytes = bytemuck::cast_slice_mut(piece);
            let length = bytes.len() as u64;
            let staging = Staging(self.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("read"),
                size: length,
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            }));
            self.record_copy(&buffer.buffer, at, &staging.0, 0, length);
            self.submit();
            let mapped = Signal::default();
            let setter = mapped.clone();
            staging.0.map_async(wgpu::MapMode::Read, .., move |result| {
                setter.set(result.is_ok());
            });
            let index = self.in_flight.borrow().back().map(|submission| submission.index.clone());
            let copied = self.wait(mapped, index).await && staging.copy_to(bytes);
            self.settle().await?;
            if !copied {
                return Err(Fault::Lost("values could not be read back".into()).error());
            }
            at += length;
        }
        Ok(values)
    }

    /// Waits for the oldest submission under way.
    async fn wait_for_oldest(&self) {
        let oldest = self.in_flight.borrow_mut().pop_front();
        if let Some(Submission { done, index }) = oldest {
            self.wait(done, Some(index)).await;
        }
    }

    /// Waits for `signal`, which the submission `index` or an earlier one sets; false when the
    /// device fails meanwhile.
    async fn wait(&self, signal: Signal, index: Option<wgpu::SubmissionIndex>) -> bool {
        // On the web callbacks come from the event loop; natively from here.
        let poll = wgpu::PollType::Wait { submission_index: index, timeout: None };
        let polled = self.device.poll(poll).is_ok();
        let happened = if polled { signal.await } else { false };
        self.last_turn.set(Instant::now());
        happened
    }

    /// Drops the submissions that are done from the list of those under way.
    fn forget_finished(&self) {
        // Natively this runs callbacks; when it fails, the fault callbacks report it.
        let _ = self.device.poll(wgpu::PollType::Poll);
        self.in_flight.borrow_mut().retain(|submission| submission.done.outcome().is_none());
    }

    /// Reports a fault, once. All that was recorded or is under way may depend on what failed: it
    /// is dropped or waited for, so that its errors are not taken for faults of what comes later.
    async fn settle(&self) -> Result<()> {
        let Some(fault) = self.faults.known() else {
            return Ok(());
        };
        if !matches!(fault, Fault::Lost(_)) {
            drop(self.recording.take());
            self.deferred.destroy_all();
            while !self.in_flight.borrow().is_empty() {
                self.wait_for_oldest().await;
            }
            self.faults.clear();
        }
        Err(self.faults.lost().unwrap_or_else(|| fault.error()))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // On the web memory would otherwise wait for the garbage collector.
        self.device.destroy();
    }
}

/// A buffer that is read back; freed on drop, also when the reading is cancelled.
struct Staging(wgpu::Buffer);

impl Staging {
    /// Copies the mapped content; false when there is none.
    fn copy_to(&self, bytes: &mut [u8]) -> bool {
        let Ok(view) = self.0.get_mapped_range(..) else {
            return false;
        };
        #[cfg(target_arch = "wasm32")]
        view.as_uint8array().copy_to(bytes);
        #[cfg(not(target_arch = "wasm32"))]
        bytes.copy_from_slice(&view);
        true
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        self.0.destroy();
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;
