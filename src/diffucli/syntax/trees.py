"""Syntax trees of tree-sitter: their nodes and the errors in them. Offsets are in bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import tree_sitter

    from diffucli.syntax.compiler import Error

    Rule = Callable[[tree_sitter.Node], Iterator[Error]]

_PAIRS = {"(": ")", "[": "]", "{": "}"}
_CLOSERS = frozenset(_PAIRS.values())
_SHOWN = 24  # characters of an unexpected text that a message quotes


def nodes(root: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    """All nodes from `root` on, each before its children."""
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(node.children))


def errors(root: tree_sitter.Node) -> Iterator[Error]:
    """The errors below `root`. A node is reported itself if it has an error that none of its children has."""
    stack = [root]
    while stack:
        node = stack.pop()
        if not (node.has_error or node.is_error):
            continue
        opener = _unclosed(node) if node.is_error else None
        inner = [child for child in node.children if child.has_error or child.is_error]
        if opener is not None:
            yield opener.start_byte, opener.end_byte, f"unclosed `{opener.type}`"
        elif node.is_missing:
            yield (
                node.start_byte,
                node.start_byte,
                f"missing {node.type}" if node.is_named else f"missing `{node.type}`",
            )
        elif node.is_error and not inner:
            yield node.start_byte, node.end_byte, f"unexpected `{quote(node)}`"
        elif not inner:
            yield node.end_byte, node.end_byte, f"unfinished {node.type.replace('_', ' ')}"
        else:
            stack.extend(reversed(inner))


def _unclosed(error: tree_sitter.Node) -> tree_sitter.Node | None:
    """The first bracket in an error node that is not closed within the node."""
    opened: list[tree_sitter.Node] = []
    for child in error.children:
        for token in child.children if child.is_error else [child]:
            if token.type in _PAIRS:
                opened.append(token)
            elif token.type in _CLOSERS and opened and _PAIRS[opened[-1].type] == token.type:
                opened.pop()
    return opened[0] if opened else None


def quote(node: tree_sitter.Node) -> str:
    """The first line of a node's text, cut where it is long."""
    line = (node.text or b"").decode("utf-8", "replace").strip().partition("\n")[0].strip()
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"


def words(text: str) -> frozenset[str]:
    """The words of `text`."""
    return frozenset(text.split())


def at(node: tree_sitter.Node, message: str) -> Error:
    """An error that covers a node."""
    return node.start_byte, node.end_byte, message


def ancestor(node: tree_sitter.Node, types: frozenset[str]) -> tree_sitter.Node | None:
    """The nearest node above `node` of one of `types`."""
    above = node.parent
    while above is not None and above.type not in types:
        above = above.parent
    return above


def operator(node: tree_sitter.Node | None) -> str:
    """The operator of a node with two operands, else ""."""
    found = node.child_by_field_name("operator") if node is not None and node.type == "binary_expression" else None
    return found.type if found is not None else ""


def of_kinds(kinds: str, *rules: Rule) -> dict[str, tuple[Rule, ...]]:
    """The same rules for several kinds of nodes."""
    return dict.fromkeys(kinds.split(), rules)
