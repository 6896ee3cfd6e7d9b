"""`diffu model`: the checkpoints that can be run."""

from __future__ import annotations

from typing import Annotated

import typer

from diffucli.cli import options as flag
from diffucli.cli.report import Report

app = typer.Typer(help="The checkpoints that can be run.", no_args_is_help=True)
Name = Annotated[str | None, typer.Argument(help="A model's name or checkpoint folder; the default one if none.")]


@app.command("list")
def listing(as_json: flag.Json = False) -> None:
    """The models that have a name here."""
    from diffucli.model import registry

    found = [registry.facts(entry) for entry in registry.entries()]
    if as_json:
        values = [{"name": f.entry.name, "parameters": f.parameters, "size": f.size} for f in found]
        Report(json=True).object("diffu.models/1", 0, models=values)
        return
    for facts in found:
        kind = "embedded" if facts.entry.embedded else str(facts.entry.folder)
        print(f"{facts.entry.name:12} {_count(facts.parameters):>7} parameters  {_bytes(facts.size):>9}  {kind}")


@app.command()
def show(name: Name = None, as_json: flag.Json = False) -> None:
    """What a model's files say of it."""
    from diffucli.model import registry

    facts = registry.facts(registry.find(name))
    wanted = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
    values = {
        "name": facts.entry.name,
        "folder": str(facts.entry.folder),
        "model_type": facts.settings.get("model_type"),
        "parameters": facts.parameters,
        "size": facts.size,
        **{key: facts.settings.get(key) for key in wanted},
        "context": facts.settings.get("trained_length", 2048),
        "hole_padding": facts.settings.get("hole_padding", False),
    }
    if as_json:
        Report(json=True).object("diffu.model/1", 0, **values)
        return
    shown = values | {"parameters": _count(facts.parameters), "size": _bytes(facts.size)}
    for key, value in shown.items():
        print(f"{key.replace('_', ' '):20} {value}")


@app.command()
def path(name: Name = None) -> None:
    """The folder a model is in."""
    from diffucli.model import registry

    print(registry.find(name).folder)


def _count(number: int) -> str:
    return f"{number / 1e9:.2f} B" if number >= 1e9 else f"{number / 1e6:.1f} M"  # noqa: PLR2004


def _bytes(number: int) -> str:
    return f"{number / 1e9:.2f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"  # noqa: PLR2004
