"""Parameters and local variables under other names, so that a hole is filled in the words of the code around it.

Knows Python's syntax, and that a hole cuts the code in three; nothing of tasks.
"""

from __future__ import annotations

import ast
import builtins
import io
import keyword
import string
import tokenize
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

Parts = tuple[str, str, str]  # what stands before, in and after a hole
HOLE = 1
ODD = 0.4  # of the names that are renamed get any name, the others one that people give such a thing
KINDS = tuple(
    names.split()
    for names in (
        "numbers items values xs nums data lst arr seq a array elements",
        "words strings names texts items xs values",
        "text s string word line txt sentence",
        "n x num number value k m",
        "d data dictionary mapping table",
        "path filename file_path file_name",
        "matrix grid rows m table",
        "first a x left one",
        "second b y right other",
        "result out res output found answer",
        "total acc s amount",
        "i j k index pos",
        "item x e value element each v",
        "word w name s each",
        "c ch char letter",
        "row line r record",
        "count counts freq tally seen",
    )
)
ANY = tuple(
    name
    for names in (
        *string.ascii_lowercase,
        "account batch board box buffer case cell chunk cities city client code color cost cur customers day days",
        "depth dist entries entry events field files flag foo bar group groups head height hits inner inp input_list",
        "keys label labels last length level limit lines low high mark max_value members message min_value node nodes",
        "notes orders outer pairs part parts people person pieces points price prices prev products query queue ranks",
        "rate ratio raw records rest root sales sample samples scores sequence size songs source stack start stop",
        "step store students sub sums tag tags target temp temps tmp token tokens top tree units user users val vals",
        "vector weights width ys zs my_list my_dict new_list all_items user_name file_list word_list num_items",
        "input_text",
    )
    for name in names.split()
)


def rename(rng: random.Random, parts: Parts) -> Parts:
    """What stands before, in and after a hole, with the variables that are seen around it under other names.

    The three together are Python that parses, and the hole cuts through no name. What only the hole names keeps its
    name: nobody could guess another one.
    """
    tree = ast.parse("".join(parts))
    places = list(_places(parts))
    seen = {token for part, _, token in places if part != HOLE}
    taken = {name for node in ast.walk(tree) for name in _bound(node)} | {*dir(builtins), *keyword.kwlist}
    new: dict[str, str] = {}
    for name in sorted((_variables(tree) & seen) - _fixed(tree)):
        alike = sorted({other for kind in KINDS if name in kind for other in kind})
        pool = ANY if not alike or rng.random() < ODD else alike
        if free := [other for other in pool if other not in taken]:
            new[name] = rng.choice(free)
            taken.add(new[name])
    renamed = list(parts)
    for part, column, token in reversed(places):
        text = renamed[part]
        renamed[part] = text[:column] + new.get(token, token) + text[column + len(token) :]
    before, text, after = renamed
    return before, text, after


def _places(parts: Parts) -> Iterator[tuple[int, int, str]]:
    """Every name of the code, in order: the number of its part, the column in it, and the name."""
    code = "".join(parts)
    starts = [0, *(end + 1 for end, letter in enumerate(code) if letter == "\n")]
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.NAME:
            place = starts[token.start[0] - 1] + token.start[1]
            part = 0 if place < len(parts[0]) else HOLE if place < len(parts[0] + parts[HOLE]) else 2
            yield part, place - len("".join(parts[:part])), token.string


def _variables(tree: ast.AST) -> set[str]:
    """Parameters, and names that functions assign to."""
    bodies = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.Lambda)]
    nodes = [node for body in bodies for node in ast.walk(body)]
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return stored | {node.arg for node in nodes if isinstance(node, ast.arg)}


def _fixed(tree: ast.AST) -> set[str]:
    """What must keep its name: it is also an attribute or a keyword, stands in an f-string, or is custom."""
    found = {"self", "cls", "_", "args", "kwargs"}
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) | ast.keyword(arg=str(name)) | ast.ClassDef(name=name):
                found.add(name)
            case ast.FunctionDef(name=name):
                found.add(name)
            case ast.JoinedStr():
                found |= {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                found.update(names)
            case ast.ExceptHandler(name=str(name)) | ast.alias(asname=str(name)) | ast.alias(name=name):
                found.add(name)
    return found


def _bound(node: ast.AST) -> Iterator[str]:
    """The names that a node binds or reads."""
    match node:
        case ast.Name(id=name) | ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.alias(name=name, asname=other):
            yield other or name
