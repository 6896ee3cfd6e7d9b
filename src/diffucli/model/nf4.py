"""NF4 by bitsandbytes: matrices into packed bytes and quant states, and back.

bitsandbytes is imported by the first call that needs it. Knows nothing of files.
"""

from __future__ import annotations

import copy
import logging
import sys
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from diffucli.errors import UsageError
from diffucli.model.checkpoint import BLOCK_SIZE, NESTED_BLOCK_SIZE, NF4
from diffucli.model.config import NO_BITSANDBYTES, PACKED_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bitsandbytes.nn.modules import Linear4bit, Params4bit

CHUNK = 2**20  # numbers that are packed at a time
MAX_ERROR = 0.16  # of a block's largest number: half the widest gap between two of NF4's sixteen values
MAX_SCALE_ERROR = 0.02  # of a matrix's largest number: how far an eight-bit scale may be off


class Packer:
    """Packs a matrix `[rows, columns]` chunk by chunk: exhaust `chunks`, then call `quant_state`."""

    def __init__(self, matrix: Tensor, device: torch.device) -> None:
        assert matrix.dim() == 2, "only matrices are packed"  # noqa: PLR2004
        assert matrix.numel() % BLOCK_SIZE == 0, "only whole blocks are packed"
        self._flat, self._device, self._shape = matrix.reshape(-1), device, matrix.shape
        self._scales: list[Tensor] = []
        self._code = torch.empty(0)

    def chunks(self) -> Iterator[Tensor]:
        """The packed bytes `[n, 1]`, uint8, on the CPU. Raises ValueError if a number is not finite."""
        for chunk in torch.split(self._flat, CHUNK):
            numbers = chunk.to(self._device, torch.bfloat16)
            if not bool(numbers.isfinite().all()):
                raise ValueError("values that are not finite (NaN)")
            packed, state = _bitsandbytes().functional.quantize_4bit(numbers, blocksize=BLOCK_SIZE, quant_type=NF4)
            self._scales.append(state.absmax)
            self._code = state.code
            yield packed.cpu()

    def quant_state(self) -> dict[str, Tensor]:
        """Suffix → tensor of what unpacks the chunks, the scales themselves in eight bits, on the CPU."""
        bnb, scales = _bitsandbytes().functional, torch.cat(self._scales)
        offset = scales.mean()
        absmax, nested = bnb.quantize_blockwise(scales - offset, blocksize=NESTED_BLOCK_SIZE)
        state = bnb.QuantState(
            absmax=absmax,
            shape=self._shape,
            code=self._code,
            blocksize=BLOCK_SIZE,
            quant_type=NF4,
            dtype=torch.bfloat16,
            offset=offset,
            state2=nested,
        )
        return {f".{key}": value.cpu() for key, value in state.as_dict(packed=True).items()}


