//! Files as JavaScript has them: read by range on the way in, composed of slices on the way out.

use std::any::Any;
use std::rc::Rc;

use js_sys::{Array, ArrayBuffer, Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::checkpoint::source::{ByteSource, Source, SourceId, check_range};
use crate::checkpoint::tensor_writer::WrittenSource;
use crate::checkpoint::write::{OutputFile, Segment};
use crate::error::{Error, Pending, Result};
use crate::platform::off_heap::release;
use crate::task::Task;

/// New bytes leave the WebAssembly heap in pieces of at most this size.
const PIECE: u64 = 4 << 20;

#[wasm_bindgen(typescript_custom_section)]
const SOURCE_FILE: &str = r#"
/** A file that is read by range; made by the worker from a File or a URL. */
export interface SourceFile {
  /** Path inside the model's folder, with "/" between its parts. */
  name: string;
  /** Length in bytes. */
  size: number;
  /** `length` bytes from `offset` on, in a buffer that the caller may do away with. */
  read(offset: number, length: number): Promise<ArrayBuffer>;
  /** The bytes `start` to `end` as a Blob, without reading them where that can be. */
  blob(start: number, end: number): Promise<Blob>;
}
"#;

#[wasm_bindgen]
extern "C" {
    /// The worker's `SourceFile`.
    type SourceFile;

    #[wasm_bindgen(method, getter)]
    fn name(this: &SourceFile) -> String;

    #[wasm_bindgen(method, getter)]
    fn size(this: &SourceFile) -> f64;

    #[wasm_bindgen(method, catch)]
    fn read(this: &SourceFile, offset: f64, length: f64) -> std::result::Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn blob(this: &SourceFile, start: f64, end: f64) -> std::result::Result<Promise, JsValue>;
}

/// A file of the worker's.
pub struct JsSource {
    id: SourceId,
    file: SourceFile,
    name: String,
    length: u64,
}

impl JsSource {
    /// The source of a `SourceFile`.
    pub fn source(file: JsValue) -> Source {
        let file: SourceFile = file.unchecked_into();
        let (name, length) = (file.name(), file.size() as u64);
        Rc::new(Self { id: SourceId::new(), file, name, length })
    }

    /// Waits for what the file promised.
    async fn wait(&self, promise: std::result::Result<Promise, JsValue>) -> Result<JsValue> {
        let answer = match promise {
            Ok(promise) => JsFuture::from(promise).await,
            Err(thrown) => Err(thrown),
        };
        answer.map_err(|thrown| self.unreadable(&thrown))
    }

    /// What a rejected promise says; its words are kept where it has some.
    fn unreadable(&self, thrown: &JsValue) -> Error {
        let field = |key: &str| Reflect::get(thrown, &key.into()).ok().and_then(|value| value.as_string());
        match (field("message"), field("hint")) {
            (Some(message), Some(hint)) => {
                Error::Unreadable { message, hint, network: field("code").as_deref() == Some("network") }
            }
            (message, _) => {
                Error::Storage { file: self.name.clone(), reason: message.unwrap_or_else(|| format!("{thrown:?}")) }
            }
        }
    }
}

impl ByteSource for JsSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn id(&self) -> SourceId {
        self.id
    }

    fn len(&self) -> u64 {
        self.length
    }

    fn read(&self, offset: u64, length: usize) -> Pending<'_, Vec<u8>> {
        Box::pin(async move {
            check_range(self, offset, length)?;
            if length == 0 {
                return Ok(Vec::new());
            }
            let buffer = self.wait(self.file.read(offset as f64, length as f64)).await?;
            let bytes = buffer.dyn_into::<ArrayBuffer>().map(|buffer| {
                let bytes = Uint8Array::new(&buffer).to_vec();
                release(&buffer);
                bytes
            });
            bytes.ok().filter(|bytes| bytes.len() == length).ok_or_else(|| Error::Storage {
                file: self.name.clone(),
                reason: format!("other than the {length} bytes from {offset} on came back"),
            })
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Output files as `{ name, blob }[]`; what is unchanged stays a slice of the input.
pub async fn blobs(files: Vec<OutputFile>, task: &Task) -> Result<Array> {
    let step = task.step("write", files.len(), "files");
    let out = Array::new();
    for file in files {
        let blob = blob(&file, task).await?;
        let entry = Object::new();
        // Setting a key of a plain object cannot fail.
        let _ = Reflect::set(&entry, &"name".into(), &file.name.as_str().into());
        let _ = Reflect::set(&entry, &"blob".into(), &blob);
        out.push(&entry);
        step.advance(1)?;
    }
    Ok(out)
}

/// One output file as a Blob.
pub async fn blob(file: &OutputFile, task: &Task) -> Result<web_sys::Blob> {
    let parts = Array::new();
    for segment in &file.segments {
        match segment {
            Segment::Bytes(bytes) => {
                parts.push(&Uint8Array::from(bytes.as_slice()));
            }
            Segment::Range { source, start, end } => add_range(&parts, source, *start, *end).await?,
        }
        task.check()?;
    }
    web_sys::Blob::new_with_blob_sequence(&parts)
        .map_err(|thrown| Error::Storage { file: file.name.clone(), reason: format!("{thrown:?}") })
}

async fn add_range(parts: &Array, source: &Source, start: u64, end: u64) -> Result<()> {
    if let Some(file) = source.as_any().downcast_ref::<JsSource>() {
        parts.push(&file.wait(file.file.blob(start as f64, end as f64)).await?);
        return Ok(());
    }
    if let Some(source) = source.as_any().downcast_ref::<WrittenSource>()
        && let Some(slice) = source.written().blob(start, end)?
    {
        parts.push(&slice);
        return Ok(());
    }
    let mut at = start;
    while at < end {
        let length = PIECE.min(end - at);
        let bytes = source.read(at, length as usize).await?;
        parts.push(&Uint8Array::from(bytes.as_slice()));
        at += length;
    }
    Ok(())
}
