"""Python that is newer than the interpreter, in words that the interpreter knows; and the version that a text needs.

Type parameters, the statement `type`, and f-strings and t-strings of later versions are replaced by text of the same
length, so that everything else is judged, with its place.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffucli.syntax import languages
from diffucli.syntax.compiler import SECONDS
from diffucli.syntax.trees import nodes, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import tree_sitter

_TEMPLATE = re.compile(r"(?<![\w\"'])(?:[tT](?=[rR]?[\"'])|(?<=[rR])[tT](?=[\"']))")
_NEWEST = (3, 14)  # the version whose forms are known here


def version() -> str:
    """The version of Python that judges, as `3.11`."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def older(text: str, *, seconds: float) -> str | None:
    """`text` without the forms that the interpreter is too old for; None if it has none."""
    if sys.version_info >= _NEWEST:
        return None
    templates = _TEMPLATE.sub("f", text)
    tree = languages.parse(templates, languages.by_name("python"), seconds=seconds)
    if tree is None:
        return None
    characters = list(templates)
    offset = languages.characters(templates)
    for node in nodes(tree.root_node):
        start, stop = offset(node.start_byte), offset(node.end_byte)
        if node.type == "type_parameter" and _declares(node):
            _blank(characters, start, stop)
        elif _is_alias(node) and not node.has_error:
            characters[start : start + 4] = "_ = "
        elif node.type in {"string", "concatenated_string"} and _has_values(node):
            if node.parent is not None and node.parent.type == "concatenated_string":
                continue
            kept = [templates[index] for index in range(start, stop)]
            _blank(characters, start, stop)
            characters[start], characters[stop - 1] = "(", ")"
            for first, last in _values(node):
                here = slice(offset(first), offset(last))
                characters[here] = kept[here.start - start : here.stop - start]
                characters[here.stop] = ","
    result = "".join(characters)
    return None if result == text else result


def _blank(characters: list[str], start: int, stop: int) -> None:
    for index in range(start, stop):
        if characters[index] not in "\r\n":
            characters[index] = " "


def _declares(parameters: tree_sitter.Node) -> bool:
    """Whether type parameters are those of a definition, and not an index such as `list[int]`."""
    above = parameters.parent
    if above is not None and above.type in {"function_definition", "class_definition"}:
        return True
    name = above.parent if above is not None and above.type == "generic_type" else None
    alias = name.parent if name is not None else None
    return alias is not None and _is_alias(alias) and alias.child_by_field_name("left") == name


def _is_alias(statement: tree_sitter.Node) -> bool:
    """Whether a node is a statement such as `type A = int`, and not `type(a).b = c`, which looks so to the grammar."""
    left = statement.child_by_field_name("left") if statement.type == "type_alias_statement" else None
    return left is not None and [child.type for child in left.children] in (["identifier"], ["generic_type"])


def _has_values(string: tree_sitter.Node) -> bool:
    """Whether a string without errors has expressions in it, all with conversions that there are."""
    if string.has_error:
        return False
    conversions = {node.text for node in nodes(string) if node.type == "type_conversion"}
    return conversions <= {b"!r", b"!s", b"!a"} and next(_interpolations(string), None) is not None


