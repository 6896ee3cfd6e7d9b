"""Decoding options as plain values, and the policy that they make of a preset.

Knows no command line; error messages name options as the command line spells them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from diffucli.decode.commit import Independent, PathPlanning, TopK, linear, single
from diffucli.decode.policy import PRESETS, Policy
from diffucli.decode.sample import Sampling
from diffucli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from diffucli.decode.commit import Rule
    from diffucli.decode.policy import Ends
    from diffucli.decode.predict import Cache
    from diffucli.decode.sample import Order
    from diffucli.model.family import Commits, Family, PublishedSampling

PUBLISHED: Literal["published"] = "published"  # the preset that is each family's own
Preset = Literal["balanced", "fast", "exact", "factor", "entropy-bound", "p2", "published"]
RULES: Mapping[Commits, Rule] = {"dream": TopK(), "linear": TopK(linear), "single": TopK(single), "p2": PathPlanning()}
COLDEST = 1e-3  # lower temperatures count as 0: logits divided by less overflow
SEEDS = 10_000  # how many seeds are drawn from when none is given


def of_recipe(recipe: PublishedSampling) -> Policy:
    """The policy of published settings."""
    order: Order = recipe.order
    return Policy(
        RULES[recipe.commits],
        Sampling(recipe.temperature, recipe.top_p, order),
        block=recipe.block,
        cache=recipe.cache,
        stop=recipe.stops,
        ends=recipe.ends,
    )


@dataclass(frozen=True, slots=True)
class DecodingOptions:
    """How a canvas is to be written. None: as the preset has it; seed None: a random one.

    steps: with a scheduled preset the length of its schedule, else the most steps of a run. block 0: the whole canvas.
    The others are those of `diffucli.decode.policy.Policy` and `diffucli.decode.sample.Sampling`.
    """

    preset: Preset = "balanced"
    seed: int | None = None
    steps: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    alg: Order | None = None
    alg_temp: float | None = None
    block: int | None = None
    by_line: bool = False
    cache: Cache | None = None
    speculate: int = 0
    ends: Ends | None = None
    max_length: int | None = None
    expand_budget: int | None = None

    def policy(self, family: Family | None = None) -> Policy:
        """The preset's policy with these changes. UsageError: an option that the preset or `family` cannot honour.

        family: of the checkpoint; None: it is not known yet, so that "published" is as "exact".
        """
        policy = self._preset(family)
        self._refuse_conflicts(policy)
        if family is not None:
            self._refuse_misfits(family)
        scheduled = policy.commit.scheduled
        temperature = policy.sampling.temperature if self.temperature is None else self.temperature
        sampling = replace(
            policy.sampling,
            temperature=temperature if temperature >= COLDEST else 0.0,
            top_p=policy.sampling.top_p if self.top_p is None else self.top_p,
            order=policy.sampling.order if self.alg is None else self.alg,
        )
        commit = policy.commit
        if self.alg == "origin":
            commit = Independent()
        elif isinstance(commit, TopK):
            commit = replace(commit, alg_temp=self.alg_temp or 0.0)
        return replace(
            policy,
            commit=commit,
            sampling=sampling,
            steps=self.steps if scheduled else None,
            budget=None if scheduled else self.steps,
            block=policy.block if self.block is None else self.block or None,
            by_line=self.by_line,
            cache=policy.cache if self.cache is None else self.cache,
            seed=random.SystemRandom().randrange(SEEDS) if self.seed is None else self.seed,
            speculate=self.speculate,
            ends=policy.ends if self.ends is None else self.ends,
            max_length=policy.max_length if self.max_length is None else self.max_length,
            expand_budget=self.expand_budget,
        )

    def _preset(self, family: Family | None) -> Policy:
        """The policy of the preset. UsageError: the checkpoint has no published settings."""
        if self.preset != PUBLISHED:
            return PRESETS[self.preset]
        if family is None:
            return PRESETS["exact"]
        if family.published is None:
            raise UsageError("nobody published settings for this model", hint="use balanced, fast or exact")
        return of_recipe(family.published)

    def _refuse_misfits(self, family: Family) -> None:
        """UsageError: an option that checkpoints of this family cannot honour."""
        if family.expand is None and (self.max_length is not None or self.expand_budget is not None):
            flag = "--max-length" if self.max_length is not None else "--expand-budget"
            raise UsageError(f"{flag} is for models whose holes grow, and this one's do not", hint="use --length")
        if family.block is not None and self.block is not None and (self.block == 0 or family.block % self.block):
            raise UsageError(
                f"--block {self.block} does not divide the {family.block} positions that this model attends to at once",
                hint="leave it out",
            )

    def _refuse_conflicts(self, preset: Policy) -> None:
        """UsageError: an option that the preset or another option cannot honour."""
        scheduled, order = preset.commit.scheduled, preset.sampling.order
        if self.alg is not None and not scheduled and self.alg != order:
            raise UsageError(
                f"--alg {self.alg} ranks for a schedule, and the preset {self.preset} commits by {order}",
                hint="add --preset exact",
            )
        if self.by_line and (scheduled or order != "confidence"):
            raise UsageError(
                f"--by-line lets positions wait until they are sure, which {self.preset} cannot",
                hint="use balanced or fast",
            )
        if self.alg_temp is not None and (not isinstance(preset.commit, TopK) or self.alg == "origin"):
            raise UsageError("--alg-temp needs a ranked schedule", hint="add --preset exact, without --alg origin")
        if self.speculate and (self.alg_temp or self.alg == "origin"):
            flag = "--alg origin" if self.alg == "origin" else "--alg-temp"
            raise UsageError(f"--speculate cannot guess the order that {flag} draws", hint="leave one of the two out")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise UsageError(f"--top-p {self.top_p:g} is no share", hint="give a number above 0, at most 1")


def require_sampling(policy: Policy) -> None:
    """Raises UsageError if all samples of a request would be equal: neither tokens nor their order are random."""
    if policy.sampling.temperature == 0 and not policy.commit.drawn:
        raise UsageError("without a temperature all samples of a problem are the same", hint="add --temp 0.7")
