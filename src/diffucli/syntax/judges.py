"""Who judges a text of which language, and how their verdicts become one.

A shell, Go and JavaScript are judged by their own program where it is installed; JSON, CSS and HTML by a reader of
their own; C and C++ by tree-sitter or a compiler, whichever is content; what is left by tree-sitter and rules.
"""

from __future__ import annotations

import re
import time
from functools import lru_cache
from typing import TYPE_CHECKING

from diffucli.syntax import (
    compiler,
    compilers,
    json_text,
    languages,
    markup,
    readings,
    rules,
    stylesheets,
    tools,
    trees,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffucli.syntax.compiler import Error
    from diffucli.syntax.languages import Language
    from diffucli.syntax.tools import Message

LARGE = 400_000  # characters of a style sheet from which on tree-sitter alone judges, for want of time
_EXTGLOB = re.compile(r"[?*+@!]\(")
# What Node.js does not know, or a version of it may not.
_UNKNOWN = frozenset({"jsx_element", "jsx_self_closing_element", "decorator"})
_NEWER = re.compile(r"\(\?[ims]*-?[ims]*:|\busing\s+\w|\bimport\s+(?:defer|source)\b")
_READING = 0.85  # of the time for a verdict, what is left when no further reading is tried
_NODE_WAYS = {"module": "module", "script": "script"}


def errors(text: str, language: Language, *, fragment: bool, seconds: float) -> list[Error] | None:
    """Everything that is found wrong in `text`, in characters; None if it takes longer than `seconds`.

    fragment: the text may be part of a file, such as Go without a package clause.
    """
    match language.name:
        case "css" if len(text) < LARGE and (found := stylesheets.errors(text)) is not None:
            return found
        case "html":
            return markup.errors(text)
        case "c" | "cpp":
            return _of_c(text, language, fragment=fragment, seconds=seconds)
    said = _own(text, language, fragment=fragment, seconds=seconds)
    return _both(text, said, language, fragment=fragment, seconds=seconds)


def _own(text: str, language: Language, *, fragment: bool, seconds: float) -> list[Error] | None:
    """What a language itself finds wrong; None if it is not asked or cannot say."""
    match language.name:
        case "json":
            body = text.removeprefix("\ufeff")
            found = json_text.errors(body, comments=language.dialect == "comments")
            shift = len(text) - len(body)
            return found and [(start + shift, stop + shift, message) for start, stop, message in found]
        case "bash":
            return _of_shell(text, language, seconds=seconds)
        case "go":
            return _asked("go part" if fragment else "gofmt", text, language, seconds=seconds)
        case "javascript":
            return _of_javascript(text, language, seconds=seconds)
    return None


def by_grammar(text: str, language: Language, *, seconds: float, fragment: bool = False) -> list[Error] | None:
    """What tree-sitter finds wrong, in the reading of `text` that it likes best, else what the rules find.

    None without a grammar or after `seconds`.
    """
    limit = time.monotonic() + seconds
    grammar = languages.grammar(language)
    tree = languages.parse(text, language, seconds=seconds)
    if tree is None or grammar is None:
        return None
    offset = languages.characters(text)
    if language.name != "python" and tree.root_node.has_error:

        def count(reading: str) -> list[tuple[int, int]]:
            tree = languages.parse(reading, language, seconds=limit - time.monotonic())
            if tree is None:
                return [(0, 0)] * LARGE
            at = languages.characters(reading)
            return [(at(start), at(stop)) for start, stop, _ in trees.errors(tree.root_node)]

        reading = readings.best(
            text, language.name, count, expired=lambda: time.monotonic() > limit - _READING * seconds
        )
        tree = languages.parse(reading, language, seconds=seconds) or tree
        offset = languages.characters(reading)
    is_ambient = language.dialect == "declarations"
    found = list(trees.errors(tree.root_node)) or rules.errors(
        tree.root_node, language.name, grammar, fragment=fragment, is_ambient=is_ambient
    )
    return [(offset(start), offset(stop), message) for start, stop, message in found]


def _both(
    text: str, said: list[Error] | None, language: Language, *, fragment: bool, seconds: float
) -> list[Error] | None:
    """Nothing if the language itself is content, else its first error and those of tree-sitter, which tells several."""
    if said == []:
        return []
    found = by_grammar(text, language, fragment=fragment, seconds=seconds)
    if said is None:
        return found
    known = {text.count("\n", 0, start) + by for start, _, _ in found or () for by in (-1, 0, 1)}
    return sorted([*(found or ()), *(one for one in said[:1] if text.count("\n", 0, one[0]) not in known)])


def _asked(name: str, text: str, language: Language, *, seconds: float) -> list[Error] | None:
    """What a tool finds wrong; None if it is not asked or cannot say."""
    said = tools.ask(name, text, seconds=seconds) if language.tools else None
    return None if said is None else _placed(text, said)


def _placed(text: str, messages: Sequence[Message]) -> list[Error]:
    """Messages with the places in `text` that they name: the rest of a line, or all of it."""
    starts = compiler.line_starts(text)
    found = []
    for one in messages:
        line = min(max(one.line, 1), len(starts)) - 1
        end = starts[line + 1] if line + 1 < len(starts) else len(text)
        content = text[starts[line] : end].rstrip()
        first = len(content) - len(content.lstrip()) if not one.column else min(one.column - 1, len(content))
        stop = len(content) if not one.column else min(first + 1, len(content))
        found.append((starts[line] + first, starts[line] + max(stop, first), one.text))
    return found


def _of_shell(text: str, language: Language, *, seconds: float) -> list[Error] | None:
    """What the shell of a text finds wrong. Bash is asked again where patterns may be meant that `shopt` allows."""
    shell = {"zsh": "zsh", "sh": "sh", "dash": "sh"}.get(language.dialect, "bash")
    found = _asked(shell, text, language, seconds=seconds)
    if found and shell == "bash" and _EXTGLOB.search(text):
        again = _asked("extglob", text, language, seconds=seconds)
        return found if again is None else again
    return found


def _of_javascript(text: str, language: Language, *, seconds: float) -> list[Error] | None:
    """Node.js judges, except of JSX, which it does not know, and of forms that may be newer than it."""
    modular = re.search(r"^[ \t]*(?:import|export)\b", text, re.MULTILINE)
    either = "module or script" if modular else "script or module"
    said = _asked(_NODE_WAYS.get(language.dialect, either), text, language, seconds=seconds)
    if not said:
        return said
    tree = languages.parse(text, language, seconds=seconds)
    kinds = {node.type for node in trees.nodes(tree.root_node)} if tree is not None else set()
    return None if kinds & _UNKNOWN or _NEWER.search(text) else said


@lru_cache(maxsize=8)
def _of_c(text: str, language: Language, *, fragment: bool, seconds: float) -> list[Error] | None:
    """Nothing if tree-sitter, in one of its readings, or a compiler is content; a header may be of C or of C++."""
    limit = time.monotonic() + seconds
    twins = [language, languages.header_twin(language)] if language.dialect == "header" else [language]
    found: list[list[Error] | None] = []
    for each in twins:
        found.append(by_grammar(text, each, fragment=fragment, seconds=max(limit - time.monotonic(), 0.1)))
        if found[-1] == []:
            break
    if found[-1] == []:
        tree = languages.parse(text, language, seconds=seconds)
        is_plain = language.dialect != "header" and tree is not None and not tree.root_node.has_error
        ask = language.tools and is_plain
        return _placed(text, compilers.refused(text, language.name, seconds=seconds)) if ask else []
    left = max(limit - time.monotonic(), 0.1)
    lines = {text.count("\n", 0, start) + 1 for start, *_ in found[0] or ()}
    if language.tools and any(compilers.accepts(text, each.name, lines, seconds=left) for each in twins):
        return []
    return min((each for each in found if each is not None), key=len, default=None)
