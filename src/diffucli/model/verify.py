"""A shard in four bits, read back and compared with the one that it was made from.

Knows nothing of how it was written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open

from diffucli.errors import BadCheckpoint
from diffucli.model.files import blaming
from diffucli.model.packed import PARTS, STATE
from diffucli.model.shards import read_header

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

SAMPLE = 32  # rows of each packed matrix that are compared
PIECE = 2**22  # numbers that are compared at a time


def verify(written: Path, source: Path, packed: frozenset[str]) -> None:
    """BadCheckpoint unless `written` holds every tensor of the shard `source`, those named in `packed` in four bits.

    Sampled rows of a packed matrix must lie within NF4's error, every other number must be the same in bf16.
    """
    read_header(written)
    with (
        blaming(f"{written} cannot be read back"),
        safe_open(source, framework="pt") as before,
        safe_open(written, framework="pt") as after,
    ):
        there = set(after.keys())
        for name in kept(source):
            agrees = _near if name in packed else _same
            if (name + STATE in there) != (name in packed) or not agrees(before, after, name):
                raise BadCheckpoint(
                    f"{written}: {name} is not what was written", hint="check the disk and quantise again"
                )


def kept(shard: Path) -> list[str]:
    """The names of the tensors of a shard that a quantised one has too: all but rotary buffers."""
    return sorted(name for name in read_header(shard) if not name.endswith("rotary_emb.inv_freq"))


def pieces(tensor: Tensor) -> Iterator[Tensor]:
    """The numbers of a tensor, in flat pieces that are small enough to be changed in memory."""
    yield from torch.split(tensor.reshape(-1), PIECE)


def _same(before: Any, after: Any, name: str) -> bool:
    """before, after: what safe_open gives."""
    original, written = before.get_tensor(name), after.get_tensor(name)
    if original.shape != written.shape:
        return False
    pairs = zip(pieces(original), pieces(written), strict=True)
    return all(torch.equal(one.to(torch.bfloat16), other) for one, other in pairs)


def _near(before: Any, after: Any, name: str) -> bool:
    """before, after: what safe_open gives."""
    from diffucli.model.fourbit import is_near, unpack_rows

    original, written = before.get_tensor(name), after.get_tensor(name)
    first = max(original.shape[0] // 2 - SAMPLE // 2, 0)
    beside = {part: after.get_tensor(name + part) for part in PARTS}
    largest = max(float(piece.abs().max()) for piece in pieces(original))
    return is_near(original[first : first + SAMPLE], unpack_rows(written, beside, first, SAMPLE), largest)
