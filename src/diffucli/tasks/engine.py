"""Composition: a request becomes a canvas, a policy and a stream of events, and the last canvas becomes text.

Knows nothing of terminals, files or syntax.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from diffucli.decode.canvas import Canvas
from diffucli.decode.caution import Cautious, within_memory
from diffucli.decode.loop import denoise
from diffucli.decode.predict import predictor
from diffucli.decode.sample import Rules
from diffucli.decode.speculate import Speculative
from diffucli.errors import UsageError
from diffucli.events import Started
from diffucli.tasks import prompt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from diffucli.decode.policy import Policy
    from diffucli.decode.predict import Batched
    from diffucli.events import Event, Finished
    from diffucli.model.load import Checkpoint
    from diffucli.tasks.prompt import Layout

ANSWER = 256  # masks for an answer when no length is asked for
FREE = 40  # masks for a hole of free length
STRETCH = 2  # a canvas may be this many times what the checkpoint was trained for
LINES = re.compile(r"[^\n]*\n|[^\n]+")  # with their ends; str.splitlines knows ends that no editor counts
CLOSING = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Gap:
    """A hole in a file: the text that stood there, and bounds on the tokens of the new one (None: free)."""

    old: str = ""
    low: int | None = None
    high: int | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A run that has not begun: pull `events`, then ask what was written."""

    layout: Layout
    events: Iterator[Event]
    ends: frozenset[int]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Engine:
    """A checkpoint at work by a policy."""

    checkpoint: Checkpoint
    policy: Policy

    def generate(self, query: str, *, tag: str = "python", length: int | None = None, least: int = 0) -> Run:
        """A run that writes code in the language `tag` as the answer to `query`; `length` masks at most, 256 if None.

        least: tokens before which the answer may not end. Raises UsageError where prompt and canvas are longer than the
        checkpoint can take.
        """
        words = self.checkpoint.tokenizer
        laid = prompt.answer(words, query, tag=tag, length=length or ANSWER)
        note = self._fits(len(laid.tokens))
        ends = words.ends | words.fences
        forbidden = words.specials - words.ends
        needed = frozenset(range(laid.holes[0].start, laid.holes[0].start + least))
        rules = self._rules(forbidden, ends, needed)
        return self._run(laid, rules, ends, note)

    def answer_of(self, run: Run, final: Finished) -> tuple[str, bool]:
        """The code of a `generate` run, with one final newline, and whether it came to an end by itself."""
        hole = run.layout.holes[0]
        text, ended = self._read(final.tokens[hole.start : hole.stop])
        fence = CLOSING.search(text)
        if fence is not None:
            text, ended = text[: fence.start()], True
        text = text.lstrip("\n").rstrip()
        return (text + "\n" if text else ""), ended

    def fill(self, parts: Sequence[str], gaps: Sequence[Gap], *, query: str | None = None, tag: str = "python") -> Run:
        """A run that writes what stands between `parts`, all gaps in one canvas; `query` says what is wanted there.

        What lies far from the gaps is left out where the canvas would be too long; `note` says so. Raises UsageError
        where even the gaps and what is between them do not fit.
        """
        words = self.checkpoint.tokenizer
        sizes = [self._masks(gap) for gap in gaps]
        kept, note = self._near(parts, sum(sizes), query)
        laid = prompt.file(words, kept, sizes, query=query, tag=tag)
        note = self._fits(len(laid.tokens)) or note
        padded = self.checkpoint.hole_padding
        ends = frozenset({words.pad}) if padded else frozenset()
        needed = frozenset(
            position
            for hole, gap in zip(laid.holes, gaps, strict=True)
            for position in range(hole.start, hole.start + (gap.low or 1))
        )
        rules = self._rules(words.specials - ends, ends, needed)
        return self._run(laid, rules, ends, note)

    def pieces_of(self, run: Run, final: Finished, parts: Sequence[str]) -> tuple[str, ...]:
        """What each gap of a `fill` run now holds."""
        texts = (self._read(final.tokens[hole.start : hole.stop])[0] for hole in run.layout.holes)
        return tuple(prompt.outside(part, text).rstrip() for part, text in zip(parts, texts, strict=False))

    def _rules(self, forbidden: frozenset[int], ends: frozenset[int], needed: frozenset[int]) -> Rules:
        words = self.checkpoint.tokenizer
        lines = words.line_ends if self.policy.by_line else ()
        return Rules(
            tuple(sorted(forbidden)), words.vocab_size, ends=tuple(sorted(ends)), needed=needed, line_ends=lines
        )

    def _run(self, laid: Layout, rules: Rules, ends: frozenset[int], note: str) -> Run:
        network, policy = self.checkpoint.network, self.policy
        tokens = torch.tensor(laid.tokens, device=network.device)
        stops = ends if policy.stop else frozenset()
        canvas = Canvas(tokens, laid.holes, mask=self.checkpoint.tokenizer.mask, ends=stops)

        def stepwise() -> Batched:
            return predictor(network, cache=policy.cache, suffix=policy.suffix)

        def speculative() -> Speculative:
            return Speculative(stepwise(), policy, rules)

        forward = Cautious(speculative, stepwise) if policy.speculate else Cautious(stepwise)
        return Run(laid, within_memory(_shown(denoise(canvas, forward, policy, rules), laid, ends)), ends, note)

    def _read(self, tokens: Sequence[int]) -> tuple[str, bool]:
        """Text up to the first end token, and whether there was one; masks that are left say nothing."""
        words = self.checkpoint.tokenizer
        end = next((i for i, token in enumerate(tokens) if token in words.ends), len(tokens))
        return words.decode([token for token in tokens[:end] if token != words.mask]), end < len(tokens)

    def _masks(self, gap: Gap) -> int:
        """How many masks a gap gets: what was asked for, else the old length and, where slack can be padded, more."""
        padded = self.checkpoint.hole_padding
        if gap.high is not None:
            low = gap.low or 1
            return gap.high if padded or low == gap.high else (low + gap.high) // 2
        old = len(self.checkpoint.tokenizer.encode(gap.old))
        if not old:
            return FREE
        return old + max(16, old // 2) if padded else old

    def _fits(self, length: int) -> str:
        """A note where a canvas is longer than the checkpoint knows; UsageError where it is far too long."""
        known = self.checkpoint.context
        if length > STRETCH * known:
            raise UsageError(
                f"prompt and canvas are {length} tokens long, more than the {STRETCH * known} the model can take",
                hint="give it less context, a smaller region or a smaller --length",
            )
        return f"{length} tokens, beyond the {known} the model was trained for" if length > known else ""

    def _near(self, parts: Sequence[str], masks: int, query: str | None) -> tuple[list[str], str]:
        """`parts` with as many lines before the first gap and after the last as fit into the checkpoint's length."""
        words = self.checkpoint.tokenizer
        inner = sum(len(words.encode(part)) for part in parts[1:-1])
        given = len(prompt.opening(words, query, "python")) + len(prompt.closing(words, query))
        room = max(self.checkpoint.context - masks - inner - given, 0)
        before, after = LINES.findall(parts[0])[::-1], LINES.findall(parts[-1])
        head = _fitting(words.encode, before, room * 2 // 3)
        tail = _fitting(words.encode, after, room - sum(len(words.encode(line)) for line in head))
        head = _fitting(words.encode, before, room - sum(len(words.encode(line)) for line in tail))
        note = _unseen(len(before) - len(head), len(after) - len(tail))
        return ["".join(head[::-1]), *parts[1:-1], "".join(tail)], note


def _shown(events: Iterator[Event], laid: Layout, ends: frozenset[int]) -> Iterator[Event]:
    """`events`, of which the first says what part of the canvas is shown and which tokens end a text."""
    for event in events:
        yield (
            replace(event, shown=(laid.shown.start, laid.shown.stop), ends=ends)
            if isinstance(event, Started)
            else event
        )


def _unseen(above: int, below: int) -> str:
    """What to say of the first `above` and the last `below` lines of a file, which are not in the canvas."""
    ends = [f"the {end} {count}" for end, count in (("first", above), ("last", below)) if count]
    return f"{' and '.join(ends)} lines far from the regions were left out of the model's view" if ends else ""


def _fitting(encode: prompt.Encode, lines: Sequence[str], room: int) -> list[str]:
    """The first of `lines` that fit into `room` tokens together; at least the first, which the gap touches."""
    kept: list[str] = []
    for line in lines:
        room -= len(encode(line))
        if room < 0 and kept:
            break
        kept.append(line)
    return kept
