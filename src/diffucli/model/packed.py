"""The layout of a weight in four bits inside a safetensors file: the packed bytes and, beside them, what unpacks them.

transformers' and bitsandbytes' own layout, NF4 with scales that are quantised themselves. Computes nothing.
"""

from __future__ import annotations

import json
from math import ceil, prod
from typing import TYPE_CHECKING, Any

from diffucli.errors import BadCheckpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

KIND = "nf4"
BLOCK, NESTED = 64, 256  # weights that share a scale; scales that share a scale of their own
STATE = f".quant_state.bitsandbytes__{KIND}"
PARTS = (".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map", STATE)
KEY = "quantization_config"
AGAIN = "fetch or quantise the checkpoint again"


def is_packed(settings: Mapping[str, Any]) -> bool:
    """Whether config.json says that the layers are in four bits; BadCheckpoint where it says another quantisation."""
    value = settings.get(KEY)
    if value is None:
        return False
    wanted = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": KIND}
    kind = {key: value.get(key) for key in wanted} if isinstance(value, dict) else value
    if kind != wanted:
        raise BadCheckpoint(
            "config.json asks for a quantisation that is not supported", hint="use the original, or one in NF4"
        )
    return True


def parts_of(shape: tuple[int, int]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Suffix → dtype and shape of what stands beside the bytes of a weight of `shape`, but for the state."""
    blocks = ceil(prod(shape) / BLOCK)
    return {
        ".absmax": ("U8", (blocks,)),
        ".quant_map": ("F32", (16,)),
        ".nested_absmax": ("F32", (ceil(blocks / NESTED),)),
        ".nested_quant_map": ("F32", (256,)),
    }


def read_shape(data: bytes) -> tuple[int, int]:
    """Rows and columns by the state that stands beside a packed weight as JSON; ValueError unless it is a known one."""
    value = json.loads(data)
    shape = value["shape"]
    known = (value["quant_type"], value["blocksize"], value["nested_blocksize"]) == (KIND, BLOCK, NESTED)
    if not known or len(shape) != 2 or not all(type(size) is int and size > 0 for size in shape):  # noqa: PLR2004
        raise ValueError("a state of four bits that is not supported")
    return shape[0], shape[1]


def unpacked_shape(file: Any, name: str) -> tuple[int, int]:
    """The shape that the packed weight `name` has once unpacked. file: what safe_open gives.

    BadCheckpoint unless all its parts are in the file, in the shapes that follow from its state.
    """
    shape = read_shape(bytes(file.get_tensor(name + STATE).tolist()))
    wanted = {"": ("U8", (ceil(prod(shape) / 2), 1)), **parts_of(shape)}
    there = set(file.keys())
    for part, described in wanted.items():
        if name + part not in there:
            raise BadCheckpoint(f"the packed weight {name} lacks {name + part}", hint=AGAIN)
        tensor = file.get_slice(name + part)
        if (tensor.get_dtype(), tuple(tensor.get_shape())) != described:
            raise BadCheckpoint(f"{name + part} does not fit the packed weight of shape {list(shape)}", hint=AGAIN)
    return shape
