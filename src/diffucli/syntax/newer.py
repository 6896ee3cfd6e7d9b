"""Python that is newer than the interpreter, in words that the interpreter knows.

Type parameters, the statement `type`, and f-strings and t-strings of later versions are replaced by text of the same
length, so that everything else is judged, with its place.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from diffucli.syntax import languages
from diffucli.syntax.trees import nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        elif node.type == "type_alias_statement" and not node.has_error:
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
    while above is not None and above.type in {"generic_type", "type"}:
        above = above.parent
    return above is not None and above.type in {"function_definition", "class_definition", "type_alias_statement"}


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
