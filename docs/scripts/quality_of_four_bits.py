"""Compares a checkpoint in NF4 with the same checkpoint in float32: logits and, with --suite, pass@1.

    python docs/scripts/quality_of_four_bits.py [CHECKPOINT FOLDER] [--suite mini --limit 50]

Prints Markdown tables. The texts are this project's source with a share of the tokens masked.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from diffucli.lab import markdown
from diffucli.model.load import Checkpoint, load
from diffucli.model.quantize import quantize

ROOT = Path(__file__).parents[2]
LENGTH, MASKED = 128, (0.2, 0.5, 0.9)


def main() -> None:
    """Quantizes the checkpoint into a temporary folder and compares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "tests" / "data" / "tiny-dream")
    parser.add_argument("--texts", type=int, default=20)
    parser.add_argument("--suite", help="a suite of `diffu eval` (mini); without it no pass@1")
    parser.add_argument("--limit", type=int, default=50)
    flags = parser.parse_args()
    with TemporaryDirectory() as folder:
        packed = Path(folder) / "nf4"
        for _ in quantize(flags.folder, packed):
            pass
        print(f"{flags.folder.name}: NF4 against float32, {flags.texts} texts of {LENGTH} tokens\n")
        whole, four = load(flags.folder, device="cpu", quant="none"), load(packed, device="cpu", quant="nf4")
        rows = [[f"{share:.0%}", *compare(whole, four, share, flags.texts)] for share in MASKED]
        print(markdown.table(["masked", "cosine, mean", "cosine, least", "largest error", "same best token"], rows))
        if flags.suite:
            both = (("float32", flags.folder, "none"), ("NF4", packed, "nf4"))
            rates = [[name, passed(place, quant, flags.suite, flags.limit)] for name, place, quant in both]
            print("\n" + markdown.table(["weights", "pass@1"], rates, text=(0, 1)))


def compare(whole: Checkpoint, four: Checkpoint, share: float, count: int) -> list[str]:
    """The cells of a row: logits at the masked positions, over the trained rows of the vocabulary."""
    rng, tokenizer = torch.Generator().manual_seed(0), whole.tokenizer
    text = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "src").rglob("*.py")))
    ids = torch.tensor(tokenizer.encode(text[: 20 * LENGTH * count]))
    cosines, errors, same = [], [], []
    for start in range(0, min(LENGTH * count, len(ids) - LENGTH + 1), LENGTH):
        tokens = ids[start : start + LENGTH].clone()
        masked = torch.rand(LENGTH, generator=rng) < share
        tokens[masked] = tokenizer.mask
        rows = masked.nonzero()[:, 0] - whole.network.shift
        wanted, known = [rows.clamp(min=0)], slice(tokenizer.vocab_size)
        one, other = (found.network(tokens[None], wanted)[:, known] for found in (whole, four))
        cosines.append(torch.cosine_similarity(one, other))
        errors.append((one - other).abs().amax(1))
        same.append((one.argmax(1) == other.argmax(1)).float())
    cosine = torch.cat(cosines)
    agreed = float(torch.cat(same).mean())
    return [f"{cosine.mean():.4f}", f"{cosine.min():.4f}", f"{torch.cat(errors).max():.2f}", f"{agreed:.1%}"]


def passed(folder: Path, quant: str, suite: str, limit: int) -> str:
    """pass@1 of every group by `diffu eval`, or why it could not be measured."""
    command = [sys.executable, "-P", "-m", "diffucli", "eval", "--suite", suite, "-m", str(folder), "--quant", quant]
    command += ["--limit", str(limit), "--seed", "0", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        value = json.loads(done.stdout)
    except ValueError:
        return f"not measured ({(done.stderr.strip().splitlines() or ['no output'])[-1]})"
    rates = [f"{group['group']} {group['passes']['1']:.1%}" for group in value.get("groups", ())]
    return ", ".join(rates) or str(value.get("error", "not in the report"))


if __name__ == "__main__":
    main()
