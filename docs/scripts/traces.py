"""Holds traces against what they record: python docs/scripts/traces.py [CHECKPOINT] [--runs N] [--damaged N].

Runs of every preset with several holes, candidates, repairs, tokens that are masked again and holes that change their
length are recorded and replayed; a trace of 10,000 tokens is loaded and drawn; damaged traces are read.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import tracemalloc
from collections import Counter
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, ClassVar

import torch

from diffucli.decode.canvas import Canvas, Span
from diffucli.decode.commit import Decision, ranked
from diffucli.decode.loop import alone, denoise
from diffucli.decode.policy import PRESETS
from diffucli.decode.resize import Resizing
from diffucli.decode.sample import Constraints
from diffucli.edit import source
from diffucli.errors import UsageError
from diffucli.events import Beside, Finished, Resized, Started, Stepped, fold
from diffucli.model import registry
from diffucli.model.load import load
from diffucli.tasks.engine import Effort
from diffucli.tasks.fill import fill
from diffucli.tasks.generate import Request, generate
from diffucli.tasks.jobs import Wanted, jobs_of
from diffucli.trace import file
from diffucli.trace.form import SCHEMA, LineWriter, Reader, TraceJob, job_line, to_json
from diffucli.trace.player import Player
from diffucli.ui.terminal import Screen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torch import Tensor

    from diffucli.decode.commit import Progress
    from diffucli.decode.policy import Policy
    from diffucli.events import Event, Happening
    from diffucli.model.load import Checkpoint

HOLES = b"def f(a):\n    return ???\n\nb = ???3\nc = [???1-4]\n"
JOB = TraceJob("python", "app.py")
LENGTH = 24  # masks of an answer
LARGE = 10_000  # tokens
SIZE = (100, 40)  # of the terminal
PART = 50  # steps of each tenth that are timed


@dataclass(frozen=True, slots=True)
class Remasking:
    """Commits the best half, and masks a random quarter of what is written again, until its last step."""

    asks: ClassVar[str] = "hole"
    scheduled: ClassVar[bool] = True
    drawn: ClassVar[bool] = True

    def __call__(self, scores: Tensor, masked: Tensor, progress: Progress, rng: torch.Generator) -> Decision:
        """See `diffucli.decode.commit.Rule`."""
        order = ranked(scores)
        best = order[masked[order]]
        if progress.last:
            return Decision(best)
        again = ~masked & (torch.rand(len(scores), generator=rng) < 1 / 4)
        return Decision(best[: (len(best) + 1) // 2], again.nonzero()[:, 0])


def recorded(checkpoint: Checkpoint, kind: str, policy: Policy) -> list[Event]:
    """The events of a run of a kind of KINDS."""
    return list(alone(checkpoint.network, KINDS[kind](checkpoint, policy)))


def _answer(candidates: int) -> Callable[[Checkpoint, Policy], object]:
    effort = Effort(candidates=candidates)
    return lambda checkpoint, policy: generate(checkpoint, Request("x", length=LENGTH), policy, effort=effort)


def _filled(checkpoint: Checkpoint, policy: Policy) -> object:
    (job,) = jobs_of([(source.from_bytes(HOLES), Path("app.py"))], Wanted(language="python"))
    return fill(checkpoint, job, policy)


def _resized(checkpoint: Checkpoint, policy: Policy) -> object:
    canvas, mask = _two_holes(checkpoint)
    draw = random.Random(policy.seed)
    ids = draw.sample([token for token in range(checkpoint.tokenizer.vocab_size) if token != mask], 41)
    resizing = Resizing(ids[0], frozenset(ids[1:]), longest=60, budget=12)
    hot = replace(policy, sampling=replace(policy.sampling, temperature=3.0), cache="none")
    return denoise(canvas, hot, Constraints(forbidden=(mask,), resizing=resizing))


def _remasked(checkpoint: Checkpoint, policy: Policy) -> object:
    canvas, mask = _two_holes(checkpoint)
    return denoise(canvas, replace(policy, commit=Remasking(), steps=12), Constraints(forbidden=(mask,)))


def _two_holes(checkpoint: Checkpoint) -> tuple[Canvas, int]:
    tokens = torch.arange(40) % 200
    return Canvas(tokens, (Span(4, 16), Span(20, 36)), mask=checkpoint.tokenizer.mask), checkpoint.tokenizer.mask


KINDS: dict[str, Callable[[Checkpoint, Policy], object]] = {
    "an answer": _answer(1),
    "three candidates": _answer(3),
    "three holes of a file": _filled,
    "tokens masked again": _remasked,
    "holes that change their length": _resized,
}


def differs(events: Sequence[Event], checkpoint: Checkpoint) -> str:
    """How the replay of a run differs from the run; "" if it does not."""
    writer = LineWriter(checkpoint.tokenizer.piece)
    lines = [{"schema": SCHEMA}, job_line(JOB), *(line for event in events for line in writer.lines(event))]
    reader = Reader("recorded")
    data = file.compressed(map(to_json, lines))
    (take,) = file.gathered(reader, file.read(reader, file.lines_of(data, "recorded"))).takes
    lived = file.Take(JOB, list(events))
    for candidate in range(1 + max((each.number for each in events if isinstance(each, Beside)), default=0)):
        told, replayed = lived.of(candidate), take.of(candidate)
        text = _text(told, checkpoint.tokenizer.piece)
        if text != _text(replayed, reader.piece):
            return f"candidate {candidate}: another text"
        end = next((each.tokens for each in reversed(told) if isinstance(each, Finished)), fold(told))
        if text != b"".join(map(checkpoint.tokenizer.piece, end)):
            return f"candidate {candidate}: not the canvas of the end"
        if _last_frame(told, checkpoint.tokenizer.piece) != _last_frame(replayed, reader.piece):
            return f"candidate {candidate}: another picture"
    return ""


def _text(events: Iterable[Event], piece: Callable[[int], bytes]) -> bytes:
    return b"".join(map(piece, fold(events)))


def _last_frame(events: Iterable[Happening], piece: Callable[[int], bytes]) -> list[str]:
    player = Player(piece)
    for each in (JOB, *events):
        player.add(each)
    player.go(player.last)
    return ["".join(segment.text for segment in line) for line in player.frame.lines(SIZE[0])[:-1]]  # no footer


def runs(checkpoint: Checkpoint, count: int) -> list[str]:
    """Lines that say how `count` runs and their replays compare."""
    done, wrong, seen = Counter[str](), [], Counter[str]()
    for number in range(count):
        kind, preset = list(KINDS)[number % len(KINDS)], list(PRESETS)[number // len(KINDS) % len(PRESETS)]
        policy = replace(PRESETS[preset], seed=number)
        events = recorded(checkpoint, kind, policy)
        done[kind] += 1
        plain = [each.event if isinstance(each, Beside) else each for each in events]
        seen["masked again"] += sum(len(each.remasked) for each in plain if isinstance(each, Stepped))
        seen["changes of length"] += sum(isinstance(each, Resized) for each in plain)
        seen["canvases"] += sum(isinstance(each, Started) for each in plain)
        if difference := differs(events, checkpoint):
            wrong.append(f"run {number} ({kind}, {preset}): {difference}")
    kinds = ", ".join(f"{times} of {kind}" for kind, times in done.items())
    told = ", ".join(f"{times} {what}" for what, times in seen.items())
    return [*wrong, f"{count - len(wrong)} of {count} runs are replayed byte for byte: {kinds}; {told}"]


def large(tokens: int = LARGE) -> list[str]:
    """Lines that say how fast a trace of so many tokens, one a step, is loaded and drawn; in seconds of computing."""
    order = random.Random(0).sample(range(tokens), tokens)
    words = [b"value", b" = ", b"\n", b"(", b")", b"x", b", ", b"    "]
    writer = LineWriter(lambda token: words[token % len(words)])
    events: list[Event] = [Started((tokens,) * tokens, tokens, ((0, tokens),))]
    for step, at in enumerate(order, 1):
        events.append(
            Stepped(step, (at,), (at % 500,), (0.5,), (0, tokens), tokens - step, step, step / 50, (), (-0.693,))
        )
    lines = [{"schema": SCHEMA}, job_line(JOB), *(line for event in events for line in writer.lines(event))]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "large"
        path.write_bytes(file.compressed(map(to_json, lines)))
        size, loads = path.stat().st_size, []
        for _ in range(5):
            begun = time.process_time()
            trace = file.load(path)
            loads.append(time.process_time() - begun)
    player = Player(trace.reader.piece)
    for item in (JOB, *trace.takes[0].events):
        player.add(item)
    screen, frames = Screen(StringIO(), size=lambda: SIZE), []
    for step in [at for at in range(player.last + 1) if at % max(tokens // 10, 1) < PART]:
        if step - player.at > 1:
            player.go(step - 1)
        begun = time.process_time()
        player.go(step)
        screen.paint(player.frame)
        frames.append(1000 * (time.process_time() - begun))
    frames.sort()
    median, slow = frames[len(frames) // 2], frames[-1 - len(frames) // 100]
    return [
        f"a trace of {tokens:,} tokens, {size / tokens:.1f} bytes a token, is loaded in {min(loads):.2f} s",
        f"a step of it is drawn in {median:.1f} ms; 1 in 100 takes more than {slow:.1f} ms",
    ]


def damaged(draw: random.Random, lines: Sequence[bytes]) -> bytes:
    """A trace that is cut, has flipped bytes, wrong lengths or giant numbers."""
    kind, lines = draw.randrange(4), list(lines)
    whole = file.compressed(lines)
    if kind == 0:
        return whole[: draw.randrange(1, len(whole))]
    if kind == 1:
        flipped = bytearray(whole)
        for _ in range(draw.choice((1, 2, 8))):
            flipped[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        return bytes(flipped) if flipped != whole else whole[:-1]
    at = draw.choice([number for number, line in enumerate(lines) if b'"positions":[' in line])
    wrong = draw.choice((b"99999999,", b"-1,", b"1e300,", b"1" * 6000 + b",", b'"",', b"[[", b"null,"))
    what = b'"positions":[' if kind == 2 else b'"tokens":['  # noqa: PLR2004 — the last two kinds
    lines[at] = lines[at].replace(what, what + wrong)
    return file.compressed(lines) if draw.random() < 1 / 2 else b"".join(lines)


def read_damaged(data: bytes) -> tuple[str, int]:
    """What is said of a damaged trace, and the most bytes of memory that reading it took. "": nothing was wrong."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        path.write_bytes(data)
        tracemalloc.start()
        try:
            file.load(path)
        except UsageError as exc:
            return exc.message, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    return "", 0


