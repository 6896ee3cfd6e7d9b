"""`diffu config`: what holds where no flag says otherwise, and where it comes from."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any

import typer

from diffucli import settings
from diffucli.cli import complete, configured
from diffucli.cli import options as flag
from diffucli.cli.configured import MODEL, Setting
from diffucli.cli.pull import confirmed
from diffucli.cli.report import Report, say, tell
from diffucli.errors import UsageError

app = typer.Typer(help="Show and change settings: what holds where no flag says otherwise.", no_args_is_help=True)
Key = Annotated[
    str,
    typer.Argument(
        metavar="KEY", help="Name of a setting, as diffu config list shows it.", autocompletion=complete.keys
    ),
]
DEFAULT = "default"
EDITOR = "notepad" if os.name == "nt" else "vi"


@dataclass(frozen=True, slots=True)
class InForce:
    """A setting as it holds now. source: the environment variable, the line of a file, or "default"."""

    setting: Setting
    value: Any
    source: str


def in_force(context: typer.Context) -> dict[str, InForce]:
    """All settings by key. UsageError: one has a value that it cannot have, or a file cannot be read."""
    every = configured.known(context.find_root().command)
    files = configured.files(every)
    return {key: _in_force(setting, context, files) for key, setting in sorted(every.items())}


def _in_force(setting: Setting, context: typer.Context, files: tuple[settings.Settings, ...]) -> InForce:
    found = [(os.environ.get(setting.variable) or None, setting.variable)]
    found += [(each.word(setting.key), each.place(setting.key)) for each in files]
    for word, place in found:
        if word is not None:
            return InForce(setting, _plain(setting.value(word, context, place=place)), place)
    return InForce(setting, _plain(setting.default), DEFAULT)


def _plain(value: Any) -> Any:
    """A value as TOML and JSON have it."""
    return value.value if isinstance(value, Enum) else value


def _spelled(value: Any) -> str:
    """A value as `diffu config set` takes it."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


@app.command("list", epilog=flag.examples("diffu config list", "diffu config list --json"))
def listing(context: typer.Context, as_json: flag.Json = False) -> None:
    """List every setting with its value and where that comes from: a variable, a line of a file, or the default."""
    found = in_force(context)
    if as_json:
        rows = [{"key": key, "value": one.value, "source": one.source} for key, one in found.items()]
        Report(json=True).object("diffu.config/1", 0, settings=rows)
        return
    width = max(len(_spelled(one.value)) for one in found.values())
    for key, one in found.items():
        tell(f"{key:12}  {_spelled(one.value):{width}}  {one.source}")


@app.command("get", epilog=flag.examples("diffu config get preset", "diffu config get model"))
def get(context: typer.Context, key: Key) -> None:
    """Print the value of a setting; an empty line where it is left to the preset, the model or chance."""
    every = configured.known(context.find_root().command)
    setting = configured.require_known(key, every)
    tell(_spelled(_in_force(setting, context, configured.files(every)).value))


@app.command("set", epilog=flag.examples("diffu config set preset fast", "diffu config set temp 0.3"))
def put(
    context: typer.Context,
    key: Key,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="What it is to be.", autocompletion=complete.values)],
) -> None:
    """Set a setting in your file, which keeps its comments and its order."""
    setting = configured.require_known(key, configured.known(context.find_root().command))
    if key == MODEL:
        from diffucli.model import registry

        registry.use(value)
    else:
        settings.store(key, _plain(setting.value(value, context, place="")))
    _tell_what_goes_before(setting)


@app.command("unset", epilog=flag.examples("diffu config unset preset", "diffu config unset model"))
def unset(context: typer.Context, key: Key) -> None:
    """Take a setting out of your file, be it known or not."""
    if key not in settings.user().values:
        configured.require_known(key, configured.known(context.find_root().command))
    settings.store(key, None)


@app.command("path", epilog=flag.examples("diffu config path", 'cat "$(diffu config path)"'))
def path() -> None:
    """Print the path of your file, which need not exist."""
    tell(str(settings.user_path()))


@app.command("edit", epilog=flag.examples("diffu config edit", "EDITOR=nano diffu config edit"))
def edit(context: typer.Context) -> None:
    """Open your file in $VISUAL or $EDITOR. On a terminal, a mistake in it can be mended at once."""
    every, file = configured.known(context.find_root().command), settings.user_path()
    if not file.is_file():
        settings.write(_template(every, settings.user()))
    while True:
        _run_editor(str(file))
        try:
            written = settings.user()
            for key in written.values:
                setting = configured.require_known(key, every, written.place(key))
                setting.value(written.word(key) or "", context, place=written.place(key))
        except UsageError as fault:
            if not _can_ask():
                raise
            say(f"diffu: {fault.message} ({fault.hint})")
            if not confirmed("Edit it again?"):
                raise
        else:
            return


def _can_ask() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _template(every: dict[str, Setting], user: settings.Settings) -> str:
    """A new file: what each setting does, and its default."""
    lines = ["# Settings of diffu; see docs/configuration.md. A line counts once its # is taken away.\n"]
    for key, setting in sorted(every.items()):
        value = user.values.get(key, _plain(setting.default))
        shown = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else _spelled(value)
        lines.append(f"# {setting.option.help}\n{'' if key in user.values else '# '}{key} = {shown}".rstrip() + "\n")
    return "\n".join(lines)


def _run_editor(file: str) -> None:
    """UsageError: there is no editor, or it fails."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or EDITOR
    try:
        code = subprocess.run([*shlex.split(editor), file], check=False).returncode  # noqa: S603 — the user's own editor
    except (OSError, ValueError) as exc:
        raise UsageError(f"the editor {editor} cannot be started ({exc})", hint="set EDITOR to another one") from exc
    if code:
        raise UsageError(f"the editor {editor} ended with {code}", hint=f"edit {file} yourself, or set EDITOR")


def _tell_what_goes_before(setting: Setting) -> None:
    """Says so where what was set does not hold here."""
    with suppress(UsageError):  # a damaged project is told by the commands that it is for
        project = settings.project()
        first = setting.variable if os.environ.get(setting.variable) else project.place(setting.key)
        if first == setting.variable or setting.key in project.values:
            say(f"diffu: {first} sets {setting.key} too, and goes before your file")
