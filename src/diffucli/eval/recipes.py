"""How papers evaluate, by name: options of decoding that a command takes where it is given no others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from diffucli.errors import UsageError

if TYPE_CHECKING:
    from diffucli.tasks.options import DecodingOptions


@dataclass(frozen=True, slots=True)
class PaperRecipe:
    """Masks of an answer, of which each step writes `per_step`; the sampling; and no repair."""

    length: int
    per_step: int
    temperature: float
    top_p: float

    def options(self, given: DecodingOptions) -> DecodingOptions:
        """`given` with the recipe where it says nothing. The schedule is always the recipe's."""
        return replace(
            given,
            preset="exact",
            alg=given.alg or "entropy",
            steps=given.steps or self.length // self.per_step,
            temperature=self.temperature if given.temperature is None else given.temperature,
            top_p=self.top_p if given.top_p is None else given.top_p,
        )


RECIPES = {"diffucoder-paper": PaperRecipe(256, 1, 0.4, 0.95)}  # arXiv 2506.20639; 0.4 is of the model after GRPO


def recipe(name: str) -> PaperRecipe:
    """The recipe of that name. UsageError: there is none."""
    if name not in RECIPES:
        raise UsageError(f"there is no recipe {name!r}", hint=f"the recipes are: {', '.join(RECIPES)}")
    return RECIPES[name]
