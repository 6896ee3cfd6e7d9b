"""The form of a trace: events as lines of JSON, and back. docs/traces.md describes each line.

The first line is the header, the last one the object that `--json` prints; a run that was interrupted has no such line.
What is as expected is left out: a step's number, one forward, masks that become fewer by those committed.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from diffucli import files
from diffucli.errors import UsageError
from diffucli.events import Beside, Event, Finished, Happening, Reason, Resized, Started, Stepped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

SCHEMA, FAMILY = "diffu.trace/1", "diffu.trace/"
ENDINGS = ("diffu.run/1", "diffu.error/1")  # schemas of the last line
CANDIDATE = "diffu.candidate/1"  # schema of lines that --pick all prints in between; they are not part of a trace
MAX_LINE = 4_000_000  # bytes
MAX_LINES = 200_000
MAX_CANVAS = 1 << 18  # tokens
MAX_TOKEN = 1 << 31  # ids are below it
MAX_NUMBER = 1e12
SURE = 1e-3  # a score that is so near to the probability of its token is left out
WORST = -999.0  # the least log-probability and score that are written
DAMAGED = "it is damaged; diffu log list shows other traces"

Values = dict[str, Any]
Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class TraceJob:
    """What the events behind it are of: a file, or an answer, which has no file. language: for colours."""

    language: str
    file: str | None


@dataclass(frozen=True, slots=True)
class Ending:
    """The last line of a trace: what `--json` prints."""

    values: Values


Item = TraceJob | Event | Ending


@dataclass(slots=True)
class _Before:
    """What the next line of a candidate is relative to. ms: since its canvas began."""

    tokens: list[int] = field(default_factory=list)
    mask: int = -1
    window: Pair | None = None
    step: int = 0
    left: int = 0
    nfe: float = 0.0
    ms: int = 0


class LineWriter:
    """Turns events into the values of lines. pieces: gives a token's bytes."""

    def __init__(self, pieces: Callable[[int], bytes]) -> None:
        self._pieces = pieces
        self._told: set[int] = set()
        self._before: dict[int, _Before] = {}

    def lines(self, event: Event) -> Iterator[Values]:
        """The lines of an event: the bytes of tokens that are new, and the event itself."""
        sample, happening = (event.number, event.event) if isinstance(event, Beside) else (0, event)
        before = self._before.setdefault(sample, _Before())
        marked = {"sample": sample} if sample else {}
        match happening:
            case Started():
                yield from self._new({*happening.tokens, *happening.ends} - {happening.mask})
                self._before[sample] = _Before(mask=happening.mask)
                yield _started(happening) | marked
            case Stepped():
                yield from self._new(set(happening.tokens))
                yield _stepped(happening, before) | marked
            case Resized():
                before.left = happening.masks_left
                values = {"position": happening.position, "delta": happening.delta, "holes": happening.holes}
                yield {"event": "resized", **values, "left": happening.masks_left, **marked}
            case Finished():
                times = _spent(happening, before)
                yield {"event": "finished", "reason": happening.reason, "holes": happening.holes, **times, **marked}

    def _new(self, tokens: set[int]) -> Iterator[Values]:
        if new := sorted(tokens - self._told):
            self._told.update(new)
            yield {"event": "pieces", "of": {str(token): self._pieces(token).decode("latin-1") for token in new}}


def job_line(job: TraceJob) -> Values:
    """The line of a job."""
    return {"event": "job", "language": job.language, "file": job.file}


