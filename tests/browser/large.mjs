// Models as large as real ones on a disk that they hardly use: most blocks are holes (zeros), a few
// have real weights.
//
// The real blocks share one pseudo-random buffer, each from another start, so that writing them is
// quick; what is in them is known.
import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";

const SHARD_BYTES = 4_980_000_000;
const POOL_VALUES = 1 << 24;

/** Shapes of real models. `shards`: whether the weights come in several files. */
export const SHAPES = {
  "135m": {
    layers: 30, hidden: 576, intermediate: 1536, heads: 9, kvHeads: 3, headSize: 64, vocabulary: 49_152, tied: true, shards: false,
  },
  "1b": {
    layers: 16, hidden: 2048, intermediate: 8192, heads: 32, kvHeads: 8, headSize: 64, vocabulary: 128_256, tied: true, shards: false,
  },
  "8b": {
    layers: 32, hidden: 4096, intermediate: 14_336, heads: 32, kvHeads: 8, headSize: 128, vocabulary: 128_256, tied: false, shards: true,
  },
};

/** Rows of the embedding and of the head that are real; the ids of a test stay below. */
export const REAL_ROWS = 2048;

/**
 * Writes a Llama-shaped bf16 checkpoint into `folder`. `real` lists the blocks that have weights;
 * `source`, if given, says for each block from which block's weights it is made, so that a small
 * model can be built from the blocks of a large one. Returns the names of the files and, for each
 * tensor, { file, offset } of its first byte.
 */
export function writeModel(folder, shape, { real, layers = shape.layers, source = (l) => l }) {
  mkdirSync(folder, { recursive: true });
  const { hidden, intermediate, heads, kvHeads, headSize, vocabulary, tied } = shape;
  const tensors = [{ name: "model.embed_tokens.weight", dimensions: [vocabulary, hidden], rows: REAL_ROWS, start: 17, scale: 1 }];
  for (let l = 0; l < layers; l += 1) {
    const from = source(l);
    const add = (name, dimensions, k, scale) =>
      tensors.push({
        name: `model.layers.${l}.${name}.weight`, dimensions, rows: real.includes(from) ? dimensions[0] : 0,
        start: (from * 1_000_003 + k * 70_001) % POOL_VALUES, scale,
      });
    add("self_attn.q_proj", [heads * headSize, hidden], 1, 0.02);
    add("self_attn.k_proj", [kvHeads * headSize, hidden], 2, 0.02);
    add("self_attn.v_proj", [kvHeads * headSize, hidden], 3, 0.02);
    add("self_attn.o_proj", [hidden, heads * headSize], 4, 0.02);
    add("mlp.gate_proj", [intermediate, hidden], 5, 0.02);
    add("mlp.up_proj", [intermediate, hidden], 6, 0.02);
    add("mlp.down_proj", [hidden, intermediate], 7, 0.02);
    add("input_layernorm", [hidden], 8, 0);
    add("post_attention_layernorm", [hidden], 9, 0);
  }
  tensors.push({ name: "model.norm.weight", dimensions: [hidden], rows: hidden, start: 0, scale: 0 });
  if (!tied) tensors.push({ name: "lm_head.weight", dimensions: [vocabulary, hidden], rows: REAL_ROWS, start: 5_000_011, scale: 0.02 });

  const shards = [[]];
  let filled = 0;
  for (const tensor of tensors) {
    tensor.bytes = tensor.dimensions.reduce((a, b) => a * b, 1) * 2;
    if (shape.shards && filled + tensor.bytes > SHARD_BYTES) {
      shards.push([]);
      filled = 0;
    }
    shards.at(-1).push(tensor);
    filled += tensor.bytes;
  }
  const name = (i) =>
    shards.length === 1 ? "model.safetensors" : `model-${pad(i + 1)}-of-${pad(shards.length)}.safetensors`;
  const places = {};
  shards.forEach((shard, i) => writeShard(folder, name(i), shard, places));
  const files = ["config.json", ...shards.map((_, i) => name(i))];
  writeFileSync(join(folder, "config.json"), JSON.stringify(config(shape, layers)));
  if (shards.length > 1) {
    const weight_map = Object.fromEntries(shards.flatMap((shard, i) => shard.map((t) => [t.name, name(i)])));
    writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify({ metadata: {}, weight_map }));
    files.push("model.safetensors.index.json");
  }
  return { files: files.map((file) => join(folder, file)), places };
}

const pad = (number) => String(number).padStart(5, "0");

function config({ hidden, intermediate, heads, kvHeads, headSize, vocabulary, tied }, layers) {
  return {
    model_type: "llama", hidden_size: hidden, intermediate_size: intermediate, num_attention_heads: heads,
    num_key_value_heads: kvHeads, head_dim: headSize, num_hidden_layers: layers, vocab_size: vocabulary, rms_norm_eps: 1e-5,
    rope_theta: 500000.0, tie_word_embeddings: tied, max_position_embeddings: 8192, torch_dtype: "bfloat16",
  };
}

function writeShard(folder, name, tensors, places) {
  const header = {};
  let end = 0;
  for (const { name, dimensions, bytes } of tensors) {
    header[name] = { dtype: "BF16", shape: dimensions, data_offsets: [end, end + bytes] };
    end += bytes;
  }
  let json = JSON.stringify({ __metadata__: { format: "pt" }, ...header });
  json = json.padEnd(Math.ceil(json.length / 8) * 8);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const file = openSync(join(folder, name), "w");
  ftruncateSync(file, 8 + json.length + end);
  writeSync(file, Buffer.concat([length, Buffer.from(json)]), 0, 8 + json.length, 0);
  for (const tensor of tensors) {
    const offset = 8 + json.length + header[tensor.name].data_offsets[0];
    places[tensor.name] = { file: name, offset };
    writeValues(file, offset, tensor);
  }
  closeSync(file);
}

/** Writes the real rows of a tensor: a piece of the pool, again and again; ones for a norm. */
function writeValues(file, offset, { dimensions, rows, start, scale }) {
  let left = rows * (dimensions[1] ?? 1);
  if (dimensions.length === 1) left = rows;
  const values = scale === 0 ? ones() : pool(scale);
  let at = offset;
  let from = scale === 0 ? 0 : start;
  while (left > 0) {
    const count = Math.min(left, values.length - from);
    writeSync(file, new Uint8Array(values.buffer, from * 2, count * 2), 0, count * 2, at);
    at += count * 2;
    left -= count;
    from = 0;
  }
}

const ONE = 0x3f80;
const ones = () => new Uint16Array(1 << 16).fill(ONE);
const pools = new Map();

/** Pseudo-random bf16 values in (-scale, scale). */
function pool(scale) {
  if (!pools.has(scale)) {
    let state = 12345;
    const values = new Float32Array(POOL_VALUES);
    for (let i = 0; i < values.length; i += 1) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      values[i] = (state / 2 ** 31 - 1) * scale;
    }
    const bits = new Uint32Array(values.buffer);
    const halves = new Uint16Array(POOL_VALUES);
    for (let i = 0; i < halves.length; i += 1) halves[i] = bits[i] >>> 16;
    pools.set(scale, halves);
  }
  return pools.get(scale);
}
