"""The part of a definition that a new body replaces: what stands between its braces, or below its docstring.

Works on the nodes of a tree; offsets are in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tree_sitter

HOLDERS = frozenset({"variable_declarator", "field_definition", "public_field_definition"})
FUNCTIONS = frozenset({"arrow_function", "function_expression", "generator_function", "class"})
_TYPES = frozenset({"type_spec", "type_definition"})


@dataclass(frozen=True, slots=True)
class Body:
    """The half-open range of a body: without braces, unless nothing stands between them, and without a docstring.

    first: where its first statement starts, docstring included. It is empty, behind the docstring, if that is all.
    """

    start: int
    stop: int
    first: int


def body(definition: tree_sitter.Node) -> Body | None:
    """The body of a definition; None if it has none."""
    found = _body(definition)
    if found is None:
        return None
    if found.type == "block" and not _braces(found):
        start, stop = _below_docstring(definition, found)
        return Body(start, stop, found.start_byte)
    start, stop = _inside(found)
    return Body(start, stop, start)


def function(call: tree_sitter.Node) -> tree_sitter.Node | None:
    """The first function or class literal among the arguments of a call, as in `const App = memo(() => …)`."""
    arguments = call.child_by_field_name("arguments")
    children = [] if arguments is None else arguments.named_children
    return next((child for child in children if child.type in FUNCTIONS), None)


def _body(node: tree_sitter.Node) -> tree_sitter.Node | None:
    if node.type in HOLDERS:
        value = node.child_by_field_name("value")
        if value is not None and value.type == "call_expression":
            value = function(value)
        return value and (value.child_by_field_name("body") or value)
    found = node.child_by_field_name("body") or (node.child_by_field_name("type") if node.type in _TYPES else None)
    return found and (found.child_by_field_name("body") or found)


def _inside(node: tree_sitter.Node) -> tuple[int, int]:
    """What stands between the braces of `node`, or of a list of fields at its end; all of it where that is nothing."""
    last = node.named_children[-1] if node.named_children else node
    for holder in (node, last):
        if braces := _braces(holder):
            between = (holder.text or b"")[braces[0] - holder.start_byte : braces[1] - holder.start_byte]
            return braces if between.strip() else (holder.start_byte, holder.end_byte)
        if not node.type.endswith("_type"):
            break
    return node.start_byte, node.end_byte


def _braces(node: tree_sitter.Node) -> tuple[int, int] | None:
    opening = next((child for child in node.children if child.type == "{"), None)
    if opening is None or node.children[-1].type != "}":
        return None
    return opening.end_byte, node.children[-1].start_byte


def _below_docstring(definition: tree_sitter.Node, block: tree_sitter.Node) -> tuple[int, int]:
    """A block of Python with the comments above it, but without its docstring."""
    colon = next(child for child in reversed(definition.children) if child.type == ":")
    row = colon.end_point[0]
    statements = block.named_children
    if statements and _is_text(statements[0]) and statements[0].start_point[0] > row:
        last = statements[0].end_point[0]
        ends = [child for child in statements if child.start_point[0] == last or child is statements[0]]
        rest = statements[len(ends) :]
        return rest[0].start_byte if rest else ends[-1].end_byte, max(block.end_byte, ends[-1].end_byte)
    above = [child for child in definition.children if child.type == "comment" and child.start_point[0] > row]
    first = next((comment for comment in above if comment.end_byte <= block.start_byte), block)
    return first.start_byte, block.end_byte


def _is_text(statement: tree_sitter.Node) -> bool:
    """Whether a statement is nothing but a string, which the first one of a body is for its readers."""
    while statement.type == "expression_statement" and statement.named_child_count == 1:
        statement = statement.named_children[0]
    return statement.type == "string" and not (statement.text or b"").lower().startswith((b"f", b"b", b"rb"))
