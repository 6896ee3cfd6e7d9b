"""What to rewrite: regions of a text, from the forms of `-r` (lines, columns, symbols, `:todo`, `:marks`, `:errors`).

Knows no grammar: symbols and parse errors are found by callables that are passed in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from diffucli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_NEWLINE = re.compile(r"\r\n|\n|\r")
_LINES = re.compile(r"([0-9]{1,9})(?:[:,-]([0-9]{1,9})|,\+([0-9]{1,9}))?")
_COLUMNS = re.compile(r"([0-9]{1,9}):([0-9]{1,9})-([0-9]{1,9}):([0-9]{1,9})")
_SYMBOL = re.compile(r"(?:[^\W\d]|[~$@])[^\s:]*(?:::[^\s:]+)*")
_COMMENT = re.compile(
    r"[ \t]*(?:#+(?=[ \t!:]|$|TODO|FIXME)|//|--(?=[ \t])|/\*(?=.*\*/[ \t]*$)|<!--(?=.*-->[ \t]*$))(?P<words>.*)"
)
_TODO = re.compile(r"\b(?:TODO|FIXME)\b")
_STUB = re.compile(
    r"[ \t]*(?:pass|\.\.\.|raise NotImplementedError\b.*|(?:todo|unimplemented)!\(.*\)"
    r"|throw new .*(?i:not.?implemented|unsupportedoperation).*)[ \t]*;?[ \t]*(?:(?:#|//).*)?"
)
_FORMS = "10:40, 10,+30, 10:5-12:20, a symbol such as Cfg.load, :errors, :todo or :marks"


@dataclass(frozen=True, slots=True)
class Region:
    r"""A half-open range of character offsets in a text.

    low, high: bounds on the number of tokens written there (None: free). label: how the user named it.
    lead: fixed text that goes in front of what is written, e.g. "\n    " where a line is added; the text lacks it yet.
    """

    start: int
    stop: int
    low: int | None = None
    high: int | None = None
    label: str = ""
    lead: str = ""


@dataclass(frozen=True, slots=True)
class _Lines:
    """Lines first to last, 1-based and inclusive."""

    first: int
    last: int
    label: str


def todos(text: str) -> tuple[Region, ...]:
    """Where the TODO and FIXME comments alone on their line want code: the stub below each, else a new line below it.

    The comment, with the comment lines that continue it, stays. A stub is a `pass`, `...`, `raise NotImplementedError`
    or the like at the comment's indentation. Goes by the look of a line: one inside a string counts too.
    """
    lines = [text[start:stop] for start, stop in _spans(text)]
    regions: list[Region] = []
    row = 0
    while row < len(lines):
        comment = _COMMENT.fullmatch(lines[row])
        if comment is None or not _TODO.search(comment["words"]):
            row += 1
            continue
        label, indent = f":todo of line {row + 1}", _indent(lines[row])
        while row < len(lines) and _COMMENT.fullmatch(lines[row]) and _indent(lines[row]) == indent:
            row += 1
        stub = row < len(lines) and _STUB.fullmatch(lines[row]) and _indent(lines[row]) == indent
        regions.append(_whole_lines(_Lines(row + 1, row + 1, label), text) if stub else _below(row, text, label))
    return tuple(regions)


def marks(text: str) -> tuple[Region, ...]:
    """The lines between each line with `diffu:begin` and the next with `diffu:end`. UsageError: one is unpaired."""
    regions: list[Region] = []
    begun: int | None = None
    for row, (start, stop) in enumerate(_spans(text), start=1):
        line = text[start:stop]
        if "diffu:begin" in line:
            if begun is not None:
                raise UsageError(
                    f"line {row}: diffu:begin before the one in line {begun} ended", hint="add a diffu:end"
                )
            begun = row
        elif "diffu:end" in line:
            if begun is None:
                raise UsageError(f"line {row}: diffu:end without a diffu:begin", hint="add a diffu:begin above it")
            label = f":marks of line {begun}"
            empty = begun + 1 == row
            regions.append(
                _below(begun, text, label) if empty else _whole_lines(_Lines(begun + 1, row - 1, label), text)
            )
            begun = None
    if begun is not None:
        raise UsageError(f"line {begun}: diffu:begin without a diffu:end", hint="add a diffu:end below it")
    return tuple(regions)


def parse(
    specs: Sequence[str],
    text: str,
    *,
    find_symbol: Callable[[str], tuple[int, int]],
    find_todo: Callable[[str], Iterable[Region]] = todos,
    find_errors: Callable[[str], Iterable[Region]] | None = None,
) -> tuple[Region, ...]:
    """The regions of `text` that `specs` name: sorted, disjoint, with adjacent lines as one region.

    Lines: `10`, `10:40`, `10-40`, `10,40` (inclusive), `10,+30` (line 10 and the 30 lines after it, as in sed). A
    region of lines keeps the first line's indentation and the last line's newline. Columns: `10:5-12:20`, in
    characters, end included. find_symbol: a symbol's name to its half-open range; it raises UsageError itself.
    find_todo, find_errors: the text to regions. UsageError: unknown form, lines that are not there, nothing found,
    regions that overlap.
    """
    lines: list[_Lines] = []
    regions: list[Region] = []
    finders = {":todo": find_todo, ":marks": marks, ":errors": find_errors}
    for spec in specs:
        if spec in finders:
            regions += _found(spec, finders[spec], text)
        elif match := _LINES.fullmatch(spec):
            lines.append(_lines(match, text))
        elif match := _COLUMNS.fullmatch(spec):
            regions.append(_columns(match, text))
        elif _SYMBOL.fullmatch(spec):
            start, stop = find_symbol(spec)
            assert 0 <= start <= stop <= len(text), spec
            regions.append(Region(start, stop, label=spec))
        else:
            raise UsageError(f"region {spec!r} is of no known form", hint=f"write {_FORMS}")
    return arrange([*regions, *(_whole_lines(block, text) for block in _adjacent_joined(lines))])


def arrange(regions: Iterable[Region]) -> tuple[Region, ...]:
    """`regions` sorted, those that touch as one (their bounds added). UsageError: two of them overlap."""
    arranged: list[Region] = []
    for region in sorted(regions, key=lambda region: (region.start, region.stop)):
        last = arranged[-1] if arranged else None
        if last is None or (last.stop <= region.start and (region.lead or last.stop < region.start)):
            arranged.append(region)
        elif last.stop > region.start or (last.start, last.stop) == (region.start, region.stop):
            raise _overlap(last.label, region.label)
        else:
            arranged[-1] = _touching(last, region)
    return tuple(arranged)


def _touching(left: Region, right: Region) -> Region:
    low = None if left.low is None or right.low is None else left.low + right.low
    high = None if left.high is None or right.high is None else left.high + right.high
    return Region(left.start, right.stop, low, high, f"{left.label}, {right.label}", left.lead)


def _overlap(one: str, other: str) -> UsageError:
    return UsageError(f"regions {one} and {other} overlap", hint="name each part of the file once")


def _found(spec: str, find: Callable[[str], Iterable[Region]] | None, text: str) -> list[Region]:
    if find is None:
        raise UsageError(f"region {spec} is not available here", hint=f"write {_FORMS}")
    united: list[Region] = []
    for region in sorted(find(text), key=lambda region: (region.start, region.stop)):
        if united and region.start < max(united[-1].stop, united[-1].start + 1):
            united[-1] = replace(united[-1], stop=max(united[-1].stop, region.stop))
        else:
            united.append(region)
    if not united:
        raise UsageError(f"region {spec}: there is none in the file", hint="name lines or a symbol instead")
    return united


def _spans(text: str) -> list[tuple[int, int]]:
    """Half-open range of each line, its newline left out; an empty text has one empty line."""
    spans: list[tuple[int, int]] = []
    start = 0
    for newline in _NEWLINE.finditer(text):
        spans.append((start, newline.start()))
        start = newline.end()
    if start < len(text) or not spans:
        spans.append((start, len(text)))
    return spans


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _whole_lines(lines: _Lines, text: str) -> Region:
    spans = _spans(text)
    start, stop = spans[lines.first - 1]
    return Region(start + len(_indent(text[start:stop])), spans[lines.last - 1][1], label=lines.label)


def _below(row: int, text: str, label: str) -> Region:
    """A new line below line `row` (1-based), with its indentation."""
    start, stop = _spans(text)[row - 1]
    return Region(stop, stop, label=label, lead="\n" + _indent(text[start:stop]))


def _lines(match: re.Match[str], text: str) -> _Lines:
    first = int(match[1])
    last = int(match[2]) if match[2] else first + int(match[3] or 0)
    _require(match[0], first, last, count=len(_spans(text)))
    return _Lines(first, last, match[0])


def _columns(match: re.Match[str], text: str) -> Region:
    first, left, last, right = (int(group) for group in match.groups())
    spans = _spans(text)
    _require(match[0], first, last, count=len(spans))
    for row, column in ((first, left), (last, right)):
        width = spans[row - 1][1] - spans[row - 1][0]
        if not 1 <= column <= max(width, 1):
            raise UsageError(f"region {match[0]}: line {row} has {width} columns", hint="columns count from 1")
    start = spans[first - 1][0] + left - 1
    stop = min(spans[last - 1][0] + right, spans[last - 1][1])
    if (first, left) > (last, right):
        raise UsageError(f"region {match[0]} ends before it starts", hint="write the smaller column first")
    return Region(min(start, stop), stop, label=match[0])


def _require(spec: str, first: int, last: int, *, count: int) -> None:
    """Lines first to last are in a file of `count` lines."""
    if first < 1:
        raise UsageError(f"region {spec}: lines count from 1", hint=f"the file has {count} lines")
    if last < first:
        raise UsageError(
            f"region {spec} ends before it starts; the file has {count} lines",
            hint="write the smaller line first; columns are written 10:5-12:20",
        )
    if last > count:
        raise UsageError(f"region {spec}: the file has {count} lines", hint=f"write a line from 1 to {count}")


def _adjacent_joined(lines: Iterable[_Lines]) -> list[_Lines]:
    joined: list[_Lines] = []
    for block in sorted(lines, key=lambda block: (block.first, block.last)):
        if joined and block.first <= joined[-1].last:
            raise _overlap(joined[-1].label, block.label)
        if joined and block.first == joined[-1].last + 1:
            joined[-1] = _Lines(joined[-1].first, block.last, f"{joined[-1].label}, {block.label}")
        else:
            joined.append(block)
    return joined
