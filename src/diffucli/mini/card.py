"""The model card of mini, written from what was measured: its journal, its files and the tables of its evaluation.

Knows nothing of how an evaluation is made; the tables come as text.
"""

from __future__ import annotations

from dataclasses import asdict
from textwrap import fill
from typing import TYPE_CHECKING

from diffucli.mini import corpus, curve
from diffucli.mini.classics import classics
from diffucli.mini.recipe import SIZES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from diffucli.mini.journal import Log, Package
    from diffucli.model.config import Config
    from diffucli.model.registry import Facts

WIDTH = 120  # of the page, in characters
OWN = "Apache-2.0, written for this project"
CARD = """\
# mini, the embedded model

mini is a demonstration model: {parameters} parameters in {size}, part of the package, so that
`diffu gen "write a quicksort"` works on any machine, offline. It writes short Python functions for common tasks. It is
no assistant, and for real work you want one of the large checkpoints. They run on the same code, which mini shows at
work: it is a masked diffusion model in the published file layout of Dream and DiffuCoder and writes in any order.

{shape}

This page was written by the command that made the model, from what it measured.

## What it learned from

{rows}

The tasks and the generator of compositions are part of this repository. Every solution of theirs passed its own tests
before it was used. In most of the holes in them the variables around the hole have other names, and some stand under a
docstring, behind a request or beside other functions. The open code was read where the model was trained, from
installed packages, for filling holes alone; none of it is stored in the repository.

{packages}

## How it was trained

{training}
{picture}
## What it can do

Measured on what it was not trained on: phrasings of the classic tasks (one in six, chosen by hash), compositions
(combinations of pieces that never came together in training), and holes of free length: the body of such a composition,
under a docstring, with other names of variables; a line of a task's solution in other names than it was trained in; a
line of a function from packages held out as a whole ({held_out}). An answer passes if it passes the
problem's tests, run in the sandbox, and so does a hole whose code has tests; a line of open code has none and passes if
it is the line that stood there, white space aside. What does not parse is written once more with more care, as the
commands do it; NFE and s count both times. ± is the standard error over the problems. NFE: forwards per answer; tokens:
of text in it; TPF: tokens per forward; s: seconds of decoding per answer on this machine.
{tables}
## What it cannot do

- It knows Python alone, short functions and a few classes: {context} tokens of prompt and code together.
- It knows the tasks of its data and what can be composed from their pieces. Asked for something else, it writes
  something that looks like code and is wrong, and it does not say so.
- It reads a request for its key words. A condition it has not met, a word of negation or a second sentence is mostly
  passed over; numbers and names in the request are sometimes copied wrongly.
- It has not learned to talk: no explanations, no questions back, no languages other than English.
- Filling is its weak side: see the last three rows of the first table. A body that a docstring describes in the words
  of its data comes out right every other time, a line in the middle of code with other names one time in four, a line
  of anyone's project hardly ever. It mixes up names, and sometimes writes too much.
- What it writes has to be read and tested before it is used, like everything else a model writes.

## Make it again

```
{command}
```

The data and the order in which it is drawn follow from the seed. How many steps fit into the minutes depends on the
machine, so the weights come out alike, not equal.
"""

TRAINING = (
    "{seconds} on {machine}: {tokens} tokens in {steps} steps, the first {causal} of the time as a causal model that "
    "predicts the next token, the rest as a masked diffusion model that predicts masked tokens from both sides, "
    "{polish} of it with more of the classic tasks."
)


def write_card(path: Path, *, log: Log, facts: Facts, tables: Mapping[str, str], picture: bool) -> None:
    """Writes the card to `path` and the curve of the loss beside it, as `…-loss.svg`.

    tables: caption → Markdown table of pass rates. picture: draw the curve, which needs matplotlib.
    """
    svg = path.with_name(f"{path.stem}-loss.svg")
    path.parent.mkdir(parents=True, exist_ok=True)
    if picture:
        curve.draw(log.points, svg)
    path.write_text(text(log, facts, tables, picture=svg.name if picture else None), encoding="utf-8")


