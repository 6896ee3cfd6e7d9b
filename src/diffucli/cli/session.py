"""A model at work for one command: options become a checkpoint, a policy and, run by run, a last canvas.

Knows how a run is shown; not what its text is for.
"""

from __future__ import annotations

import random
import sys
import time
from dataclasses import dataclass, replace
from os import environ
from typing import TYPE_CHECKING

from diffucli.cli.options import Alg, Live, Preset, Quant
from diffucli.cli.report import Numbers, Report
from diffucli.errors import UsageError

if TYPE_CHECKING:
    from diffucli.decode.policy import Policy
    from diffucli.engine import Engine, Run
    from diffucli.events import Finished
    from diffucli.model.registry import Entry


@dataclass(frozen=True, slots=True)
class Choice:
    """What the shared flags of a command say; None is what the preset has."""

    model: str | None
    quant: Quant
    device: str
    preset: Preset
    seed: int | None
    steps: int | None
    temperature: float | None
    top_p: float | None
    alg: Alg | None
    alg_temp: float | None
    block: int | None


@dataclass(frozen=True, slots=True)
class Session:
    """An engine, where its model comes from, how long that took to load, and how runs are shown."""

    entry: Entry
    engine: Engine
    load_seconds: float
    live: Live
    fps: float
    report: Report

    def finish(self, run: Run, *, language: str) -> tuple[Finished, Numbers]:
        """Pulls the run to its end, live where that is wanted, and counts."""
        from diffucli.ui import live
        from diffucli.ui.frame import View
        from diffucli.ui.terminal import wants_live

        if run.note:
            self.report.note(run.note)
        shown = not self.report.quiet and not self.report.json and wants_live(sys.stderr, self.live.value, environ)
        words = self.engine.checkpoint.vocabulary
        if shown:
            view = View(run.layout.shown.start, run.layout.shown.stop, language, run.ends, self.entry.name)
            final = live.show(run.events, words.piece, view=view, out=sys.stderr, fps=self.fps)
        else:
            final = live.last(run.events)
        left = sum(final.tokens[i] == words.mask for hole in run.layout.holes for i in range(hole.start, hole.stop))
        total = sum(len(hole) for hole in run.layout.holes)
        return final, Numbers(
            seed=self.engine.policy.seed,
            steps=final.nfe,
            tokens=total - left,
            canvas=total,
            load=self.load_seconds,
            seconds=final.seconds,
            reason=final.reason,
        )


def begin(choice: Choice, report: Report, *, live: Live, fps: float) -> Session:
    """The session that `choice` asks for; the model is loaded when this returns. Raises ModelError, UsageError."""
    from diffucli.model import registry

    begun = time.perf_counter()
    entry = registry.find(choice.model)
    policy = policy_of(choice)
    from diffucli.engine import Engine
    from diffucli.model.load import load

    checkpoint = load(entry.folder, device=choice.device, quant=choice.quant.value)
    if entry.embedded:
        report.notice(f"{entry.name} is a small demonstration model: it knows common Python tasks, little else")
    return Session(entry, Engine(checkpoint, policy), time.perf_counter() - begun, live, fps, report)


def policy_of(choice: Choice) -> Policy:
    """The preset with what the flags change in it. UsageError: a flag that the preset cannot honour."""
    from diffucli.decode.commit import Independent, TopK
    from diffucli.decode.policy import PRESETS

    policy = PRESETS[choice.preset.value]
    scheduled = isinstance(policy.commit, TopK)
    if choice.alg is not None and not scheduled and choice.alg is not Alg.confidence:
        raise UsageError(
            f"--alg {choice.alg} ranks for a schedule, and the preset {choice.preset} commits by confidence",
            hint="add --preset exact",
        )
    if choice.alg_temp is not None and (not scheduled or choice.alg is Alg.origin):
        raise UsageError("--alg-temp needs a ranked schedule", hint="add --preset exact, without --alg origin")
    if choice.top_p is not None and not 0 < choice.top_p <= 1:
        raise UsageError(f"--top-p {choice.top_p:g} is no share", hint="give a number above 0, at most 1")
    sampling = replace(
        policy.sampling,
        temperature=policy.sampling.temperature if choice.temperature is None else choice.temperature,
        top_p=policy.sampling.top_p if choice.top_p is None else choice.top_p,
        order=policy.sampling.order if choice.alg is None else choice.alg.value,
    )
    commit = policy.commit
    if choice.alg is Alg.origin:
        commit = Independent()
    elif isinstance(commit, TopK):
        commit = TopK(commit.schedule, choice.alg_temp or 0.0)
    return replace(
        policy,
        commit=commit,
        sampling=sampling,
        steps=choice.steps if scheduled else None,
        budget=None if scheduled else choice.steps,
        block=policy.block if choice.block is None else choice.block or None,
        seed=random.SystemRandom().randrange(10_000) if choice.seed is None else choice.seed,
    )
