/** A heading for each kind of error: what is wrong, before the words of the engine say where. */
import type { MkaErrorCode } from "../../api/error";

export const ERROR_KINDS: Record<MkaErrorCode, string> = {
  "not-a-checkpoint": "This is no safetensors model",
  "bad-header": "The weights file is damaged",
  "bad-config": "The configuration can't be used",
  "bad-tokenizer": "The tokenizer can't be used",
  "bad-index": "The list of shards can't be used",
  "missing-file": "A file is missing",
  "missing-tensor": "A tensor is missing",
  "wrong-shape": "A tensor has another shape",
  "unsupported-family": "This kind of model is not known",
  "unsupported-dtype": "The weights are in another number format",
  quantised: "The weights are quantised",
  "not-finite": "There are numbers that are none",
  degenerate: "The activations don't differ enough",
  disconnected: "The diffusion map falls apart",
  "bad-argument": "This setting can't be used",
  "out-of-memory": "Memory ran out",
  "device-lost": "The engine stopped",
  "no-webgpu": "WebGPU can't be used",
  network: "A download failed",
  storage: "A file could not be read or written",
  internal: "This is a bug of the page",
};
