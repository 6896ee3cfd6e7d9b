"""Writes what the documentation has from the commands themselves: the table of settings in docs/configuration.md.

python docs/scripts/pages.py, after an option was added or changed; a test compares the page with the commands.
"""

from __future__ import annotations

import re
from pathlib import Path

import typer

from diffucli.cli import configured
from diffucli.cli.app import app

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


def main() -> None:
    """Writes the pages."""
    path = DOCS / "configuration.md"
    path.write_text(configuration(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
