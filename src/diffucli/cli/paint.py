"""Code and diffs in colours where they go to a terminal; a pipe and a file get the bytes alone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from diffucli.cli import streams

if TYPE_CHECKING:
    from diffucli.ui.theme import Theme


def put_code(data: bytes, language: str, theme: Theme) -> None:
    """Code on stdout, as `streams.put`. language: a Pygments name."""

    def paint(text: str) -> str:
        from diffucli.ui import colour, terminal

        return terminal.writer()(colour.code(text, language, theme))

    streams.put(data, paint)


def put_diff(data: bytes, theme: Theme) -> None:
    """A diff on stdout, as `streams.put`."""
    streams.put(data, lambda text: _diff(text, theme))


def say_diff(text: str, theme: Theme) -> None:
    """A diff on stderr."""
    streams.say(_diff(text, theme) if sys.stderr.isatty() else text)


def _diff(text: str, theme: Theme) -> str:
    from diffucli.ui import colour, terminal

    return terminal.writer()(colour.diff(text, theme))
