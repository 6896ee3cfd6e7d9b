"""Quantises a checkpoint to NF4, in the layout of transformers and bitsandbytes.

The result is written to a folder named `.part`, verified and renamed. Tensors are streamed one by one, so that no shard
is whole in memory.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import torch
from safetensors import safe_open

from diffucli.errors import BadCheckpoint, ModelError, UsageError, WriteFailed
from diffucli.model import families, nf4
from diffucli.model.checkpoint import (
    CONFIG,
    FETCH_AGAIN,
    INDEX,
    NF4,
    QUANT_STATE,
    QUANT_STATE_PARTS,
    SINGLE,
    as_bad_checkpoint,
    check_shapes,
    is_rotary_buffer,
    read_object,
    shards,
    tensor_shapes,
    tensor_sizes,
)
from diffucli.model.config import QUANTIZATION, QUANTIZATION_KEY
from diffucli.model.load import expected_shapes
from diffucli.model.memory import packed_bytes
from diffucli.units import JobProgress, format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from torch import Tensor

    from diffucli.model.config import Config

PART, SOURCE, UNFINISHED = ".part", "source.json", ".half"
NOT_COPIED = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack", ".onnx", ".py")
SAMPLED_ROWS = 32  # rows of each packed matrix that are compared
CHUNK = 2**22  # numbers that are converted or compared at a time
DTYPE_NAMES = {torch.uint8: "U8", torch.bfloat16: "BF16", torch.float32: "F32"}
ENTRY_BYTES = 160  # at most, of an entry in a safetensors header without the tensor's name
ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class _Job:
    """What is to be done. shards: of the source; packed: the tensors to pack; part: the folder that is written."""

    source: Path
    part: Path
    config: Config
    shards: tuple[Path, ...]
    packed: frozenset[str]


def quantize(source: Path, target: Path, *, repository: str = "") -> Iterator[JobProgress]:
    """Writes the checkpoint in `source` to the new folder `target`: the layers in NF4, everything else in bfloat16.

    Yields the bytes of the source read, then those of the result verified. Works on the GPU if there is one. Shards
    that an earlier, interrupted call on the same source finished are not written again. `source` is not changed. Two
    calls must not run on the same `target` at the same time. repository: that `source` is from, if known.
    Raises BadCheckpoint (the source is damaged, or the result is not what was written), ModelError (not enough space),
    UsageError (the source is in four bits, `target` exists, bitsandbytes is missing), WriteFailed.
    """
    config, family = families.read(source, source=repository)
    if config.quantization == NF4:
        raise UsageError(f"{source} is in four bits already", hint="name the original checkpoint")
    if target.exists():
        raise UsageError(f"{target} exists already", hint="remove it first, or use it")
    nf4.require_bitsandbytes(hint="use the original checkpoint")
    expected = expected_shapes(config, family)
    check_shapes(source, expected)
    part = target.with_name(target.name + PART)
    packed = frozenset(map(family.tensor_name, config.packed_weights))
    job = _Job(source, part, config, shards(source), packed)
    try:
        _prepare(job)
        _check_space(job)
        yield from _convert(job)
        yield from _verify_all(job)
        _complete(job)
        check_shapes(part, expected)
        (part / SOURCE).unlink()
        part.rename(target)
        _sync_folder(target.parent)
    except OSError as exc:  # after any other stop, the shards that are finished stay
        shutil.rmtree(part, ignore_errors=True)
        message = f"{part} cannot be written: {exc.strerror or exc}"
        raise WriteFailed(message, hint="make room on the disk and try again") from exc


def verify(written: Path, source: Path, packed: frozenset[str]) -> None:
    """Raises BadCheckpoint unless `written` holds every tensor of the shard `source`, those in `packed` in four bits.

    Sampled rows of a packed matrix must be within NF4's error; all other numbers must be the same in bfloat16.
    """
    tensor_shapes(written)
    with (
        as_bad_checkpoint(f"{written} cannot be read back"),
        safe_open(source, framework="pt") as before,
        safe_open(written, framework="pt") as after,
    ):
        present = set(after.keys())
        for name in _weights(source):
            agrees = _is_packed_form if name in packed else _is_same
            if (name + QUANT_STATE in present) != (name in packed) or not agrees(before, after, name):
                raise BadCheckpoint(
                    f"{written}: {name} is not what was written", hint="check the disk and quantise again"
                )


def quantization_config(config: Config) -> dict[str, Any]:
    """The `quantization_config` of a checkpoint in four bits, as transformers writes and reads it."""
    return {
        **QUANTIZATION,
        "load_in_8bit": False,
        "_load_in_4bit": True,
        "_load_in_8bit": False,
        "bnb_4bit_use_double_quant": True,
        "bnb_4bit_compute_dtype": "bfloat16",
        "bnb_4bit_quant_storage": "uint8",
        "llm_int8_skip_modules": ["lm_head", *config.unpackable],
        "llm_int8_threshold": 6.0,
        "llm_int8_enable_fp32_cpu_offload": False,
        "llm_int8_has_fp16_weight": False,
    }


class ShardWriter:
    """Writes a safetensors file tensor by tensor. Its header is written last, into space reserved at its beginning.

    names: every tensor that will be written; they determine how much space is reserved.
    """

    def __init__(self, file: BinaryIO, names: Iterable[str]) -> None:
        space = sum(len(json.dumps(name)) + ENTRY_BYTES for name in names) + ENTRY_BYTES
        self._file, self._space = file, -(-(space + 8) // ALIGNMENT) * ALIGNMENT - 8
        self._entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        self._end = 0
        file.seek(8 + self._space)

    def write(self, name: str, shape: Iterable[int], chunks: Iterable[Tensor]) -> None:
        """Writes a tensor of `shape` whose numbers come in `chunks` of one dtype, on the CPU."""
        start, dtype = self._end, ""
        for chunk in chunks:
            dtype = DTYPE_NAMES[chunk.dtype]
            self._end += self._file.write(chunk.contiguous().reshape(-1).view(torch.uint8).numpy().data)
        self._entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, self._end]}

    def close(self) -> None:
        """Writes the header and waits until everything is on the disk."""
        header = json.dumps(self._entries, separators=(",", ":")).encode()
        assert len(header) <= self._space, "space was reserved for every name"
        self._file.seek(0)
        self._file.write(self._space.to_bytes(8, "little") + header.ljust(self._space))
        self._file.flush()
        os.fsync(self._file.fileno())


def _prepare(job: _Job) -> None:
    """Makes the part folder, or keeps the finished shards in it if they are of the same source."""
    mark = {
        "shards": {shard.name: [shard.stat().st_size, shard.stat().st_mtime_ns] for shard in job.shards},
        "packed": sorted(job.packed),
    }
    try:
        same = read_object(job.part / SOURCE) == mark
    except BadCheckpoint:
        same = False
    if not same:
        shutil.rmtree(job.part, ignore_errors=True)
        job.part.mkdir(parents=True)
        (job.part / SOURCE).write_text(json.dumps(mark), encoding="utf-8")
    for path in job.part.glob(f"*{UNFINISHED}"):
        path.unlink()


def _check_space(job: _Job) -> None:
    written = sum(path.stat().st_size for path in job.part.iterdir())
    needed, free = packed_bytes(job.config, width=2) - written, shutil.disk_usage(job.part).free
    if needed > free:
        raise ModelError(
            f"{job.part} needs {format_bytes(needed)} of disk, {format_bytes(free)} are free", hint="make room there"
        )


def _convert(job: _Job) -> Iterator[JobProgress]:
    """Writes each shard that is not there yet."""
    done, total = 0, _size(job.shards)
    yield JobProgress("quantising", done, total)
    for shard in job.shards:
        end, written = done + shard.stat().st_size, job.part / shard.name
        if not written.exists():
            unfinished = written.with_name(written.name + UNFINISHED)
            for size in _write_shard(job, shard, unfinished):
                done += size
                yield JobProgress("quantising", done, total)
            unfinished.rename(written)
        done = end
        yield JobProgress("quantising", done, total)


def _write_shard(job: _Job, shard: Path, target: Path) -> Iterator[int]:
    """Writes one shard to `target`; yields the bytes of each tensor read.

    Unpacked tensors come first and quant states last, by falling width of their numbers. The bytes of packed tensors
    are even in number, so every tensor is aligned for programs that map the file.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    states: dict[str, Tensor] = {}
    names = sorted(_weights(shard), key=lambda name: name in job.packed)
    reserved = [name + part for name in names for part in ("", *QUANT_STATE_PARTS)]
    with safe_open(shard, framework="pt") as source, target.open("wb") as file:
        writer = ShardWriter(file, reserved)
        for name in names:
            tensor = source.get_tensor(name)
            if name in job.packed:
                packer = nf4.Packer(tensor, device)
                try:
                    writer.write(name, (tensor.numel() // 2, 1), packer.chunks())
                except ValueError as exc:
                    raise BadCheckpoint(f"{shard}: {name} holds {exc}", hint=FETCH_AGAIN) from exc
                states |= {name + part: value for part, value in packer.quant_state().items()}
            else:
                writer.write(name, tensor.shape, (chunk.to(torch.bfloat16) for chunk in _chunks(tensor)))
            yield tensor.nbytes
        for name in sorted(states, key=lambda name: (-states[name].itemsize, name)):
            writer.write(name, states[name].shape, [states[name]])
        writer.close()


def _verify_all(job: _Job) -> Iterator[JobProgress]:
    """Reads every shard back. Removes the part folder if one of them is not what it should be."""
    written = [job.part / shard.name for shard in job.shards]
    done, total = 0, _size(written)
    yield JobProgress("verifying", done, total)
    for shard, path in zip(job.shards, written, strict=True):
        try:
            verify(path, shard, job.packed)
        except BadCheckpoint:
            shutil.rmtree(job.part, ignore_errors=True)
            raise
        done += path.stat().st_size
        yield JobProgress("verifying", done, total)


def _complete(job: _Job) -> None:
    """Writes the index, the small files and, last, config.json, without which a folder is no checkpoint."""
    if len(job.shards) > 1 or job.shards[0].name != SINGLE:
        written = [job.part / shard.name for shard in job.shards]
        index = {
            "metadata": {"total_size": _size(written)},
            "weight_map": {name: shard.name for shard in written for name in tensor_sizes(shard)},
        }
        (job.part / INDEX).write_text(json.dumps(index, indent=1), encoding="utf-8")
    for path in job.source.iterdir():
        if path.is_file() and path.suffix not in NOT_COPIED and path.name not in {INDEX, CONFIG}:
            shutil.copyfile(path, job.part / path.name)
    values = read_object(job.source / CONFIG)
    values |= {"torch_dtype": "bfloat16", QUANTIZATION_KEY: quantization_config(job.config)}
    (job.part / CONFIG).write_text(json.dumps(values, indent=2), encoding="utf-8")
    _sync_folder(job.part)


def _size(files: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in files)


def _weights(shard: Path) -> list[str]:
    """The names of the tensors of a shard that are written: all but rotary buffers."""
    return sorted(name for name in tensor_shapes(shard) if not is_rotary_buffer(name))


def _chunks(tensor: Tensor) -> Iterator[Tensor]:
    """The numbers of a tensor in flat chunks that are small enough to be converted in memory."""
    yield from torch.split(tensor.reshape(-1), CHUNK)


def _is_same(before: Any, after: Any, name: str) -> bool:
    """Whether a tensor holds the same numbers in bfloat16. before, after: open safetensors files."""
    original, written = before.get_tensor(name), after.get_tensor(name)
    if original.shape != written.shape:
        return False
    pairs = zip(_chunks(original), _chunks(written), strict=True)
    return all(torch.equal(one.to(torch.bfloat16), other) for one, other in pairs)


def _is_packed_form(before: Any, after: Any, name: str) -> bool:
    """Whether sampled rows of a packed matrix are within NF4's error. before, after: open safetensors files."""
    original = before.get_tensor(name)
    first = max(original.shape[0] // 2 - SAMPLED_ROWS // 2, 0)
    state = {part[1:]: after.get_tensor(name + part) for part in QUANT_STATE_PARTS}
    largest = max(float(chunk.abs().max()) for chunk in _chunks(original))
    unpacked = nf4.StoredMatrix(after.get_tensor(name), state).unpacked_rows(first, SAMPLED_ROWS)
    return nf4.is_within_error(original[first : first + SAMPLED_ROWS], unpacked, largest)


def _sync_folder(folder: Path) -> None:
    """Waits until the disk has the entries of a folder; some systems do not let a folder be opened."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
