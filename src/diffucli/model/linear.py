"""A linear layer whose weight may be kept twice on a CPU: once more in the order in which it is multiplied.

Few rows at a time spend a good part of a product on ordering the weight anew (docs/benchmarks.md has the figures).
"""

from __future__ import annotations

import torch  # noqa: TID253 — this room is torch's own
from torch import Tensor, nn  # noqa: TID253


class Linear(nn.Linear):
    """`nn.Linear`, which multiplies by what `order` has kept for as long as the weight is what it was then."""

    def __init__(self, columns: int, rows: int, *, bias: bool = False) -> None:
        super().__init__(columns, rows, bias=bias)
        self._ordered: Tensor | None = None
        self._was = (0, 0)

    def order(self) -> None:
        """Keeps the weight once more as oneDNN orders it, where that can be had.

        By the operators that torch's own compiler uses for frozen weights. They are not in its public interface, so
        they are tried on one row, and what fails or differs is not kept.
        """
        if self.weight.dtype != torch.float32 or not self.weight.is_cpu:
            return
        given = self.weight.detach()[:1]
        try:
            self._ordered = torch.ops.mkldnn._reorder_linear_weight(self.weight.detach(), None)  # noqa: SLF001
            self._was = self._is
            right = torch.allclose(self(given), super().forward(given), rtol=1e-4, atol=1e-4)
        except (AttributeError, RuntimeError):
            right = False
        if not right:
            self._ordered = None

    @property
    def _is(self) -> tuple[int, int]:
        """Changes with the weight."""
        return self.weight.data_ptr(), self.weight._version  # noqa: SLF001 — how often it was written in place

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 — as nn.Linear has it
        if self._ordered is None or self._was != self._is:
            return super().forward(input)
        product: Tensor = torch.ops.mkldnn._linear_pointwise(input, self._ordered, self.bias, "none", [], "")  # noqa: SLF001
        return product

    def __getstate__(self) -> dict[str, object]:
        """A copy has a weight of its own and nothing in order: what oneDNN keeps cannot be copied."""
        return {**self.__dict__, "_ordered": None}
