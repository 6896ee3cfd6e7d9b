"""Rows of a batch: JSON objects that ask for code or for the text of holes, checked before any model is loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from diffucli import files
from diffucli.edit import holes, source
from diffucli.errors import UsageError
from diffucli.syntax import languages
from diffucli.tasks.generate import DEFAULT_ANSWER_TOKENS
from diffucli.tasks.jobs import UNNAMED, Wanted, job_between, jobs_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from diffucli.tasks.jobs import Job

MAX_LINE_BYTES = 20_000_000
LONGEST = 65_536  # masks of an answer; longer than what any checkpoint takes
SEED_BITS = 63  # what torch's generator takes
DIGEST = 16  # hexadecimal digits


@dataclass(frozen=True, slots=True)
class GenRow:
    """Asks for new code. length: masks for the answer."""

    prompt: str
    language: str = "python"
    length: int = DEFAULT_ANSWER_TOKENS


@dataclass(frozen=True, slots=True)
class FillRow:
    """Asks for the text of the holes and regions of `text`; with `suffix` the only hole is between the two.

    regions, instruction, length: as `diffu fill` has -r, -p and --length.
    """

    text: str
    suffix: str | None = None
    regions: tuple[str, ...] = ()
    instruction: str | None = None
    language: str = "python"
    length: tuple[int, int] | None = None

    def job(self) -> Job:
        """What is to be filled. UsageError: nothing, or an impossible region."""
        if not (self.suffix is not None or self.regions or holes.find(self.text) or holes.near(self.text)):
            raise UsageError("the text has no ??? and the row no regions", hint='add "regions": ["10:40"], or a hole')
        wanted = Wanted(self.regions, language=self.language, length=self.length)
        if self.suffix is not None:
            return job_between(self.text, self.suffix, wanted)
        (job,) = jobs_of([(source.of_text(self.text), None)], wanted)
        return job


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A row of a batch. key: its id, or its digest. line: its number. digest: of what it asks. meta: goes along."""

    key: str
    line: int
    digest: str
    asks: GenRow | FillRow
    meta: Any = None


def read(lines: Iterable[bytes], name: str) -> list[TaskRow]:
    """The rows in the lines of a file called `name`; blank lines do not count.

    UsageError: there is none, a line is no row, or two have one id; it names the line.
    """
    found: dict[str, TaskRow] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = parse(line, number)
        except UsageError as exc:
            raise UsageError(f"{name}:{number}: {exc.message}", hint=exc.hint) from exc
        if (other := found.setdefault(row.key, row)) is not row:
            what = "asks the same" if row.key == row.digest else f"has the id {row.key!r}"
            message = f"{name}:{number}: {what} as line {other.line}"
            raise UsageError(message, hint='give each row an "id" of its own')
    if not found:
        raise UsageError(f"{name} holds no rows", hint='a row is an object in a line: {"prompt": "write a quicksort"}')
    return list(found.values())


def parse(line: bytes, number: int) -> TaskRow:
    """The row in a line. UsageError: it is none."""
    if len(line) > MAX_LINE_BYTES:
        raise UsageError("the line is too long", hint="a row has at most 20 MB")
    try:
        values = files.parse_json(line)
    except ValueError as exc:
        raise UsageError(f"no JSON object ({files.reason(exc)})", hint="write one object a line") from exc
    kind = next((kind for kind in KINDS if kind in values), None)
    if kind is None:
        raise UsageError(
            f"there is none of {', '.join(KINDS)}", hint='a request is {"prompt": "…"}, a text {"text": "…"}'
        )
    fields, make = KINDS[kind]
    for name in values:
        if name not in {*fields, *COMMON}:
            raise UsageError(f"a row with {kind} has no {name!r}", hint='what is to go along stands in "meta"')
    checked = {name: check(name, values[name]) for name, check in {**fields, **COMMON}.items() if name in values}
    asks = make(checked)
    if isinstance(asks, FillRow):
        _require_job(asks)
    digest = _digest({name: values[name] for name in fields if name in values})
    return TaskRow(str(checked.get("id", digest)), number, digest, asks, checked.get("meta"))


def _require_job(row: FillRow) -> None:
    """UsageError, which does not say that the text came on stdin: the row asks for nothing that can be filled."""
    try:
        row.job()
    except UsageError as exc:
        raise UsageError(exc.message.removeprefix(f"{UNNAMED}: "), hint=exc.hint) from exc


def seed_of(run_seed: int, key: str, sample: int) -> int:
    """The seed of a sample of a row: the same in every process and on every machine."""
    digest = hashlib.sha256(f"{run_seed}/{sample}/{key}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - SEED_BITS)


def _digest(values: Mapping[str, object]) -> str:
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST]


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{name} is no text", hint=f'write "{name}": "…"')
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise UsageError(f"{name} holds half a surrogate pair", hint="write it in UTF-8") from exc
    return value


def _words(name: str, value: object) -> str:
    text = _text(name, value).strip()
    if not text:
        raise UsageError(f"{name} is empty", hint='say what to write, such as "write a quicksort"')
    return text


def _language(_name: str, value: object) -> str:
    return languages.by_name(_text("language", value)).name


def _masks(name: str, value: object) -> int:
    if type(value) is not int or not 1 <= value <= LONGEST:
        raise UsageError(f"{name} {json.dumps(value)} is no number of tokens", hint=f"give one from 1 to {LONGEST}")
    return value


def _bounds(name: str, value: object) -> tuple[int, int]:
    if type(value) is int or isinstance(value, str):
        return holes.length(str(value), label=f"{name} {value}")
    raise UsageError(f"{name} {json.dumps(value)} is no length", hint='write 8, or "1-40"')


def _regions(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise UsageError(f"{name} is no list", hint='write "regions": ["10:40", "Cfg.load"]')
    return tuple(_text(name, each) for each in value)


def _id(name: str, value: object) -> str:
    if type(value) is int:
        return str(value)
    if not isinstance(value, str) or not value:
        raise UsageError(f"{name} is neither a text nor a whole number", hint='leave it out, or write "id": "a-1"')
    return _text(name, value)


def _meta(name: str, value: object) -> object:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError as exc:
        raise UsageError(
            f"{name} holds a number that JSON has not", hint="NaN and Infinity may stand in texts"
        ) from exc
    return value


def _gen(values: Mapping[str, Any]) -> GenRow:
    return GenRow(**_without_common(values))


def _fill(values: Mapping[str, Any]) -> FillRow:
    return FillRow(**_without_common(values))


def _between(values: Mapping[str, Any]) -> FillRow:
    given = _without_common(values)
    return FillRow(given.pop("prefix"), **{"suffix": "", **given})


def _without_common(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in COMMON}


Check = Callable[[str, object], Any]
COMMON: Mapping[str, Check] = {"id": _id, "meta": _meta}
_FILLING: Mapping[str, Check] = {"instruction": _words, "language": _language, "length": _bounds}
# The field that tells what a row asks for → the fields that it may have, and what is made of them.
KINDS: Mapping[str, tuple[Mapping[str, Check], Callable[[Mapping[str, Any]], GenRow | FillRow]]] = {
    "prompt": ({"prompt": _words, "language": _language, "length": _masks}, _gen),
    "text": ({"text": _text, "regions": _regions, **_FILLING}, _fill),
    "prefix": ({"prefix": _text, "suffix": _text, **_FILLING}, _between),
}
