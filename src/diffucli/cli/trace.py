"""`diffu trace`: the order in which a run was written, over its code, and in figures."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from diffucli.cli import options as flag
from diffucli.cli import streams
from diffucli.cli.journal import log_store
from diffucli.cli.log import RUN_HELP
from diffucli.cli.report import Report, tell
from diffucli.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from diffucli.trace.order import Cell, WriteOrder

By = Literal["step", "confidence", "remask"]
Piece = Callable[[int], bytes]
EXAMPLES = flag.examples(
    "diffu trace last --by confidence", 'diffu trace --compare --temp 0,0.6,1.2 "write a quicksort"'
)
WHAT_HELP = f"{RUN_HELP[:-1]}; with --compare, requests. (default: last)"
TEMPS = "0,0.2,0.6,1.0,1.2"
SPANS = (1, 2, 4, 8)  # k of AR-ness
BINS = 8  # rows of figures by step
COLOURS = ("#3b6fd4", "#2f8fc4", "#2aa198", "#4ca64c", "#9aa321", "#d0961f", "#dd7327", "#dc4b37")


def trace(
    what: Annotated[list[str] | None, typer.Argument(metavar="RUN", help=WHAT_HELP, show_default=False)] = None,
    by: Annotated[By, typer.Option("--by", help="What the colours show.")] = "step",
    candidate: Annotated[
        int, typer.Option("--candidate", metavar="N", min=1, max=32, help="Which of the candidates of -n.")
    ] = 1,
    compare: Annotated[
        bool, typer.Option("--compare", metavar=flag.FLAG, help="Write answers to requests at several temperatures.")
    ] = False,
    temps: Annotated[str, typer.Option("--temp", metavar="T,T", help="Temperatures for --compare.")] = TEMPS,
    length: Annotated[
        int, typer.Option("--length", metavar="N", min=8, max=1024, help="Masks of each answer of --compare.")
    ] = 96,
    seed: flag.Seed = None,
    model: flag.Model = None,
    as_json: flag.Json = False,
) -> None:
    """Show in which order a run was written, as a heat map over its code, and how near it is to left to right.

    AR-ness (arXiv 2506.20639): local @k is the share of tokens that continue the k tokens written just before, global
    @k that of tokens that took one of the k leftmost masks. Tokens of one step count by their scores.
    """
    if compare:
        _compare(what or [], _temperatures(temps), length=length, seed=seed, model=model, by=by, as_json=as_json)
        return
    if len(what or []) > 1:
        raise UsageError("one run is shown at a time", hint="--compare takes several requests")
    from diffucli.trace import file
    from diffucli.trace.order import order_of

    loaded = file.load(log_store().find((what or ["last"])[0]))
    orders = [(take.job.file, order_of(take.of(candidate - 1))) for take in loaded.takes]
    if not any(order.steps for _, order in orders):
        raise UsageError(f"nothing was written by candidate {candidate} of this run", hint="leave --candidate out")
    entropies = loaded.header.get("policy", {}).get("order") == "entropy"
    if as_json:
        values = [{"file": name, **_values(order, entropies=entropies)} for name, order in orders]
        Report(json=True).object("diffu.order/1", 0, takes=values)
        return
    for name, order in orders:
        if name:
            tell(name)
        _draw(heat_map(order, loaded.reader.piece, by))
        for line in _lines(order, by, entropies=entropies):
            tell(line)


def heat_map(order: WriteOrder, piece: Piece, by: By) -> Text:
    """The code, each token in the colour of its value; in front of each line, the steps that wrote it."""
    from rich.text import Text

    from diffucli.ui.pen import Pen, standalone

    pen = Pen(sys.stdout.encoding or "ascii")
    places: list[int] = []  # of each character, the cell that it is from
    for at in range(*order.shown):
        cell, before = order.cells[at], pen.length
        if cell.token == order.mask:
            pen.glyph("" if order.is_closed else "?", "?")
        elif cell.token not in order.ends:
            raw = piece(cell.token)
            pen.write(raw, standalone(raw, sys.stdout.encoding or "ascii"), "?")
        places += [at] * (pen.length - before)
    sheet, begin = pen.sheet(), 0
    places += places[-1:] * (len(sheet.text) - len(places))
    lines = sheet.text.rstrip().split("\n")
    found = Text(no_wrap=True)
    width = len(str(len(order.steps)))
    for line in lines:
        cells = [order.cells[at] for at in places[begin : begin + len(line)]]
        steps = [cell.step for cell in cells if cell.step]
        gutter = f"{min(steps):>{width}}-{max(steps):<{width}}" if steps else " " * (2 * width + 1)
        found.append(f"{gutter} │ ", style="dim")
        for colour, run in groupby(zip(line, cells, strict=True), key=lambda pair: _colour(pair[1], order, by)):
            found.append("".join(char for char, _ in run), style=colour)
        found.append("\n")
        begin += len(line) + 1
    return found


def _colour(cell: Cell, order: WriteOrder, by: By) -> str:
    if not cell.step:
        return "dim"
    most = max(each.remasked for each in order.cells) or 1
    share = {
        "step": (cell.step - 1) / max(len(order.steps) - 1, 1),
        "confidence": 1 - cell.confidence,
        "remask": cell.remasked / most,
    }[by]
    return COLOURS[min(int(share * len(COLOURS)), len(COLOURS) - 1)]


def _draw(what: RenderableType) -> None:
    """Prints in colours where stdout is a terminal that has them."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    console.print(what, end="")


