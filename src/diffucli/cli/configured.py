"""Options with a place in the settings: flags go before the environment, then comes the project, then the user.

A setting is an option that has an environment variable; its key is the name of the option, and DIFFU_TOP_P is top-p.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from diffucli import settings
from diffucli.errors import UsageError
from diffucli.settings import Settings

PREFIX = "DIFFU_"
MODEL = "model"  # the registry reads it where it looks for the default model
# What a file that came with a repository may choose: how text is written, and nothing that runs or fetches.
DECODING = {
    "preset",
    "seed",
    "steps",
    "temp",
    "top-p",
    "alg",
    "alg-temp",
    "block",
    "by-line",
    "cache",
    "speculate",
    "ends",
    "max-length",
    "expand-budget",
}
OF_PROJECTS = DECODING | {"candidates", "repair", "test-seconds", "verify", "strict"}


class NotBegun(UsageError):
    """Arguments or settings that do not fit: the command has not begun, and read nothing."""


@dataclass(frozen=True, slots=True)
class Setting:
    """An option with a place in the settings. commands: those that have it, such as "bench speed"."""

    key: str
    option: Any
    commands: tuple[str, ...]

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return str(self.option.envvar)

    def value(self, word: str, context: Any, *, place: str) -> Any:
        """What the option makes of `word`, which stands at `place`. UsageError: it refuses it."""
        try:
            return self.option.process_value(context, word)
        except typer.BadParameter as exc:
            raise refused(exc, self.key, place) from exc

    @property
    def default(self) -> Any:
        """The value where nothing is set; None leaves it to the preset, the model or chance."""
        if self.key == MODEL:
            from diffucli.model.names import MINI

            return MINI
        return self.option.default


def known(command: Any, name: str = "") -> dict[str, Setting]:
    """All settings of a command and those below it, by key."""
    found: dict[str, Setting] = {}
    if isinstance(command, TyperGroup):
        for word, one in command.commands.items():
            for key, each in known(one, f"{name} {word}".strip()).items():
                have = found.get(key)
                found[key] = Setting(key, (have or each).option, (*(have.commands if have else ()), *each.commands))
        return found
    for option in command.params:
        if option.envvar:
            key = str(option.envvar).removeprefix(PREFIX).lower().replace("_", "-")
            found[key] = Setting(key, option, (name,))
    return found


def require_known(key: str, every: dict[str, Setting], place: str = "") -> Setting:
    """The setting called `key`. UsageError: there is none."""
    if key in every:
        return every[key]
    similar = difflib.get_close_matches(key.lower().replace("_", "-"), every, n=1, cutoff=0.5)
    hint = f"did you mean {similar[0]}?" if similar else "diffu config list shows them all"
    raise UsageError(f"{place}{': ' * bool(place)}there is no setting {key!r}", hint=hint)


def files(every: dict[str, Setting]) -> tuple[Settings, Settings]:
    """The files of settings, the one that goes before the other first. UsageError: one has what it may not have."""
    found = settings.project(), settings.user()
    for each in found:
        for key in each.values:
            require_known(key, every, each.place(key))
            if each.is_project and key not in OF_PROJECTS:
                raise UsageError(
                    f"{each.place(key)}: a project may not set {key}",
                    hint=f"take it out there; diffu config set {key} … sets it for you alone",
                )
    return found


def refused(exc: typer.BadParameter, key: str, place: str) -> UsageError:
    """The error for a value of `key` that stands at `place`: an environment variable, a line of a file, or nowhere."""
    what = f"{place}: {key}" if place and not place.startswith(PREFIX) else place or key
    hint = f"unset {place}, or give it another value" if what == place else "give it another value"
    return UsageError(f"{what}: {exc.message.removeprefix('Value error, ').rstrip('.')}", hint=hint)


class Configured(TyperCommand):
    """A command whose options have defaults in the files of settings."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Reads the arguments. UsageError: the settings are damaged, which --help does not mind."""
        found: Sequence[Settings] = ()
        fault: UsageError | None = None
        if not ctx.resilient_parsing:
            try:
                found = files(known(ctx.find_root().command))
                ctx.default_map = dict(self._defaults(found))
            except UsageError as exc:
                fault = exc
        try:
            super().parse_args(ctx, args)
        except typer.BadParameter as exc:
            if place := self._place(ctx, exc.param, found):
                fault = refused(exc, *place)
            else:
                raise
        if fault:
            raise NotBegun(fault.message, hint=fault.hint) from fault
        return list(ctx.args)

    def _defaults(self, found: Sequence[Settings]) -> Iterator[tuple[str, str]]:
        for key, setting in known(self).items():
            for each in found:
                if key != MODEL and (word := each.word(key)) is not None:
                    yield setting.option.name, word
                    break

    def _place(self, ctx: Any, option: Any, found: Sequence[Settings]) -> tuple[str, str] | None:
        """The key and the place of the value that `option` has from the settings; None if it has none from there."""
        source = ctx.get_parameter_source(option.name) if option is not None else None
        key = next((key for key, each in known(self).items() if each.option is option), None)
        if source is None or key is None or source.name not in {"DEFAULT_MAP", "ENVIRONMENT"}:
            return None
        if source.name == "ENVIRONMENT":
            return key, str(option.envvar)
        return key, next(each.place(key) for each in found if key in each.values)
