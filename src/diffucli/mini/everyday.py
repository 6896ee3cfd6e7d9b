"""Everyday code: small functions and classes with ordinary names, drawn from the templates in everyday/*.txt.

A template is Python with two kinds of gaps. `@{a|b}` is one of its alternatives; with `~` behind it, the alternative
that the same gap had before. A word in capitals (a slot) is a name or literal of its kind, drawn from `nouns`. Above
the code stand what it does (`# …`) and a call with its result (`#= (…) == …`).
"""

from __future__ import annotations

import builtins
import io
import keyword
import re
import tokenize
from dataclasses import dataclass
from functools import cache, partial
from importlib import resources
from typing import TYPE_CHECKING

from diffucli.mini.nouns import COLLECTIONS, collection, slot, slots

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping, Sequence

SLOT = re.compile(rf"(?<![A-Za-z0-9])({'|'.join(sorted(slots(), key=len, reverse=True))})([0-9]?)(s?)(?![A-Za-z0-9])")
WORD = re.compile(r"[A-Za-z_]\w*")
HEADER = re.compile(r"^( *)def (\w+)\((.*)\):$", re.MULTILINE)
QUOTED = re.compile(r'"([^"\'\\]+)"')
HINTS = {
    "NS": ("list[int]", "list[float]", "list"),
    "XS": ("list", "list", "list[dict]"),
    "WS": ("list[str]", "list"),
    "TEXT": ("str",),
    "NUM": ("int", "int", "float"),
    "PRICE": ("float",),
    "PCT": ("float", "int"),
    "RATE": ("float",),
    "DICT": ("dict", "dict[str, int]", "dict[str, float]"),
    "PATH": ("str", "Path"),
}
HINTED, DOCUMENTED, SINGLE_QUOTED, CALLED = 0.15, 0.15, 0.35, 0.15  # probabilities of a program


@dataclass(frozen=True, slots=True)
class EverydayTemplate:
    """A template. summary: what the code does. case: a call and its result, such as `([1, 3]) == 2`, or empty."""

    summary: str
    case: str
    code: str


@dataclass(frozen=True, slots=True)
class EverydayProgram:
    """A program. request: what it does, in words. case: as in its template, with the program's names."""

    request: str
    code: str
    case: str


@cache
def templates() -> tuple[EverydayTemplate, ...]:
    """All templates, in the order of files and entries."""
    folder = resources.files(__package__) / "everyday"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".txt")), key=lambda f: f.name)
    parts = (part for f in files for part in re.split(r"\n\n\n(?=# )", f.read_text(encoding="utf-8").strip()))
    return tuple(map(_read, parts))


def draw(rng: random.Random, template: EverydayTemplate | None = None) -> EverydayProgram:
    """A random program, of `template` if it is given."""
    template = template or rng.choice(templates())
    code = _with_choices(rng, template.code, {})
    names = draw_names(rng, f"{code}\n{template.case}\n{template.summary}")
    if rng.random() < HINTED:
        code = _with_hints(rng, code)
    summary = _filled(template.summary, names).replace("_", " ")
    code, case = _filled(code, names), _filled(template.case, names)
    if rng.random() < DOCUMENTED:
        code = _documented(code, summary)
    if case and rng.random() < CALLED:
        code = _called(rng, code, case)
    code = _single_quoted(code) if rng.random() < SINGLE_QUOTED else code
    return EverydayProgram(summary, f"{code}\n", case)


def draw_names(rng: random.Random, code: str) -> dict[str, str]:
    """A name or literal for each slot in `code`, all different, and none that the code has already."""
    wanted = sorted({found[1] + found[2] for found in SLOT.finditer(code)})
    taken = {*WORD.findall(SLOT.sub("", code)), *dir(builtins), *keyword.kwlist}
    names: dict[str, str] = {}
    for many, (one, _) in COLLECTIONS.items():
        if many in wanted or one in wanted:
            names[many], names[one] = _fresh(taken, partial(collection, rng, many))
    for each in wanted:
        if each not in names:
            (names[each],) = _fresh(taken, partial(_named, rng, each.rstrip("0123456789")))
    return names


