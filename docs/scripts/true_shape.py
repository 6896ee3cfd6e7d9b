"""Measures time and memory of a checkpoint of true shape with random weights: write, pull, load, load again, decode.

    python docs/scripts/true_shape.py FOLDER             7.6 B, all 28 layers: up to 36 GB on disk, 7 GB of memory
    python docs/scripts/true_shape.py FOLDER --layers 2  2 layers, to try it out
    python docs/scripts/true_shape.py FOLDER --shape open-dcoder --quant none --form float32 --form bf16 --form nf4
                                                         0.5 B, loaded and decoded in each form, --rounds times in turn

Prints one JSON object. Each phase runs in a process of its own, whose memory is sampled every 20 ms: `rss` includes
pages of mapped files, which the system can drop at any time; `anonymous` does not. `cpu_seconds` is what its threads
computed together, which other load changes less than wall time. Checkpoints of an earlier run in FOLDER are
overwritten; --keep leaves them there at the end. The pull is served by tests/hub.py, which speaks the hub's protocol on
this machine, and packs the weights into four bits unless --quant says otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffucli.bench.shape import SHAPES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

DATA = Path(__file__).parents[2] / "tests" / "data"
GOLDEN = {  # shape → the small checkpoint of its family
    "7b": DATA / "tiny-dream",
    "open-dcoder": DATA / "tiny-p2",
    "stable-diffcoder": DATA / "tiny-blockwise",
    "llada": DATA / "tiny-llada",
}
VOCABULARY = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "added_tokens.json")
MASK_OF_7B = 151666
SHARDS, DEVIATION, PIECE = 4, 0.02, 2**24
REQUEST = "Write a function that adds two numbers. "
PHASES = ("write", "pull", "load", "load again", "decode")
FORMS = {"float32": ("none", 2**60), "bf16": ("none", 1), "nf4": ("nf4", None)}  # → quant, memory.HALVED
NAME = "someone/true-shape"
HUB = DATA.parent / "hub.py"
SAMPLE_SECONDS = 0.02  # between two samples of a process's memory


def main() -> None:
    """Runs one phase in this process, or all of them in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the checkpoints are written")
    parser.add_argument("--shape", default="7b", choices=list(SHAPES))
    parser.add_argument("--layers", type=int, help="(default: all)")
    parser.add_argument("--tokens", type=int, default=64, help="of the answer")
    parser.add_argument("--prompt", type=int, default=0, help="tokens of the request, at most; 0: one sentence")
    parser.add_argument("--form", action="append", choices=list(FORMS), help="form of the weights; repeatable")
    parser.add_argument("--rounds", type=int, default=1, help="how often each form is measured")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--quant", default="auto", choices=["auto", "nf4", "none"])
    parser.add_argument("--preset", default="balanced", choices=["exact", "balanced", "fast"])
    parser.add_argument("--keep", action="store_true", help="leave the checkpoints in the folder")
    parser.add_argument("--phase", choices=PHASES, help=argparse.SUPPRESS)
    parser.add_argument("--as", dest="one", choices=list(FORMS), help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.phase:
        print(json.dumps(run(flags.phase, flags)))
        return
    flags.folder.mkdir(parents=True, exist_ok=True)
    try:
        phases: dict[str, Any] = {phase: measured([*sys.argv, "--phase", phase]) for phase in PHASES[:3]}
        if not flags.form:
            phases |= {phase: measured([*sys.argv, "--phase", phase]) for phase in PHASES[3:]}
        for _ in range(flags.rounds):
            for form in flags.form or ():
                found = measured([*sys.argv, "--phase", "decode", "--as", form])
                phases.setdefault(f"decode {form}", []).append(found)
    finally:
        if not flags.keep:
            for made in folders(flags.folder):
                shutil.rmtree(made, ignore_errors=True)
    print(json.dumps({"machine": machine(), "shape": flags.shape, "layers": flags.layers, "phases": phases}, indent=1))


def run(phase: str, flags: argparse.Namespace) -> dict[str, Any]:
    """Runs one phase; returns its figures apart from the time of the process."""
    plain, home = folders(flags.folder)
    if phase == "write":
        shutil.rmtree(plain, ignore_errors=True)
        write(plain, flags.shape, flags.layers)
        return {"bytes": size_of(plain)}
    os.environ.update(DIFFU_HOME=str(home), HF_HOME=str(home / "hub"))
    if phase == "pull":
        return pulled(plain, home, flags.quant)
    from diffucli.model import memory, store

    if flags.one:
        flags.quant, least = FORMS[flags.one]
        memory.HALVED = least or memory.HALVED
    return loaded(store.model_dir(NAME), flags, tokens=flags.tokens if phase == "decode" else 0)


def folders(folder: Path) -> tuple[Path, Path]:
    """The folder of the published checkpoint, and the folder for pulled models."""
    return folder / "true-shape", folder / "home"


def measured(command: list[str]) -> dict[str, Any]:
    """Runs a phase as a process: seconds, peaks of its memory in bytes, and the values it prints."""
    begun, spent = time.perf_counter(), children_seconds()
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
    peaks = {"rss": 0, "anonymous": 0}
    while process.poll() is None:
        for key, value in memory(process.pid).items():
            peaks[key] = max(peaks[key], value)
        time.sleep(SAMPLE_SECONDS)
    printed = process.communicate()[0]
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    seconds = time.perf_counter() - begun
    return {
        "process_seconds": round(seconds, 2),
        "cpu_seconds": round(children_seconds() - spent, 2),
        **{f"peak_{key}": value for key, value in peaks.items()},
    } | json.loads(printed)


def children_seconds() -> float:
    """Seconds that ended child processes have computed."""
    times = os.times()
    return times.children_user + times.children_system


def memory(process: int) -> dict[str, int]:
    """The memory of a process in bytes, from /proc; empty on systems without /proc."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    names = {"VmRSS:": "rss", "RssAnon:": "anonymous"}
    return {
        names[line.split()[0]]: int(line.split()[1]) * 1024
        for line in status
        if line.split()[:1] and line.split()[0] in names
    }


def write(folder: Path, shape: str, layers: int | None) -> None:
    """Writes a checkpoint in the published layout: four shards with an index, vocabulary files, config.json."""
    from diffucli.model.quantize import ShardWriter

    folder.mkdir(parents=True)
    settings = {**SHAPES[shape], **({"num_hidden_layers": layers} if layers else {})}
    shapes = tensors(shape, settings)
    names, total = list(shapes), sum(map(numel, shapes.values()))
    places, done = {}, 0
    for name in names:
        places[name] = f"model-{min(done * SHARDS // total, SHARDS - 1) + 1:05}-of-{SHARDS:05}.safetensors"
        done += numel(shapes[name])
    for shard in sorted(set(places.values())):
        held = [name for name in names if places[name] == shard]
        with (folder / shard).open("wb") as file:
            writer = ShardWriter(file, held)
            for name in held:
                writer.write(name, shapes[name], numbers(name, numel(shapes[name])))
            writer.close()
    index = {"metadata": {"total_size": 2 * total}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))
    (folder / "config.json").write_text(json.dumps(published(shape, settings), indent=1))
    if shape == "7b":
        write_vocabulary(folder)
    else:
        for name in VOCABULARY:
            if (GOLDEN[shape] / name).exists():
                shutil.copyfile(GOLDEN[shape] / name, folder / name)


def published(shape: str, settings: dict[str, Any]) -> dict[str, Any]:
    """A config.json as the family has it: the small checkpoint's, with the numbers of the large one."""
    from diffucli.model import families

    own = json.loads((GOLDEN[shape] / "config.json").read_text())
    _, family = families.read(GOLDEN[shape])
    theirs = {ours: name for name, ours in family.keys.names}
    numbers = {theirs.get(key, key): value for key, value in settings.items()}
    mask = {"mask_token_id": MASK_OF_7B} if shape == "7b" else {}
    return own | numbers | mask | {"torch_dtype": "bfloat16"}


def numel(shape: tuple[int, ...]) -> int:
    """The number of elements of a tensor of this shape."""
    return prod(shape)


def tensors(shape: str, settings: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes of all tensors by their published names."""
    from diffucli.model import families
    from diffucli.model.config import Config
    from diffucli.model.load import expected_shapes

    return expected_shapes(Config.from_json(settings), families.read(GOLDEN[shape])[1])


def numbers(name: str, count: int) -> Iterator[Tensor]:
    """Random weights in bf16; ones for norms."""
    import torch

    for start in range(0, count, PIECE):
        size = min(PIECE, count - start)
        yield (
            torch.ones(size) if "norm" in name or name.endswith("ln_f.weight") else torch.randn(size).mul_(DEVIATION)
        ).bfloat16()


def write_vocabulary(folder: Path) -> None:
    """Writes the golden vocabulary, filled up so that the special tokens have their true ids."""
    golden = DATA / "tiny-dream"
    added = json.loads((DATA / "added-tokens-7b.json").read_text())
    vocabulary = json.loads((golden / "vocab.json").read_text(encoding="utf-8"))
    for i in range(len(vocabulary), min(added.values())):
        vocabulary[f"ĠĠĠ{i}"] = i
    shutil.copyfile(golden / "merges.txt", folder / "merges.txt")
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (folder / "added_tokens.json").write_text(json.dumps(added))
    described = {str(i): {"content": name, "special": True} for name, i in added.items()}
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": described}))


def pulled(plain: Path, home: Path, quant: str) -> dict[str, Any]:
    """Pulls from a hub on this machine into an empty folder. until: seconds from the start to the end of each stage."""
    shutil.rmtree(home, ignore_errors=True)
    with subprocess.Popen([sys.executable, HUB, plain, NAME], stdout=subprocess.PIPE, text=True) as hub:
        try:
            assert hub.stdout is not None
            key, _, address = hub.stdout.readline().strip().partition("=")
            os.environ[key] = address
            return fetched(quant)
        finally:
            hub.terminate()


def fetched(quant: str) -> dict[str, Any]:
    """Times what `diffu model pull` does."""
    from diffucli.model import store
    from diffucli.model.offer import offer
    from diffucli.model.pull import pull

    begun, stages = time.perf_counter(), {}
    for progress in pull(offer(NAME), quant=quant):
        stages[progress.stage] = round(time.perf_counter() - begun, 2)
    return {"seconds": round(time.perf_counter() - begun, 2), "until": stages, "bytes": size_of(store.model_dir(NAME))}


def loaded(packed: Path, flags: argparse.Namespace, *, tokens: int) -> dict[str, Any]:
    """Loads the checkpoint and, unless `tokens` is 0, decodes that number of tokens."""
    from diffucli.bench.writers import Writer
    from diffucli.decode.policy import PRESETS
    from diffucli.events import Finished
    from diffucli.model.load import load

    begun, spent = time.perf_counter(), time.process_time()
    checkpoint = load(packed, device=flags.device, quant=flags.quant)
    found: dict[str, Any] = {
        "load_seconds": round(time.perf_counter() - begun, 2),
        "load_cpu_seconds": round(time.process_time() - spent, 2),
        "device": str(checkpoint.network.device),
        "dtype": str(checkpoint.network.model.model.embed_tokens.weight.dtype),
    }
    if not tokens:
        return found
    sentence = len(checkpoint.tokenizer.encode(REQUEST))
    request = REQUEST * max(flags.prompt // sentence, 1)
    begun, spent = time.perf_counter(), time.process_time()
    *_, last = Writer(checkpoint, PRESETS[flags.preset]).answer(request, length=tokens, verify="off")
    assert isinstance(last, Finished)
    seconds, computed = time.perf_counter() - begun, time.process_time() - spent
    return found | {
        "answer_seconds": round(seconds, 2),
        "answer_cpu_seconds": round(computed, 2),
        "preset": flags.preset,
        "forwards": last.nfe,
        "canvas": len(last.tokens),
        "seconds_a_forward": round(seconds / last.nfe, 3),
        "reason": last.reason,
    }


def size_of(folder: Path) -> int:
    """The size of the files in a folder, in bytes."""
    return sum(path.stat().st_size for path in folder.iterdir())


def machine() -> dict[str, Any]:
    """The facts that the figures depend on."""
    import torch

    from diffucli.lab.machine import this_machine, versions

    return asdict(this_machine(torch.device("cuda" if torch.cuda.is_available() else "cpu"))) | versions()


if __name__ == "__main__":
    main()
