"""Rules of JavaScript and TypeScript that their grammars leave out.

Works on the nodes of a tree without errors; offsets are in bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffucli.syntax.trees import ancestor, at, of_kinds, operator, quote, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

    from diffucli.syntax.compiler import Error

_SWITCHES = frozenset({"switch_statement"})
_FUNCTIONS = words(
    """function_declaration function_expression arrow_function method_definition generator_function
    generator_function_declaration class_static_block"""
)
_AMBIENT = frozenset({"ambient_declaration"})
_LOOPS = frozenset({"for_statement", "for_in_statement", "while_statement", "do_statement"})
_OWNERS = _FUNCTIONS | {"class_body"}


def _js_const(node: Node) -> Iterator[Error]:
    if node.children[0].type != "const" or ancestor(node, _AMBIENT) is not None:
        return
    for one in node.named_children:
        if one.type == "variable_declarator" and one.child_by_field_name("value") is None:
            yield at(one, f"`{quote(one)}` is constant and has no value")


def _js_rest(node: Node) -> Iterator[Error]:
    """Nothing, not even a comma, may follow the rest of a pattern or of parameters."""
    inner = [child for child in node.children[:-1] if child.type != "comment"]
    yield from (at(one, "the rest must be the last") for one in inner[:-1] if _is_rest(one))


def _is_rest(node: Node) -> bool:
    pattern = node.child_by_field_name("pattern")
    return "rest_pattern" in {node.type, pattern.type if pattern is not None else ""}


def _js_operator(node: Node) -> Iterator[Error]:
    own, left = operator(node), node.child_by_field_name("left")
    if own == "**" and left is not None and left.type == "unary_expression":
        yield at(left, "a sign before `**` needs brackets")
    for inner in (operator(left), operator(node.child_by_field_name("right"))):
        if own != inner and {own, inner} <= {"??", "||", "&&"} and "??" in {own, inner}:
            yield at(node, f"`{own}` beside `{inner}` needs brackets")


def _js_block(node: Node) -> Iterator[Error]:
    """A name that one block declares twice by `let`, `const` or `class`, and one that is called `let`."""
    seen: set[bytes] = set()
    for name in _declared(node):
        text = name.text or b""
        if text in seen:
            yield at(name, f"`{quote(name)}` is declared twice")
        if text == b"let":
            yield at(name, "`let` is no name here")
        seen.add(text)


def _declared(block: Node) -> Iterator[Node]:
    for child in block.named_children:
        one = (child.child_by_field_name("declaration") or child) if child.type == "export_statement" else child
        lone = [one] if one.type == "class_declaration" else []
        for holder in one.named_children if one.type == "lexical_declaration" else lone:
            name = holder.child_by_field_name("name")
            if name is not None and name.type in {"identifier", "type_identifier"}:
                yield name


def _js_exports(node: Node) -> Iterator[Error]:
    """A second default export; TypeScript has several of a function with overloads, or beside an interface."""
    exports = [child for child in node.named_children if child.type == "export_statement"]
    found = [child for child in exports if any(each.type == "default" for each in child.children)]
    kinds = {one.type for child in found for one in child.named_children}
    if not kinds & {"interface_declaration", "function_signature"}:
        yield from (at(child, "a second default export") for child in found[1:])


def _js_jump(node: Node) -> Iterator[Error]:
    """`break` and `continue` need a loop, or the label that they name, in their function."""
    word, label = node.children[0].type, node.child_by_field_name("label")
    if label is not None:
        if (label.text or b"") not in _labels(node):
            yield at(label, f"no label is called `{quote(label)}`")
        return
    wanted = _LOOPS if word == "continue" else _LOOPS | _SWITCHES
    above = ancestor(node, wanted | _FUNCTIONS)
    if above is None or above.type in _FUNCTIONS:
        yield at(node, f"`{word}` outside of a loop")


def _labels(node: Node) -> set[bytes]:
    """The labels around a node in its function."""
    found: set[bytes] = set()
    above = ancestor(node, _FUNCTIONS | {"labeled_statement"})
    while above is not None and above.type == "labeled_statement":
        label = above.child_by_field_name("label")
        found.add((label.text or b"") if label is not None else b"")
        above = ancestor(above, _FUNCTIONS | {"labeled_statement"})
    return found


def _js_super(node: Node) -> Iterator[Error]:
    owner = ancestor(node, _OWNERS)
    while owner is not None and owner.type == "arrow_function":
        owner = ancestor(owner, _OWNERS)
    if owner is None or owner.type not in {"method_definition", "class_body", "class_static_block"}:
        yield at(node, "`super` outside of a method")


def _js_await(node: Node) -> Iterator[Error]:
    owner = ancestor(node, _FUNCTIONS)
    if owner is not None and all(child.type != "async" for child in owner.children):
        yield at(node, "`await` in a function that is not `async`")


def _js_class(node: Node) -> Iterator[Error]:
    methods = [child for child in node.named_children if child.type == "method_definition"]
    names = [
        child.child_by_field_name("name") for child in methods if all(one.type != "static" for one in child.children)
    ]
    found = [name for name in names if name is not None and name.text == b"constructor"]
    yield from (at(name, "a second constructor") for name in found[1:])


def _jsx_element(node: Node) -> Iterator[Error]:
    opening, closing = node.child_by_field_name("open_tag"), node.child_by_field_name("close_tag")
    if opening is None or closing is None:
        return
    one, other = opening.child_by_field_name("name"), closing.child_by_field_name("name")
    if (one.text if one is not None else b"") != (other.text if other is not None else b""):
        yield at(closing, f"`{quote(opening)}` is closed by `{quote(closing)}`")


def _jsx_attribute(node: Node) -> Iterator[Error]:
    for child in node.named_children:
        inner = child.named_children[0].type if child.named_children else "comment"
        if child.type == "jsx_expression" and inner not in {"spread_element", "comment"}:
            yield at(child, f"`{quote(child)}` is no attribute")


def _tsx_arrow(node: Node) -> Iterator[Error]:
    """In TSX `<T>(x) => …` is an element, unless something follows the name."""
    found = node.child_by_field_name("type_parameters")
    if found is not None and [len(child.children) for child in found.children] == [0, 1, 0]:
        yield at(found, f"`{quote(found)}` is a tag here; write `<{quote(found.named_children[0])},>`")


def _ts_enum(node: Node) -> Iterator[Error]:
    for child in node.named_children:
        name = child.child_by_field_name("name") or child
        if name.type == "number":
            yield at(name, "a member of an enum cannot be called by a number")


def _ts_parameter(node: Node) -> Iterator[Error]:
    """A parameter that is a field outside of a constructor; one that may be left out and has a value."""
    if any(child.type in {"accessibility_modifier", "readonly"} for child in node.children):
        owner = node.parent.parent if node.parent is not None else None
        name = owner.child_by_field_name("name") if owner is not None else None
        if name is None or name.text != b"constructor":
            yield at(node, "a parameter is a field in a constructor alone")
    if node.type == "optional_parameter" and node.child_by_field_name("value") is not None:
        yield at(node, "a parameter with `?` cannot have a value")


SCRIPTS = {
    **of_kinds("lexical_declaration", _js_const),
    **of_kinds("array_pattern object_pattern formal_parameters", _js_rest),
    **of_kinds("binary_expression", _js_operator),
    **of_kinds("statement_block class_static_block", _js_block),
    **of_kinds("program", _js_block, _js_exports),
    **of_kinds("break_statement continue_statement", _js_jump),
    **of_kinds("super", _js_super),
    **of_kinds("await_expression", _js_await),
    **of_kinds("class_body", _js_class),
    **of_kinds("jsx_element", _jsx_element),
    **of_kinds("jsx_opening_element jsx_self_closing_element", _jsx_attribute),
}
TYPES = {
    **SCRIPTS,
    **of_kinds("enum_body", _ts_enum),
    **of_kinds("required_parameter optional_parameter", _ts_parameter),
}
TSX = {**TYPES, **of_kinds("arrow_function", _tsx_arrow)}