def _lines(order: WriteOrder, by: By, *, entropies: bool) -> list[str]:
    """The legend and the figures."""
    ends = {
        "step": ("first step", "last"),
        "confidence": ("sure", "unsure"),
        "remask": ("never", "most often masked again"),
    }
    count, steps = len(order.written()), len(order.steps)
    lines = [f"colours: from {ends[by][0]} (blue) to {ends[by][1]} (red); in front of a line, the steps that wrote it"]
    text = len(order.written(with_ends=False))
    lines.append(f"{count} tokens in {steps} steps, {count / max(steps, 1):.1f} a step; {text} of them are text")
    lines.append(f"{'AR-ness':26}" + "".join(f"{f'@{k}':>7}" for k in SPANS))
    for name, values in _ar_table(order).items():
        lines.append(f"{name:26}" + "".join(f"{'' if value is None else f'{value:.2f}':>7}" for value in values))
    lines.append(f"{'steps':>12} {'tokens/step':>12} {'confidence':>11}" + (f"{'entropy':>9}" if entropies else ""))
    size = math.ceil(steps / BINS) or 1
    for start in range(0, steps, size):
        part = order.steps[start : start + size]
        tokens = sum(step.tokens for step in part)
        sure = sum(step.confidence * step.tokens for step in part) / tokens
        line = f"{f'{start + 1}-{start + len(part)}':>12} {tokens / len(part):12.1f} {sure:11.3f}"
        if entropies:
            line += f"{-sum(step.score * step.tokens for step in part) / tokens:9.3f}"
        lines.append(line)
    return lines


def _ar_table(order: WriteOrder) -> dict[str, list[float | None]]:
    """AR-ness at each of SPANS, with and without what ends or pads the text."""
    from diffucli.trace.order import ar_ness

    found: dict[str, list[float | None]] = {}
    for name, with_ends in (("of the text", False), ("with its padding", True)):
        values = [ar_ness(order, k, with_ends=with_ends) for k in SPANS]
        found[f"local, {name}"] = [each.local if each else None for each in values]
        found[f"global, {name}"] = [each.overall if each else None for each in values]
    return found


def _values(order: WriteOrder, *, entropies: bool) -> dict[str, object]:
    """The figures as plain values."""
    from diffucli.trace.order import ar_ness

    def both(*, with_ends: bool) -> dict[str, object]:
        values = {k: ar_ness(order, k, with_ends=with_ends) for k in SPANS}
        return {str(k): each and {"local": each.local, "global": each.overall} for k, each in values.items()}

    order_ = order.written()
    steps = [
        {"tokens": step.tokens, "confidence": step.confidence, **({"entropy": -step.score} if entropies else {})}
        for step in order.steps
    ]
    return {
        "tokens": len(order_),
        "text": len(order.written(with_ends=False)),
        "ar_ness": {"text": both(with_ends=False), "all": both(with_ends=True)},
        "order": order_,
        "steps": steps,
    }


def _temperatures(text: str) -> list[float]:
    try:
        found = [float(each) for each in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 <= each <= 10 for each in found):  # noqa: PLR2004 — the range of --temp
        raise UsageError(f"--temp {text}: no list of temperatures", hint=f"such as {TEMPS}")
    return found


def _compare(
    requests: list[str],
    temperatures: list[float],
    *,
    length: int,
    seed: int | None,
    model: str | None,
    by: By,
    as_json: bool,
) -> None:
    """Writes each request at each temperature, one token a step, and shows the orders side by side."""
    if not requests:
        raise UsageError("--compare needs a request", hint='such as "write a quicksort"')
    from diffucli.cli import session

    choice = flag.Choice(model=model, preset=flag.Preset.exact, seed=seed)
    opened = session.begin(choice, Report(quiet=True), flag.Showing(live="never", no_log=True))
    from rich.columns import Columns
    from rich.panel import Panel

    from diffucli.decode.loop import alone
    from diffucli.tasks.engine import Effort
    from diffucli.tasks.generate import Request, generate
    from diffucli.trace.order import order_of

    rows, family = [], opened.checkpoint.family
    for request in requests:
        panels = []
        for temperature in temperatures:
            policy = replace(choice, temperature=temperature, seed=opened.policy.seed).decoding().policy(family)
            task = generate(
                opened.checkpoint,
                Request(streams.words(request, name="the request"), length=length),
                policy,
                effort=Effort(repair=0, doubt=False),
            )
            order = order_of(alone(opened.checkpoint.network, task))  # type: ignore[arg-type]
            values = {"request": request, "temperature": temperature, **_values(order, entropies=True)}
            rows.append(values)
            panels.append(Panel(heat_map(order, opened.checkpoint.tokenizer.piece, by), title=f"T {temperature:g}"))
        if not as_json:
            _draw(Columns(panels))
            tell(f"{request!r}, AR-ness of the text:")
            for row in rows[-len(temperatures) :]:
                tell(_compared(row))
    if as_json:
        Report(json=True).object("diffu.orders/1", 0, seed=opened.policy.seed, runs=rows)


def _compared(row: dict[str, object]) -> str:
    ar: dict[str, dict[str, float] | None] = row["ar_ness"]["text"]  # type: ignore[index]
    named = (f"{name} @1 {found[name]:.2f}" for name in ("local", "global") if (found := ar["1"]))
    return f"  T {row['temperature']:<4g} {' · '.join(named)} · {row['text']} tokens"
