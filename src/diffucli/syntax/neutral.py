"""Python with some parts replaced by names and heads that mean nothing, to judge the rest of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from diffucli.syntax import cpython
from diffucli.syntax.statements import columns, statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffucli.syntax.statements import Statement

Part = tuple[int, int, str]  # start, stop, and fixed text in front of what is written there
_HEADS = {"def": "def _():", "class": "class _:", "for": "while _:", "while": "while _:", "async": "async def _():"}
NEAR = 20_000  # characters that are read above and below a part
_NAME = re.compile(r"\w*")


def parses_without(text: str, parts: Sequence[Part], *, fragment: bool) -> bool:
    """Whether `text` parses when each of `parts` is replaced by something neutral."""
    body = text.removeprefix("\ufeff")
    shift = len(text) - len(body)
    moved = [(start - shift, stop - shift, lead) for start, stop, lead in parts]
    choices = [[filler(body, start, stop, lead) for start, stop, lead in moved], *([word] * len(moved) for word in "_")]
    return any(cpython.errors(_filled(body, moved, words), fragment=fragment) == [] for words in choices)


def filler(text: str, start: int, stop: int, lead: str = "") -> str:
    """What may stand for `text[start:stop]`: a name, or the head that the lines behind it ask for."""
    line = max(text.rfind(end, 0, start) for end in "\r\n") + 1
    after = re.split("[\r\n]", text[stop:], maxsplit=1)[0].split("#")[0]
    before = (text[line:start] + lead).rpartition("\n")[2]
    if before.strip() or after.strip():
        return "_"
    indent = columns(before)
    behind = statements(text[stop : stop + NEAR]) if stop < len(text) else []
    closing = next((statement for statement in behind if statement.indent <= indent), None)
    follows = closing.first if closing is not None and closing.indent == indent else ""
    if behind and behind[0].indent > indent:
        if follows in {"except", "finally"}:
            return "try:"
        return _HEADS.get(_opening(text[line:stop], behind[0]), "if _:")
    above = statements(text[max(line - NEAR, 0) : line])
    if above and above[-1].first == "@":
        return "def _(): _"
    return {"except": "try: _", "finally": "try: _", "else": "if _: _", "elif": "if _: _"}.get(follows, "_")


def _opening(part: str, behind: Statement) -> str:
    """The first word of the last statement in `part` that is further to the left than the one behind it."""
    heads = [statement.first for statement in statements(part) if statement.indent < behind.indent]
    return heads[-1] if heads else ""


def _filled(text: str, parts: Sequence[Part], words: Sequence[str]) -> str:
    pieces, end = [], 0
    for (start, stop, lead), word in zip(parts, words, strict=True):
        pieces += [text[end:start], lead, word]
        end = stop
    return "".join([*pieces, text[end:]])
