"""Loads with transformers what `examples/families.rs` wrote, compares the losses, and puts a table of all differences
into docs/families.md.

cargo xtask families            measures, and writes the table
cargo xtask families --check    measures, and fails where the table says something else

Both run `python tests/families/table.py OUT [--check]` in the end (needs torch and transformers).
"""

import json
import pathlib
import re
import sys

import torch
import transformers

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/families.md"
START, END = "<!-- families: written by cargo xtask families -->", "<!-- end of families -->"
# What families are called, in the order of the table.
NAMES = {
    "llama": "Llama",
    "mistral": "Mistral",
    "ministral3": "Ministral 3 (up to its original length)",
    "qwen2": "Qwen 2",
    "qwen3": "Qwen 3",
    "gemma": "Gemma 1",
    "gemma2": "Gemma 2",
    "gemma3_text": "Gemma 3 (text)",
    "gpt2": "GPT-2",
    "gpt_neo": "GPT-Neo",
    "gpt_neox": "GPT-NeoX",
    "opt": "OPT",
    "phi": "Phi 1 to 2",
    "phi3": "Phi 3 and 4",
    "olmo2": "OLMo 2",
    "olmo3": "OLMo 3",
    "exaone4": "EXAONE 4",
    "smollm3": "SmolLM 3",
    "starcoder2": "StarCoder 2",
    "stablelm": "StableLM",
    "gemma3": "Gemma 3 with images",
    "llava": "LLaVA",
    "llava_next": "LLaVA-NeXT",
    "llava_onevision": "LLaVA-OneVision",
    "internvl": "InternVL 3",
    "mistral3": "Mistral 3 with images (up to its original length)",
    "qwen2_vl": "Qwen 2-VL",
    "qwen2_5_vl": "Qwen 2.5-VL",
    "qwen3_vl": "Qwen 3-VL",
    "idefics3": "Idefics 3",
    "smolvlm": "SmolVLM",
    "granite": "Granite 3 and 4 (dense)",
    "cohere": "Cohere 1",
    "cohere2": "Cohere 2",
    "helium": "Helium",
    "glm": "GLM-4",
    "glm4": "GLM-4 (0414)",
    "ernie4_5": "ERNIE 4.5 (dense)",
    "arcee": "Arcee",
    "nemotron": "Nemotron",
    "hunyuan_v1_dense": "Hunyuan (dense)",
    "exaone": "EXAONE 3",
    "apertus": "Apertus",
}
# The most that is allowed, for each number of a row.
ALLOWED = [1e-4, 1e-3, 1e-4, 1e-3, 2e-4, 2e-3, 1e-5]
# On another machine a number may be so many times larger before the table is called out of date.
SLACK = 5


def reloaded(folder, ids, predicted):
    """How far the loss of an export is from the prediction."""
    images = hasattr(transformers.AutoConfig.from_pretrained(folder), "vision_config")
    auto = transformers.AutoModelForImageTextToText if images else transformers.AutoModelForCausalLM
    model, info = auto.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    problems = {key: value for key, value in info.items() if value}
    if problems:
        raise SystemExit(f"{folder}: {problems}")
    with torch.no_grad():
        tokens = torch.tensor([ids])
        measured = model.eval()(tokens, labels=tokens).loss.item()
    print(f"{folder}: predicted {predicted:.6f}, transformers {measured:.6f}")
    return abs(predicted / measured - 1)


def row(out, family, measured):
    """The cells of a family: words, then numbers."""
    members = {name: record for name, record in measured.items() if record["family"] == family}
    versions = sorted({record["transformers"] for record in members.values()})
    found = [
        max(record[engine][what] for record in members.values()) for what in ("logits", "loss", "hidden") for engine in ("cpu", "webgpu")
    ]
    exports = [(out / name / merge, record["ids"], loss) for name, record in members.items() for merge, loss in record["merges"].items()]
    found.append(max(reloaded(*export) for export in exports))
    return [NAMES[family], ", ".join(f"`{name}`" for name in members), ", ".join(versions)], found


def table(rows):
    lines = [
        START,
        f"| family | miniatures | recorded with transformers | logits | loss | hidden states | exports, reloaded with {transformers.__version__} |",
        "|---|---|---|---|---|---|---|",
    ]
    for words, (*pairs, export) in rows:
        engines = [f"{cpu:.0e} / {gpu:.0e}" for cpu, gpu in zip(pairs[::2], pairs[1::2])]
        lines.append(f"| {' | '.join(words + engines)} | {export:.0e} |")
    return "\n".join(lines + [END])


def differs(old, new):
    """Whether one table says something else than another: other words, or numbers that have grown."""
    number = r"\d+e[+-]\d+"
    if re.sub(number, "", old) != re.sub(number, "", new):
        return True
    return any(float(b) > SLACK * float(a) for a, b in zip(re.findall(number, old), re.findall(number, new)))


def main():
    out, check = pathlib.Path(sys.argv[1]), "--check" in sys.argv
    measured = json.loads((out / "measured.json").read_text())
    missing = {record["family"] for record in measured.values()} ^ set(NAMES)
    if missing:
        raise SystemExit(f"families without a miniature, or without a name in NAMES: {missing}")
    rows = [row(out, family, measured) for family in NAMES]
    for words, found in rows:
        if not all(value <= allowed for value, allowed in zip(found, ALLOWED)):
            raise SystemExit(f"{words[0]}: {found} is more than {ALLOWED}")
    text = PAGE.read_text()
    old = text[text.index(START) : text.index(END) + len(END)]
    new = table(rows)
    print(new)
    if check and differs(old, new):
        raise SystemExit("the table in docs/families.md is not current: run cargo xtask families")
    if not check:
        PAGE.write_text(text.replace(old, new))


if __name__ == "__main__":
    main()
