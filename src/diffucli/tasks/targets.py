"""The regions of a text that `diffu fill` rewrites: those named by -r, and the holes (`???`) that are not valid code.

Knows text and grammars; nothing of models.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from diffucli.edit import holes
from diffucli.edit.holes import HOLE
from diffucli.edit.regions import Region, arrange, marks, parse, require_few, todos
from diffucli.errors import UsageError
from diffucli.syntax import cpython, neutral, prose, symbols
from diffucli.syntax.faults import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from diffucli.syntax.languages import Language

_WHOLE = "=whole"  # behind a symbol: its signature, decorators and docstring too
_NAME = "_"  # replaces each character of a hole, so that the text parses and offsets stay


@dataclass(frozen=True, slots=True)
class Targets:
    """Regions of a text, sorted and disjoint.

    plain: the text with each hole replaced by a name of the same length. holes: the ranges of the holes. fragment: it
    is part of a function or class of Python. sound: Python in which no error lies outside of the regions.
    """

    regions: tuple[Region, ...]
    plain: str
    holes: frozenset[tuple[int, int]]
    fragment: bool = False
    sound: bool = False

    @property
    def mends(self) -> bool:
        """Whether errors are to be mended."""
        return any(region.mend for region in self.regions)

    def is_hole(self, region: Region) -> bool:
        """Whether a region is a hole, so that there is no old text in it."""
        return (region.start, region.stop) in self.holes

    def bounded(self, length: tuple[int, int]) -> Targets:
        """A copy with `length` as the bounds of the regions that have none."""
        low, high = length
        return replace(self, regions=tuple(r if r.high else replace(r, low=low, high=high) for r in self.regions))


def find(
    text: str,
    language: Language,
    specs: Sequence[str],
    *,
    all_holes: bool,
    lenient: bool,
    fragments: bool = False,
) -> Targets:
    """The regions that `specs` name in `text`, and its holes; a hole inside a region is part of that region.

    all_holes: `???` is a hole even if it is valid code, as in bash, a string or comment. lenient: `:todo`, `:marks` and
    `:errors` may find nothing, and there may be no region. fragments: Python may be part of a function or class.
    UsageError: no region, or an impossible one.
    """
    found_holes = _holes(text, language, all_holes=all_holes)
    plain = _without(text, found_holes)
    is_python = language.name == "python"
    fragment = fragments and is_python and cpython.is_fragment(plain)
    finders: dict[str, Callable[[str], Sequence[Region]]] = {
        ":todo": todos,
        ":marks": marks,
        ":errors": partial(_broken, language, fragment=fragment),
    }
    wanted = [spec for spec in specs if not (lenient and spec in finders and not finders[spec](plain))]
    found = parse(wanted, plain, find_symbol=partial(_symbol, plain, language), find_errors=finders[":errors"])
    bounds = {(hole.start, hole.stop): hole for hole in found_holes}
    named = [_bounded(region, bounds.get((region.start, region.stop))) for region in found]
    free = [hole for hole in found_holes if not any(r.start <= hole.start and hole.stop <= r.stop for r in named)]
    require_few(len(named) + len(free))
    regions = arrange([*named, *free])
    if not regions and not lenient:
        if holes.find(text):
            raise UsageError("every ??? stands where it is legal, so it is no hole", hint="add --hole, or a region")
        if near := holes.near(text):
            raise UsageError(f"{near} is no hole", hint="write ??? for a hole, or ???8 for one of eight tokens")
        raise UsageError("there is no ???, and no region is named", hint="name one, such as -r 10:40")
    parts = [(region.start, region.stop, region.lead) for region in regions]
    sound = is_python and neutral.parses_without(plain, parts, fragment=fragment)
    return Targets(regions, plain, frozenset(bounds), fragment, sound)


def between(before: str, after: str, language: Language) -> tuple[str, Targets]:
    """A text with a hole between `before` and `after`, wherever that is in a line, and the hole as its only target."""
    start, stop = len(before), len(before) + len(HOLE)
    plain = f"{before}{_NAME * len(HOLE)}{after}"
    sound = language.name == "python" and neutral.parses_without(plain, [(start, stop, "")], fragment=False)
    targets = Targets((Region(start, stop, label="the hole"),), plain, frozenset({(start, stop)}), sound=sound)
    return f"{before}{HOLE}{after}", targets


def _holes(text: str, language: Language, *, all_holes: bool) -> tuple[Region, ...]:
    """The holes of a text: each `???` that does not stand where any text may stand, as in a string or comment."""
    seen = holes.find(text) if "???" in text else ()
    if all_holes or not seen:
        return seen
    if language.hole_is_legal:
        return ()
    is_free = prose.finder(_without(text, seen), language)
    return tuple(hole for hole in seen if not is_free(hole.start, hole.stop))


def _without(text: str, seen: Sequence[Region]) -> str:
    """`text` with each hole replaced by a name of the same length."""
    names = [_NAME * (hole.stop - hole.start) for hole in seen]
    return holes.fill(text, seen, names, newline="\n")


def _bounded(region: Region, hole: Region | None) -> Region:
    """The region with the bounds of the hole that it equals, if any."""
    return region if hole is None else replace(region, low=hole.low, high=hole.high)


def _symbol(text: str, language: Language, name: str) -> Region:
    """The body of a definition, or a new line below its docstring; all of the definition with `=whole`."""
    found = symbols.find(text, language, name.removesuffix(_WHOLE))
    if found.body is None or name.endswith(_WHOLE):
        return Region(found.start, found.stop)
    start, stop = found.body.start, found.body.stop
    if start < stop:
        return Region(start, stop)
    line = max(text.rfind(end, 0, found.body.first) for end in "\r\n") + 1
    return Region(start, stop, lead="\n" + text[line : found.body.first])


def _broken(language: Language, text: str, *, fragment: bool) -> tuple[Region, ...]:
    """The statements with syntax errors."""
    return tuple(
        Region(start, stop, label=f":errors of line {error.line}", mend=True)
        for error, (start, stop) in faults(text, language, fragment=fragment)
    )
