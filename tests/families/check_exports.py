"""Merges each miniature with `examples/merge.rs`, loads the result with transformers, and compares the losses.

python tests/families/check_exports.py     (needs torch and transformers; builds the example)
"""

import json
import pathlib
import subprocess
import tempfile

import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[2]


def merged_loss(folder, out, alpha, ids):
    """Merges blocks 1 and 2 into `out`; the loss that the tool measured."""
    command = ["cargo", "run", "--quiet", "--example", "merge", "--", folder, out, "1", "2", str(alpha), ",".join(map(str, ids))]
    return float(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def check(folder, alpha):
    ids = json.loads((folder / "reference.json").read_text())["input_ids"]
    with tempfile.TemporaryDirectory() as out:
        predicted = merged_loss(folder, out, alpha, ids)
        model, info = transformers.AutoModelForCausalLM.from_pretrained(
            out, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
        )
        problems = {key: value for key, value in info.items() if value}
        # Evaluated before the folder is gone: weights are read lazily.
        with torch.no_grad():
            tokens = torch.tensor([ids])
            measured = model.eval()(tokens, labels=tokens).loss.item()
    off = abs(predicted / measured - 1)
    print(f"{folder.name:18} alpha {alpha}: predicted {predicted:.6f}, transformers {measured:.6f}, off by {off:.1e}, loading: {problems or 'clean'}")
    return off < 1e-5 and not problems


def main():
    folders = sorted(path.parent for path in (ROOT / "tests/fixtures").glob("*/reference.json"))
    results = [check(folder, alpha) for folder in folders for alpha in (1, 0.5)]
    raise SystemExit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
