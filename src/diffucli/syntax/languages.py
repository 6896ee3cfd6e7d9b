"""The languages we know: their names, suffixes, fences and tree-sitter grammars.

A grammar is imported when it is first asked for; one that is not installed gives no verdict, never a pass.
"""

from __future__ import annotations

import difflib
import re
import time
from array import array
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from diffucli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    import tree_sitter

_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Language:
    """One language.

    tag: the word after ``` in a fence. suffixes: with their dot. programs: interpreters named in a shebang line.
    comment, comment_end: what opens a comment (empty: there are none) and what closes it (empty: the line's end).
    hole_is_legal: `???` parses, so it may be code and is no hole unless the user says so.
    grammar: the module of the grammar's wheel and the function in it.
    """

    name: str
    suffixes: tuple[str, ...]
    grammar: tuple[str, str]
    aliases: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    comment: str = "//"
    comment_end: str = ""
    hole_is_legal: bool = False

    @property
    def tag(self) -> str:
        return self.name


LANGUAGES = (
    Language(
        "python",
        (".py", ".pyi", ".pyw"),
        ("tree_sitter_python", "language"),
        aliases=("py", "python3", "py3"),
        programs=("python", "python3"),
        comment="#",
    ),
    Language(
        "javascript",
        (".js", ".mjs", ".cjs", ".jsx"),
        ("tree_sitter_javascript", "language"),
        aliases=("js", "jsx", "ecmascript", "node"),
        programs=("node", "nodejs"),
    ),
    Language(
        "typescript",
        (".ts", ".mts", ".cts"),
        ("tree_sitter_typescript", "language_typescript"),
        aliases=("ts",),
        programs=("deno", "ts-node", "bun"),
    ),
    Language("tsx", (".tsx",), ("tree_sitter_typescript", "language_tsx"), aliases=("typescriptreact",)),
    Language("go", (".go",), ("tree_sitter_go", "language"), aliases=("golang",)),
    Language("rust", (".rs",), ("tree_sitter_rust", "language"), aliases=("rs",)),
    Language("c", (".c", ".h"), ("tree_sitter_c", "language"), aliases=("h",)),
    Language(
        "cpp",
        (".cpp", ".cc", ".cxx", ".hpp", ".hh", ".hxx", ".ipp"),
        ("tree_sitter_cpp", "language"),
        aliases=("c++", "cc", "cxx", "hpp"),
    ),
    Language("java", (".java",), ("tree_sitter_java", "language")),
    Language(
        "bash",
        (".sh", ".bash"),
        ("tree_sitter_bash", "language"),
        aliases=("sh", "shell", "shellscript"),
        programs=("bash", "sh", "dash"),
        comment="#",
        hole_is_legal=True,
    ),
    Language("json", (".json",), ("tree_sitter_json", "language"), comment=""),
    Language(
        "html",
        (".html", ".htm", ".xhtml"),
        ("tree_sitter_html", "language"),
        aliases=("htm", "xhtml"),
        comment="<!--",
        comment_end="-->",
        hole_is_legal=True,
    ),
    Language("css", (".css",), ("tree_sitter_css", "language"), comment="/*", comment_end="*/"),
)

_BY_NAME = {name: language for language in LANGUAGES for name in (language.name, *language.aliases)}
_BY_SUFFIX = {suffix: language for language in LANGUAGES for suffix in language.suffixes}
_BY_PROGRAM = {program: language for language in LANGUAGES for program in language.programs}


def by_name(name: str) -> Language:
    """The language of a name or alias in any case (`py`, `C++`). Raises UsageError naming the known ones."""
    key = name.strip().lower()
    if key in _BY_NAME:
        return _BY_NAME[key]
    near = difflib.get_close_matches(key, _BY_NAME, n=1)
    guess = f" (did you mean `{near[0]}`?)" if near else ""
    known = ", ".join(language.name for language in LANGUAGES)
    raise UsageError(f"no language is named `{name}`{guess}", hint=f"use one of: {known}")


def of_path(path: str | Path, first_line: str = "") -> Language | None:
    """The language of a file by its suffix, else by the interpreter in its shebang line, else None."""
    return _BY_SUFFIX.get(Path(path).suffix.lower()) or _of_shebang(first_line)


def of_fence(info: str) -> Language | None:
    """The language of a fence's info string: `python`, `C++ title=x`, `{.py}`, or a fence line with its ticks."""
    words = info.strip().lstrip("`~").replace(",", " ").split()
    return _BY_NAME.get(words[0].lower().strip("{}").lstrip(".")) if words else None


def _of_shebang(line: str) -> Language | None:
    if not line.startswith("#!"):
        return None
    words = (Path(word).name for word in line[2:].split())
    program = next((word for word in words if word != "env" and not word.startswith("-") and "=" not in word), "")
    return _BY_PROGRAM.get(re.sub(r"(?<=\d)\.\d+$", "", program))


@cache
def grammar(language: Language) -> tree_sitter.Language | None:
    """The language's grammar, imported at the first call; None where it is not installed or not of a usable version."""
    module, function = language.grammar
    try:
        from tree_sitter import Language as Grammar

        return Grammar(getattr(import_module(module), function)())
    except (ImportError, ValueError):
        return None


def parse(text: str, language: Language, *, seconds: float = 2.0) -> tree_sitter.Tree | None:
    """The syntax tree of `text` (offsets in UTF-8 bytes); None without a grammar or past `seconds`."""
    found = grammar(language)
    if found is None:
        return None
    from tree_sitter import Parser

    data = text.encode("utf-8", "surrogatepass")
    limit = time.monotonic() + seconds
    try:  # a new parser each time: one that was cancelled would go on with its old text
        return Parser(found).parse(
            lambda offset, _: data[offset : offset + _CHUNK],
            progress_callback=lambda *_: time.monotonic() > limit,
        )
    except ValueError:
        return None


def characters(text: str) -> Callable[[int], int]:
    """What turns an offset in the UTF-8 bytes of `text` into one in its characters."""
    if text.isascii():
        return int
    table = array("L")
    for index, character in enumerate(text):
        table.extend([index] * len(character.encode("utf-8", "surrogatepass")))
    table.append(len(text))
    return table.__getitem__
