"""C and C++ as an installed compiler reads them, told apart from what it lacks: headers and types.

A compiler reads a text without its project. So an error counts only if it is one of syntax, and a text is refused only
if nothing that is missing comes before it.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from diffucli.syntax import tools

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from diffucli.syntax.tools import Message

_SYNTAX = re.compile(
    r"""expected\b|stray\b|missing[ ]terminating|unterminated\b|invalid[ ]preprocessing|empty[ ]character
    |invalid[ ]suffix|a[ ]function-definition[ ]is[ ]not|two[ ]or[ ]more[ ]data|extraneous|unmatched|.?\#\w+.?[ ]without
    |.(?:else|case|default|catch|break|continue).*(?:without[ ]a[ ]previous|not[ ](?:within|in)[ ])
    |(?:case|default|break|continue)[ ](?:label|statement)[ ]not[ ](?:within|in)""",
    re.VERBOSE,
)
_UNKNOWN = re.compile(r"unknown type name .(\w+)|.(\w+).{1,3}(?:does not name a type|has not been declared)")
_INCLUDE = re.compile(r"^[ \t]*#[ \t]*(?:include|import|include_next|embed)\b[^\n]*", re.MULTILINE)
_SYSTEM = re.compile(r"[ \t]*#[ \t]*include[ \t]*<(?![/~])(?![^>]*\.\.)[\w./+-]+>")
_ABSENT = re.compile(r"No such file|file not found|not found$")
_STANDARD = re.compile(
    r"""[ \t]*\#[ \t]*include[ \t]*<(?:assert|complex|ctype|errno|fenv|float|inttypes|iso646|limits|locale|math|setjmp
    |signal|stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|tgmath|threads|time|uchar|wchar
    |wctype
    )\.h>[ \t]*(?://.*|/\*.*)?""",
    re.VERBOSE,
)
# Forms that a compiler of these years may not know yet.
_NEWER = re.compile(
    r"""^[ \t]*(?:export|module|import)\b|\benum\b[^{};()]*:|\[\[|\b(?:constexpr|nullptr|typeof|auto|_BitInt
    |typeof_unqual|co_await|co_yield|requires|concept|consteval|contract_assert)\b|\btemplate[ ]for\b|\^\^""",
    re.MULTILINE | re.VERBOSE,
)
_MACRO = re.compile(r"\b(?!NULL\b|EOF\b)_*[A-Z][A-Z0-9_]{2,}\b")
_UNSURE = re.compile(r"expected (?:\S+-name|type-specifier|constructor)")  # what an unknown name may be
_ROUNDS = 3  # in which unknown names are made types
_LARGE = 100_000  # characters of a text that a compiler is asked about although its grammar reads it


def accepts(text: str, language: str, lines: Container[int], *, seconds: float) -> bool:
    """Whether a compiler finds no error of syntax in `text`, and none at all in `lines`; False too if there is none.

    Behind what it does not know, such as a type, a compiler may overlook an error.
    """
    return any(
        found is not None and not any(_is_syntax(each) or each.line in lines for each in found)
        for found in _each(text, language, seconds=seconds)
    )


def refused(text: str, language: str, *, seconds: float) -> list[Message]:
    """The errors of syntax in a text that lacks nothing which comes before them; none if no compiler could say.

    Asked only of texts that include nothing, or headers of C's own library, so that it takes hundredths of a second,
    and use no form that a compiler may be too old for.
    """
    lines = [match[0] for match in _INCLUDE.finditer(text)]
    if (
        len(text) > _LARGE
        or _NEWER.search(text)
        or (lines and language == "cpp")
        or not all(map(_STANDARD.fullmatch, lines))
    ):
        return []
    least: list[Message] = []
    for found in _each(text, language, seconds=seconds):
        if not found or not _is_certain(text, language, found):
            return []
        least = [each for each in found if _is_syntax(each)]
    return least


def _each(text: str, language: str, *, seconds: float) -> Iterator[list[Message] | None]:
    """What a compiler says of a text in each standard of its language, up to the first that has nothing to say.

    Only headers of the system are included, and left out if that fails.
    """
    limit = time.monotonic() + seconds
    plain, reduced = _INCLUDE.sub("", text), _INCLUDE.sub(lambda line: line[0] if _SYSTEM.match(line[0]) else "", text)
    standards = ("c", "c23") if _NEWER.search(text) else ("c",)
    for standard in standards if language == "c" else ("cpp",):
        found = _said(reduced, standard, limit)
        if reduced != plain and (found is None or any(_is_syntax(each) or _ABSENT.search(each.text) for each in found)):
            found = _said(plain, standard, limit)
        yield found
        if not found:
            return


def _said(text: str, standard: str, limit: float) -> list[Message] | None:
    """What a compiler says in one standard. Unknown names become types, and absent headers go."""
    types: set[str] = set()
    found: list[Message] | None = None
    for _ in range(_ROUNDS):
        found = tools.ask(standard, text, seconds=max(limit - time.monotonic(), 0.1), more=tuple(sorted(types)))
        absent = {each.line for each in found or () if _ABSENT.search(each.text)}
        unknown = {
            f"-D{next(filter(None, name.groups()))}=int" for each in found or () if (name := _UNKNOWN.match(each.text))
        }
        if not absent and not unknown - types:
            break
        types |= unknown
        lines = re.split(r"(?<=\n)", text)
        text = "".join("\n" if number in absent else line for number, line in enumerate(lines, start=1))
    return found


def _is_certain(text: str, language: str, found: list[Message]) -> bool:
    """Whether the first error is one of syntax that no macro explains, and in C++ no name that it does not know."""
    lines = ["", *re.split(r"\r\n?|\n", text), ""]
    near = " ".join(lines[max(found[0].line - 1, 0) : found[0].line + 1])
    if not _is_syntax(found[0]) or _MACRO.search(near):
        return False
    return language == "c" or (all(map(_is_syntax, found)) and not _UNSURE.match(found[0].text))


def _is_syntax(message: Message) -> bool:
    return _SYNTAX.match(message.text) is not None
