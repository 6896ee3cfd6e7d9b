"""Holes in a text (`???` of any length, `???8` of eight tokens, `???1-40`), and the replacement of regions.

Does not know in which languages `???` is valid code; the caller decides which holes count.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from diffucli.edit.regions import Region
from diffucli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_TOKENS = 1024
HOLE = "???"
_HOLE = re.compile(r"(?<!\?)\?{3}(?!\?)(?:([0-9]+)(?:-([0-9]+))?)?")
_NEAR = re.compile(r"\?{4,}|\uff1f{2,}|(?:(?<=[=(\[{,:])|(?<=[=(\[{,:] )|(?<=return ))\?\?(?![?=])")
_LENGTH = re.compile(r"([0-9]+)(?:-([0-9]+))?")
_NEWLINE = re.compile(r"\r\n|\n")


def find(text: str) -> tuple[Region, ...]:
    """The holes of `text` in order; four or more question marks are no hole. UsageError: an impossible length."""
    found, line, seen = [], 1, 0
    for match in _HOLE.finditer(text):
        line, seen = line + text.count("\n", seen, match.start()), match.start()
        found.append(_region(match, line))
    return tuple(found)


def near(text: str) -> str:
    """What looks as if it were meant as a hole, and where: "???? in line 1"; "" if nothing does."""
    match = _NEAR.search(text)
    return f"{match[0]} in line {text.count(chr(10), 0, match.start()) + 1}" if match else ""


def fill(text: str, regions: Sequence[Region], replacements: Sequence[str], *, newline: str) -> str:
    r"""Replace each region of `text`; everything outside the regions stays as it is.

    regions: sorted and disjoint, with one replacement each. A "\n" in a replacement becomes `newline`.
    """
    pieces: list[str] = []
    end = 0
    for region, replacement in zip(regions, replacements, strict=True):
        assert end <= region.start <= region.stop <= len(text), region
        pieces += [text[end : region.start], _NEWLINE.sub(newline, region.lead + replacement)]
        end = region.stop
    return "".join([*pieces, text[end:]])


def length(text: str, *, label: str) -> tuple[int, int]:
    """The bounds in tokens written as "8" or "1-40". label: names `text` in a message. UsageError: another form."""
    found = _LENGTH.fullmatch(text)
    if found is None:
        raise _no_length(label, mark="")
    return _bounds(found, label, mark="")


def _region(match: re.Match[str], line: int) -> Region:
    label = f"{match[0]} in line {line}"
    if match[1] is None:
        return Region(*match.span(), label=label)
    return Region(*match.span(), *_bounds(match, label, mark="???"), label)


def _bounds(match: re.Match[str], label: str, *, mark: str) -> tuple[int, int]:
    """The two numbers of a match, or its only number twice. mark: precedes a length in the hint."""
    if max(len(digits or "") for digits in match.groups()) > len(str(MAX_TOKENS)):
        raise _too_long(label)
    low = int(match[1])
    high = int(match[2] or low)
    if not 1 <= low <= high:
        raise _no_length(label, mark=mark)
    if high > MAX_TOKENS:
        raise _too_long(label)
    return low, high


def _no_length(label: str, *, mark: str) -> UsageError:
    return UsageError(
        f"{label[:60]}: no such length", hint=f"write {mark}8 for eight tokens, {mark}1-40 for one to forty"
    )


def _too_long(label: str) -> UsageError:
    return UsageError(f"{label[:60]}: a hole holds at most {MAX_TOKENS} tokens", hint="write a smaller number")
