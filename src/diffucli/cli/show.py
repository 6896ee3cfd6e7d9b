"""`diffu model show`: what the files of a checkpoint say."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from diffucli.cli import options as flag
from diffucli.cli.report import Report, tell
from diffucli.units import format_bytes

if TYPE_CHECKING:
    from diffucli.model.family import PublishedSampling
    from diffucli.model.registry import Entry, Facts

EXAMPLES = flag.examples(
    "diffu model show mini",
    "diffu model show ./checkpoint --json",
)


def show(name: flag.ModelArgument = None, as_json: flag.Json = False) -> None:
    """Show what the files of a model say: its size, memory, context, sampling, licence and tokens.

    Of an adapter: the model it is for, its rank, the layers it changes, and its own licence.
    """
    from diffucli.model import registry
    from diffucli.model.names import short_name

    pulled = {entry.name: entry for entry in registry.adapters()}
    if adapter := pulled.get(short_name(name or "")):
        _put_adapter(adapter, as_json=as_json)
        return
    facts = registry.facts(registry.find(name))
    values = _values(facts)
    if as_json:
        Report(json=True).object("diffu.model/1", 0, **values)
        return
    for key, value in (values | _worded(facts)).items():
        tell(f"{key.replace('_', ' '):20} {value}")


def _put_adapter(entry: Entry, *, as_json: bool) -> None:
    """What the files of a pulled adapter say."""
    from diffucli.model import store
    from diffucli.model.adapter import base_of, read_settings

    settings, record = read_settings(entry.folder), entry.record
    assert record is not None
    targets, size = settings.get("target_modules"), store.size(entry.folder)
    values = {
        "name": entry.name,
        "folder": str(entry.folder),
        "adapter_for": base_of(settings) or None,
        "rank": settings.get("r"),
        "alpha": settings.get("lora_alpha"),
        "target_modules": targets,
        "size": size,
        "licence": record.licence or None,
        "licence_link": record.licence_link,
        "revision": record.revision,
    }
    if as_json:
        Report(json=True).object("diffu.adapter/1", 0, **values)
        return
    words = {"target_modules": ", ".join(targets)} if isinstance(targets, list) else {}
    for key, value in (values | {"size": format_bytes(size)} | words).items():
        tell(f"{key.replace('_', ' '):20} {'unknown' if value is None else value}")


def _values(facts: Facts) -> dict[str, object]:
    config = facts.config
    return {
        "name": facts.entry.name,
        "folder": str(facts.entry.folder),
        "family": facts.family and facts.family.name,
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
        "published": facts.published and asdict(facts.published),
        "bits": facts.bits,
        "memory": facts.memory,
        "licence": facts.licence or None,
        "revision": facts.revision or None,
        "special_tokens": dict(facts.special),
    }


def _worded(facts: Facts) -> dict[str, str]:
    """Those of the values that people read in another form."""
    return {
        "family": facts.family.name if facts.family else "none that can be run",
        "parameters": count(facts.config.parameters),
        "size": format_bytes(facts.size),
        "published": recipe_in_words(facts.published) if facts.published else "no settings",
        "memory": f"{format_bytes(facts.memory)} at least",
        "licence": facts.licence or "unknown",
        "revision": facts.revision or "none",
        "special_tokens": ", ".join(f"{name} {token}" for name, token in facts.special.items()),
    }


def recipe_in_words(recipe: PublishedSampling) -> str:
    """The settings of a recipe as options of the command line."""
    parts = [f"temperature {recipe.temperature}", f"top-p {recipe.top_p}", f"alg {recipe.order}"]
    parts += [f"commits {recipe.commits}", *([f"block {recipe.block}"] if recipe.block else [])]
    parts += [f"cache {recipe.cache}"] if recipe.cache != "none" else []
    parts += [f"ends {recipe.ends}"] if recipe.ends != "free" else []
    return ", ".join([*parts, *(["stops at its end"] if recipe.stops else [])])


def count(number: int) -> str:
    """A number of parameters: "7.62 B", "4.7 M"."""
    return f"{number / 1e9:.2f} B" if number >= 1e9 else f"{number / 1e6:.1f} M"  # noqa: PLR2004
