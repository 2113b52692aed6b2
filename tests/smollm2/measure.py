"""Perplexity of a model folder, measured by transformers in float32: the yardstick for what the browser reports.

    python measure.py MODEL TEXT [WINDOWS WINDOW] [--expect PERPLEXITY --within RELATIVE]

The text is tokenised whole, without special tokens, and cut into windows one after the other from its start; each window gives WINDOW - 1
predictions. The folder must load without a missing or an unexpected key. With --expect, a result further away than the given share fails.
"""
import argparse
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM


def load(folder: Path) -> torch.nn.Module:
    """The model in float32; fails when its tensors are not exactly those that transformers wants."""
    model, info = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    wrong = {kind: sorted(map(str, keys)) for kind, keys in info.items() if keys}
    if wrong:
        sys.exit(f"{folder} does not load cleanly: {wrong}")
    return model.eval()


@torch.inference_mode()
def perplexity(model: torch.nn.Module, ids: list[int], windows: int, window: int) -> float:
    """exp of the mean negative log-likelihood over windows * (window - 1) predictions."""
    if len(ids) < windows * window:
        sys.exit(f"the text has {len(ids)} tokens; {windows} windows of {window} need {windows * window}")
    total = 0.0
    for start in range(0, windows * window, window):
        piece = torch.tensor([ids[start : start + window]])
        logits = model(piece).logits[0, :-1]
        total += torch.nn.functional.cross_entropy(logits, piece[0, 1:], reduction="sum").item()
    return float(torch.tensor(total / (windows * (window - 1)), dtype=torch.float64).exp())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("windows", type=int, nargs="?", default=4)
    parser.add_argument("window", type=int, nargs="?", default=512)
    parser.add_argument("--expect", type=float)
    parser.add_argument("--within", type=float, default=1e-3)
    asked = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(asked.model / "tokenizer.json"))
    ids = tokenizer.encode(asked.text.read_text(encoding="utf-8"), add_special_tokens=False).ids
    model = load(asked.model)
    measured = perplexity(model, ids, asked.windows, asked.window)
    print(f"{asked.model.name} on {asked.text.name}, {asked.windows} windows of {asked.window}: perplexity {measured:.4f}")
    if asked.expect is not None:
        off = abs(measured / asked.expect - 1)
        print(f"  expected {asked.expect:.4f}: {off:.3%} away, {asked.within:.3%} allowed")
        if off > asked.within:
            sys.exit(1)


if __name__ == "__main__":
    main()
