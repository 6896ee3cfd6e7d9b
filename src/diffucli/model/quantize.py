"""A checkpoint in bf16 or wider becomes one in four bits beside it, in transformers' and bitsandbytes' own layout.

Written aside, verified, then renamed: a folder without `.part` in its name is whole. Knows nothing of hubs or names.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open

from diffucli.errors import BadCheckpoint, ModelError, UsageError, WriteFailed
from diffucli.model.files import REPAIR, blaming, read_object
from diffucli.model.layers import odd, packed_names
from diffucli.model.load import wanted_shapes
from diffucli.model.memory import packed_bytes
from diffucli.model.packed import KEY, KIND, PARTS, is_packed
from diffucli.model.shards import INDEX, SINGLE, check_shapes, shards
from diffucli.model.stream import Stream
from diffucli.model.support import settings_of
from diffucli.model.transformer import Size
from diffucli.model.verify import kept, pieces, verify
from diffucli.units import JobProgress, format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from torch import Tensor
ASIDE, MARK, HALF = ".part", "source.json", ".half"
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack", ".onnx", ".py")  # never copied
QUANTISING, VERIFYING = "quantising", "verifying"


@dataclass(frozen=True, slots=True)
class _Job:
    """What is to be done. sources: shard by shard; names: the tensors that are packed; total: bytes of the sources."""

    source: Path
    part: Path
    settings: Mapping[str, Any]
    sources: tuple[Path, ...]
    names: frozenset[str]

    @property
    def total(self) -> int:
        return sum(shard.stat().st_size for shard in self.sources)


def quantise(source: Path, target: Path) -> Iterator[JobProgress]:
    """Writes the checkpoint in `source` to the new folder `target` in NF4; head, embeddings, norms, biases in bf16.

    Yields bytes of the source read, then bytes of the result verified. Works on the GPU where there is one. What an
    earlier try left in `target`.part is taken up if it is of the same source. `source` stays as it is. Not safe
    against a second run on the same `target` at the same time.
    Raises BadCheckpoint (the source is damaged, or the result is not what was written), ModelError (no space on the
    disk), UsageError (in four bits already, `target` exists, no bitsandbytes here), WriteFailed.
    """
    settings = settings_of(source)
    if is_packed(settings):
        raise UsageError(f"{source} is in four bits already", hint="name the original checkpoint")
    if target.exists():
        raise UsageError(f"{target} exists already", hint="remove it first, or use it")
    _need_bitsandbytes()
    with blaming(f"{source / 'config.json'} cannot be used"):
        wanted = wanted_shapes(Size.of(settings))
    check_shapes(source, wanted)
    part = target.with_name(target.name + ASIDE)
    job = _Job(source, part, settings, shards(source), packed_names(settings))
    with _disk(part):
        _take_up(job)
        _check_space(job)
        yield from _convert(job)
        yield from _verify(job)
        _finish(job)
        check_shapes(part, wanted)
        (part / MARK).unlink()
        part.rename(target)
        _settle(target.parent)


def _need_bitsandbytes() -> None:
    try:
        import bitsandbytes  # noqa: F401 — asked whether it is there
    except ImportError as exc:
        raise UsageError(
            "four bits need bitsandbytes, which has no wheel here", hint="use the original checkpoint"
        ) from exc


@contextmanager
def _disk(part: Path) -> Iterator[None]:
    """Gives the disk back what was written where it refuses more; a stop in between leaves whole shards to go on from.

    Raises WriteFailed.
    """
    try:
        yield
    except OSError as exc:
        shutil.rmtree(part, ignore_errors=True)
        raise WriteFailed(
            f"{part} cannot be written: {exc.strerror or exc}", hint="make room on the disk and try again"
        ) from exc


def _take_up(job: _Job) -> None:
    """The folder aside, with the whole shards of an earlier try on the same source, or empty."""
    mark = {
        "shards": {shard.name: [shard.stat().st_size, shard.stat().st_mtime_ns] for shard in job.sources},
        "packed": sorted(job.names),
    }
    try:
        same = read_object(job.part / MARK) == mark
    except BadCheckpoint:
        same = False
    if not same:
        shutil.rmtree(job.part, ignore_errors=True)
        job.part.mkdir(parents=True)
        (job.part / MARK).write_text(json.dumps(mark), encoding="utf-8")
    for half in job.part.glob(f"*{HALF}"):
        half.unlink()


def _check_space(job: _Job) -> None:
    there = sum(path.stat().st_size for path in job.part.iterdir())
    needed, free = packed_bytes(job.settings, width=2) - there, shutil.disk_usage(job.part).free
    if needed > free:
        raise ModelError(
            f"{job.part} needs {format_bytes(needed)} of disk, {format_bytes(free)} are free", hint="make room there"
        )


def _convert(job: _Job) -> Iterator[JobProgress]:
    """Writes each shard that is not there yet."""
    done, device = 0, torch.device("cuda" if torch.cuda.is_available() else "cpu")
    yield JobProgress(QUANTISING, done, job.total)
    for shard in job.sources:
        end = done + shard.stat().st_size
        written = job.part / shard.name
        if not written.exists():
            half = written.with_name(written.name + HALF)
            for size in _write(job, shard, half, device):
                done += size
                yield JobProgress(QUANTISING, done, job.total)
            half.rename(written)
        done = end
        yield JobProgress(QUANTISING, done, job.total)


def _write(job: _Job, shard: Path, half: Path, device: torch.device) -> Iterator[int]:
    """One shard; yields the bytes of each tensor read. The large tensors are streamed, the small parts come last.

    Whole blocks are of even bytes and parts are sorted by width, so every tensor is aligned for those who map it.
    """
    from diffucli.model.fourbit import Packing

    parts: dict[str, Tensor] = {}
    names = sorted(kept(shard), key=lambda name: name in job.names)
    with ExitStack() as held:
        with blaming(f"{shard} cannot be read"):
            file = held.enter_context(safe_open(shard, framework="pt"))
        stream = Stream(held.enter_context(half.open("wb")), [name + part for name in names for part in ("", *PARTS)])
        for name in names:
            with blaming(f"{shard} cannot be read"):
                tensor = file.get_tensor(name)
            if name in job.names:
                packing = Packing(tensor, device)
                with _finite(shard, name):
                    stream.put(name, (tensor.numel() // 2, 1), packing.pieces())
                parts |= {name + part: value for part, value in packing.beside().items()}
            else:
                stream.put(name, tensor.shape, (piece.to(torch.bfloat16) for piece in pieces(tensor)))
            yield tensor.nbytes
        for name in sorted(parts, key=lambda name: (-parts[name].itemsize, name)):
            stream.put(name, parts[name].shape, [parts[name]])
        stream.close()


@contextmanager
def _finite(shard: Path, name: str) -> Iterator[None]:
    try:
        yield
    except ValueError as exc:
        raise BadCheckpoint(f"{shard}: {name} holds {exc}", hint=REPAIR) from exc


def _verify(job: _Job) -> Iterator[JobProgress]:
    """Reads every shard back; one that is not what it should be takes all the work with it."""
    total, done = sum((job.part / shard.name).stat().st_size for shard in job.sources), 0
    yield JobProgress(VERIFYING, done, total)
    for shard in job.sources:
        written = job.part / shard.name
        try:
            verify(written, shard, job.names)
        except BadCheckpoint:
            shutil.rmtree(job.part, ignore_errors=True)
            raise
        done += written.stat().st_size
        yield JobProgress(VERIFYING, done, total)


def _finish(job: _Job) -> None:
    """The index, the other files and, last, config.json, without which a folder is no checkpoint."""
    places = {name: shard.name for shard in job.sources for name in _names(job.part / shard.name)}
    if len(job.sources) > 1 or job.sources[0].name != SINGLE:
        size = sum((job.part / shard.name).stat().st_size for shard in job.sources)
        index = {"metadata": {"total_size": size}, "weight_map": places}
        (job.part / INDEX).write_text(json.dumps(index, indent=1), encoding="utf-8")
    for path in job.source.iterdir():
        if path.is_file() and path.suffix not in WEIGHTS and path.name not in {INDEX, "config.json"}:
            shutil.copyfile(path, job.part / path.name)
    settings = dict(job.settings) | {"torch_dtype": "bfloat16", KEY: describe(job.settings)}
    (job.part / "config.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")
    _settle(job.part)


def _names(shard: Path) -> list[str]:
    with safe_open(shard, framework="pt") as file:
        return list(file.keys())


def describe(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The `quantization_config` of a checkpoint in four bits, as transformers writes and reads it."""
    return {
        "quant_method": "bitsandbytes",
        "load_in_4bit": True,
        "load_in_8bit": False,
        "_load_in_4bit": True,
        "_load_in_8bit": False,
        "bnb_4bit_quant_type": KIND,
        "bnb_4bit_use_double_quant": True,
        "bnb_4bit_compute_dtype": "bfloat16",
        "bnb_4bit_quant_storage": "uint8",
        "llm_int8_skip_modules": ["lm_head", *odd(settings)],
        "llm_int8_threshold": 6.0,
        "llm_int8_enable_fp32_cpu_offload": False,
        "llm_int8_has_fp16_weight": False,
    }


def _settle(folder: Path) -> None:
    """Waits until the disk knows what is in a folder; not every system lets a folder be opened."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
