"""Other readings of a text that a grammar refuses: the same text, with the same offsets, in words that it knows.

A grammar lags behind its language: forms that are newer are replaced by blanks or by words of the same length.
`macros.py` has what C needs beside.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from diffucli.syntax import macros
from diffucli.syntax.macros import padded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from diffucli.syntax.macros import Count

_BLANK, _WORD = "", "x" * 80
_GENERIC = r"<[^<>`;]*(?:<[^<>`;]*(?:<[^<>`;]*>[^<>`;]*)*>[^<>`;]*)*>"
# Of each pattern the group 1 is replaced: by blanks, or by the word behind it.
_FORMS: dict[str, tuple[tuple[str, str], ...]] = {
    "typescript": (
        (rf"(?<=[\w)\]])({_GENERIC})(?=`)", _BLANK),
        (r"\b(accessor|abstract|override|declare|readonly|static|async|get|set|of|type)(?=\s*[!?]?[:=;](?!>))", "_"),
        (r"\b(?:import|export)\s+(type)(?=\s*\*)", _BLANK),
        (r"[<,]\s*(in\s+out|in|out)(?=\s+[A-Z]\w*)", _BLANK),
        (r"\bexport\s+default\s+(abstract)\b", _BLANK),
        (r"\b((?:static|override|declare)\s)\s*(?:readonly\s+)?\[\s*\w+\s*:", _BLANK),
    ),
    "javascript": (
        (r"@(\([^()]*(?:\([^()]*\)[^()]*)*\))", "a"),
        (r"\(\s*(async\s+of)\s*=>", "a"),
        (r"[\w)\]]`((?:[^`$\\]|\\[\s\S])*)`", _BLANK),
        (r"\b(accessor)(?=\s+[\w#\[\"'*])", _BLANK),
        (r"\bimport\s+(defer|source)\b(?=\s+\*|\s+\w+\s+from)", _BLANK),
    ),
    "rust": ((r"\b(safe)(?=\s+(?:fn|static)\b)", _BLANK),),
    "java": ((r"\bcase\s+(final)\s", _BLANK), (r"\bimport\s+(module)\s", _BLANK)),
    "cpp": (
        (r"(?<![\w.>:])((?:export\s+)?(?:module|import)\s[^;{}()=\n]{1,200};|module\s*;)", _BLANK),
        (r"\b(export)(?=\s*(?:\{|[\w:]))", _BLANK),
        (r"\b((?:extern\s+)?template)(?=\s+(?:class|struct|union|\w[\w:<>,\s*&]{0,200}\()[^{};]{0,500};)", _BLANK),
        (r"(?<![\w.>:])(signals|Q_SIGNALS)(?=\s*:(?!:))", "public"),
        (r"(\.\.\.)\s*;", _BLANK),
        (r"(\[\[[^\[\]]*\]\])", _BLANK),
        (r"\w\s+\w+\s*(:\s*\d+)(?=\s*=[^=])", _BLANK),
    ),
    "c": (
        (r"(<:)", "["),
        (r"(:>)", "]"),
        (r"(<%)", "{"),
        (r"(%>)", "}"),
        (r"\bcase\s{1,9}[^:;{}?.\n]{1,99}(\.\.\.[^:;{}?.\n]{1,99})(?=:)", _BLANK),
        (r"^[ \t]*(#[ \t]*embed\b[^\n]*)", "0"),
        (r"\b((?:va_arg|offsetof)\s*\([^()]*\))", "0"),
        (r"\b(?:unsigned|signed|int|char|short|long)\s+(:\s*\w+)(?=\s*;)", _BLANK),
        (r"\bgoto\s*(\*[^;{}*]*)(?=;)", "a"),
    ),
    "bash": (
        (r"([?*+@!]\((?:[^()\n]|\([^()\n]*\))*\))", _WORD),
        (r"(<<<|<>)", "<"),
        (r"(;;?&)", ";;"),
        (r"(\$\{[\s|][^{}]*\})", _WORD),
        (r"\b(coproc(?:\s+[A-Z]\w*)?)(?=\s)", _BLANK),
        (r"\besac(\s)(?=\s*(?:do|then)\b)", ";"),
        (r"\$\{\w+[#%]+([^{}\n]+)\}", _WORD),
    ),
}
_FORMS["typescript"] += _FORMS["javascript"]
_FORMS["tsx"] = _FORMS["typescript"]
_FORMS["cpp"] += _FORMS["c"][:4]


def best(text: str, language: str, count: Count, *, expired: Callable[[], bool]) -> str:
    """Of the readings of `text` the one with the fewest errors, which is `text` itself where no other has fewer.

    count: where a reading has errors. expired: whether there is no time for a further reading.
    """
    chosen, found = text, count(text)
    for each in _readings(text, language, count, expired):
        if not found or expired():
            break
        if len(errors := count(each)) < len(found):
            chosen, found = each, errors
    return chosen


def _readings(text: str, language: str, count: Count, expired: Callable[[], bool]) -> Iterator[str]:
    """`text` with the newer forms replaced: all of them, then each alone; and of C that without macros."""
    forms = _FORMS.get(language, ())
    replaced = text
    for pattern, word in forms:
        replaced = _replaced(replaced, pattern, word)
    if replaced != text:
        yield replaced
        for pattern, word in forms:
            if (alone := _replaced(text, pattern, word)) not in {text, replaced}:
                yield alone
    for start in dict.fromkeys((text, replaced)):
        if language in {"c", "cpp"}:
            yield from macros.readings(start, language, count, expired=expired)
        if language == "bash":
            yield _without_documents(start)


def _without_documents(text: str) -> str:
    """A shell's `text` without its here-documents; `text` itself where one has no end."""
    pieces, waiting = [], list[str]()
    for line in text.splitlines(keepends=True):
        if waiting:
            waiting = waiting[1:] if line.strip() == waiting[0] else waiting
            pieces.append(padded(line, _BLANK))
        else:
            waiting = [name for names in _DOCUMENT.findall(line) for name in names if name]
            pieces.append(_DOCUMENT.sub(lambda found: padded(found[0], _BLANK), line))
    return text if waiting else "".join(pieces)


_DOCUMENT = re.compile(r"""(?<![<$(])<<-?[ \t]*(?:'([^'\n]+)'|"([^"\n]+)"|\\?(\w+))""")


def _replaced(text: str, pattern: str, word: str) -> str:
    def one(match: re.Match[str]) -> str:
        start, stop = match.start(1) - match.start(), match.end(1) - match.start()
        return match[0][:start] + padded(match[1], word) + match[0][stop:]

    return re.sub(pattern, one, text, flags=re.MULTILINE)
