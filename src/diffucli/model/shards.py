"""The weights of a checkpoint folder before they are loaded: which files hold them, and what these hold.

Reads headers alone, so a damaged download is told in a moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safetensors import safe_open

from diffucli.errors import BadCheckpoint
from diffucli.model.files import REPAIR, blaming, read_object, require
from diffucli.model.packed import PARTS, STATE, unpacked_shape

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Shape = tuple[int, ...]
INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"
FLOATS = ("F64", "F32", "F16", "BF16")


def check_shapes(folder: Path, wanted: Mapping[str, Shape]) -> None:
    """BadCheckpoint unless the shards hold every tensor wanted, in its shape, and no other.

    A tensor too many belongs to a network that computes something else. Buffers and a tied head may be there.
    """
    found = {name: shape for shard in shards(folder) for name, shape in read_header(shard).items()}
    for name, shape in wanted.items():
        if name not in found:
            raise BadCheckpoint(f"{folder}: the weights lack the tensor {name}", hint=REPAIR)
        if found[name] != shape:
            raise BadCheckpoint(
                f"{folder}: {name} has shape {list(found[name])}, config.json asks for {list(shape)}", hint=REPAIR
            )
    for name in found.keys() - wanted.keys():
        if name != "lm_head.weight" and not name.endswith("rotary_emb.inv_freq"):
            raise BadCheckpoint(f"{folder}: the network has no place for the tensor {name}", hint=REPAIR)


def shards(folder: Path) -> tuple[Path, ...]:
    """The safetensors files of a checkpoint, every one there.

    model.safetensors goes before the index, as in transformers, so that what is checked is what is loaded.
    """
    if (folder / SINGLE).exists():
        names = [SINGLE]
    elif (folder / INDEX).exists():
        names = _indexed(folder / INDEX)
    elif pickled := sorted([*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth")]):
        raise BadCheckpoint(
            f"{folder} holds a pickle ({pickled[0].name}), which can run code", hint="use the safetensors version"
        )
    else:
        raise BadCheckpoint(f"{folder} lacks {SINGLE}", hint=REPAIR)
    for name in names:
        require(folder / name)
    return tuple(folder / name for name in names)


def _indexed(index: Path) -> list[str]:
    """The shards that an index names, each a plain name in its own folder."""
    places = read_object(index).get("weight_map")
    names = set(places.values()) if isinstance(places, dict) and all(map(_plain, places.values())) else set()
    if not names:
        raise BadCheckpoint(f"{index} is no shard index", hint=REPAIR)
    return sorted(names)


def _plain(name: object) -> bool:
    return isinstance(name, str) and name.endswith(".safetensors") and not {"/", "\\"} & {*name}


def read_header(shard: Path) -> dict[str, Shape]:
    """Name → shape of a safetensors file; BadCheckpoint if it is truncated, none, or holds other than floats.

    A weight packed in four bits is one name, in the shape it has once unpacked.
    """
    shapes: dict[str, Shape] = {}
    with (
        blaming(f"{shard} is damaged, truncated or no safetensors file"),
        safe_open(shard, framework="pt") as file,
    ):
        names = list(file.keys())
        packed = {name.removesuffix(STATE) for name in names if name.endswith(STATE)}
        beside = {name + part for name in packed for part in PARTS}
        for name in names:
            if name in packed:
                shapes[name] = _unpacked(shard, file, name)
            elif name not in beside:
                shapes[name] = _floats(shard, file, name)
    return shapes


def _floats(shard: Path, file: Any, name: str) -> Shape:
    tensor = file.get_slice(name)
    if tensor.get_dtype() not in FLOATS:
        raise BadCheckpoint(f"{shard}: {name} holds {tensor.get_dtype()}, no floats", hint=REPAIR)
    return tuple(tensor.get_shape())


def _unpacked(shard: Path, file: Any, name: str) -> Shape:
    try:
        return unpacked_shape(file, name)
    except BadCheckpoint as wrong:
        raise BadCheckpoint(f"{shard}: {wrong.message}", hint=wrong.hint) from wrong
