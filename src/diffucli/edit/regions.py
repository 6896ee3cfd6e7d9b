"""Regions of a text to rewrite, from the forms of `-r`: lines, columns, symbols, `:todo`, `:marks` and `:errors`.

Knows no grammar: callables that are passed in find symbols and syntax errors.
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
_SYMBOL = re.compile(r"""(?=[^\W\d]|[~$@#\["'])(?:"[^"]*"|'[^']*'|::|[^:"'])+""")
_COMMENT = re.compile(
    r"[ \t]*(?:#+(?=[ \t!:]|$|TODO|FIXME)|//|--(?=[ \t])|/\*(?=.*\*/[ \t]*$)|<!--(?=.*-->[ \t]*$))(?P<body>.*)"
)
_TODO = re.compile(r"\b(?:TODO|FIXME)\b")
_STUB = re.compile(  # possessive where a line of blanks would be tried in every division
    r"[ \t]*+(?:raise NotImplementedError\b.*|throw new .*(?i:not.?implemented|unsupportedoperation).*"
    r"|(?:pass|\.\.\.|(?:todo|unimplemented)!\(.*\))[ \t]*+;?[ \t]*+(?:(?:#|//).*)?)"
)
MOST = 256  # regions of a file that are written together
_FORMS = "10:40, 10,+30, 10:5-12:20, a symbol such as Cfg.load, :errors, :todo or :marks"


@dataclass(frozen=True, slots=True)
class Region:
    r"""A half-open range of character offsets in a text.

    low, high: bounds on the number of tokens to be written there (None: free). label: how the user named it.
    lead: fixed text that precedes what is written and is not in the text yet, e.g. "\n    " if a line is added.
    mend: the old text stands, and only what is wrong in it is to be changed.
    """

    start: int
    stop: int
    low: int | None = None
    high: int | None = None
    label: str = ""
    lead: str = ""
    mend: bool = False


@dataclass(frozen=True, slots=True)
class _Lines:
    """Lines first to last, 1-based and inclusive."""

    first: int
    last: int
    label: str


_Spans = list[tuple[int, int]]  # the half-open range of each line, without its newline


def todos(text: str) -> tuple[Region, ...]:
    """The places where TODO and FIXME comments ask for code: the stub below each comment, or else a new line below it.

    Only a comment that is alone on its line counts; it stays, as do the comment lines that continue it. A stub is a
    `pass`, `...`, `raise NotImplementedError` or the like at the indentation of the comment. Lines are matched by their
    look, so a line in a string counts too.
    """
    spans = line_spans(text)
    lines = [text[start:stop] for start, stop in spans]
    regions: list[Region] = []
    row = 0
    while row < len(lines):
        comment = _COMMENT.fullmatch(lines[row])
        if comment is None or not _TODO.search(comment["body"]):
            row += 1
            continue
        label, indent = f":todo of line {row + 1}", _indent(lines[row])
        while row < len(lines) and _COMMENT.fullmatch(lines[row]) and _indent(lines[row]) == indent:
            row += 1
        has_stub = row < len(lines) and _STUB.fullmatch(lines[row]) and _indent(lines[row]) == indent
        stub = _Lines(row + 1, row + 1, label)
        regions.append(_whole_lines(stub, text, spans) if has_stub else _new_line_below(row, label, text, spans))
    return tuple(regions)


def marks(text: str) -> tuple[Region, ...]:
    """The lines between each `diffu:begin` line and the next `diffu:end` line. UsageError: one of a pair is missing."""
    spans = line_spans(text)
    regions: list[Region] = []
    begin: int | None = None
    for row, (start, stop) in enumerate(spans, start=1):
        line = text[start:stop]
        if "diffu:begin" in line:
            if begin is not None:
                raise UsageError(
                    f"line {row}: diffu:begin before the one in line {begin} ended", hint="add a diffu:end"
                )
            begin = row
        elif "diffu:end" in line:
            if begin is None:
                raise UsageError(f"line {row}: diffu:end without a diffu:begin", hint="add a diffu:begin above it")
            between = _Lines(begin + 1, row - 1, f":marks of line {begin}")
            is_empty = between.last < between.first
            regions.append(
                _new_line_below(begin, between.label, text, spans) if is_empty else _whole_lines(between, text, spans)
            )
            begin = None
    if begin is not None:
        raise UsageError(f"line {begin}: diffu:begin without a diffu:end", hint="add a diffu:end below it")
    return tuple(regions)


def parse(
    specs: Sequence[str],
    text: str,
    *,
    find_symbol: Callable[[str], Region],
    find_todo: Callable[[str], Iterable[Region]] = todos,
    find_errors: Callable[[str], Iterable[Region]] | None = None,
) -> tuple[Region, ...]:
    """The regions of `text` that `specs` name, sorted and disjoint; regions that touch are joined.

    Lines: `10`, `10:40`, `10-40`, `10,40` (inclusive), `10,+30` (line 10 and the next 30 lines, as in sed). The
    indentation of the first line and the newline of the last line are not part of the region. Columns: `10:5-12:20`, in
    characters, end included. Blanks at either end of columns or of a symbol are not part of the region either, because
    what is written has none.

    find_symbol: maps a name to its region or raises UsageError. find_todo, find_errors: map a text to regions.
    UsageError: unknown form, lines or columns that do not exist, nothing found, too many, or regions that overlap.
    """
    require_few(len(specs))
    spans = line_spans(text)
    lines: list[_Lines] = []
    ranges: list[Region] = []
    regions: list[Region] = []
    finders = {":todo": find_todo, ":marks": marks, ":errors": find_errors}
    for spec in specs:
        if spec in finders:
            regions += _found(spec, finders[spec], text)
        elif match := _LINES.fullmatch(spec):
            lines.append(_lines(match, spans))
        elif match := _COLUMNS.fullmatch(spec):
            ranges.append(_columns(match, spans))
        elif _SYMBOL.fullmatch(spec):
            symbol = find_symbol(spec)
            assert 0 <= symbol.start <= symbol.stop <= len(text), spec
            ranges.append(replace(symbol, label=spec))
        else:
            raise UsageError(f"region {spec!r} is of no known form", hint=f"write {_FORMS}")
    regions += (_without_blanks(region, text) for region in arrange(ranges))
    regions += (_whole_lines(block, text, spans) for block in _joined(lines))
    return arrange(regions)


def require_few(count: int) -> None:
    """UsageError: there are more regions and holes than are written together."""
    if count > MOST:
        message = f"there are {count} regions and holes, at most {MOST} are filled together"
        raise UsageError(message, hint="name some of them with -r, or write the file in parts")


def arrange(regions: Iterable[Region]) -> tuple[Region, ...]:
    """`regions` sorted; those that touch are joined and their bounds added. UsageError: two of them overlap."""
    arranged: list[Region] = []
    for region in sorted(regions, key=lambda region: (region.start, region.stop)):
        last = arranged[-1] if arranged else None
        if last is None or (last.stop <= region.start and (region.lead or last.stop < region.start)):
            arranged.append(region)
        elif last.stop > region.start or (last.start, last.stop) == (region.start, region.stop):
            raise _overlap(last.label, region.label)
        else:
            arranged[-1] = _union(last, region)
    return tuple(arranged)


def _union(left: Region, right: Region) -> Region:
    low = None if left.low is None or right.low is None else left.low + right.low
    high = None if left.high is None or right.high is None else left.high + right.high
    label = f"{left.label}, {right.label}"
    return Region(left.start, right.stop, low, high, label, left.lead, left.mend and right.mend)


def _overlap(one: str, other: str) -> UsageError:
    return UsageError(f"regions {one} and {other} overlap", hint="name each part of the file once")


def _found(spec: str, find: Callable[[str], Iterable[Region]] | None, text: str) -> list[Region]:
    """The regions that a finder gives, those that overlap as one. UsageError: it finds none, or there is no finder."""
    if find is None:
        raise UsageError(f"region {spec} is not available here", hint=f"write {_FORMS}")
    united: list[Region] = []
    for region in sorted(find(text), key=lambda region: (region.start, region.stop)):
        if united and region.start < max(united[-1].stop, united[-1].start + 1):
            united[-1] = replace(united[-1], stop=max(united[-1].stop, region.stop))
        else:
            united.append(region)
    require_few(len(united))
    if not united:
        raise UsageError(f"region {spec}: there is none in the file", hint="name lines or a symbol instead")
    return united


def line_spans(text: str) -> _Spans:
    """The half-open range of each line, without its newline; an empty text has one empty line."""
    spans: _Spans = []
    start = 0
    for newline in _NEWLINE.finditer(text):
        spans.append((start, newline.start()))
        start = newline.end()
    if start < len(text) or not spans:
        spans.append((start, len(text)))
    return spans


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _whole_lines(lines: _Lines, text: str, spans: _Spans) -> Region:
    start, stop = spans[lines.first - 1]
    return Region(start + len(_indent(text[start:stop])), spans[lines.last - 1][1], label=lines.label)


def _new_line_below(row: int, label: str, text: str, spans: _Spans) -> Region:
    """A new line below line `row` (1-based), with the indentation of that line."""
    start, stop = spans[row - 1]
    return Region(stop, stop, label=label, lead="\n" + _indent(text[start:stop]))


def _without_blanks(region: Region, text: str) -> Region:
    """The region without blanks and newlines at its ends.

    A region of blanks only becomes empty: behind the blanks if they are an indentation, else before them.
    """
    covered = text[region.start : region.stop]
    if covered and not covered.strip():
        line = text[: region.start].rpartition("\n")[2].rpartition("\r")[2]
        at = region.start if line.strip() else region.stop
        return replace(region, start=at, stop=at)
    start = region.start + len(_indent(covered))
    return replace(region, start=start, stop=start + len(covered.strip()))


def _lines(match: re.Match[str], spans: _Spans) -> _Lines:
    first = int(match[1])
    last = int(match[2]) if match[2] else first + int(match[3] or 0)
    _require_lines(match[0], first, last, count=len(spans))
    return _Lines(first, last, match[0])


def _columns(match: re.Match[str], spans: _Spans) -> Region:
    first, left, last, right = (int(group) for group in match.groups())
    _require_lines(match[0], first, last, count=len(spans))
    for row, column in ((first, left), (last, right)):
        width = spans[row - 1][1] - spans[row - 1][0]
        if not 1 <= column <= max(width, 1):
            raise UsageError(f"region {match[0]}: line {row} has {width} columns", hint="columns count from 1")
    start = spans[first - 1][0] + left - 1
    stop = min(spans[last - 1][0] + right, spans[last - 1][1])
    if (first, left) > (last, right):
        raise UsageError(f"region {match[0]} ends before it starts", hint="write the smaller column first")
    return Region(min(start, stop), stop, label=match[0])


def _require_lines(spec: str, first: int, last: int, *, count: int) -> None:
    """UsageError: first to last are not lines of a file that has `count` lines."""
    if first < 1:
        raise UsageError(f"region {spec}: lines count from 1", hint=f"the file has {count} lines")
    if last < first:
        raise UsageError(
            f"region {spec} ends before it starts; the file has {count} lines",
            hint="write the smaller line first; columns are written 10:5-12:20",
        )
    if last > count:
        raise UsageError(f"region {spec}: the file has {count} lines", hint=f"write a line from 1 to {count}")


def _joined(lines: Iterable[_Lines]) -> list[_Lines]:
    """`lines` sorted, adjacent ones as one. UsageError: two of them overlap."""
    joined: list[_Lines] = []
    for block in sorted(lines, key=lambda block: (block.first, block.last)):
        if joined and block.first <= joined[-1].last:
            raise _overlap(joined[-1].label, block.label)
        if joined and block.first == joined[-1].last + 1:
            joined[-1] = _Lines(joined[-1].first, block.last, f"{joined[-1].label}, {block.label}")
        else:
            joined.append(block)
    return joined
