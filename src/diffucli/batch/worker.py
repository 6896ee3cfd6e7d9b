"""Writes rows with a model of its own, many at once: they are runs of one driver."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from diffucli.batch.rows import FillRow, GenRow
from diffucli.decode.loop import Driver, Returned
from diffucli.errors import DiffuError, NoRoom, is_out_of_memory
from diffucli.executors.executor import Failure
from diffucli.model import load as loading
from diffucli.model import registry
from diffucli.syntax import languages
from diffucli.tasks.fill import fill
from diffucli.tasks.generate import Request, generate
from diffucli.tasks.write import Decode, default_decode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from diffucli.decode.loop import Run
    from diffucli.decode.policy import Policy
    from diffucli.model.config import Quant
    from diffucli.model.load import Checkpoint
    from diffucli.tasks.doubt import Doubt
    from diffucli.tasks.engine import Effort, Result
    from diffucli.tasks.verify import Verify

TOGETHER = 8  # rows that are written at a time


@dataclass(frozen=True, slots=True)
class SeededRow:
    """A row to be written with a seed."""

    asks: GenRow | FillRow
    seed: int


@dataclass(frozen=True, slots=True)
class WrittenRow:
    """What became of a row.

    text: the code, or the whole new text. pieces: of each hole. ended: it came to its end by itself. parses: None where
    nobody can judge it. refusal: why a command would not have written it, "" if it would. hint: what may help then.
    tokens: of text. nfe, seconds: forwards and wall time; those in which other rows were written too count in part.
    """

    text: str
    pieces: tuple[str, ...]
    ended: bool
    parses: bool | None
    refusal: str
    hint: str
    tokens: int
    nfe: float
    seconds: float
    doubt: Doubt


@dataclass(frozen=True, slots=True)
class RowWorker:
    """Writes seeded rows.

    model, adapter: names or folders. policy: how they are written, but for their seeds. effort: candidates and repairs.
    together: rows that are written at a time, if memory suffices.
    """

    model: str
    policy: Policy
    effort: Effort
    device: str = "auto"
    quant: Quant = "auto"
    verify: Verify = "error"
    together: int = TOGETHER
    adapter: str | None = None

    def __call__(self, items: Iterable[tuple[str, SeededRow] | None]) -> Iterator[tuple[str, WrittenRow | Failure]]:
        """The outcomes of rows by their keys. Raises ModelError: the model cannot be loaded."""
        adapter = registry.find_adapter(self.adapter).folder if self.adapter else None
        folder = registry.find(self.model).folder
        checkpoint = loading.load(folder, device=self.device, quant=self.quant, adapter=adapter)
        loading.settle_threads(checkpoint)
        yield from _Writing(self, checkpoint).rows(iter(items))


class _Writing:
    """The rows that a checkpoint is writing."""

    def __init__(self, how: RowWorker, checkpoint: Checkpoint) -> None:
        self._how, self._checkpoint, self._together = how, checkpoint, how.together
        self._driver: Driver[WrittenRow | Failure] = Driver(checkpoint.network)
        self._running: dict[int, tuple[str, SeededRow]] = {}
        self._seconds: dict[int, float] = {}
        self._again: deque[tuple[str, SeededRow]] = deque()  # memory ran out with them; each is written alone

    def rows(self, items: Iterator[tuple[str, SeededRow] | None]) -> Iterator[tuple[str, WrittenRow | Failure]]:
        """The outcomes of rows by their keys, as they come."""
        try:
            while self._join(items):
                try:
                    ended = self._step()
                except NoRoom as exc:
                    yield from self._with_less(exc)
                else:
                    yield from ended
        finally:
            self._drop()

    def _step(self) -> list[tuple[str, WrittenRow | Failure]]:
        """One step of all rows, whose time they share; the outcomes of those that end."""
        begun, together = time.perf_counter(), tuple(self._running)
        results = [(number, event.result) for number, event in self._driver.step() if isinstance(event, Returned)]
        share = (time.perf_counter() - begun) / len(together)
        for number in together:
            self._seconds[number] = self._seconds.get(number, 0.0) + share
        return [self._ended(number, result) for number, result in results]

    def _ended(self, number: int, result: WrittenRow | Failure) -> tuple[str, WrittenRow | Failure]:
        key, seconds = self._running.pop(number)[0], self._seconds.pop(number)
        return key, result if isinstance(result, Failure) else replace(result, seconds=seconds)

    def _join(self, items: Iterator[tuple[str, SeededRow] | None]) -> bool:
        """Starts rows until there are enough; False if there is nothing left to be done."""
        while len(self._running) < (1 if self._again else self._together):
            entry = self._again.popleft() if self._again else next(items, None)
            if entry is None:  # there are no more, or none yet
                break
            self._running[self._driver.add(self._run(entry[1]))] = entry
        return bool(self._running)

    def _with_less(self, error: NoRoom) -> Iterator[tuple[str, Failure]]:
        """Drops all rows after memory ran out; those that may do with less are written again, one by one."""
        entries = list(self._running.values())
        self._drop()
        self._driver = Driver(self._checkpoint.network)
        self._together = max(self._together // 2, 1)
        if len(entries) == 1:
            yield entries[0][0], _failure(error)
        else:
            self._again.extend(entries)

    def _drop(self) -> None:
        for number in self._running:
            self._driver.remove(number)
        self._running.clear()
        self._seconds.clear()

    def _run(self, row: SeededRow) -> Run[WrittenRow | Failure]:
        """Writes a row; what is wrong with it does not end the run of others."""
        try:
            policy = replace(self._how.policy, seed=row.seed)
            result = yield from writing(
                self._checkpoint, row.asks, policy, effort=self._how.effort, verify=self._how.verify
            )
            return written(result)
        except DiffuError as exc:
            return _failure(exc)
        except Exception as exc:
            if is_out_of_memory(exc):
                raise
            what = " ".join(f"{type(exc).__name__}: {exc}".split())
            return Failure(f"internal error: {what}", hint="report it with this row")


def writing(
    checkpoint: Checkpoint,
    asks: GenRow | FillRow,
    policy: Policy,
    *,
    effort: Effort,
    verify: Verify = "error",
    decode: Decode = default_decode,
) -> Run[Result]:
    """Writes what a row asks for. decode: our loop, or another in its place. DiffuError: it cannot be written."""
    match asks:
        case GenRow(prompt, language, length):
            request = Request(prompt, languages.by_name(language), length, verify=verify)
            return (yield from generate(checkpoint, request, policy, effort=effort, decode=decode))
        case FillRow(instruction=instruction):
            filling = fill(
                checkpoint, asks.job(), policy, instruction=instruction, verify=verify, effort=effort, decode=decode
            )
            return (yield from filling).result


def _failure(error: DiffuError) -> Failure:
    return Failure(error.message, error.hint, error.exit_code)


def written(result: Result) -> WrittenRow:
    """What became of the row whose result this is."""
    check = result.check
    return WrittenRow(
        text=result.text,
        pieces=result.pieces,
        ended=result.ended,
        parses=check.result.parses if check.result.checked else None,
        refusal=check.message if check.refused else "",
        hint=check.hint if check.refused else "",
        tokens=result.chosen.written.tokens,
        nfe=result.nfe,
        seconds=result.seconds,
        doubt=result.doubt,
    )
