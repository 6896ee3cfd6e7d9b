"""A command's model: options become a loaded checkpoint and a policy, and tasks are run with it, live where wanted."""

from __future__ import annotations

import gc
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from os import environ
from typing import TYPE_CHECKING, Any, TypeVar

from diffucli import files
from diffucli.cli.report import framed
from diffucli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from diffucli.cli.journal import Journal
    from diffucli.cli.options import Choice, Showing
    from diffucli.cli.report import Report
    from diffucli.decode.loop import Run
    from diffucli.decode.policy import Policy
    from diffucli.model.adapter import Adapter
    from diffucli.model.load import Checkpoint
    from diffucli.model.registry import Entry
    from diffucli.syntax.languages import Language
    from diffucli.ui.theme import Theme

T = TypeVar("T")
DAY = 86_400.0  # seconds
SLOW = 0.25  # seconds for which --slow shows each step


@dataclass(frozen=True, slots=True)
class Session:
    """A loaded checkpoint and the policy to write by, a preset with changes.

    adapter: what runs beside its weights, if anything. load_seconds: of loading it. showing: how runs are shown.
    theme: that of the terminal.
    """

    entry: Entry
    adapter: Entry | None
    checkpoint: Checkpoint
    preset: str
    policy: Policy
    load_seconds: float
    showing: Showing
    theme: Theme
    report: Report
    journal: Journal

    def values(self) -> dict[str, Any]:
        """What --json says of it."""
        temperature = self.policy.sampling.temperature
        adapter = {"adapter": self.adapter.name} if self.adapter else {}
        return {"model": self.entry.name, **adapter, "preset": self.preset, "temperature": temperature}

    def tell_limits(self, language: Language, words: str, contexts: Sequence[str] = ()) -> None:
        """Says what is asked for that the model was not trained for: a request with texts to be read with it."""
        from diffucli.tasks.limits import exceeded

        tokenizer = self.checkpoint.tokenizer
        for limit in exceeded(self.entry.limits, tokenizer, language=language, words=words, contexts=contexts):
            self.report.warn(f"{self.entry.name} {limit}")

    def run(self, task: Run[T], *, language: str, file: str | None = None, candidates: int = 1) -> T:
        """Runs a task to its end, drawn on the terminal where that is wanted; its result. Raises NoRoom.

        file: the name of the file that it is for. candidates: that are written, of which the first one is drawn.
        """
        from diffucli.decode.lanes import watched
        from diffucli.decode.loop import alone
        from diffucli.trace.form import TraceJob
        from diffucli.ui import View, pull, show

        network = self.checkpoint.network
        self.journal.take(TraceJob(language, file))
        before, events = network.trouble, alone(network, watched(task, self.journal.take))
        if not self.is_live:
            result = pull(events)
        else:
            title = files.real(self.entry.folder).name + (f", 1 of {candidates} candidates" if candidates > 1 else "")
            view = View(language, title, theme=self.theme)
            hold = SLOW if self.showing.slow else 0.0
            result = show(events, self.checkpoint.tokenizer.piece, view=view, fps=self.showing.fps, hold=hold)
        if network.trouble != before:
            self.report.note(network.trouble)
        return result

    def end(
        self, status: int, values: dict[str, Any], *, kept: dict[str, Any] | None = None, told: bool = True
    ) -> None:
        """Prints the object of --json where that is wanted, and keeps it in the trace with what is to be `kept`.

        told: False, if something else was printed.
        """
        values = {"log": self.journal.id if self.journal.kept else None, **self.values(), **values}
        self.journal.ending = framed("diffu.run/1", status, {**values, **(kept or {})})
        if self.report.json and told:
            self.report.object("diffu.run/1", status, **values)

    @property
    def is_live(self) -> bool:
        """Whether runs are drawn."""
        from diffucli.ui import wants_live

        return not (self.report.quiet or self.report.json) and wants_live(sys.stderr, self.showing.live, environ)


