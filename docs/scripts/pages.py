"""Writes what the documentation has from the commands: the settings of docs/configuration.md, and docs/man/diffu.1.

python docs/scripts/pages.py, after an option was added or changed; tests compare both with the commands.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from diffucli.cli import configured
from diffucli.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[1]
BEGIN, END = "<!-- settings -->\n", "<!-- /settings -->"


def settings_table() -> str:
    """Every setting as a row: key, variable, default, whether a project may set it, and what it does."""
    rows = ["| setting | variable | default | project | |", "|---|---|---|---|---|"]
    for key, setting in sorted(configured.known(typer.main.get_command(app)).items()):
        default = (
            "" if setting.default is None else f"`{str(getattr(setting.default, 'value', setting.default)).lower()}`"
        )
        project = "yes" if key in configured.OF_PROJECTS else "no"
        rows.append(f"| `{key}` | `{setting.variable}` | {default} | {project} | {setting.option.help} |")
    return "\n".join(rows) + "\n"


def configuration(page: str) -> str:
    """The page with its table as the commands have it."""
    return re.sub(f"(?<={BEGIN}).*?(?={END})", lambda _: settings_table(), page, flags=re.DOTALL)


def man_page() -> str:
    """The manual page, in the language of man: every command with its arguments, options and examples."""
    root: Any = typer.main.get_command(app)
    parts = [
        '.TH DIFFU 1 "" diffucli "User Commands"',
        ".SH NAME",
        f"diffu \\- {man(root.help[0].lower() + root.help[1:].rstrip('.'))}",
        ".SH SYNOPSIS",
        "\\fBdiffu\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR]... [\\fIARGUMENT\\fR]...",
        ".SH COMMANDS",
        *(line for name in root.list_commands(None) for line in man_of(root.commands[name], f"diffu {name}")),
        ".SH FILES",
        man(
            "The file that `diffu config path` names holds your settings, pyproject.toml those of a project; "
            "`diffu log path` and `diffu model path` name the folders of runs and models."
        ),
        ".SH EXIT STATUS",
        *(line for code, text in exit_codes() for line in (".TP", man(code), man(text))),
    ]
    return "\n".join(parts) + "\n"


def man_of(command: Any, name: str) -> Iterator[str]:
    """The lines of a command and of those below it."""
    if commands := getattr(command, "commands", None):
        for word, one in commands.items():
            yield from man_of(one, f"{name} {word}")
        return
    shown = [param for param in command.params if param.name != "help" and not getattr(param, "hidden", False)]
    arguments = [param for param in shown if param.param_type_name == "argument"]
    names = [one.metavar or one.name.upper() for one in arguments]
    words = [name if one.required else f"[{name}]" for one, name in zip(arguments, names, strict=True)]
    words = [f"{word}..." if one.nargs == -1 else word for one, word in zip(arguments, words, strict=True)]
    yield f".SS {man(' '.join([name, '[OPTION]...', *words]))}"
    for number, paragraph in enumerate(command.help.split("\n\n")):
        yield from [".PP"] * bool(number)
        yield man(" ".join(paragraph.split()))
    for param in shown:
        about = param.help if not param.envvar else f"{param.help} ({param.envvar})"
        yield from (".TP", f"\\fB{man(' '.join([spelled(param), value_of(param)]).strip())}\\fR", man(about))
    yield from (".PP", "Examples:", ".PP", ".nf")
    yield from (man(line) for line in command.epilog.splitlines() if line.startswith("  "))
    yield ".fi"


def spelled(param: Any) -> str:
    """The names of an option, or of an argument."""
    is_option = param.param_type_name == "option"
    return ", ".join([*param.opts, *param.secondary_opts]) if is_option else param.metavar or param.name.upper()


def value_of(param: Any) -> str:
    """What stands behind an option, such as NAME or error|warn|off."""
    if param.param_type_name != "option" or param.is_flag:
        return ""
    choices = param.type_descriptor.choices
    return param.metavar or ("|".join(str(getattr(one, "value", one)) for one in choices) if choices else "VALUE")


def exit_codes() -> list[tuple[str, str]]:
    """The table of docs/usage.md."""
    table = (DOCS / "usage.md").read_text(encoding="utf-8").partition("| code | meaning |")[2].partition("\n\n")[0]
    return [
        (row[0], row[1].replace("`", "")) for line in table.splitlines()[2:] if (row := line.strip("| ").split(" | "))
    ]


def man(text: str) -> str:
    """Text as man shows it as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga").replace("'", "\\(aq")
    return f"\\&{text}" if text.startswith(".") else text


def main() -> None:
    """Writes the pages."""
    (DOCS / "man" / "diffu.1").write_text(man_page(), encoding="utf-8")
    path = DOCS / "configuration.md"
    path.write_text(configuration(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
