"""NF4 by bitsandbytes: a matrix into packed bytes and scales and back, in pieces, so that little memory is needed.

Knows tensors and networks; nothing of files.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from bitsandbytes import functional as bnb
from bitsandbytes.nn.modules import Linear4bit, Params4bit
from torch import Tensor, nn

from diffucli.model.layers import ROWS as ARRANGED
from diffucli.model.network import is_finite
from diffucli.model.packed import BLOCK, KIND, NESTED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PIECE = 2**20  # numbers that are packed at a time
HALF_STEP = 0.16  # of a block's largest number: half the widest gap between two of NF4's sixteen values
SCALE_STEP = 0.02  # of a matrix's largest number: how far an eight-bit scale may be off


class Packing:
    """A matrix `[rows, columns]` on its way into four bits: pull `pieces`, then ask for what stands `beside` them."""

    def __init__(self, matrix: Tensor, device: torch.device) -> None:
        assert matrix.dim() == 2, "matrices are packed"  # noqa: PLR2004
        assert matrix.numel() % BLOCK == 0, "blocks are whole"
        self._flat, self._device, self._shape = matrix.reshape(-1), device, matrix.shape
        self._scales: list[Tensor] = []
        self._code = torch.empty(0)

    def pieces(self) -> Iterator[Tensor]:
        """The packed bytes `[n, 1]`, uint8, on the CPU. ValueError where a number is not finite."""
        for piece in torch.split(self._flat, PIECE):
            numbers = piece.to(self._device, torch.bfloat16)
            if not is_finite(numbers):
                raise ValueError("values that are not finite (NaN)")
            packed, state = bnb.quantize_4bit(numbers, blocksize=BLOCK, quant_type=KIND)
            self._scales.append(state.absmax)
            self._code = state.code
            yield packed.cpu()

    def beside(self) -> dict[str, Tensor]:
        """Suffix → tensor of what unpacks the pieces, with the scales themselves in eight bits, on the CPU."""
        scales = torch.cat(self._scales)
        offset = scales.mean()
        absmax, nested = bnb.quantize_blockwise(scales - offset, blocksize=NESTED)
        state = bnb.QuantState(  # type: ignore[no-untyped-call]
            absmax=absmax,
            shape=self._shape,
            code=self._code,
            blocksize=BLOCK,
            quant_type=KIND,
            dtype=torch.bfloat16,
            offset=offset,
            state2=nested,
        )
        return {f".{key}": value.cpu() for key, value in state.as_dict(packed=True).items()}


def unpack_rows(packed: Tensor, beside: dict[str, Tensor], first: int, count: int) -> Tensor:
    """Rows first … first + count of a packed matrix, float32. beside: suffix → tensor, as `Packing.beside` gives."""
    state = bnb.QuantState.from_dict({key[1:]: value for key, value in beside.items()}, packed.device)
    columns = state.shape[1]
    scales = _scales(state)
    start, stop = first * columns, (first + count) * columns
    part = bnb.QuantState(  # type: ignore[no-untyped-call]
        absmax=scales[start // BLOCK : stop // BLOCK].contiguous(),
        shape=torch.Size((count, columns)),
        code=state.code,
        blocksize=BLOCK,
        quant_type=KIND,
        dtype=torch.float32,
    )
    rows: Tensor = bnb.dequantize_4bit(packed[start // 2 : stop // 2].contiguous(), part)
    return rows


def is_near(original: Tensor, unpacked: Tensor, largest: float) -> bool:
    """Whether `unpacked` is as near to `original` as NF4 can be. largest: the largest scale of the matrix."""
    before, after = original.float().reshape(-1, BLOCK), unpacked.reshape(-1, BLOCK)
    bound = HALF_STEP * before.abs().amax(1, keepdim=True) + SCALE_STEP * largest + 1e-30
    return bool(((before - after).abs() <= bound).all())


def packed_layer(like: nn.Linear, weight: Params4bit, dtype: torch.dtype) -> Linear4bit:
    """A layer of the shape of `like` that multiplies by `weight` in `dtype`; a bias is still to be put."""
    make: Any = Linear4bit  # it is untyped
    shape, bias = (like.in_features, like.out_features), like.bias is not None
    layer: Linear4bit = make(*shape, bias=bias, compute_dtype=dtype, quant_type=KIND, device="meta")
    layer.weight = weight
    return layer


@dataclass(frozen=True, slots=True)
class Piece:
    """A matrix as a file holds it: numbers, or packed bytes and what stands `beside` them. rows: how many it has."""

    numbers: Tensor
    beside: dict[str, Tensor]
    rows: int

    def to(self, place: str) -> Piece:
        """The same elsewhere."""
        beside = {part: value.to(place) for part, value in self.beside.items()}
        return Piece(self.numbers.to(place), beside, self.rows)

    def whole(self, dtype: torch.dtype) -> Tensor:
        """Its numbers `[rows, columns]`."""
        return (unpack_rows(self.numbers, self.beside, 0, self.rows) if self.beside else self.numbers).to(dtype)

    def packed(self, dtype: torch.dtype) -> Params4bit:
        """It in four bits, for products in `dtype`."""
        return stored(self.numbers, self.beside, dtype) if self.beside else packed(self.numbers.to(dtype))


def joined(weights: Sequence[Params4bit], *, arranged: bool = False) -> Params4bit:
    """`weights` of as many columns each, below each other, with the very same numbers.

    Scales of several have been quantised with an offset each, so they become float32 again. arranged: in the order in
    which bitsandbytes multiplies on a CPU, see `_arranged`; where the two do not agree on that it is left to it.
    """
    states: list[Any] = [weight.quant_state for weight in weights]
    rows, columns = sum(state.shape[0] for state in states), states[0].shape[1]
    if arranged and has_fast_products() and _agree():
        numbers = torch.empty(rows, columns // 2, dtype=torch.uint8)
        places = torch.split(numbers, [state.shape[0] for state in states])
        for weight, state, place in zip(weights, states, places, strict=True):
            _arranged(weight.data, state, place)
        return _like(weights[0], numbers, torch.cat([state.absmax for state in states], 1), (rows, columns))
    if len(weights) == 1:
        return weights[0]
    numbers, scales = torch.cat([weight.data for weight in weights]), torch.cat([*map(_scales, states)])
    return _like(weights[0], numbers, scales, (rows, columns))


def apart(layer: nn.Linear, rows: list[int]) -> list[nn.Linear]:
    """`layer`, of joined weights, as several: of so many of its rows each, which are shared with it."""
    weight: Any = layer.weight
    state, (count, columns) = weight.quant_state, weight.quant_state.shape
    if getattr(state, "packing_format_for_cpu", False):
        scales = [some.contiguous() for some in torch.split(state.absmax, rows, 1)]
    else:
        scales = [some.reshape(-1) for some in torch.split(state.absmax.view(count, -1), rows)]
    numbers = torch.split(weight.data.view(count, -1), rows)
    biases = [None] * len(rows) if layer.bias is None else torch.split(layer.bias, rows)
    found: list[nn.Linear] = []
    for some, scale, bias in zip(numbers, scales, biases, strict=True):
        shape = (some.shape[0], columns)
        like = nn.Linear(columns, some.shape[0], bias=bias is not None, device="meta")
        part = packed_layer(like, _like(weight, some.view(-1, *weight.shape[1:]), scale, shape), state.dtype)
        if bias is not None:
            part.bias = nn.Parameter(bias, requires_grad=False)
        found.append(part)
    return found


def _like(weight: Params4bit, numbers: Tensor, scales: Tensor, shape: tuple[int, int]) -> Params4bit:
    """Packed `numbers` with `scales` that are not quantised, in all else as `weight` is."""
    state: Any = copy.copy(weight.quant_state)
    state.absmax, state.shape, state.nested, state.offset, state.state2 = scales, torch.Size(shape), False, None, None
    make: Any = Params4bit  # it is untyped
    made: Params4bit = make(
        numbers, requires_grad=False, quant_state=state, blocksize=BLOCK, quant_type=KIND, bnb_quantized=True
    )
    return made


def _scales(state: Any) -> Tensor:
    """The scales of a weight, float32."""
    scales = bnb.dequantize_blockwise(state.absmax, state.state2) + state.offset if state.nested else state.absmax
    numbers: Tensor = scales.float()
    return numbers


def packed(matrix: Tensor) -> Params4bit:
    """`matrix` `[rows, columns]` in four bits, where it is."""
    weight: Any = Params4bit(matrix, requires_grad=False, quant_type=KIND, blocksize=BLOCK)
    there: Params4bit = weight.to(matrix.device)
    return there


def stored(packed: Tensor, beside: dict[str, Tensor], dtype: torch.dtype) -> Params4bit:
    """The weight that a file holds as `packed` bytes, for products in `dtype`. beside: as `Packing.beside` gives."""
    named = {key[1:]: value for key, value in beside.items()}
    make: Any = Params4bit  # it is untyped
    weight = make.from_prequantized(packed, named, device=packed.device)
    weight.quant_state.dtype = dtype
    there: Params4bit = weight
    return there


def has_fast_products() -> bool:
    """Whether bitsandbytes multiplies four-bit weights directly on this CPU: it computes in bf16 then."""
    return bool(bnb.has_avx512bf16())  # type: ignore[no-untyped-call]


@cache
def _agree() -> bool:
    """Whether `_arranged` does what bitsandbytes' own function does, to the last attribute."""
    matrix = torch.linspace(-3, 5, 2 * ARRANGED * BLOCK * 3).sin().reshape(2 * ARRANGED, BLOCK * 3)
    made = [bnb.quantize_4bit(matrix, blocksize=BLOCK, compress_statistics=True, quant_type=KIND) for _ in range(2)]
    try:
        theirs, state = bnb._convert_weight_packed_for_cpu(*made[0])  # noqa: SLF001 — to be sure that we do the same
    except AttributeError:
        return False
    numbers, mine = made[1]
    _arranged(numbers, mine, ours := torch.empty_like(theirs))
    wanted, found = vars(state), vars(mine)
    return (
        torch.equal(ours, theirs)
        and wanted.keys() == found.keys()
        and all(_equal(wanted[key], found[key]) for key in wanted)
    )


