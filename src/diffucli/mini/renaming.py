"""Renames parameters and local variables, so that the model learns to use the names of the code around a hole.

Knows the syntax of Python, and that a hole cuts the code into three parts. Does not know tasks.
"""

from __future__ import annotations

import ast
import builtins
import io
import keyword
import string
import tokenize
from typing import TYPE_CHECKING

from diffucli.mini.nouns import compound

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence

Parts = tuple[str, str, str]  # the code before, in and after a hole
HOLE = 1  # index of the hole in Parts
ANY_NAME, COMPOUND = 0.3, 0.35  # probabilities that a name becomes any other name or a compound, not one of its kind
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
    """The parts with new names for the variables that occur outside the hole.

    The three parts together must be valid Python, and the hole must not cut through a name. Variables that only occur
    in the hole are not renamed, because no reader could guess the new name.
    """
    tree = ast.parse("".join(parts))
    names = list(_names(parts))
    seen = {token for part, _, token in names if part != HOLE}
    taken = {name for node in ast.walk(tree) for name in _bound(node)} | {*dir(builtins), *keyword.kwlist}
    new: dict[str, str] = {}
    for name in sorted((_variables(tree) & seen) - _fixed(tree)):
        if free := [other for other in _pool(rng, name) if other not in taken]:
            new[name] = rng.choice(free)
            taken.add(new[name])
    renamed = list(parts)
    for part, column, token in reversed(names):
        text = renamed[part]
        renamed[part] = text[:column] + new.get(token, token) + text[column + len(token) :]
    before, text, after = renamed
    return before, text, after


def _pool(rng: random.Random, name: str) -> Sequence[str]:
    """Names that `name` may become: those of its kind, any others, or compounds such as "user_scores"."""
    similar = sorted({other for kind in KINDS if name in kind for other in kind})
    draw = rng.random()
    if draw < COMPOUND:
        return [compound(rng, many=name.endswith("s")) for _ in range(3)]
    return similar if similar and draw > COMPOUND + ANY_NAME else ANY


def _names(parts: Parts) -> Iterator[tuple[int, int, str]]:
    """Every name in the code, in order: the index of its part, its position there, and the name."""
    code = "".join(parts)
    starts = [0, *(end + 1 for end, letter in enumerate(code) if letter == "\n")]
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.NAME:
            position = starts[token.start[0] - 1] + token.start[1]
            part = 0 if position < len(parts[0]) else HOLE if position < len(parts[0] + parts[HOLE]) else 2
            yield part, position - len("".join(parts[:part])), token.string


def _variables(tree: ast.AST) -> set[str]:
    """Parameters, and names that functions assign to."""
    bodies = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.Lambda)]
    nodes = [node for body in bodies for node in ast.walk(body)]
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return stored | {node.arg for node in nodes if isinstance(node, ast.arg)}


def _fixed(tree: ast.AST) -> set[str]:
    """Names that are not renamed: conventional ones, and those of attributes, keywords and f-strings."""
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
    """The names that a node binds or uses."""
    match node:
        case ast.Name(id=name) | ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.alias(name=name, asname=other):
            yield other or name
