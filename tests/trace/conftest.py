"""What the tests of traces share: runs as they happen, made by hand, and a vocabulary of one's own."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest

from diffucli.events import Beside, Finished, Resized, Started, Stepped
from diffucli.trace.file import Trace, gathered, read
from diffucli.trace.form import SCHEMA, LineWriter, Reader, TraceJob, job_line, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from diffucli.events import Event, Happening

MASK, END = 900, 901
HEADER = {"schema": SCHEMA, "id": "0a1b2c", "time": 1.8e9, "command": "gen", "request": "x", "model": "m", "seed": 3}
ENDING = {"schema": "diffu.run/1", "status": 0, "text": "x = 1\n", "parses": True}


def piece(token: int) -> bytes:
    """Every byte, some characters of several tokens, and text that is markup elsewhere."""
    special = {300: "é".encode()[:1], 301: "é".encode()[1:], 302: b"</script>", 303: "\u202e".encode(), 304: b"\x1b[2J"}
    return special.get(token, bytes([token]) if token < 256 else b"<|%d|>" % token)


def make_run(seed: int, *, length: int = 30, resizes: bool = True) -> list[Happening]:
    """A run of any kind: commits, remasks and changes of length, in several holes, as the loop tells them."""
    draw = random.Random(seed)
    tokens = [draw.randrange(32, 127) for _ in range(length)]
    holes = [(3, length // 2), (length // 2 + 2, length - 1)]
    for start, stop in holes:
        tokens[start:stop] = [MASK] * (stop - start)
    events: list[Happening] = [Started(tuple(tokens), MASK, tuple(holes), (1, length), frozenset({END}))]
    seconds = nfe = 0.0
    for step in range(1, 3 * length):
        masks = [at for at, token in enumerate(tokens) if token == MASK]
        written = [at for a, b in holes for at in range(a, b) if tokens[at] != MASK]
        if not masks:
            break
        again = draw.sample(written, min(len(written), draw.choice((0, 0, 0, 1))))
        chosen = sorted(draw.sample(masks, min(len(masks), draw.choice((1, 1, 2, 5)))))
        new = [draw.choice((*range(10, 127), 200, 300, 301, 302, 303, 304, END)) for _ in chosen]
        for at in again:
            tokens[at] = MASK
        for at, token in zip(chosen, new, strict=True):
            tokens[at] = token
        logprobs = tuple(-draw.random() for _ in chosen)
        scores = tuple(map(math.exp, logprobs)) if draw.random() < 0.5 else tuple(draw.random() for _ in chosen)
        seconds, nfe = seconds + draw.random() / 50, nfe + draw.choice((1.0, 1.0, 0.25))
        left = tokens.count(MASK)
        events.append(
            Stepped(
                step,
                tuple(chosen),
                tuple(new),
                scores,
                (min(masks), length),
                left,
                nfe,
                seconds,
                tuple(again),
                logprobs,
            )
        )
        if resizes and draw.random() < 0.2:
            delta, at = draw.choice((1, 2, -1)), holes[0][0]
            if delta > 0:
                tokens[at:at] = [MASK] * delta
            elif holes[0][1] - holes[0][0] > 2:
                del tokens[at]
            else:
                continue
            holes = [(holes[0][0], holes[0][1] + delta), (holes[1][0] + delta, holes[1][1] + delta)]
            length += delta
            events.append(Resized(at, delta, tuple(holes), tokens.count(MASK)))
    events.append(Finished(tuple(tokens), "budget" if MASK in tokens else "complete", nfe, seconds, tuple(holes)))
    return events


def make_lines(*events: Iterable[Event], ending: dict[str, object] | None = ENDING) -> list[bytes]:
    """A trace of several files, as lines."""
    writer = LineWriter(piece)
    values = [HEADER]
    for number, each in enumerate(events):
        values += [
            job_line(TraceJob("python", f"{number}.py")),
            *(line for event in each for line in writer.lines(event)),
        ]
    return [to_json(line) for line in (*values, *([ending] if ending else []))]


@pytest.fixture
def a_run() -> Callable[..., list[Happening]]:
    """Makes a run of a seed."""
    return make_run


@pytest.fixture
def lines_of() -> Callable[..., list[bytes]]:
    """Makes the lines of the trace of a command that filled several files."""
    return make_lines


@pytest.fixture
def parsed() -> Callable[[Iterable[bytes]], Trace]:
    """Makes a trace of lines."""

    def made(lines: Iterable[bytes]) -> Trace:
        reader = Reader("run")
        return gathered(reader, read(reader, lines))

    return made


@pytest.fixture
def beside() -> list[Event]:
    """Two candidates, as they happen side by side."""
    first, second = make_run(1), make_run(2)
    mixed: list[Event] = []
    for number in range(max(len(first), len(second))):
        mixed += first[number : number + 1]
        mixed += [Beside(1, event) for event in second[number : number + 1]]
    return mixed