def fuzz(checkpoint: Checkpoint, count: int) -> list[str]:
    """A line that says how `count` damaged traces were told."""
    writer = LineWriter(checkpoint.tokenizer.piece)
    events = recorded(checkpoint, "three candidates", PRESETS["balanced"])
    values = [{"schema": SCHEMA}, job_line(JOB), *(line for event in events for line in writer.lines(event))]
    lines = [to_json(each) for each in values]
    told = [read_damaged(damaged(random.Random(seed), lines)) for seed in range(count)]
    clear = sum(bool(message) and "\n" not in message for message, _ in told)
    most = max((memory for _, memory in told), default=0)
    return [f"{clear} of {count} damaged traces are told in a line; the most memory taken was {most / 1e6:.1f} MB"]


def main(argv: Sequence[str]) -> None:
    """Prints what was found."""
    parser = argparse.ArgumentParser(description="Hold traces against what they record.")
    parser.add_argument("checkpoint", type=Path, nargs="?", help="folder of a checkpoint; mini by default")
    parser.add_argument("--runs", type=int, default=200, metavar="N", help="runs to record and replay")
    parser.add_argument("--damaged", type=int, default=500, metavar="N", help="damaged traces to read")
    flags = parser.parse_args(argv)
    checkpoint = load(flags.checkpoint or registry.find("mini").folder)
    for line in (*runs(checkpoint, flags.runs), *fuzz(checkpoint, flags.damaged), *large()):
        print(line)


if __name__ == "__main__":
    main(sys.argv[1:])
