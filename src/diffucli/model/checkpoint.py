"""The files of a checkpoint folder: reads them, finds the shards, checks names and shapes of the tensors in them.

Reads no weights and imports no torch, so a damaged checkpoint is reported at once. Knows nothing of what config.json or
the vocabulary mean.
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from math import ceil, prod
from typing import TYPE_CHECKING, Any, Final

from safetensors import safe_open

from diffucli import files
from diffucli.errors import BadCheckpoint, DiffuError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

Shape = tuple[int, ...]
CONFIG, INDEX, SINGLE = "config.json", "model.safetensors.index.json", "model.safetensors"
TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"
FETCH_AGAIN, PACK_AGAIN = "fetch the checkpoint again", "fetch or quantise the checkpoint again"
ORIGINAL = "take the original, whose weights are floats of 16 or 32 bits"
MESSAGE_LENGTH = 200  # characters of a foreign error's message that are shown
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
DTYPE_BITS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16}  # of floats

# The layout of a weight in NF4 with quantised scales, as transformers and bitsandbytes write it: the packed bytes under
# the weight's own name, and the tensors of its quant state under the name with a suffix.
NF4: Final = "nf4"
BLOCK_SIZE, NESTED_BLOCK_SIZE = 64, 256  # weights that share a scale; scales that share a scale of their own
QUANT_STATE = f".quant_state.bitsandbytes__{NF4}"
QUANT_STATE_PARTS = (".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map", QUANT_STATE)


class OtherFormat(BadCheckpoint):
    """The weights are in a form that is not read here. There may be an original in one that is."""


class Unsupported(ValueError):
    """A config.json asks for what our network has not."""


def read_text(path: Path) -> str:
    """The UTF-8 text of `path`. Raises BadCheckpoint if it is missing, no regular file, too large or not UTF-8."""
    require_file(path)
    with as_bad_checkpoint(f"{path} cannot be read"):
        return files.read_bytes(path).decode()


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in `path`. Raises BadCheckpoint if there is none."""
    text = read_text(path)
    with as_bad_checkpoint(f"{path} is not JSON"):
        return files.parse_json(text)


def require_file(path: Path) -> None:
    """Raises BadCheckpoint unless `path` is a regular file or a link to one; reading a named pipe would never end.

    What Git LFS leaves in place of a file that it did not fetch is refused too.
    """
    if not files.exists(path):
        raise BadCheckpoint(f"{path.parent} lacks {path.name}", hint=FETCH_AGAIN)
    if not path.is_file():
        raise BadCheckpoint(f"{path} is no regular file", hint=FETCH_AGAIN)
    with as_bad_checkpoint(f"{path} cannot be read"), path.open("rb") as file:
        if file.read(len(LFS_POINTER)) == LFS_POINTER:
            message = f"{path} is a pointer of Git LFS and not the file itself"
            raise BadCheckpoint(message, hint="run git lfs pull in its folder, or diffu model pull with the repository")


@contextmanager
def as_bad_checkpoint(what: str) -> Iterator[None]:
    """Raises BadCheckpoint "`what` (the error)" in place of any foreign error inside; a DiffuError passes."""
    try:
        yield
    except DiffuError:
        raise
    except Exception as exc:  # json, tokenizers, safetensors and transformers raise many kinds, Exception itself too
        raise BadCheckpoint(f"{what} ({one_line(exc)})", hint=FETCH_AGAIN) from exc


def one_line(exc: Exception) -> str:
    """The message of `exc` in one line of limited length, with its type where the message alone says little."""
    message = " ".join((files.reason(exc) if isinstance(exc, OSError) else str(exc)).split())
    if isinstance(exc, LookupError | ArithmeticError | AttributeError) or not message:
        message = f"{type(exc).__name__} {message}".strip()
    return message if len(message) <= MESSAGE_LENGTH else message[: MESSAGE_LENGTH - 1] + "…"