def _interpolations(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    """The interpolations of a string, those in the format of another one included; not those in their expressions."""
    for child in node.children:
        if child.type == "interpolation":
            yield child
            for each in child.children:
                if each.type == "format_specifier":
                    yield from _interpolations(each)
        elif child.type in {"string", "string_content", "format_specifier"} and node.type != "interpolation":
            yield from _interpolations(child)
        elif child.type == "format_expression":
            yield child


def _values(string: tree_sitter.Node) -> list[tuple[int, int]]:
    """The ranges of the expressions in a string, in bytes."""
    found = []
    for one in _interpolations(string):
        value = one.child_by_field_name("expression") or (one.named_children[0] if one.named_children else None)
        if value is not None:
            found.append((value.start_byte, value.end_byte))
    return found


@dataclass(frozen=True, slots=True)
class Need:
    """What needs a version of Python. minor: of 3.minor. line: of the text, from 1. what: the form, in words."""

    minor: int
    line: int
    what: str


def need(text: str, *, above: int, seconds: float = SECONDS) -> Need | None:
    """The form of `text` that needs the highest Python, the first of equals; None if 3.`above` knows all forms.

    Forms since Python 3.8 are known. Also None for a text that takes longer to parse than `seconds`.
    """
    forms = [form for form in _FORMS if form[0] > above]
    tree = languages.parse(text, languages.by_name("python"), seconds=seconds) if forms else None
    found: Need | None = None
    for node in nodes(tree.root_node) if tree is not None else ():
        for minor, types, what, is_form in forms:
            if minor > (found.minor if found else above) and node.type in types and is_form(node):
                found = Need(minor, node.start_point.row + 1, what)
    return found


def _is_template(string: tree_sitter.Node) -> bool:
    return bool(string.children) and b"t" in (string.children[0].text or b"").lower()


def _has_many_types(clause: tree_sitter.Node) -> bool:
    """Whether an `except` has several types without parentheses around them."""
    return len(clause.children_by_field_name("value")) > 1


def _has_default(parameters: tree_sitter.Node) -> bool:
    return parameters.has_error and _declares(parameters) and b"=" in (parameters.text or b"")


def _is_nested(string: tree_sitter.Node) -> bool:
    """Whether the expressions in a string have its own quotes, a backslash, a comment or a new line in them."""
    if string.has_error or not string.children:
        return False
    quotes = (string.children[0].text or b"").lstrip(b"fFrRtTbBuU")
    taken = [b"\\", quotes, *([b"\n"] if len(quotes) == 1 else [])]
    text, first = string.text or b"", string.start_byte
    return any(each in text[start - first : stop - first] for start, stop in _values(string) for each in taken)


def _has_child(kind: str) -> Callable[[tree_sitter.Node], bool]:
    return lambda node: any(child.type == kind for child in node.children)


def _is_any_expression(decorator: tree_sitter.Node) -> bool:
    """Whether a decorator is more than a name with dots in it, and one call of that."""
    value = decorator.named_children[0] if decorator.named_children else None
    if value is not None and value.type == "call":
        value = value.child_by_field_name("function")
    while value is not None and value.type == "attribute":
        value = value.child_by_field_name("object")
    return value is not None and value.type != "identifier"


def _is_in_parentheses(clause: tree_sitter.Node) -> bool:
    """Whether the items of a `with` stand in parentheses, and not the value of one."""
    values = [item.child_by_field_name("value") for item in clause.named_children if item.type == "with_item"]
    inside = [child for value in values if value is not None and value.type in _GROUPS for child in value.children]
    return clause.children[0].type == "(" or any(child.type == "as_pattern" for child in inside)


_GROUPS = words("parenthesized_expression tuple")
# The minor version that has a form first, the nodes that may be one, its name, and whether a node is one.
_FORMS: tuple[tuple[int, frozenset[str], str, Callable[[tree_sitter.Node], bool]], ...] = (
    (14, words("string"), "a t-string", _is_template),
    (14, words("except_clause"), "`except` of several types without parentheses", _has_many_types),
    (13, words("type_parameter"), "the default of a type parameter", _has_default),
    (12, words("type_parameter"), "type parameters", _declares),
    (12, words("type_alias_statement"), "a `type` statement", _is_alias),
    (12, words("string"), "an f-string with its own quotes or a backslash in braces", _is_nested),
    (11, words("except_clause"), "`except*`", _has_child("*")),
    (11, words("subscript"), "unpacking in an index", _has_child("list_splat")),
    (11, words("splat_type"), "an unpacked type", lambda _: True),
    (10, words("match_statement"), "a `match` statement", lambda node: not node.has_error),
    (9, words("with_clause"), "`with` and its items in parentheses", _is_in_parentheses),
    (9, words("decorator"), "a decorator that is any expression", _is_any_expression),
    (8, words("named_expression"), "`:=`", lambda _: True),
    (8, words("positional_separator"), "positional-only parameters", lambda _: True),
    (8, words("interpolation"), "an f-string with `=`", _has_child("=")),
)
