"""What a shell may complete besides commands and flags: models, languages, symbols, settings. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import typer

from diffucli import files
from diffucli.errors import DiffuError

FINDERS = ("todo", "marks", "errors")


def models(incomplete: str) -> list[tuple[str, str]]:
    """Models that can be run, and those that can be pulled by a short name."""
    from diffucli.model import registry
    from diffucli.model.names import ALIASES

    known = {alias: f"not pulled: {repository}" for alias, repository in ALIASES.items()}
    known |= {entry.name: "on this machine" for entry in registry.entries()}
    return _starting(incomplete, known)


def adapters(incomplete: str) -> list[tuple[str, str]]:
    """Adapters that were pulled."""
    from diffucli.model import registry

    return _starting(incomplete, {entry.name: "on this machine" for entry in registry.adapters()})


def pulled(incomplete: str) -> list[tuple[str, str]]:
    """Models and adapters that can be deleted."""
    from diffucli.model import store

    return _starting(incomplete, {record.name: record.source for record in store.records()})


def aliases(incomplete: str) -> list[tuple[str, str]]:
    """Models that have a short name."""
    from diffucli.model.names import ALIASES

    return _starting(incomplete, ALIASES)


def languages(incomplete: str) -> list[str]:
    """Languages by name."""
    from diffucli.syntax.languages import LANGUAGES

    return [language.name for language in LANGUAGES if language.name.startswith(incomplete)]


def regions(context: typer.Context, incomplete: str) -> list[str]:
    """Symbols of the files that stand before, and regions that are looked for. What is no option yet is in `args`."""
    given = context.params.get("files") or context.args
    found = [name for path in given for name in _symbols(Path(path))]
    return [name for name in dict.fromkeys([*found, *(f":{name}" for name in FINDERS)]) if name.startswith(incomplete)]


def placed(incomplete: str) -> list[str]:
    """Symbols behind a file, as in app.py::load. Names of files are the shell's own."""
    file, colons, _ = incomplete.partition("::")
    found = [f"{file}::{name}" for name in _symbols(Path(file))] if colons else []
    return [name for name in dict.fromkeys(found) if name.startswith(incomplete)]


def _symbols(path: Path) -> Iterator[str]:
    """The names of what a file defines; none if it cannot be read."""
    from diffucli.edit import source
    from diffucli.syntax import languages, symbols

    with suppress(DiffuError):
        text = source.read(files.home(str(path))).text
        for symbol in symbols.symbols(text, languages.detect(text, path)):
            yield symbol.name


def commands(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Names of commands, below those that stand before."""
    command: Any = context.find_root().command
    for word in context.params.get("words") or ():
        command = getattr(command, "commands", {}).get(word)
    below = getattr(command, "commands", {})
    return _starting(incomplete, {name: str(one.help).partition("\n")[0] for name, one in below.items()})


def keys(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Names of settings."""
    from diffucli.cli import configured

    every = configured.known(context.find_root().command)
    return _starting(incomplete, {key: str(setting.option.help) for key, setting in every.items()})


def values(context: typer.Context, incomplete: str) -> list[str]:
    """Values of the setting that stands before, as far as its flag has a list of them."""
    from diffucli.cli import configured

    setting = configured.known(context.find_root().command).get(str(context.params.get("key")))
    return [item.value for item in setting.option.shell_complete(context, incomplete)] if setting else []


def _starting(incomplete: str, found: dict[str, str]) -> list[tuple[str, str]]:
    return [(name, about) for name, about in found.items() if name.startswith(incomplete)]