def shards(folder: Path) -> tuple[Path, ...]:
    """The safetensors files of a checkpoint. Raises BadCheckpoint if one is missing or there are only pickles.

    model.safetensors is preferred to an index, as in transformers.
    """
    if files.exists(folder / SINGLE):
        names = [SINGLE]
    elif files.exists(folder / INDEX):
        names = _indexed(folder / INDEX)
    elif pickles := sorted([*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth")]):
        raise BadCheckpoint(
            f"{folder} holds a pickle ({pickles[0].name}), which can run code", hint="use the safetensors version"
        )
    else:
        raise BadCheckpoint(f"{folder} lacks {SINGLE}", hint=FETCH_AGAIN)
    for name in names:
        require_file(folder / name)
    return tuple(folder / name for name in names)


def check_index(path: Path, weights: frozenset[str]) -> None:
    """Raises BadCheckpoint if the shard index `path` names a file that is not among `weights`."""
    if missing := sorted({*_indexed(path)} - weights):
        raise BadCheckpoint(f"{path.name} names {missing[0]}, which is not there", hint=FETCH_AGAIN)


def check_shapes(folder: Path, expected: Mapping[str, Shape], *, copies: Collection[str] = ()) -> None:
    """Raises BadCheckpoint unless the shards hold every expected tensor in its shape, and no other tensor.

    A further tensor belongs to a network that computes something else. Rotary buffers and `copies` are allowed.
    """
    found = {name: shape for shard in shards(folder) for name, shape in tensor_shapes(shard).items()}
    for name, shape in expected.items():
        if name not in found:
            raise BadCheckpoint(f"{folder}: the weights lack the tensor {name}", hint=FETCH_AGAIN)
        if found[name] != shape:
            raise BadCheckpoint(
                f"{folder}: {name} has shape {list(found[name])}, config.json asks for {list(shape)}", hint=FETCH_AGAIN
            )
    for name in found.keys() - expected.keys():
        if name not in copies and not is_rotary_buffer(name):
            raise BadCheckpoint(f"{folder}: the network has no place for the tensor {name}", hint=FETCH_AGAIN)


def is_rotary_buffer(name: str) -> bool:
    """Whether the tensor `name` is a buffer of the rotary embedding, which is computed and not loaded."""
    return name.endswith("rotary_emb.inv_freq")


def tensor_shapes(shard: Path) -> dict[str, Shape]:
    """Name → shape of the weights in a safetensors file; a weight in four bits has the shape it unpacks to.

    Raises BadCheckpoint if the file is truncated, is no safetensors file, or holds anything but floats.
    """
    shapes: dict[str, Shape] = {}
    with _opened(shard) as file:
        names = list(file.keys())
        packed = {name.removesuffix(QUANT_STATE) for name in names if name.endswith(QUANT_STATE)}
        states = {name + part for name in packed for part in QUANT_STATE_PARTS}
        for name in names:
            dtype, shape = _layout(file, name)
            if name in packed:
                shapes[name] = _unpacked_shape(shard, file, name)
            elif name not in states:
                if dtype not in DTYPE_BITS:
                    raise BadCheckpoint(f"{shard}: {name} holds {dtype}, no floats", hint=FETCH_AGAIN)
                shapes[name] = shape
    return shapes


def is_low_float(dtype: str) -> bool:
    """Whether tensors of `dtype` are floats of 8 bits or fewer, such as F8_E4M3, which need scales of their own."""
    return re.match(r"F[468]_", dtype) is not None


def tensor_sizes(shard: Path) -> dict[str, tuple[str, int]]:
    """Name → (dtype, bytes) of the tensors in a safetensors file. Raises BadCheckpoint if it is damaged."""
    with _opened(shard) as file:
        layouts = {name: _layout(file, name) for name in file.keys()}  # noqa: SIM118 — no mapping
    return {name: (dtype, prod(shape) * DTYPE_BITS.get(dtype, 8) // 8) for name, (dtype, shape) in layouts.items()}


@contextmanager
def _opened(shard: Path) -> Iterator[Any]:
    """The safetensors file `shard`. numpy rather than torch reads it, whose import takes a second.

    Raises BadCheckpoint if it is damaged, OtherFormat if it holds floats that are not read.
    """
    require_file(shard)
    with (
        as_bad_checkpoint(f"{shard} is damaged, truncated or no safetensors file"),
        safe_open(shard, framework="np") as file,
    ):
        for name in file.keys():  # noqa: SIM118 — no mapping
            if is_low_float(dtype := _layout(file, name)[0]):
                raise OtherFormat(f"{shard}: {name} holds {dtype}, which diffu does not read", hint=ORIGINAL)
        yield file


def _layout(file: Any, name: str) -> tuple[str, Shape]:
    """The dtype and the shape of a tensor in an open safetensors file."""
    tensor = file.get_slice(name)
    return str(tensor.get_dtype()), tuple(tensor.get_shape())


def bits_per_weight(sizes: Mapping[str, tuple[str, int]]) -> int:
    """Bits of the dtype that fills most bytes of `sizes` (see `tensor_sizes`); 0 if it is no float."""
    totals: dict[str, int] = {}
    for dtype, size in sizes.values():
        totals[dtype] = totals.get(dtype, 0) + size
    return DTYPE_BITS.get(max(totals, key=totals.__getitem__), 0) if totals else 0


def quant_state_layout(shape: tuple[int, int]) -> dict[str, tuple[str, Shape]]:
    """Suffix → (dtype, shape) of the quant state of a packed weight of `shape`, without its JSON part."""
    blocks = ceil(prod(shape) / BLOCK_SIZE)
    return {
        ".absmax": ("U8", (blocks,)),
        ".quant_map": ("F32", (16,)),
        ".nested_absmax": ("F32", (ceil(blocks / NESTED_BLOCK_SIZE),)),
        ".nested_quant_map": ("F32", (256,)),
    }


def _indexed(index: Path) -> list[str]:
    """The shards that an index names. Raises BadCheckpoint unless all are names of files in the index's own folder."""
    places = read_object(index).get("weight_map")
    names = set(places.values()) if isinstance(places, dict) and all(map(_is_file_name, places.values())) else set()
    if not names:
        raise BadCheckpoint(f"{index} is no shard index", hint=FETCH_AGAIN)
    return sorted(names)


def _is_file_name(name: object) -> bool:
    return isinstance(name, str) and name.endswith(".safetensors") and not {"/", "\\"} & {*name}


def _unpacked_shape(shard: Path, file: Any, name: str) -> tuple[int, int]:
    """The shape that the packed weight `name` unpacks to. file: an open safetensors file.

    Raises BadCheckpoint unless every part is in the file with the dtype and shape that follow from the quant state.
    """
    shape = _stated_shape(file.get_tensor(name + QUANT_STATE).tobytes())
    expected = {"": ("U8", (ceil(prod(shape) / 2), 1)), **quant_state_layout(shape)}
    present = set(file.keys())
    for part, layout in expected.items():
        if name + part not in present:
            raise BadCheckpoint(f"{shard}: the packed weight {name} lacks {name + part}", hint=PACK_AGAIN)
        if _layout(file, name + part) != layout:
            raise BadCheckpoint(
                f"{shard}: {name + part} does not fit the packed weight of shape {list(shape)}", hint=PACK_AGAIN
            )
    return shape


def _stated_shape(state: bytes) -> tuple[int, int]:
    """Rows and columns by the JSON part of a quant state. Raises ValueError if its quantisation is not this one."""
    value = json.loads(state)
    settings = (value["quant_type"], value["blocksize"], value["nested_blocksize"])
    rows, columns = value["shape"]
    if settings != (NF4, BLOCK_SIZE, NESTED_BLOCK_SIZE) or not all(type(n) is int and n > 0 for n in (rows, columns)):
        raise ValueError("a state of four bits that is not supported")
    return rows, columns
