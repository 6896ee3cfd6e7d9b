"""The model card of mini, written from its training log, its files and the tables of its evaluation.

Does not know how models are evaluated; the tables are passed as text.
"""

from __future__ import annotations

from dataclasses import asdict
from itertools import groupby
from textwrap import fill
from typing import TYPE_CHECKING

from diffucli.lab import markdown
from diffucli.lab.chart import chart
from diffucli.mini import corpus
from diffucli.mini.classics import classics
from diffucli.mini.everyday import templates
from diffucli.mini.recipe import SHAPES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from diffucli.mini.training_log import LossPoint, TrainedPackage, TrainingLog
    from diffucli.model.config import Config
    from diffucli.model.registry import Facts

WIDTH = 120  # characters of a line of the page
OWN = "Apache-2.0, written for this project"
STAGES = {"causal": "next token", "diffusion": "masked diffusion", "polish": "masked diffusion, more tasks"}
CARD = """\
# mini, the embedded model

mini is a demonstration model: {parameters} parameters in {size}, part of the package, so that
`diffu gen "write a quicksort"` works on any machine, offline. It writes short Python functions for common tasks. It is
not an assistant: for real work, use one of the large checkpoints. mini runs on the same code as they do: it is a masked
diffusion model in the published file layout of Dream and DiffuCoder, and it writes tokens in any order.

{shape}

`diffu train mini` wrote this page from its measurements.

## Training data

{rows}

The tasks, the generator of compositions and the templates of everyday code are part of this repository. Every solution
passed its tests before it was used. Everyday code is small functions and classes with names as in scripts and
applications, each drawn anew from a template; it is used for holes only. Holes are bodies, lines, conditions,
expressions, names, operators, brackets and runs of tokens; half of them have exactly the room of their text, the others
room to spare. In most holes in tasks and compositions the variables around the hole are renamed; some holes have a
docstring or a request that describes the code, or other functions next to it. Open code is read from the packages
installed on the training machine and is used for holes only; this repository does not contain it.

{packages}

## Training

{training}
{picture}
## What it can do

Measured on data that it was not trained on: phrasings of the classic tasks (one in six, chosen by hash), compositions
(new combinations of pieces), and holes of free length: 30 everyday holes (src/diffucli/eval/everyday.toml), one each in
a function as it stands in scripts and applications, of which those are a group of their own whose function has the
shape of a training template, names and literals aside; the body of such a composition, with a docstring and renamed
variables; a line of a task's solution with renamed variables; and a line of a function from held-out packages
({held_out}). Repairs are solutions and compositions such as it was trained on, each broken in one
place so that it does not compile, and mended as by `diffu fill -r :errors`; what it was not trained on is the fault. An
answer passes if it passes the tests of the problem in the sandbox. A hole or a repair passes if the new code passes its
tests; a line of open code has no tests and must equal the original line, white space aside. What does not parse is
repaired, as the commands do it; NFE and s include that. ± is the standard error over the problems. NFE: forwards per
answer; tokens: of text per answer; TPF: tokens per forward; s: seconds of decoding per answer on the training machine.
{tables}
## What it cannot do

- It only knows Python, short functions and a few classes: {context} tokens of prompt and code together.
- It only knows the tasks in its data and what can be composed from their pieces. For other requests it writes wrong
  code that looks right, without a warning.
- It reads the key words of a request. It mostly ignores unknown conditions, negations and second sentences, and
  sometimes copies numbers and names wrongly.
- It does not talk: no explanations, no questions, no languages other than English.
- It is weak at filling: see the rows of the first table that are holes. It knows the idioms of its data and hardly any
  line of another project. It mixes up names and sometimes writes too much.
- Read and test its output before you use it, as with every model.

## Reproduction

```
{command}
```

The seed determines the data and its order. The number of steps depends on the speed of the machine, so the weights will
be similar, not equal.
"""

TRAINING = (
    "{seconds} on {machine}: {tokens} tokens in {steps} steps. For the first {causal} of the time it was trained as a "
    "causal model that predicts the next token, then as a masked diffusion model that predicts masked tokens from both "
    "sides; {polish} of the time had more of the classic tasks."
)


def write_card(path: Path, *, log: TrainingLog, facts: Facts, tables: Mapping[str, str], picture: bool) -> None:
    """Writes the card to `path`, and the loss curve to the same folder as `…-loss.svg`.

    tables: Markdown tables of pass rates by caption. picture: whether to draw the curve, which needs matplotlib.
    """
    svg = path.with_name(f"{path.stem}-loss.svg")
    path.parent.mkdir(parents=True, exist_ok=True)
    if picture:
        plot_loss(log.points, svg)
    path.write_text(text(log, facts, tables, picture=svg.name if picture else None), encoding="utf-8")


