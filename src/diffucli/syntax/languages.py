"""The known languages: their names, suffixes, comments and tree-sitter grammars.

A grammar is imported when it is needed first. If it is not installed, texts count as not checked, never as correct.
"""

from __future__ import annotations

import difflib
import re
import time
from array import array
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from diffucli.errors import UsageError
from diffucli.syntax.compiler import SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    import tree_sitter

_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Language:
    """One language.

    tag: the word behind ``` that opens a code block. suffixes: with the dot. programs: interpreters in a shebang line.
    comment, comment_end: what opens a comment (empty: there are none) and what closes it (empty: the end of the line).
    hole_is_legal: `???` is valid code, so it is no hole unless the user says so.
    grammar: the module of the grammar and the function in it. dialect: what a file's name or first line says beyond the
    language, a value of `DIALECTS` or the name of a shell; "": nothing. tools: programs of the system may be asked.
    """

    name: str
    suffixes: tuple[str, ...]
    grammar: tuple[str, str]
    aliases: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    comment: str = "//"
    comment_end: str = ""
    hole_is_legal: bool = False
    dialect: str = ""
    tools: bool = True

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
        (".sh", ".bash", ".zsh"),
        ("tree_sitter_bash", "language"),
        aliases=("sh", "shell", "shellscript", "zsh"),
        programs=("bash", "sh", "dash", "zsh"),
        comment="#",
        hole_is_legal=True,
    ),
    Language("json", (".json", ".jsonc", ".code-workspace"), ("tree_sitter_json", "language"), comment=""),
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

# What the name of a file says beyond its language. A header of C may be one of C++.
DIALECTS = (
    ("header", re.compile(r"\.h$")),
    ("module", re.compile(r"\.mjs$")),
    ("script", re.compile(r"\.cjs$")),
    ("declarations", re.compile(r"\.d\.[mc]?ts$")),
    (
        "comments",
        re.compile(r"\.(jsonc|code-workspace)$|(^|/)([tj]sconfig[^/]*|devcontainer|\.eslintrc|api-extractor)\.json$"),
    ),
    ("comments", re.compile(r"(^|/)(\.vscode|\.devcontainer|\.zed)/[^/]*\.json$")),
    ("zsh", re.compile(r"\.zsh$")),
)

_BY_NAME = {name: language for language in LANGUAGES for name in (language.name, *language.aliases)}
_BY_SUFFIX = {suffix: language for language in LANGUAGES for suffix in language.suffixes}
_BY_PROGRAM = {program: language for language in LANGUAGES for program in language.programs}


def by_name(name: str) -> Language:
    """The language of a name or alias in any case (`py`, `C++`). UsageError: unknown; the hint lists all names."""
    key = name.strip().lower()
    if key in _BY_NAME:
        return _BY_NAME[key]
    near = difflib.get_close_matches(key, _BY_NAME, n=1)
    guess = f" (did you mean `{near[0]}`?)" if near else ""
    known = ", ".join(language.name for language in LANGUAGES)
    raise UsageError(f"no language is named `{name}`{guess}", hint=f"use one of: {known}")


def of_path(path: str | Path, first_line: str = "") -> Language | None:
    """The language of a file by its suffix, else by the interpreter in its shebang line; None if neither is known."""
    program = _program(first_line)
    found = _BY_SUFFIX.get(Path(path).suffix.lower()) or _BY_PROGRAM.get(program)
    dialect = _dialect(Path(path), program)
    return replace(found, dialect=dialect) if found and dialect else found


def detect(text: str, path: Path | None, name: str | None = None) -> Language:
    """The language called `name`, else that of the file `path` or of its first line, else Python for unnamed text.

    A `.h` is C++ if it has fewer errors as that. UsageError: `name` is no language, or the file's name and first line
    say none.
    """
    if name:
        return by_name(name)
    found = of_path(path or "", text.partition("\n")[0])
    if found is None and path is not None:
        raise UsageError(f"{path}: its language is not known", hint="say it with -l")
    if (
        found
        and found.dialect == "header"
        and (wrong := _wrong(text, found))
        and _wrong(text, header_twin(found)) < wrong
    ):
        return header_twin(found)
    return found or by_name("python")


def header_twin(language: Language) -> Language:
    """C for C++ and C++ for C, of a `.h`."""
    return replace(by_name("c" if language.name == "cpp" else "cpp"), dialect="header", tools=language.tools)


def _wrong(text: str, language: Language) -> int:
    """How many bytes of a text its grammar cannot read, and places where something is missing."""
    tree = parse(text, language)
    stack, found = [] if tree is None else [tree.root_node], 0
    while stack:
        node = stack.pop()
        if node.is_error or node.is_missing:
            found += node.end_byte - node.start_byte + 1
        elif node.has_error:
            stack.extend(node.children)
    return found


def _dialect(path: Path, program: str) -> str:
    """What a file's name says beyond its language, else the shell that its first line names."""
    name = path.as_posix().lower()
    said = next((dialect for dialect, pattern in DIALECTS if pattern.search(name)), "")
    return said or (program if program in {"sh", "dash", "zsh"} else "")


def _program(line: str) -> str:
    """The interpreter that a shebang line names, without a minor version; "": it names none."""
    if not line.startswith("#!"):
        return ""
    words = (Path(word).name for word in line[2:].split())
    program = next((word for word in words if word != "env" and not word.startswith("-") and "=" not in word), "")
    return re.sub(r"(?<=\d)\.\d+$", "", program)


@cache
def grammar(language: Language) -> tree_sitter.Language | None:
    """Import the grammar of a language; None if it is not installed or its version cannot be used."""
    module, function = language.grammar
    try:
        from tree_sitter import Language as Grammar

        return Grammar(getattr(import_module(module), function)())
    except (ImportError, ValueError):
        return None


def parse(text: str, language: Language, *, seconds: float = SECONDS) -> tree_sitter.Tree | None:
    """The syntax tree of `text`, with offsets in UTF-8 bytes; None without a grammar or after `seconds`."""
    found = grammar(language)
    if found is None:
        return None
    from tree_sitter import Parser

    data = text.encode("utf-8", "surrogatepass")
    limit = time.monotonic() + seconds
    try:  # a new parser each time, because a cancelled one would continue with its old text
        return Parser(found).parse(
            lambda offset, _: data[offset : offset + _CHUNK],
            progress_callback=lambda *_: time.monotonic() > limit,
        )
    except ValueError:
        return None


def bytes_before(text: str) -> Callable[[int], int]:
    """A function from offsets in the characters of `text` to offsets in its UTF-8 bytes."""
    if text.isascii():
        return int
    sizes = (len(character.encode("utf-8", "surrogatepass")) for character in text)
    return array("L", accumulate(sizes, initial=0)).__getitem__


def characters(text: str) -> Callable[[int], int]:
    """A function from offsets in the UTF-8 bytes of `text` to offsets in characters."""
    if text.isascii():
        return int
    table = array("L")
    for index, character in enumerate(text):
        table.extend([index] * len(character.encode("utf-8", "surrogatepass")))
    table.append(len(text))
    return table.__getitem__
