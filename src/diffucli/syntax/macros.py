"""C and C++ without their preprocessor: readings of a text, with the same offsets, in which no macro is left.

A reading takes one branch of each condition, goes through the declarations one by one, and replaces what looks like a
macro near an error by nothing, a statement, a type or a brace, whatever leaves the fewest errors.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Place = tuple[int, int]  # a half-open range of characters
Count = Callable[[str], list[Place]]  # the places of the errors of a text

# Words that are macros by their look, and some that are known.
_MACRO = re.compile(r"\b(?:__\w+|_?[A-Z][A-Z0-9_]{2,}|_[A-Z][A-Za-z0-9_]+|(?!\d)\w*_[A-Z][A-Z0-9_]+)\b")
_KNOWN = frozenset(("alignas", "asm", "constexpr", "emit", "forever", "noexcept", "signals", "slots", "thread_local"))
_DEFINED = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", re.MULTILINE)
_DIRECTIVE = re.compile(r"[ \t]*#[ \t]*(\w*)([^\n]*)")
_STANDINS = ("", ";", "int", "{", "}")  # what a macro may be: nothing, a statement, a type, or a bracket
_BRACE = re.compile(
    r"""(?P<transparent>\b(?:extern\s+"C(?:\+\+)?"|(?:inline\s+)?namespace(?:\s+[\w:]+(?:\s*\([^(){}]*\))?){0,9}+)\s*\{)
    |//[^\n]*|/\*.*?(?:\*/|\Z)|^[ \t]*\#(?:\\\n|[^\n])*|R"(?P<mark>\w*)\(.*?(?:\)(?P=mark)"|\Z)|"(?:[^"\\\n]|\\.)*+"?
    |(?<!\w)'(?:[^'\\\n]|\\.)*+'?|(?P<open>[({\[])|(?P<close>[)}\]])|(?P<end>;)""",
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)
_END = re.compile(r"[ \t]*(?:$|//|/\*)", re.MULTILINE)
_SHORT = 1500  # characters of a declaration that is searched for macros as a whole
_MOST, _NEAREST = 12, 6  # macros that are tried in a declaration, and of those the nearest to its errors
_SKIPPED = re.compile(r"""//[^\n]*|/\*.*?(?:\*/|\Z)|"(?:[^"\\\n]|\\.)*+"?|'(?:[^'\\\n]|\\.)*+'?""", re.DOTALL)


