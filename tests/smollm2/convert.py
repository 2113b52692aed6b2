"""Turns the 4-bit GGUF file of SmolLM2-135M-Instruct into a model folder in Hugging Face layout.

    python convert.py SmolLM2-135M-Instruct.Q4_1.gguf OUT

OUT receives config.json, model.safetensors (bfloat16, 269 MB), tokenizer.json and tokenizer_config.json. The weights are the dequantised
4-bit ones, so figures measured on them differ a little from those of the original checkpoint.
"""
import json
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize
from safetensors.numpy import save_file

CONTROL_TOKEN = 3  # the value of tokenizer.ggml.token_type that marks a special token
OUTSIDE_BLOCKS = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}
INSIDE_BLOCKS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def hugging_face_name(name: str) -> str:
    """`blk.3.attn_q.weight` -> `model.layers.3.self_attn.q_proj.weight`."""
    first, *rest = name.split(".")
    if first == "blk":
        layer, part, kind = rest
        return f"model.layers.{layer}.{INSIDE_BLOCKS[part]}.{kind}"
    return ".".join([OUTSIDE_BLOCKS[first], *rest])


def halves_apart(weight: np.ndarray, heads: int) -> np.ndarray:
    """GGUF keeps the rotary pairs of a head side by side; Hugging Face keeps all first members, then all second ones."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def tensors(reader: GGUFReader, heads: int, kv_heads: int) -> dict[str, np.ndarray]:
    """Every tensor of the file, in bfloat16, under its Hugging Face name."""
    rotary = {"attn_q": heads, "attn_k": kv_heads}
    result = {}
    for tensor in reader.tensors:
        shape = [int(size) for size in tensor.shape[::-1]]
        weight = np.asarray(dequantize(tensor.data, tensor.tensor_type), np.float32).reshape(shape)
        for part, count in rotary.items():
            if f".{part}." in tensor.name:
                weight = halves_apart(weight, count)
        result[hugging_face_name(tensor.name)] = np.ascontiguousarray(weight).astype(ml_dtypes.bfloat16)
    return result


def config(heads: int, kv_heads: int) -> dict:
    """config.json as SmolLM2-135M-Instruct publishes it."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": 576,
        "intermediate_size": 1536,
        "max_position_embeddings": 8192,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": heads,
        "num_hidden_layers": 30,
        "num_key_value_heads": kv_heads,
        "rms_norm_eps": 1e-5,
        "rope_scaling": None,
        "rope_theta": 100000.0,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "vocab_size": 49152,
    }


def tokenizer(tokens: list[str], kinds: list[int], merges: list[str]) -> dict:
    """tokenizer.json: byte-level BPE that splits digits one by one and adds no special token."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    special = [{"id": i, "content": tokens[i], **flags} for i, kind in enumerate(kinds) if kind == CONTROL_TOKEN]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    digits = {"type": "Digits", "individual_digits": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [digits, byte_level]},
        "post_processor": None,
        "decoder": {**byte_level, "add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": merges,
        },
    }


def convert(source: Path, out: Path) -> None:
    """Writes the model folder; the weights come last, so that a folder with weights is a finished one."""
    reader = GGUFReader(source)
    field = {key: value.contents() for key, value in reader.fields.items()}
    heads, kv_heads = field["llama.attention.head_count"], field["llama.attention.head_count_kv"]
    documents = {
        "config.json": config(heads, kv_heads),
        "tokenizer.json": tokenizer(
            field["tokenizer.ggml.tokens"], field["tokenizer.ggml.token_type"], field["tokenizer.ggml.merges"]
        ),
        "tokenizer_config.json": {
            "bos_token": "<|im_start|>",
            "eos_token": "<|im_end|>",
            "pad_token": "<|im_end|>",
            "unk_token": "<|endoftext|>",
            "model_max_length": 8192,
            "tokenizer_class": "GPT2Tokenizer",
        },
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, document in documents.items():
        (out / name).write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    weights = tensors(reader, heads, kv_heads)
    partial = out / "model.safetensors.part"
    save_file(weights, partial, metadata={"format": "pt"})
    partial.rename(out / "model.safetensors")
    print(f"{out}: {sum(weight.size for weight in weights.values()):,} parameters")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