def text(log: TrainingLog, facts: Facts, tables: Mapping[str, str], *, picture: str | None) -> str:
    """The card as Markdown. picture: name of the file with the loss curve; None leaves it out."""
    last = log.points[-1].loss if log.points else float("nan")
    return CARD.format(
        parameters=f"{facts.config.parameters / 1e6:.1f} million",
        size=f"{facts.size / 1e6:.1f} MB",
        shape=_shape(facts.config),
        rows=_rows(log),
        packages=_packages(log.packages),
        training=_training(log),
        picture=f"\n![The loss over the tokens seen; it ends at {last:.2f} nats a token]({picture})\n"
        if picture
        else "",
        held_out=", ".join(corpus.HELD_OUT),
        tables="".join(f"\n{caption}:\n\n{table}\n" for caption, table in tables.items()),
        context=facts.config.trained_length,
        command=_commands(log),
    )


def plot_loss(points: Sequence[LossPoint], path: Path) -> None:
    """Draws the loss over the tokens seen to `path`, with a colour for each stage. Needs matplotlib."""
    with chart(path, x="million tokens seen", y="loss, nats a token", height=3.2) as axes:
        axes.set_yscale("log")
        colours: dict[str, str] = {}
        for stage, line in groupby(points, key=lambda point: point.stage):
            seen, known = list(line), stage in colours
            colour = colours.setdefault(stage, f"C{len(colours)}")
            label = "_" if known else STAGES.get(stage, stage)  # matplotlib leaves labels with an underscore out
            axes.plot([p.tokens / 1e6 for p in seen], [p.loss for p in seen], color=colour, label=label)
        axes.set_yticks([0.2, 0.5, 1, 2, 5], labels=["0.2", "0.5", "1", "2", "5"])
        axes.minorticks_off()
        axes.legend(frameon=False, loc="upper right")


def _shape(config: Config) -> str:
    text = (
        f"{config.num_layers} layers of width {config.hidden_size} with {config.num_heads} heads, "
        f"a byte-level vocabulary of {config.vocab_size:,} entries "
        "learned from the same data, weights in bfloat16."
    )
    return fill(text, WIDTH)


def _rows(log: TrainingLog) -> str:
    tasks = classics()
    phrases, solutions = sum(len(t.phrases(held_out=False)) for t in tasks), sum(len(t.solutions) for t in tasks)
    programs = f"{'at least ' if len(log.sessions) > 1 else ''}{log.programs:,}"
    known = {
        "task": (f"answers to {len(tasks)} classic tasks ({solutions} solutions, {phrases:,} phrases)", OWN),
        "composition": (f"answers to compositions ({programs} distinct programs, holes included)", OWN),
        "task fill": ("holes in solutions of the tasks", OWN),
        "composition fill": ("holes in compositions", OWN),
        "everyday fill": (f"holes in everyday code ({len(templates())} templates)", OWN),
        "open fill": (f"holes in {sum(p.functions for p in log.packages):,} functions of open code", "see below"),
    }
    rows = [[what, f"{log.rows.get(kind, 0):,}", licence] for kind, (what, licence) in known.items()]
    return markdown.table(["what", "rows seen", "licence"], rows, text=(0, 2))


def _packages(packages: Sequence[TrainedPackage]) -> str:
    rows = [[f"{each.name} {each.version}".strip(), f"{each.functions:,}", each.licence] for each in packages]
    return markdown.table(["open code", "functions", "licence"], rows, text=(0, 2))


def _training(log: TrainingLog) -> str:
    text = TRAINING.format(
        seconds=_duration(log.seconds),
        machine=_machine(log),
        tokens=f"{log.tokens / 1e6:.1f} million",
        steps=f"{log.steps:,}",
        causal=f"{100 * _share(log, 'causal'):.0f} %",
        polish=f"{100 * _share(log, 'polish'):.0f} %",
    )
    return fill(f"{text} {log.note}", WIDTH)


def _share(log: TrainingLog, stage: str) -> float:
    """The share of the training time that `stage` took."""
    ends = [point.seconds for point in log.points]
    spent = sum(
        end - begin for begin, end, point in zip([0.0, *ends], ends, log.points, strict=False) if point.stage == stage
    )
    return spent / ends[-1] if ends else 0.0


def _machine(log: TrainingLog) -> str:
    machine = log.machine
    threads = "one thread" if machine.threads == 1 else f"{machine.threads} threads"
    cores = "one core" if machine.cores == 1 else f"{machine.cores} cores"
    host = f"{threads} of a machine with {cores} ({machine.processor})"
    return host if machine.device == "cpu" else f"one {machine.device} with {host}"


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 2 * 3600 else f"{max(seconds / 60, 0.1):.3g} minutes"


def _commands(log: TrainingLog) -> str:
    """The commands of all sessions."""
    size = next((name for name, shape in SHAPES.items() if asdict(shape) == log.recipe["size"]), "small")
    first, *later = (f"diffu train mini -o FOLDER --minutes {minutes:g} --size {size}" for minutes in log.sessions)
    seed = log.recipe["seed"] - len(later)
    return "\n".join([f"{first} --seed {seed}", *(f"{command} --seed {seed} --resume" for command in later)])