@dataclass(frozen=True, slots=True)
class StoredMatrix:
    """A matrix as a file holds it: numbers `[rows, columns]`, or packed bytes with their quant state.

    quant_state: name of a part ("absmax") → tensor; empty if the matrix is not packed.
    """

    data: Tensor
    quant_state: dict[str, Tensor]

    def unpacked(self, dtype: torch.dtype) -> Tensor:
        """Its numbers `[rows, columns]`."""
        if not self.quant_state:
            return self.data.to(dtype)
        return self.unpacked_rows(0, self._state().shape[0]).to(dtype)

    def unpacked_rows(self, first: int, count: int) -> Tensor:
        """Rows first … first + count of a packed matrix, `[count, columns]`, float32."""
        state = self._state()
        start, stop = first * state.shape[1], (first + count) * state.shape[1]
        state.absmax = _unpacked_scales(state)[start // BLOCK_SIZE : stop // BLOCK_SIZE].contiguous()
        state.shape, state.nested, state.dtype = torch.Size((count, state.shape[1])), False, torch.float32
        packed = self.data[start // 2 : stop // 2].contiguous()
        rows: Tensor = _bitsandbytes().functional.dequantize_4bit(packed, state)
        return rows

    def packed(self, dtype: torch.dtype) -> Params4bit:
        """The matrix in four bits, for products in `dtype`."""
        if not self.quant_state:
            return pack(self.data.to(dtype))
        params: Any = _bitsandbytes().nn.Params4bit
        weight: Params4bit = params.from_prequantized(self.data, dict(self.quant_state), device=self.data.device)
        weight.quant_state.dtype = dtype
        return weight

    def _state(self) -> Any:
        """The QuantState; bitsandbytes changes the mapping that it is given."""
        return _bitsandbytes().functional.QuantState.from_dict(dict(self.quant_state), self.data.device)


def pack(matrix: Tensor) -> Params4bit:
    """`matrix` `[rows, columns]` in four bits, on its own device."""
    weight = _bitsandbytes().nn.Params4bit(matrix, requires_grad=False, quant_type=NF4, blocksize=BLOCK_SIZE)
    packed: Params4bit = weight.to(matrix.device)
    return packed


def is_within_error(original: Tensor, unpacked: Tensor, largest: float) -> bool:
    """Whether `unpacked` is as close to `original` as NF4 gets. largest: the largest number of the whole matrix."""
    before, after = original.float().reshape(-1, BLOCK_SIZE), unpacked.reshape(-1, BLOCK_SIZE)
    bound = MAX_ERROR * before.abs().amax(1, keepdim=True) + MAX_SCALE_ERROR * largest + 1e-30
    return bool(((before - after).abs() <= bound).all())


def packed_layer(like: nn.Linear, weight: Params4bit, dtype: torch.dtype) -> Linear4bit:
    """A layer of the shape of `like` that multiplies by `weight` in `dtype`; its bias is on the meta device."""
    layer: Linear4bit = _bitsandbytes().nn.Linear4bit(
        like.in_features,
        like.out_features,
        bias=like.bias is not None,
        compute_dtype=dtype,
        quant_type=NF4,
        device="meta",
    )
    layer.weight = weight
    return layer


def cat_packed(weights: Sequence[Params4bit], *, for_cpu: bool = False) -> Params4bit:
    """`weights`, of equally many columns, stacked row-wise into one with the very same numbers.

    The quantised scales of each have an offset of their own, so the scales become float32. for_cpu: in the order in
    which bitsandbytes multiplies on a CPU (see `_reorder_for_cpu`), unless bitsandbytes turns out to use another one.
    """
    states: list[Any] = [weight.quant_state for weight in weights]
    rows, columns = sum(state.shape[0] for state in states), states[0].shape[1]
    if for_cpu and has_fast_products() and _knows_cpu_order():
        data = torch.empty(rows, columns // 2, dtype=torch.uint8)
        targets = torch.split(data, [state.shape[0] for state in states])
        for weight, state, target in zip(weights, states, targets, strict=True):
            _reorder_for_cpu(weight.data, state, target)
        return with_scales(weights[0], data, torch.cat([state.absmax for state in states], 1), (rows, columns))
    if len(weights) == 1:
        return weights[0]
    data, scales = torch.cat([weight.data for weight in weights]), torch.cat([*map(_unpacked_scales, states)])
    return with_scales(weights[0], data, scales, (rows, columns))


def has_fast_products() -> bool:
    """Whether bitsandbytes multiplies four-bit weights directly on this CPU; it computes in bfloat16 then.

    False where it cannot be imported: a plan of the memory is made before `require_bitsandbytes` names the fault.
    """
    try:
        return bool(_bitsandbytes().functional.has_avx512bf16())
    except ImportError:
        return False


def product_error(device: torch.device) -> float:
    """The relative error of a product with a four-bit matrix, against float32; NF4's own is about 0.1.

    Raises whatever bitsandbytes raises.
    """
    rng = torch.Generator().manual_seed(0)
    weight, given = torch.randn(256, 512, generator=rng), torch.randn(4, 512, generator=rng)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    layer = packed_layer(nn.Linear(512, 256, bias=False, device="meta"), pack(weight.to(device)), dtype)
    with torch.no_grad():
        found = layer(given.to(device, dtype)).float().cpu()
    expected = given @ weight.T
    return float((found - expected).norm() / expected.norm())


def block_hub_kernels() -> None:
    """Hides the package `kernels` from bitsandbytes and transformers; call it before either is imported.

    Where a user has it installed, it lets them download code from a hub and run it.
    """
    sys.modules["kernels"] = None  # type: ignore[assignment]
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # its import warns that kernels is missing


def require_bitsandbytes(*, hint: str) -> None:
    """Raises UsageError with `hint` if bitsandbytes cannot be imported."""
    try:
        _bitsandbytes()
    except ImportError as exc:
        raise UsageError(NO_BITSANDBYTES, hint=hint) from exc


@cache
def _bitsandbytes() -> Any:
    """The package bitsandbytes, most of which has no types."""
    block_hub_kernels()
    import bitsandbytes

    return bitsandbytes


def with_scales(weight: Params4bit, data: Tensor, scales: Tensor, shape: tuple[int, int]) -> Params4bit:
    """A weight of packed `data` with `scales` that are not quantised, and everything else as in `weight`."""
    state: Any = copy.copy(weight.quant_state)
    state.absmax, state.shape, state.nested, state.offset, state.state2 = scales, torch.Size(shape), False, None, None
    made: Params4bit = _bitsandbytes().nn.Params4bit(
        data, requires_grad=False, quant_state=state, blocksize=BLOCK_SIZE, quant_type=NF4, bnb_quantized=True
    )
    return made


def _unpacked_scales(state: Any) -> Tensor:
    """The scales of a QuantState, float32."""
    scales = state.absmax
    if state.nested:
        scales = _bitsandbytes().functional.dequantize_blockwise(state.absmax, state.state2) + state.offset
    numbers: Tensor = scales.float()
    return numbers


@cache
def _knows_cpu_order() -> bool:
    """Whether `_reorder_for_cpu` does exactly what bitsandbytes' own function does, down to the last attribute."""
    bnb = _bitsandbytes().functional
    matrix = torch.linspace(-3, 5, 2 * PACKED_ROWS * BLOCK_SIZE * 3).sin().reshape(2 * PACKED_ROWS, BLOCK_SIZE * 3)
    theirs, ours = (
        bnb.quantize_4bit(matrix, blocksize=BLOCK_SIZE, compress_statistics=True, quant_type=NF4) for _ in range(2)
    )
    try:
        expected, expected_state = bnb._convert_weight_packed_for_cpu(*theirs)  # noqa: SLF001 — compared with ours
    except AttributeError:
        return False
    data, state = ours
    _reorder_for_cpu(data, state, found := torch.empty_like(expected))
    expected_values, values = vars(expected_state), vars(state)
    return (
        torch.equal(found, expected)
        and expected_values.keys() == values.keys()
        and all(_equal(expected_values[key], values[key]) for key in expected_values)
    )


def _equal(one: object, other: object) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return one == other


def _reorder_for_cpu(packed: Tensor, state: Any, target: Tensor) -> None:
    """Writes packed bytes `[n, 1]` to `target` `[rows, columns / 2]` in groups of 32 rows; adapts `state`.

    A byte then holds the numbers of two rows that are 16 apart instead of two neighbours in a row. bitsandbytes does
    the same in the first forward of a layer; this is fifty times faster (0.06 s for 18944 x 3584 instead of 3 s).
    """
    rows, columns = state.shape
    pairs = packed.reshape(rows // PACKED_ROWS, 2, PACKED_ROWS // 2, columns // 2)
    low, high = pairs[:, 0], pairs[:, 1]
    both = torch.empty(*low.shape, 2, dtype=torch.uint8)
    torch.bitwise_or(high & 0xF0, low >> 4, out=both[..., 0])
    torch.bitwise_or(high << 4, low & 0xF, out=both[..., 1])
    columnwise = both.view(torch.int16)[..., 0].transpose(1, 2)
    target.view(torch.int16).view(columnwise.shape).copy_(columnwise)
    state.original_dtype, state.original_nested, state.original_qshape = state.dtype, state.nested, packed.shape
    if state.nested:
        state.absmax = _unpacked_scales(state)
        state.nested = False
        del state.state2
    scales = state.absmax.reshape(rows, columns // state.blocksize)
    state.absmax = scales.T.to(torch.bfloat16).contiguous()
    state.dtype, state.packing_format_for_cpu = torch.bfloat16, True
