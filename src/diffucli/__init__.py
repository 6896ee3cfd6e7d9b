"""Write and edit code with a masked diffusion language model.

    import diffucli

    model = diffucli.load()
    print(diffucli.generate(model, "write a quicksort").text)

The names are those of `diffucli.api`, which is imported when one of them is first used: the command line needs none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diffucli.api import Checkpoint, DecodingOptions, Effort, Result, fill, generate, generate_many, load

__all__ = ["Checkpoint", "DecodingOptions", "Effort", "Result", "fill", "generate", "generate_many", "load"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from diffucli import api

        return getattr(api, name)
    raise AttributeError(f"module 'diffucli' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