def readings(text: str, language: str, count: Count, *, expired: Callable[[], bool]) -> Iterator[str]:
    """Readings of a text in C or C++: with all branches, with the first of each condition, and with the last.

    count: where a reading has errors. expired: whether there is no time left.
    """
    reader = _Reader(count, expired, frozenset(_DEFINED.findall(text)) | _KNOWN)
    for last in (None, False, True):
        kept = text if last is None else _kept(text, language, last=last)
        if kept is not None and (last is None or kept != text):
            yield reader.by_parts(kept)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Replaces macros. meanings: what stood well for a macro before; it grows."""

    count: Count
    expired: Callable[[], bool]
    defined: frozenset[str]
    meanings: dict[str, str] = field(default_factory=dict)

    def by_parts(self, text: str) -> str:
        """`text` with its declarations read one by one, so that one that cannot be read takes no other with it."""
        opened = _opened(text)
        pieces = []
        for start, stop in _parts(opened):
            part = opened[start:stop]
            if not self.expired() and (found := self.count(part)):
                part = self._read(part, found)
            pieces.append(part)
        return "".join(pieces)

    def _read(self, text: str, found: list[Place]) -> str:
        """A declaration with macros near its errors replaced, as long as that makes it better."""
        near = list(self._near(text, found))
        guesses = {name: guess for name in near if (guess := _guess(text, name)) is not None}
        as_values = _all_standing(text, dict.fromkeys(near, "0"))
        if as_values != text and not self.count(as_values):
            return as_values
        for known in (self.meanings, guesses, dict.fromkeys(near, "")):
            reading = _all_standing(text, known)
            if reading != text and _badness(errors := self.count(reading)) < _badness(found):
                text, found = reading, errors
        tried: set[str] = set()
        while found and len(tried) < _MOST and not self.expired():
            names = [name for name in self._near(text, found) if name not in tried][:_NEAREST]
            better = next(filter(None, (self._replaced(text, found, name, tried) for name in names)), None)
            if better is None:
                break
            text, found = better
        return text

    def _replaced(self, text: str, found: list[Place], name: str, tried: set[str]) -> tuple[str, list[Place]] | None:
        """`text` with the best that may stand for the macro `name`, and its errors; None if nothing is better."""
        tried.add(name)
        options = {word: each for word in _STANDINS if (each := _standing(text, name, word)) != text}
        counted = {word: self.count(each) for word, each in options.items()}
        best = min(counted, key=lambda word: _badness(counted[word]), default=None)
        if best is None or _badness(counted[best]) >= _badness(found):
            return None
        self.meanings[name] = best
        return options[best], counted[best]

    def _near(self, text: str, errors: list[Place]) -> Iterator[str]:
        """The names that may be macros near errors, the nearest first: in their lines and those above."""
        seen: set[str] = set()
        for start, stop in errors[:_MOST]:
            line = text.rfind("\n", 0, text.rfind("\n", 0, start) + 1 or 1) + 1 if len(text) > _SHORT else 0
            end = text.find("\n", stop) if len(text) > _SHORT else -1
            found = re.finditer(r"(?!\d)\w+", text[line : end if end >= 0 else len(text)])
            words = [match for match in found if _MACRO.fullmatch(match[0]) or match[0] in self.defined]
            for match in sorted(words, key=lambda match: abs(line + match.start() - start)):
                if match[0] not in seen:
                    seen.add(match[0])
                    yield match[0]


def padded(old: str, word: str) -> str:
    """`word` and as many blanks as make it as long as `old`, whose line ends are kept."""
    return word[: len(old)] + re.sub(r"[^\r\n]", " ", old[len(word) :])


def _kept(text: str, language: str, *, last: bool) -> str | None:
    lines = text.splitlines(keepends=True)
    groups: list[list[list[int]]] = []  # of each open condition the lines of each branch; -1: it is never taken
    dropped: set[int] = set()
    for number, line in enumerate(lines):
        word, rest = found.groups() if (found := _DIRECTIVE.match(line)) else ("", "")
        if word in {"if", "ifdef", "ifndef"}:
            never = (rest.strip() == "0") or (word == "ifdef" and language == "c" and rest.strip() == "__cplusplus")
            groups.append([[]] if not never else [[-1]])
            dropped.add(number)
        elif word in {"elif", "else", "elifdef", "elifndef"} and groups:
            groups[-1].append([])
            dropped.add(number)
        elif word == "endif" and groups:
            branches = groups.pop()
            dropped.add(number)
            never = branches[0][:1] == [-1]
            keep = len(branches) - 1 if last or never else 0
            lost = [n for i, branch in enumerate(branches) for n in branch if i != keep or (never and i == 0)]
            dropped.update(n for n in lost if n >= 0)
            if groups:
                groups[-1][-1] += [n for branch in branches for n in branch if n >= 0]
        elif groups:
            groups[-1][-1].append(number)
    if groups:
        return None
    return "".join(padded(line, "") if n in dropped else line for n, line in enumerate(lines))


def _opened(text: str) -> str:
    """`text` without the braces of namespaces and `extern "C"`, and what stands before them."""
    openers: list[tuple[int, int] | None] = []
    for token in _BRACE.finditer(text):
        if token["transparent"]:
            openers.append(token.span())
        elif token["open"]:
            openers.append(None)
        elif token["close"] and openers and (opener := openers.pop()) is not None:
            for start, stop in (opener, token.span()):
                text = text[:start] + padded(text[start:stop], "") + text[stop:]
    return text


def _parts(text: str) -> Iterator[tuple[int, int]]:
    """The declarations of `text`: each to a `;`, or a `}` at the end of a line, outside of all brackets."""
    start = depth = 0
    for token in _BRACE.finditer(text):
        depth = max(depth + (token["open"] is not None) - (token["close"] is not None), 0)
        is_end = token["end"] or (token[0] == "}" and _END.match(text, token.end()))
        if depth == 0 and is_end:
            yield start, token.end()
            start = token.end()
    yield start, len(text)


def _guess(text: str, name: str) -> str | None:
    """What a macro stands for by its surroundings; None: it may be the name of a type, or a value."""
    if re.search(rf"\b{name}\s*\([^()]*\)\s*(?:\*|\w+\s*[=;\[])", text):
        return "int"
    is_value = re.search(
        rf"\b{name}\s*[*&]|[(,<]\s*(?:const\s+)?{name}\s+\w+\s*[,)\[]|[<,]\s*{name}\s*[,>]|(?:=|\breturn)\s*{name}\b",
        text,
    )
    return None if is_value else ""


def _badness(errors: list[Place]) -> tuple[int, int]:
    """Fewer errors are better, and of as many those that begin later."""
    return len(errors), -min((start for start, _ in errors), default=0)


def _all_standing(text: str, words: Mapping[str, str]) -> str:
    """`text` with the word of each macro for it."""
    for name, word in words.items():
        text = _standing(text, name, word) if name in text else text
    return text


def _standing(text: str, name: str, word: str) -> str:
    """`text` with `word` for each use of the macro `name`, with its arguments, outside of strings and directives."""
    skipped = [match.span() for match in _SKIPPED.finditer(text)]
    pieces, at, index = [], 0, 0
    for match in re.finditer(rf"\b{re.escape(name)}\b", text):
        while index < len(skipped) and skipped[index][1] <= match.start():
            index += 1
        is_skipped = index < len(skipped) and skipped[index][0] <= match.start()
        line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        if match.start() < at or is_skipped or line.lstrip().startswith("#"):
            continue
        stop = _arguments(text, match.end())
        old = text[match.start() : stop]
        if len(old) < len(word):
            continue
        pieces += [text[at : match.start()], padded(old, word)]
        at = stop
    return "".join([*pieces, text[at:]])


def _arguments(text: str, at: int) -> int:
    """The end of the bracketed arguments that follow `at`, which is `at` where none do."""
    opening = re.compile(r"\s*\(").match(text, at)
    if opening is None:
        return at
    depth = 0
    for match in re.compile(rf"{_SKIPPED.pattern}|[()]", re.DOTALL).finditer(text, at):
        depth += {"(": 1, ")": -1}.get(match[0], 0)
        if depth == 0:
            return match.end()
    return at