def _named(rng: random.Random, name: str) -> tuple[str]:
    return (slot(rng, name),)


def _fresh(taken: set[str], draw: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
    """The next draw that has no name in it that is taken; its names are taken from then on."""
    while taken & set(names := draw()) or len(set(names)) < len(names):
        continue
    taken.update(names)
    return names


def _read(part: str) -> EverydayTemplate:
    summary, _, code = part.partition("\n")
    case = ""
    if code.startswith("#= "):
        case, _, code = code.removeprefix("#= ").partition("\n")
    return EverydayTemplate(summary.removeprefix("# "), case, code)


def _with_choices(rng: random.Random, text: str, made: dict[tuple[str, ...], int]) -> str:
    """`text` with an alternative for each gap, from the left; `made` has the choices so far, by their alternatives."""
    start = text.find("@{")
    if start < 0:
        return text
    options, end = _alternatives(text, start + 2)
    again = text[end : end + 1] == "~"
    chosen = next((number for other, number in made.items() if _linked(other, options, again=again)), None)
    if chosen is None:
        chosen = rng.randrange(len(options))
        made.setdefault(tuple(options), chosen)
    inner = _with_choices(rng, options[chosen], made)
    return text[:start] + inner + _with_choices(rng, text[end + again :], made)


def _linked(made: Sequence[str], options: Sequence[str], *, again: bool) -> bool:
    """Whether a gap takes the choice of an earlier one: the same gap, or one that has the same names in each option."""
    if again and tuple(made) == tuple(options):
        return True
    if len(made) != len(options):
        return False
    if any("@{" in option for option in made):
        return False
    names = [(set(WORD.findall(a)), set(WORD.findall(b))) for a, b in zip(made, options, strict=True)]
    return all(a and b and (a <= b or a >= b) for a, b in names)


def _alternatives(text: str, start: int) -> tuple[list[str], int]:
    """The alternatives of the gap whose content begins at `start`, and the end of the gap."""
    options, depth, begin = [], 1, start
    for i in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0 or (depth == 1 and text[i] == "|"):
            options.append(text[begin:i])
            begin = i + 1
        if depth == 0:
            return options, i + 1
    raise ValueError(text)


def _filled(text: str, names: Mapping[str, str]) -> str:
    return SLOT.sub(lambda found: names[found[1] + found[2]] + found[3], text)


def _with_hints(rng: random.Random, code: str) -> str:
    """The code with type hints on the parameters that are slots."""

    def hinted(found: re.Match[str]) -> str:
        parts = found[3].split(", ")
        known = [f"{part}: {rng.choice(HINTS[part])}" if part in HINTS else part for part in parts]
        return f"{found[1]}def {found[2]}({', '.join(known)}):"

    return HEADER.sub(hinted, code)


def _documented(code: str, summary: str) -> str:
    """The code with `summary` as the docstring of its last top-level function, if that is the last definition."""
    found = [match for match in HEADER.finditer(code) if not match[1]]
    if not found or "class " in code:
        return code
    end = found[-1].end()
    text = summary[:1].upper() + summary[1:]
    return f'{code[:end]}\n    """{text}."""{code[end:]}'


def _called(rng: random.Random, code: str, case: str) -> str:
    """The code with a call of its last top-level function below it."""
    found = [match for match in HEADER.finditer(code) if not match[1]]
    call = case.partition(" == ")[0].partition(" is ")[0]
    if not found or "lambda" in case or "class " in code:
        return code
    return f"{code}\n\n\n{rng.choice(('print({})', 'result = {}', '{}', 'answer = {}')).format(found[-1][2] + call)}"


def _single_quoted(code: str) -> str:
    """The code with single quotes around its plain strings."""
    lines = code.splitlines(keepends=True)
    for token in reversed(list(tokenize.generate_tokens(io.StringIO(code).readline))):
        if token.type == tokenize.STRING and (found := QUOTED.fullmatch(token.string)):
            row, column = token.start
            line = lines[row - 1]
            lines[row - 1] = f"{line[:column]}'{found[1]}'{line[token.end[1] :]}"
    return "".join(lines)
