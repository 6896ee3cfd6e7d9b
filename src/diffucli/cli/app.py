"""The commands by their names, and one run of one of them: from its arguments to its exit code."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from diffucli.cli import (
    batch,
    bench,
    check,
    complete,
    completion,
    config,
    doctor,
    evaluate,
    failure,
    fill,
    gen,
    log,
    model,
    options,
    replay,
    trace,
    train,
    undo,
)
from diffucli.cli.configured import Configured

if TYPE_CHECKING:
    from collections.abc import Sequence

HELP = "Write and edit code with a masked diffusion language model on your own machine."

# As the help lists them.
COMMANDS = (
    "gen",
    "fill",
    "check",
    "undo",
    "log",
    "replay",
    "trace",
    "model",
    "doctor",
    "config",
    "completion",
    "batch",
    "eval",
    "bench",
    "train",
    "help",
)


class Commands(TyperGroup):
    """The commands in the order in which people need them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names."""
        return sorted(super().list_commands(ctx), key=COMMANDS.index)


app = typer.Typer(
    name="diffu",
    cls=Commands,
    help=HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("gen", cls=Configured, epilog=gen.EXAMPLES)(gen.gen)
app.command("fill", cls=Configured, epilog=fill.EXAMPLES)(fill.fill)
app.command("check", cls=Configured, epilog=check.EXAMPLES)(check.check)
app.command("undo", epilog=undo.EXAMPLES)(undo.undo)
app.command("batch", cls=Configured, epilog=batch.EXAMPLES)(batch.batch)
app.add_typer(log.app, name="log")
app.command("replay", epilog=replay.EXAMPLES)(replay.replay)
app.command("trace", cls=Configured, epilog=trace.EXAMPLES)(trace.trace)
app.add_typer(model.app, name="model")
app.add_typer(config.app, name="config")
app.command("eval", cls=Configured, epilog=evaluate.EXAMPLES)(evaluate.evaluate)
app.add_typer(bench.app, name="bench")
app.add_typer(train.app, name="train")
app.command("doctor", epilog=doctor.EXAMPLES)(doctor.doctor)
app.command("completion", epilog=completion.EXAMPLES)(completion.completion)


@app.callback(invoke_without_command=True)
def root(version: bool = typer.Option(False, "--version", help="Show the version and exit.")) -> None:
    """Prints the version if --version is given."""
    if version:
        from importlib.metadata import version as version_of

        typer.echo(f"diffu {version_of('diffucli')}")
        raise typer.Exit


@app.command("help", epilog=options.examples("diffu help fill", "diffu help model pull"))
def help_(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="COMMAND", help="Whose help it is.", show_default=False, autocompletion=complete.commands
        ),
    ] = None,
) -> None:
    """Print the help of a command, as its --help does."""
    raise typer.Exit(run([*(words or ()), "--help"]))


def _keep_help_plain() -> None:
    """Keeps the help plain in pipes of GitHub's workflows, where typer writes colours unless it is told otherwise."""
    if "GITHUB_ACTIONS" in os.environ and not (os.environ.get("FORCE_COLOR") or os.environ.get("PY_COLORS")):
        from typer import rich_utils

        rich_utils.FORCE_TERMINAL = None


def run(argv: Sequence[str]) -> int:
    """The exit code of `diffu argv…`. Whatever goes wrong is told here; only KeyboardInterrupt comes out."""
    command = typer.main.get_command(app)
    if instruction := os.environ.get(completion.VARIABLE):
        return completion.answer(command, instruction)
    try:
        _keep_help_plain()
        with command.make_context("diffu", list(argv)) as context:
            command.invoke(context)
            failure.flush()
    except typer.Exit as exit_:
        return exit_.exit_code
    except Exception as error:  # noqa: BLE001 — the last line of defence: no user sees a traceback
        return failure.tell(error, failure.asked(command, argv))
    return 0
