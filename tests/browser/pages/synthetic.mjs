// Models made up on the spot, for pages that need a shape rather than a language.

/** A Llama-shaped model with random bf16 weights, as files. */
export function synthetic({ hidden, intermediate, heads, kvHeads, headSize, vocabulary, layers }) {
  let state = 12345;
  const random = () => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32) * 2 - 1;
  const tensors = [["model.embed_tokens.weight", [vocabulary, hidden], 1]];
  for (let l = 0; l < layers; l += 1) {
    const add = (name, dimensions, scale) => tensors.push([`model.layers.${l}.${name}.weight`, dimensions, scale]);
    add("input_layernorm", [hidden], 0);
    add("post_attention_layernorm", [hidden], 0);
    add("self_attn.q_proj", [heads * headSize, hidden], 0.06);
    add("self_attn.k_proj", [kvHeads * headSize, hidden], 0.06);
    add("self_attn.v_proj", [kvHeads * headSize, hidden], 0.06);
    add("self_attn.o_proj", [hidden, heads * headSize], 0.06);
    add("mlp.gate_proj", [intermediate, hidden], 0.06);
    add("mlp.up_proj", [intermediate, hidden], 0.06);
    add("mlp.down_proj", [hidden, intermediate], 0.06);
  }
  tensors.push(["model.norm.weight", [hidden], 0]);
  const float = new Float32Array(1);
  const bits = new Uint32Array(float.buffer);
  const header = {};
  const parts = [];
  let end = 0;
  for (const [name, dimensions, scale] of tensors) {
    const values = new Uint16Array(dimensions.reduce((a, b) => a * b, 1));
    for (let i = 0; i < values.length; i += 1) {
      float[0] = scale === 0 ? 1 : random() * scale;
      values[i] = bits[0] >>> 16;
    }
    header[name] = { dtype: "BF16", shape: dimensions, data_offsets: [end, end + values.byteLength] };
    end += values.byteLength;
    parts.push(values);
  }
  const json = new TextEncoder().encode(JSON.stringify(header).padEnd(1 << 16));
  const length = new BigUint64Array([BigInt(json.length)]);
  const config = {
    model_type: "llama", hidden_size: hidden, intermediate_size: intermediate, num_attention_heads: heads,
    num_key_value_heads: kvHeads, head_dim: headSize, num_hidden_layers: layers, vocab_size: vocabulary,
    rms_norm_eps: 1e-5, tie_word_embeddings: true, max_position_embeddings: 2048,
  };
  return [
    new File([JSON.stringify(config)], "config.json"),
    new File([length, json, ...parts], "model.safetensors"),
  ];
}
