"""The command line: options become objects, a stream of events becomes a screen, errors become exit codes.

The one place that turns errors into exit codes. Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys

import typer

from diffucli.cli import check, fill, gen, model, train, undo
from diffucli.errors import DiffuError, UsageError

app = typer.Typer(
    name="diffu",
    help="Write and edit code with a masked diffusion language model on your own machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("gen")(gen.gen)
app.command("fill")(fill.fill)
app.command("check")(check.check)
app.command("undo")(undo.undo)
app.add_typer(model.app, name="model")
app.command("train")(train.train)


@app.callback(invoke_without_command=True)
def root(version: bool = typer.Option(False, "--version", help="Show the version and exit.")) -> None:
    """Write and edit code with a masked diffusion language model on your own machine."""
    if version:
        from importlib.metadata import version as version_of

        typer.echo(f"diffu {version_of('diffucli')}")
        raise typer.Exit


def main() -> None:
    """Runs the command line; errors become one line and an exit code, Ctrl-C ends the process by its signal."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        sys.exit(_run())
    except KeyboardInterrupt:
        _die(signal.SIGINT)


def _run() -> int:
    try:
        code = app(standalone_mode=False)
    except DiffuError as error:
        _tell(error)
        return error.exit_code
    except typer.Abort as abort:
        raise KeyboardInterrupt from abort
    except typer.Exit as exit_:
        return exit_.exit_code
    except typer.TyperException as error:
        if message := error.format_message().replace("Value error, ", ""):  # empty when the help has been shown
            _tell(UsageError(message.rstrip(".\n"), hint="diffu --help"))
        return UsageError.exit_code
    return code if isinstance(code, int) else 0


def _tell(error: DiffuError) -> None:
    """One line on stderr, or an object on stdout where --json was asked for."""
    if "--json" in sys.argv:
        print(
            json.dumps(
                {"schema": "diffu.error/1", "status": error.exit_code, "error": error.message, "hint": error.hint}
            )
        )
    message = f"diffu: {error.message}" + (f" ({error.hint})" if error.hint else "")
    print(message, file=sys.stderr)


def _die(number: int) -> None:
    """Dies of the signal, so that a shell loop around us stops too."""
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
