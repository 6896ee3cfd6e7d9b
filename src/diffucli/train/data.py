"""What a user trains on: JSON lines of tasks with tests, or of examples to be learned; every fault names its line."""

from __future__ import annotations

import ast
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from diffucli import files
from diffucli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

T = TypeVar("T")
MAX_BYTES = 2_000_000_000  # of a file


@dataclass(frozen=True, slots=True)
class TrainingTask:
    """A request for code, and how an answer is judged.

    tests: statements that run behind the code, each by itself; `candidate` is the last function or class of the answer.
    columns: everything else in the row, for a user's own reward.
    """

    prompt: str
    tests: tuple[str, ...] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Example:
    """Code to be learned, with holes: half-open ranges of characters in `text`. prompt: a request in front of it.

    The whole text is the answer to the prompt if there are no holes. Without both, holes are drawn anew each time.
    """

    text: str
    prompt: str | None = None
    holes: tuple[tuple[int, int], ...] = ()


def read_tasks(path: Path, *, tested: bool = True) -> list[TrainingTask]:
    """The tasks in a file. tested: every task must have tests. UsageError: the file, or a line of it, is no such."""
    return _rows(path, lambda values: _task(values, tested=tested))


def read_examples(path: Path) -> list[Example]:
    """The examples in a file. UsageError: the file, or a line of it, is no such."""
    return _rows(path, _example)


def shuffled(items: Sequence[T], count: int, number: int, seed: int) -> list[T]:
    """Batch `number` of `count` items of an endless stream, in which each round has all items in another order."""
    places = range(number * count, (number + 1) * count)
    orders = {place // len(items): list(range(len(items))) for place in places}
    for each, order in orders.items():
        random.Random(f"{seed}/{each}").shuffle(order)
    return [items[orders[place // len(items)][place % len(items)]] for place in places]


def split_tests(text: str) -> tuple[str, ...]:
    """The asserts of `text`, each with the other statements before it. SyntaxError: it is not Python."""
    setup: list[str] = []
    found: list[str] = []
    for node in ast.parse(text).body:
        statement = ast.unparse(node)
        if isinstance(node, ast.Assert):
            found.append("\n".join([*setup, statement]))
        else:
            setup.append(statement)
    return tuple(found) or (text,)


def _rows(path: Path, read: Callable[[Mapping[str, Any]], T]) -> list[T]:
    try:
        lines = files.read_bytes(path, MAX_BYTES).splitlines()
    except (OSError, ValueError) as exc:
        raise UsageError(f"{path} cannot be read: {files.reason(exc)}", hint="name a file of JSON lines") from exc
    rows = list(_read(path, lines, read))
    if not rows:
        raise UsageError(f"{path} has no lines", hint="give it a JSON object a line")
    return rows


def _read(path: Path, lines: Sequence[bytes], read: Callable[[Mapping[str, Any]], T]) -> Iterator[T]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield read(files.parse_json(line))
            except ValueError as exc:
                raise UsageError(f"{path}, line {number}: {exc}", hint="see docs/training.md") from exc


def _task(values: Mapping[str, Any], *, tested: bool) -> TrainingTask:
    """ValueError: what is missing."""
    rest = {key: value for key, value in values.items() if key not in {"prompt", "tests"}}
    tests = _tests(values.get("tests"))
    if tested and not tests:
        raise ValueError('the task has no "tests", and no --reward judges it')
    return TrainingTask(_text(values, "prompt"), tests, rest)


def _tests(value: object) -> tuple[str, ...]:
    if not value:
        return ()
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise ValueError('"tests" must be a text of asserts, or a list of such texts')
    try:
        split = [split_tests(_whole(each, "tests")) for each in texts]
    except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
        raise ValueError(f'"tests" are not Python ({exc})') from exc
    return tuple(texts) if len(texts) > 1 else split[0]


def _example(values: Mapping[str, Any]) -> Example:
    """ValueError: what is missing."""
    if "completion" in values:
        return Example(_text(values, "completion"), _text(values, "prompt"))
    if "text" not in values:
        raise ValueError('the row has neither "prompt" and "completion" nor "text"')
    text = _text(values, "text")
    return Example(text, holes=_holes(values.get("holes", []), len(text)))


def _holes(value: object, length: int) -> tuple[tuple[int, int], ...]:
    pairs = value if isinstance(value, list) else None
    if pairs is None or not all(
        isinstance(pair, list) and len(pair) == 2 and all(type(edge) is int for edge in pair) for pair in pairs
    ):
        raise ValueError('"holes" must be a list of [start, stop], numbers of characters')
    edges = [0, *(edge for pair in sorted(pairs) for edge in pair), length]
    if edges != sorted(edges) or any(start == stop for start, stop in pairs):
        raise ValueError(f'"holes" must lie in the {length} characters of "text", and neither touch nor be empty')
    return tuple((start, stop) for start, stop in sorted(pairs))


def _text(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f'"{key}" must be a text')
    return _whole(value, key)


def _whole(text: str, key: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise ValueError(f'"{key}" holds half a surrogate pair') from exc
    return text
