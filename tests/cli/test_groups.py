"""A group of flags is spread for typer and put together for the command."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Annotated

import typer
from typer.testing import CliRunner

from diffucli.cli.groups import grouped


@dataclass(frozen=True)
class Size:
    wide: Annotated[int, typer.Option("-x", "--wide")] = 1
    tall: Annotated[int, typer.Option("--tall")] = 2


@grouped
def draw(size: Size, name: Annotated[str, typer.Argument()], *, bold: bool = False) -> None:
    """Draws it."""
    typer.echo(f"{name} {size} {bold}")


def test_flags_arrive_in_their_group():
    app = typer.Typer()
    app.command()(draw)
    told = CliRunner().invoke(app, ["it", "-x", "5", "--bold"])
    assert told.output == "it Size(wide=5, tall=2) True\n"
    assert "Draws it." in CliRunner().invoke(app, ["--help"]).output


def test_the_signature_has_a_parameter_for_each_flag():
    assert list(inspect.signature(draw).parameters) == ["wide", "tall", "name", "bold"]
