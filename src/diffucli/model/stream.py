"""A safetensors file written as a stream: one tensor at a time, so that no shard is ever whole in memory.

Knows nothing of what the tensors are for.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, BinaryIO

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

NAMES = {torch.uint8: "U8", torch.bfloat16: "BF16", torch.float32: "F32"}
ENTRY = 160  # bytes that an entry of the header takes at most beside the tensor's name
ALIGNED = 64


class Stream:
    """An open safetensors file. The header comes first in it but is written last, into the room that was kept.

    names: every name that will be written; they say how much room that is.
    """

    def __init__(self, file: BinaryIO, names: Iterable[str]) -> None:
        room = sum(len(json.dumps(name)) + ENTRY for name in names) + ENTRY
        self._file, self._room = file, -(-(room + 8) // ALIGNED) * ALIGNED - 8
        self._entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        self._end = 0
        file.seek(8 + self._room)

    def put(self, name: str, shape: Iterable[int], pieces: Iterable[Tensor]) -> None:
        """A tensor of `shape`, whose numbers come in `pieces` of one dtype, each on the CPU."""
        begun, kind = self._end, ""
        for piece in pieces:
            kind = NAMES[piece.dtype]
            self._end += self._file.write(piece.contiguous().reshape(-1).view(torch.uint8).numpy().data)
        self._entries[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [begun, self._end]}

    def close(self) -> None:
        """Writes the header and waits until the disk has it all."""
        header = json.dumps(self._entries, separators=(",", ":")).encode()
        assert len(header) <= self._room, "the room was reckoned for every name"
        self._file.seek(0)
        self._file.write(self._room.to_bytes(8, "little") + header.ljust(self._room))
        self._file.flush()
        os.fsync(self._file.fileno())