def to_json(values: Values) -> bytes:
    """A line, in ASCII, with its end."""
    return json.dumps(values, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _started(event: Started) -> Values:
    values: Values = {"event": "started", "tokens": event.tokens, "mask": event.mask, "holes": event.holes}
    if event.shown is not None:
        values["shown"] = event.shown
    return values | ({"ends": sorted(event.ends)} if event.ends else {})


def _stepped(event: Stepped, before: _Before) -> Values:
    logprobs = [_rounded(value) for value in event.logprobs]
    values: Values = {"event": "stepped", "positions": event.positions, "tokens": event.tokens, "logprobs": logprobs}
    if len(event.scores) != len(logprobs) or not all(
        abs(math.exp(logprob) - score) < SURE for logprob, score in zip(logprobs, event.scores, strict=True)
    ):
        values["scores"] = [_rounded(value) for value in event.scores]
    if event.remasked:
        values["remasked"] = event.remasked
    if event.window != before.window:
        values["window"] = before.window = event.window
    if event.step != before.step + 1:
        values["step"] = event.step
    if event.masks_left != before.left - len(event.positions) + len(event.remasked):
        values["left"] = event.masks_left
    before.step, before.left = event.step, event.masks_left
    return values | _spent(event, before)


def _spent(event: Stepped | Finished, before: _Before) -> Values:
    """Milliseconds since the event before, and the forwards where they are not one more."""
    ms = max(round(event.seconds * 1000), before.ms)
    values: Values = {"ms": ms - before.ms} if ms != before.ms else {}
    if event.nfe != before.nfe + isinstance(event, Stepped):
        values["nfe"] = round(event.nfe, 4)
    before.ms, before.nfe = ms, event.nfe
    return values


def _rounded(value: float) -> float:
    value = round(value, 4) if value > WORST else WORST
    return int(value) if value.is_integer() else value


class Reader:
    """Reads a trace line by line. name: of the trace, for messages. header, pieces: what the lines so far have told."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.header: Values = {}
        self.pieces: dict[int, bytes] = {}
        self.line = 0
        self._before: dict[int, _Before] = {}

    def piece(self, token: int) -> bytes:
        """The bytes of a token."""
        return self.pieces.get(token, b"")

    def take(self, line: bytes) -> Item | None:
        """What a line tells; None if it is the header, or the bytes of tokens. UsageError: it is no such line."""
        self.line += 1
        try:
            if len(line) > MAX_LINE or self.line > MAX_LINES:
                raise ValueError("it is too long")  # noqa: TRY301 — told as the other faults are
            return self._item(files.parse_json(line))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as exc:
            what = f"lacks {exc}" if isinstance(exc, KeyError) else " ".join(str(exc).split())
            raise UsageError(f"{self.name}, line {self.line}: no line of a trace ({what[:100]})", hint=DAMAGED) from exc

    def _item(self, values: Values) -> Item | None:
        if not self.header:
            self._begin(values)
            return None
        schema = values.get("schema")
        if schema in ENDINGS:
            return Ending(values)
        match values.get("event"):
            case "pieces":
                self.pieces |= {_id(int(token)): text.encode("latin-1") for token, text in values["of"].items()}
            case "job":
                return TraceJob(_text(values["language"]), None if values["file"] is None else _text(values["file"]))
            case "started" | "stepped" | "resized" | "finished" as kind:
                sample = _whole(values.get("sample", 0), 1 << 10)
                event = self._event(kind, values, sample)
                return Beside(sample, event) if sample else event
            case other if schema != CANDIDATE:
                raise ValueError(f"unknown event {str(other)[:40]!r}")
        return None

    def _begin(self, values: Values) -> None:
        """The header. UsageError: this is another file, or a trace of a form that is not known yet."""
        schema = str(values.get("schema"))[:40]
        if schema != SCHEMA:
            if schema.startswith(FAMILY):
                raise UsageError(f"{self.name}: a newer diffu wrote this trace ({schema})", hint="update diffu")
            raise UsageError(f"{self.name} is no trace", hint="diffu log list shows those that there are")
        self.header = values

    def _event(self, kind: str, values: Values, sample: int) -> Happening:
        if kind == "started":
            started = self._started(values)
            self._before[sample] = _Before(list(started.tokens), started.mask)
            return started
        before = self._before[sample]
        if kind == "stepped":
            return self._stepped(values, before)
        ms, nfe = _spent_until(values, before)
        if kind == "finished":
            return Finished(tuple(before.tokens), _reason(values["reason"]), nfe, ms / 1000, _spans(values, before))
        return _resized(values, before)

    def _started(self, values: Values) -> Started:
        tokens, mask = _whole_all(values["tokens"], MAX_TOKEN), _id(values["mask"])
        if len(tokens) > MAX_CANVAS:
            raise ValueError("the canvas is too long")
        ends = frozenset(_whole_all(values.get("ends", ()), MAX_TOKEN))
        self._require({*tokens} - {mask})
        before = _Before(list(tokens))
        shown = _span(values["shown"], len(tokens)) if "shown" in values else None
        return Started(tokens, mask, _spans(values, before), shown, ends)

    def _stepped(self, values: Values, before: _Before) -> Stepped:
        length = len(before.tokens)
        positions, tokens = _whole_all(values["positions"], length), _whole_all(values["tokens"], MAX_TOKEN)
        logprobs = _numbers(values["logprobs"])
        scores = _numbers(values["scores"]) if "scores" in values else tuple(map(math.exp, logprobs))
        if not len(positions) == len(tokens) == len(scores) or len(logprobs) not in {0, len(tokens)}:
            raise ValueError("lists of different lengths")
        self._require(tokens)
        remasked = _whole_all(values.get("remasked", ()), length)
        for position in remasked:
            before.tokens[position] = before.mask
        for position, token in zip(positions, tokens, strict=True):
            before.tokens[position] = token
        if "window" in values:
            before.window = _span(values["window"], length)
        before.step = _whole(values.get("step", before.step + 1))
        before.left = _whole(values.get("left", max(before.left - len(positions) + len(remasked), 0)))
        ms, nfe = _spent_until(values, before, forwards=1)
        window = before.window or (0, length)
        return Stepped(before.step, positions, tokens, scores, window, before.left, nfe, ms / 1000, remasked, logprobs)

    def _require(self, tokens: Iterable[int]) -> None:
        """ValueError: the bytes of a token are not known."""
        for token in tokens:
            if token not in self.pieces:
                raise ValueError(f"the text of token {token} is missing")


def _resized(values: Values, before: _Before) -> Resized:
    length, delta = len(before.tokens), values["delta"]
    if type(delta) is not int or delta == 0 or length + delta > MAX_CANVAS:
        raise ValueError("no change of length")
    position = _whole(values["position"], length + min(delta, 0) + 1)
    if delta > 0:
        before.tokens[position:position] = [before.mask] * delta
    else:
        del before.tokens[position : position - delta]
    before.window = before.window and (min(before.window[0], length + delta), min(before.window[1], length + delta))
    before.left = _whole(values["left"])
    return Resized(position, delta, _spans(values, before), before.left)


def _spent_until(values: Values, before: _Before, *, forwards: int = 0) -> tuple[int, float]:
    before.ms = _whole(before.ms + _whole(values.get("ms", 0)))
    before.nfe = _numbers([values.get("nfe", before.nfe + forwards)])[0]
    return before.ms, before.nfe


def _spans(values: Values, before: _Before) -> tuple[Pair, ...]:
    return tuple(_span(span, len(before.tokens)) for span in _list(values["holes"]))


def _span(values: object, length: int) -> Pair:
    start, stop = _whole_all(values, length + 1)
    if start > stop:
        raise ValueError("a range that ends before it begins")
    return start, stop


def _reason(value: object) -> Reason:
    if value not in {"complete", "end", "budget"}:
        raise ValueError("no reason for an end")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _list(values: object) -> Sequence[Any]:
    if not isinstance(values, list | tuple):
        raise TypeError("no list")
    return values


def _id(value: object) -> int:
    return _whole(value, MAX_TOKEN)


def _whole(value: object, below: int = int(MAX_NUMBER)) -> int:
    (number,) = _whole_all((value,), below)
    return number


def _whole_all(values: object, below: int) -> tuple[int, ...]:
    """Whole numbers from 0 up to `below`. ValueError: others are among them."""
    found = tuple(_list(values))
    for value in found:
        if type(value) is not int or not 0 <= value < below:
            raise ValueError("a number is out of range")
    return found


def _numbers(values: object) -> tuple[float, ...]:
    """Finite numbers of reasonable size. ValueError: others are among them."""
    found = tuple(_list(values))
    for value in found:
        if type(value) not in {int, float} or not -MAX_NUMBER < value < MAX_NUMBER:
            raise ValueError("a number is out of range")
    return found
