"""Open code: short documented functions of installed packages with permissive licences.

The repository does not contain this code. Some packages are held out of training.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
import sysconfig
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = (
    *("stdlib", "more_itertools", "toolz", "boltons", "networkx", "sympy", "jinja2", "typer", "rich", "pygments"),
    *("accelerate", "platformdirs", "packaging", "mpmath", "markupsafe", "numpy"),
)
HELD_OUT = ("toolz", "platformdirs")
LONGEST = 700  # characters of a function


@dataclass(frozen=True, slots=True)
class Function:
    """A function of `package`. summary: first line of the docstring. code: source without the docstring."""

    package: str
    summary: str
    code: str


def functions(packages: tuple[str, ...] = PACKAGES) -> Iterator[Function]:
    """Every short documented function of those `packages` that are installed."""
    for package in packages:
        for path in _files(package):
            try:
                source = path.read_text(encoding="utf-8")
                tree = ast.parse(source)
            except (SyntaxError, ValueError, OSError):
                continue
            yield from _functions(package, source, tree)


def _files(package: str) -> Iterator[Path]:
    if package == "stdlib":
        root = Path(sysconfig.get_path("stdlib"))
        skipped = {"test", "tests", "idlelib", "lib2to3", "site-packages", "turtledemo", "ensurepip"}
        yield from (p for p in sorted(root.rglob("*.py")) if not skipped & set(p.relative_to(root).parts))
        return
    spec = importlib.util.find_spec(package) if package not in sys.builtin_module_names else None
    if spec is None or spec.origin is None:
        return
    root = Path(spec.origin)
    found = sorted(root.parent.rglob("*.py")) if root.name == "__init__.py" else [root]
    yield from (p for p in found if "tests" not in p.parts)


def _functions(package: str, source: str, tree: ast.Module) -> Iterator[Function]:
    lines = source.splitlines(keepends=True)
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef) or len(node.body) < 2:
            continue
        summary = (ast.get_docstring(node) or "").partition("\n")[0].strip()
        code = _code(lines, node)
        fitting = summary.isascii() and code.isascii() and len(code) <= LONGEST and "\t" not in code
        if summary and fitting and _parses(code):
            yield Function(package, summary[:120], code)


def _code(lines: list[str], node: ast.FunctionDef) -> str:
    """The function without its docstring, dedented."""
    doc = node.body[0]
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    head, body = lines[first - 1 : doc.lineno - 1], lines[doc.end_lineno : node.end_lineno]
    while body and not body[0].strip():
        body = body[1:]
    return textwrap.dedent("".join([*head, *body]))


def _parses(code: str) -> bool:
    """Whether code without its docstring is still a function; text that is not indented may have left it broken."""
    try:
        ast.parse(code)
    except SyntaxError:
        return False
    return True
