"""Holes written into a text (`???` free, `???8` eight tokens, `???1-40`), and putting what was written into regions.

Does not know in which languages `???` is code: the caller asks for holes only where it is not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from diffucli.edit.region import Region
from diffucli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_TOKENS = 1024
_HOLE = re.compile(r"(?<!\?)\?{3}(?!\?)(?:([0-9]+)(?:-([0-9]+))?)?")
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


def _region(match: re.Match[str], text: str) -> Region:
    line = text.count("\n", 0, match.start()) + 1
    label = f"{match[0]} in line {line}"
    if match[1] is None:
        return Region(*match.span(), label=label)
    if max(len(digits or "") for digits in match.groups()) > len(str(MAX_TOKENS)):
        raise _too_long(label)
    low = int(match[1])
    high = int(match[2] or low)
    if not 1 <= low <= high:
        raise UsageError(f"{label}: no such length", hint="write ???8 for eight tokens, ???1-40 for one to forty")
    if high > MAX_TOKENS:
        raise _too_long(label)
    return Region(*match.span(), low, high, label)


def _too_long(label: str) -> UsageError:
    return UsageError(f"{label[:60]}: a hole holds at most {MAX_TOKENS} tokens", hint="write a smaller number")
