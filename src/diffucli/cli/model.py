"""`diffu model`: the checkpoints that can be run."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from diffucli.cli import options as flag
from diffucli.cli import pull
from diffucli.cli.report import Report, tell
from diffucli.errors import ModelError
from diffucli.units import format_bytes

if TYPE_CHECKING:
    from diffucli.model.registry import Entry, Facts

app = typer.Typer(help="The checkpoints that can be run.", no_args_is_help=True)
Name = Annotated[
    str | None,
    typer.Argument(
        help="A model's name or checkpoint folder; the default one if none.", envvar="DIFFU_MODEL", show_default=False
    ),
]

app.command("pull")(pull.pull)
app.command("use")(pull.use)
app.command("rm")(pull.rm)


@app.command("list")
def listing(as_json: flag.Json = False) -> None:
    """The models that have a name here."""
    from diffucli.model import registry

    found, chosen = [(entry, _facts(entry)) for entry in registry.entries()], _chosen()
    if as_json:
        values = [
            {
                "name": entry.name,
                "default": entry == chosen,
                "parameters": facts and facts.config.parameters,
                "bits": facts and facts.bits,
                "size": facts and facts.size,
            }
            for entry, facts in found
        ]
        Report(json=True).object("diffu.models/1", 0, models=values)
        return
    for entry, facts in found:
        kind = "embedded" if entry.embedded else str(entry.folder)
        figures = (
            f"{_count(facts.config.parameters):>7} parameters  {facts.bits:>2} bit  {format_bytes(facts.size):>9}"
            if facts
            else "damaged or missing"
        )
        tell(f"{'*' if entry == chosen else ' '} {entry.name:20} {figures:37}  {kind}")


def _chosen() -> Entry | None:
    """What runs when no model is named; None where that is gone."""
    from diffucli.model import registry

    try:
        return registry.default()
    except ModelError:
        return None


def _facts(entry: Entry) -> Facts | None:
    """The facts of a checkpoint; None where it is damaged, which is no reason to hide the others."""
    from diffucli.model import registry

    try:
        return registry.facts(entry)
    except ModelError:
        return None


@app.command()
def show(name: Name = None, as_json: flag.Json = False) -> None:
    """What a model's files say of it."""
    from diffucli.model import registry

    facts = registry.facts(registry.find(name))
    if as_json:
        Report(json=True).object("diffu.model/1", 0, **_values(facts))
        return
    for key, value in (_values(facts) | _worded(facts)).items():
        tell(f"{key.replace('_', ' '):20} {value}")


def _values(facts: Facts) -> dict[str, object]:
    config = facts.config
    sampling = facts.family.sampling if facts.family else None
    return {
        "name": facts.entry.name,
        "folder": str(facts.entry.folder),
        "model_type": config.model_type,
        "parameters": facts.config.parameters,
        "size": facts.size,
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "context": facts.config.context,
        "hole_padding": config.hole_padding,
        "sampling": sampling and asdict(sampling),
        "bits": facts.bits,
        "memory": facts.memory,
        "licence": facts.licence or None,
        "revision": facts.revision or None,
        "special_tokens": dict(facts.special),
    }


def _worded(facts: Facts) -> dict[str, str]:
    """Those of the values that people read in another form."""
    sampling = facts.family.sampling if facts.family else None
    published = sampling and f"temperature {sampling.temperature}, top-p {sampling.top_p}, alg {sampling.order}"
    return {
        "parameters": _count(facts.config.parameters),
        "size": format_bytes(facts.size),
        "sampling": f"{published} (published)" if published else "none published",
        "memory": f"{format_bytes(facts.memory)} at least",
        "licence": facts.licence or "unknown",
        "revision": facts.revision or "none",
        "special_tokens": ", ".join(f"{name} {token}" for name, token in facts.special.items()),
    }


@app.command()
def path(name: Name = None) -> None:
    """The folder a model is in."""
    from diffucli.model import registry

    tell(str(registry.find(name).folder))


def _count(number: int) -> str:
    return f"{number / 1e9:.2f} B" if number >= 1e9 else f"{number / 1e6:.1f} M"  # noqa: PLR2004
