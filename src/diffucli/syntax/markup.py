"""The tags of HTML: which are closed, and which need not be.

Follows the tokenizer and the optional tags of the HTML standard. What may stand in which element is not checked.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from diffucli.syntax.trees import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from diffucli.syntax.compiler import Error

_VOID = words("area base br col embed hr img input link meta param source track wbr")
_FREE = words("script style textarea title xmp iframe noembed noframes")  # elements whose text is no markup
# Elements whose end tag may be left out.
_OPTIONAL = words(
    """html head body p li dt dd option optgroup tr td th thead tbody tfoot colgroup caption rp rt rb rtc"""
)
_FOREIGN = frozenset({"svg", "math"})
_ATTRIBUTE = (
    r"""[^\s"'<>/=][^\s=>/<]*+(?:\s*+=\s*+(?:"[^"]*"|'[^']*'|[^\s"'<>][^\s<>]*+))?+|[{}()\[\]%|!]|"[^"]*"|'[^']*'"""
)
_TOKEN = re.compile(
    rf"""(?P<comment><!--(?:>|->|.*?--!?>))
    |(?P<open_comment><!--)
    |(?P<cdata><!\[CDATA\[.*?\]\]>)
    |(?P<server><\?.*?(?:\?>|>)|<%.*?%>)
    |(?P<doctype><![^>]*>)
    |<(?P<close>/)?(?P<name>[a-zA-Z][^\s/>]*+)(?:\s|/(?!>)|{_ATTRIBUTE})*+(?P<self>/)?>
    |<(?P<broken>/?[a-zA-Z][^\s/>]*+)""",
    re.DOTALL | re.VERBOSE,
)
_XML = re.compile(r"^\s*<\?xml|<!DOCTYPE[^>]*XHTML|<html[^>]*\sxmlns", re.IGNORECASE)  # where `<a/>` has no end tag
_SHOWN = 24


def errors(text: str) -> list[Error]:
    """Tags without a partner where one is needed, tags, comments and quotes without an end; by position."""
    return sorted(_errors(text))


def _errors(text: str) -> Iterator[Error]:
    opened: list[tuple[str, int, int]] = []
    at, is_xml = 0, _XML.search(text) is not None
    while (token := _TOKEN.search(text, at)) is not None:
        at = token.end()
        if token["open_comment"]:
            yield token.start(), at, "unclosed comment"
            return
        if token["broken"]:
            yield token.start(), at, f"unclosed tag `<{token['broken'][:_SHOWN]}`"
        if token["name"] is None:
            continue
        name, place = token["name"].lower(), (token.start(), token.end())
        if token["close"]:
            yield from _closed(opened, name, place, token[0])
        elif name in _VOID or (token["self"] and (is_xml or _is_foreign(opened, name))):
            continue
        else:
            opened.append((name, *place))
            if name in _FREE and not any(each in _FOREIGN for each, *_ in opened):
                end = re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE).search(text, at)
                at = len(text) if end is None else end.start()
    yield from _unclosed(opened)


def _is_foreign(opened: list[tuple[str, int, int]], name: str) -> bool:
    """Whether `<name/>` has no end tag: in SVG and MathML. Components, with a dash or a dot, are let pass."""
    return name in _FOREIGN or bool(set("-.:") & set(name)) or any(each in _FOREIGN for each, *_ in opened)


def _closed(opened: list[tuple[str, int, int]], name: str, place: tuple[int, int], shown: str) -> Iterator[Error]:
    """What an end tag closes is no longer open; those in it whose end tag may not be left out are errors."""
    at = next((i for i in reversed(range(len(opened))) if opened[i][0] == name), None)
    if at is not None:
        yield from _unclosed(opened[at + 1 :])
        del opened[at:]
    elif name != "p":  # which is an empty paragraph
        yield *place, f"unexpected `{' '.join(shown.split())[:_SHOWN]}`"


def _unclosed(opened: list[tuple[str, int, int]]) -> Iterator[Error]:
    for name, start, stop in opened:
        if name not in _OPTIONAL:
            yield start, stop, f"unclosed `<{name[:_SHOWN]}>`"
