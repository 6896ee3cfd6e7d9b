"""Holes written into a text (`???` free, `???8` eight tokens, `???1-40`), and putting what was written into regions.

Does not know in which languages `???` is code: the caller asks for holes only where it is not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from diffucli.edit.regions import Region
from diffucli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_TOKENS = 1024
_HOLE = re.compile(r"(?<!\?)\?{3}(?!\?)(?:([0-9]+)(?:-([0-9]+))?)?")
_LENGTH = re.compile(r"([0-9]+)(?:-([0-9]+))?")
_NEWLINE = re.compile(r"\r\n|\n")


def find(text: str) -> tuple[Region, ...]:
    """The holes of `text` in order; four or more question marks are none. UsageError: a length that cannot be."""
    return tuple(_region(match, text) for match in _HOLE.finditer(text))


def fill(text: str, regions: Sequence[Region], replacements: Sequence[str], *, newline: str) -> str:
    r"""`text` with each region replaced; everything outside the regions stays as it is.

    regions: sorted and disjoint, one replacement each. A "\n" of a replacement becomes `newline`.
    """
    pieces: list[str] = []
    done = 0
    for region, replacement in zip(regions, replacements, strict=True):
        assert done <= region.start <= region.stop <= len(text), region
        pieces += [text[done : region.start], _NEWLINE.sub(newline, region.lead + replacement)]
        done = region.stop
    return "".join([*pieces, text[done:]])


def length(text: str, *, label: str) -> tuple[int, int]:
    """The bounds on tokens that `text` says: "8" or "1-40". label: what to call it. UsageError: it says none."""
    found = _LENGTH.fullmatch(text)
    if found is None:
        raise _no_length(label, mark="")
    return _bounds(found, label, mark="")


def _region(match: re.Match[str], text: str) -> Region:
    line = text.count("\n", 0, match.start()) + 1
    label = f"{match[0]} in line {line}"
    if match[1] is None:
        return Region(*match.span(), label=label)
    return Region(*match.span(), *_bounds(match, label, mark="???"), label)


def _bounds(match: re.Match[str], label: str, *, mark: str) -> tuple[int, int]:
    """The two numbers of a match, or the one twice. mark: how a length is written."""
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