def begin(choice: Choice, report: Report, showing: Showing) -> Session:
    """The session for these options; the model is loaded when this returns. Raises ModelError, UsageError."""
    from diffucli.cli.journal import Journal
    from diffucli.cli.progress import loading

    begun, theme = time.perf_counter(), _theme(showing, report)
    with loading(report, showing.live) as tell, _without_garbage_collection():
        from diffucli.model import registry

        entry = registry.find(choice.model)
        adapter = None if choice.adapter is None else registry.find_adapter(choice.adapter)
        checkpoint, policy = _load(choice, entry, adapter, tell)
    if entry.limits.purpose and report.tells_notices and _is_due(f"{entry.name}-notice"):
        from diffucli.model.advice import invitation
        from diffucli.model.load import find_device

        report.notice(f"{entry.name} is {entry.limits.purpose}; {invitation(str(find_device('auto')))}")
    if why := _other_base(entry, checkpoint.adapter):
        report.warn(why)
    revision = entry.record.revision if entry.record else ""
    header: dict[str, Any] = {"model": entry.name, "revision": revision or None, "preset": choice.preset.value}
    header |= {"adapter": adapter.name} if adapter else {}
    header |= {"seed": policy.seed, "policy": _plain(policy)}
    journal = Journal(header, checkpoint.tokenizer.piece, report, kept=not showing.no_log, prints=showing.jsonl)
    spent = time.perf_counter() - begun
    session = Session(entry, adapter, checkpoint, choice.preset, policy, spent, showing, theme, report, journal)
    if showing.slow and not session.is_live:
        raise UsageError(
            "--slow needs the live view, on a terminal", hint="leave it out; diffu replay shows a run again"
        )
    return session


def _load(
    choice: Choice, entry: Entry, adapter: Entry | None, tell: Callable[[str], object]
) -> tuple[Checkpoint, Policy]:
    """The checkpoint of a model, with an adapter beside it, and the policy. tell: gets what is being done."""
    name = files.real(entry.folder).name
    tell(f"{name}: importing torch")
    from diffucli.model.load import load, settle_threads

    options = choice.decoding()
    options.policy()  # refuses what no model can honour before one is loaded
    checkpoint = load(
        entry.folder,
        device=choice.device,
        quant=choice.quant,
        adapter=adapter.folder if adapter else None,
        tell=lambda stage: tell(f"{name}: {stage}"),
    )
    settle_threads(checkpoint)
    tell(f"{name}: laying out the canvas")
    from diffucli.tasks import fill, generate  # noqa: F401 — so that the first frame comes as soon as this is gone
    from diffucli.tasks.engine import fitted

    return checkpoint, fitted(options.policy(checkpoint.family), checkpoint)


def _other_base(entry: Entry, adapter: Adapter | None) -> str:
    """What is to be said of an adapter that was made for another model of the same shape; "" if it was not."""
    from diffucli.model.names import is_same

    base, source = adapter.base if adapter else "", entry.record.source if entry.record else ""
    if not base or not source or is_same(base, source):
        return ""
    return f"the adapter was made for {base}, and {entry.name} is {source}"


def _theme(showing: Showing, report: Report) -> Theme:
    """The theme for what is shown; the terminal is asked for it only if something is."""
    if showing.theme != "auto":
        return showing.theme
    if report.json or not (sys.stderr.isatty() or sys.stdout.isatty()):
        return "dark"
    from diffucli.ui.theme import theme_of

    return theme_of(environ)


def _plain(policy: Policy) -> dict[str, Any]:
    """A policy as plain values."""
    return asdict(policy.sampling) | {
        "commit": str(policy.commit),
        "steps": policy.steps,
        "budget": policy.budget,
        "block": policy.block,
        "by_line": policy.by_line,
        "cache": policy.cache,
        "speculate": policy.speculate,
        "ends": policy.ends,
    }


def _is_due(name: str) -> bool:
    """Whether a notice was not told within a day, by the time of a file in the state folder, which is renewed."""
    from diffucli.edit.undo import default_root

    stamp = default_root().parent / name
    try:
        if 0 <= time.time() - stamp.stat().st_mtime < DAY:
            return False
    except OSError:
        pass
    with suppress(OSError):  # it is told again then
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.touch()
    return True


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """No garbage collection inside, which costs a fifth of all imports, nor later of what exists at the end."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