def _equal(one: object, other: object) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return one == other


def _arranged(packed: Tensor, state: Any, into: Tensor) -> None:
    """Bytes `[n, 1]` of a matrix `[rows, columns]` ordered in groups of 32 rows, `[rows, columns / 2]`, and its state.

    A byte holds the numbers of two rows that lie 16 apart, instead of two neighbours in a row. What bitsandbytes does
    itself at a layer's first forward, but fifty times faster (0.06 s for 18944 x 3584 instead of 3 s).
    """
    rows, columns = state.shape
    pairs = packed.reshape(rows // ARRANGED, 2, ARRANGED // 2, columns // 2)
    low, high = pairs[:, 0], pairs[:, 1]
    both = torch.empty(*low.shape, 2, dtype=torch.uint8)
    torch.bitwise_or(high & 0xF0, low >> 4, out=both[..., 0])
    torch.bitwise_or(high << 4, low & 0xF, out=both[..., 1])
    columnwise = both.view(torch.int16)[..., 0].transpose(1, 2)
    into.view(torch.int16).view(columnwise.shape).copy_(columnwise)
    state.original_dtype, state.original_nested, state.original_qshape = state.dtype, state.nested, packed.shape
    if state.nested:
        state.absmax = _scales(state)
        state.nested = False
        del state.state2
    scales = state.absmax.reshape(rows, columns // state.blocksize)
    state.absmax = scales.T.to(torch.bfloat16).contiguous()
    state.dtype, state.packing_format_for_cpu = torch.bfloat16, True