def text(log: Log, facts: Facts, tables: Mapping[str, str], *, picture: str | None) -> str:
    """The card. picture: the name of the file with the curve, if there is one."""
    last = log.points[-1].loss if log.points else float("nan")
    return CARD.format(
        parameters=f"{facts.parameters / 1e6:.1f} million",
        size=f"{facts.size / 1e6:.1f} MB",
        shape=_shape(facts.config),
        rows=_rows(log),
        packages=_packages(log.packages),
        training=_training(log),
        picture=f"\n![The loss over the tokens seen; it ends at {last:.2f} nats a token]({picture})\n"
        if picture
        else "",
        held_out=", ".join(corpus.HELD_OUT),
        tables="".join(f"\n{caption}:\n\n{table}" for caption, table in tables.items()),
        context=facts.config.trained_length,
        command=_commands(log),
    )


def _shape(config: Config) -> str:
    text = (
        f"{config.num_layers} layers of width {config.hidden_size} with {config.num_heads} heads, "
        f"a byte-level vocabulary of {config.vocab_size:,} entries "
        "learned from the same data, weights in bfloat16."
    )
    return fill(text, WIDTH)


def _rows(log: Log) -> str:
    tasks = classics()
    phrases, solutions = sum(len(t.phrases(held_out=False)) for t in tasks), sum(len(t.solutions) for t in tasks)
    programs = f"{'at least ' if len(log.goes) > 1 else ''}{log.programs:,}"
    known = {
        "task": (f"answers to {len(tasks)} classic tasks ({solutions} solutions, {phrases:,} phrases)", OWN),
        "composition": (f"answers to compositions ({programs} distinct programs, holes included)", OWN),
        "task fill": ("holes in solutions of the tasks", OWN),
        "composition fill": ("holes in compositions", OWN),
        "open fill": (f"holes in {sum(p.functions for p in log.packages):,} functions of open code", "see below"),
    }
    lines = [f"| {what} | {log.rows.get(key, 0):,} | {licence} |" for key, (what, licence) in known.items()]
    return "\n".join(["| what | rows seen | licence |", "| --- | ---: | --- |", *lines])


def _packages(packages: Sequence[Package]) -> str:
    lines = [f"| {f'{each.name} {each.version}'.strip()} | {each.functions:,} | {each.licence} |" for each in packages]
    return "\n".join(["| open code | functions | licence |", "| --- | ---: | --- |", *lines])


def _training(log: Log) -> str:
    text = TRAINING.format(
        seconds=_duration(log.seconds),
        machine=_machine(log),
        tokens=f"{log.tokens / 1e6:.1f} million",
        steps=f"{log.steps:,}",
        causal=f"{100 * _share(log, 'causal'):.0f} %",
        polish=f"{100 * _share(log, 'polish'):.0f} %",
    )
    return fill(f"{text} {log.note}", WIDTH)


def _share(log: Log, stage: str) -> float:
    """Which part of the time was of `stage`."""
    ends = [point.seconds for point in log.points]
    spent = sum(
        end - begin for begin, end, point in zip([0.0, *ends], ends, log.points, strict=False) if point.stage == stage
    )
    return spent / ends[-1] if ends else 0.0


def _machine(log: Log) -> str:
    machine = log.machine
    threads = "one thread" if machine.threads == 1 else f"{machine.threads} threads"
    cores = "one core" if machine.cores == 1 else f"{machine.cores} cores"
    host = f"{threads} of a machine with {cores} ({machine.processor})"
    return host if machine.device == "cpu" else f"one {machine.device} with {host}"


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 2 * 3600 else f"{max(seconds / 60, 0.1):.3g} minutes"


def _commands(log: Log) -> str:
    """The command of every go."""
    size = next((name for name, size in SIZES.items() if asdict(size) == log.recipe["size"]), "small")
    first, *later = (f"diffu train mini -o FOLDER --minutes {minutes:g} --size {size}" for minutes in log.goes)
    seed = log.recipe["seed"] - len(later)
    return "\n".join([f"{first} --seed {seed}", *(f"{command} --seed {seed} --resume" for command in later)])
