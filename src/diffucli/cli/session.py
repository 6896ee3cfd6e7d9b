"""A model at work for one command: options become a checkpoint, a policy and, run by run, a last canvas.

Knows how a run is shown; not what its text is for.
"""

from __future__ import annotations

import gc
import random
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import environ
from typing import TYPE_CHECKING

from diffucli.cli.options import Alg, Choice, Live
from diffucli.cli.report import Numbers, Report
from diffucli.errors import UsageError
from diffucli.events import Finished

__all__ = ["Choice", "Session", "begin", "policy_of"]

if TYPE_CHECKING:
    from collections.abc import Iterator

    from diffucli.decode.policy import Policy
    from diffucli.events import Event
    from diffucli.model.registry import Entry
    from diffucli.tasks.engine import Engine, Run


AGAIN = "writing it again with more care"
COLDEST = 1e-3  # temperatures below it are 0: logits divided by less overflow


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
        """Pulls the run to its end, live where that is wanted, and counts. Raises NoRoom."""
        if run.note:
            self.report.note(run.note)
        network = self.engine.checkpoint.network
        before = network.trouble
        final = self._pull(run, language)
        if network.trouble != before:
            self.report.note(network.trouble)
        mask = self.engine.checkpoint.tokenizer.mask
        written = [token for hole in run.layout.holes for token in final.tokens[hole.start : hole.stop]]
        left = written.count(mask) if final.reason == "budget" else 0
        if left:
            self.report.warn(f"--steps ended the run with {left} masks left, so parts of the text are missing")
        return final, Numbers(
            seed=self.engine.policy.seed,
            nfe=final.nfe,
            tokens=sum(token != mask and token not in run.ends for token in written),
            canvas=len(written),
            left=left,
            load=self.load_seconds,
            seconds=final.seconds,
        )

    def careful(self) -> Session | None:
        """The same session, writing with more care; None where the user said what the steps are."""
        from diffucli.decode.policy import careful

        policy = careful(self.engine.policy)
        return None if policy is None else replace(self, engine=replace(self.engine, policy=policy))

    def _pull(self, run: Run, language: str) -> Finished:
        from diffucli.ui import View, pull, show, wants_live

        events, silent = _finished(run.events), self.report.quiet or self.report.json
        if silent or not wants_live(sys.stderr, self.live.value, environ):
            return pull(events)
        view = View(language, self.entry.folder.resolve().name)
        return show(events, self.engine.checkpoint.tokenizer.piece, view=view, fps=self.fps)


def _finished(events: Iterator[Event]) -> Generator[Event, None, Finished]:
    """Yields `events`, closes them however this ends, and returns the last one."""
    last = None
    try:
        for last in events:
            yield last
    finally:
        if isinstance(events, Generator):
            events.close()
    assert isinstance(last, Finished), "a run ends with Finished"
    return last


def begin(choice: Choice, report: Report, *, live: Live, fps: float) -> Session:
    """The session that `choice` asks for; the model is loaded when this returns. Raises ModelError, UsageError."""
    from diffucli.model import registry

    begun = time.perf_counter()
    entry = registry.find(choice.model)
    with _uncollected():
        policy = policy_of(choice)
        from diffucli.model.load import load
        from diffucli.tasks.engine import Engine

        checkpoint = load(entry.folder, device=choice.device, quant=choice.quant.value)
    if entry.embedded:
        report.notice(f"{entry.name} is a small demonstration model for common Python tasks; {registry.INVITATION}")
    return Session(entry, Engine(checkpoint, policy), time.perf_counter() - begun, live, fps, report)


@contextmanager
def _uncollected() -> Iterator[None]:
    """No search for garbage meanwhile, which costs a fifth of all imports, nor later among what is there at the end."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def policy_of(choice: Choice) -> Policy:
    """The preset with what the flags change in it. UsageError: a flag that the preset cannot honour."""
    from diffucli.decode.commit import Independent, TopK
    from diffucli.decode.policy import PRESETS

    policy = PRESETS[choice.preset.value]
    scheduled = isinstance(policy.commit, TopK)
    _refuse(choice, scheduled=scheduled)
    sampling = replace(
        policy.sampling,
        temperature=_temperature(policy.sampling.temperature if choice.temperature is None else choice.temperature),
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
        by_line=choice.by_line,
        cache=policy.cache if choice.cache is None else choice.cache.value,
        seed=random.SystemRandom().randrange(10_000) if choice.seed is None else choice.seed,
        speculate=choice.speculate,
    )


def _refuse(choice: Choice, *, scheduled: bool) -> None:
    """UsageError: a flag that the preset, which follows a schedule or not, or another flag cannot honour."""
    if choice.alg is not None and not scheduled and choice.alg is not Alg.confidence:
        raise UsageError(
            f"--alg {choice.alg} ranks for a schedule, and the preset {choice.preset} commits by confidence",
            hint="add --preset exact",
        )
    if choice.by_line and scheduled:
        raise UsageError(
            "--by-line lets positions wait, which the schedule of exact cannot", hint="use balanced or fast"
        )
    if choice.alg_temp is not None and (not scheduled or choice.alg is Alg.origin):
        raise UsageError("--alg-temp needs a ranked schedule", hint="add --preset exact, without --alg origin")
    if choice.speculate and (choice.alg_temp or choice.alg is Alg.origin):
        flag = "--alg origin" if choice.alg is Alg.origin else "--alg-temp"
        raise UsageError(f"--speculate cannot guess the order that {flag} draws", hint="leave one of the two out")
    if choice.top_p is not None and not 0 < choice.top_p <= 1:
        raise UsageError(f"--top-p {choice.top_p:g} is no share", hint="give a number above 0, at most 1")


def _temperature(given: float) -> float:
    return 0.0 if given < COLDEST else given
