"""The definitions in a text: "Cfg.load", its span, decorators included, and the span of its body.

Knows names and spans only. Definitions with syntax errors may be missed.
"""

from __future__ import annotations

import difflib
import re
import shlex
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffucli.errors import UsageError
from diffucli.syntax import bodies, languages
from diffucli.syntax.bodies import Body
from diffucli.syntax.compiler import SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import tree_sitter

    from diffucli.syntax.languages import Language

_SHOWN = 20  # names or lines listed in a message
_AT_LINE = re.compile(r"(?P<name>.+)@(?P<line>[0-9]{1,9})")
_LOOSE = re.compile(r"(?<!operator)\(.*|[\"'\s]")


@dataclass(frozen=True, slots=True)
class Symbol:
    """One definition.

    name: dotted (`Cfg.load`, `outer.inner`). start, stop: half-open character offsets, with decorators, attributes,
    `export` and `template<…>`. body: what a new body replaces; None if it has none.
    """

    name: str
    start: int
    stop: int
    body: Body | None


_JAVASCRIPT = frozenset(
    {
        "function_declaration",
        "generator_function_declaration",
        "class_declaration",
        "method_definition",
        "variable_declarator",
        "field_definition",
    }
)
_TYPESCRIPT = _JAVASCRIPT | {
    "abstract_class_declaration",
    "interface_declaration",
    "type_alias_declaration",
    "enum_declaration",
    "internal_module",
    "module",
    "public_field_definition",
}
_C = frozenset({"function_definition", "struct_specifier", "union_specifier", "enum_specifier", "type_definition"})
_KINDS = {
    "python": frozenset({"function_definition", "class_definition"}),
    "javascript": _JAVASCRIPT,
    "typescript": _TYPESCRIPT,
    "tsx": _TYPESCRIPT,
    "go": frozenset({"function_declaration", "method_declaration", "type_spec", "type_alias"}),
    "rust": frozenset(
        {
            "function_item",
            "struct_item",
            "enum_item",
            "union_item",
            "trait_item",
            "type_item",
            "mod_item",
            "macro_definition",
        }
    ),
    "c": _C,
    "cpp": _C | {"class_specifier", "namespace_definition", "concept_definition", "alias_declaration"},
    "java": frozenset(
        {
            "class_declaration",
            "interface_declaration",
            "enum_declaration",
            "record_declaration",
            "annotation_type_declaration",
            "method_declaration",
            "constructor_declaration",
            "compact_constructor_declaration",
        }
    ),
    "bash": frozenset({"function_definition"}),
}
# A variable or field is a definition if its value is one of these.
_VALUES = bodies.FUNCTIONS | {"object", "call_expression"}
_NEEDS_BODY = frozenset({"struct_specifier", "union_specifier", "enum_specifier", "class_specifier", "mod_item"})
_WRAPPERS = frozenset({"decorated_definition", "export_statement", "template_declaration", "ambient_declaration"})
_SINGLES = frozenset(
    {"lexical_declaration", "variable_declaration", "type_declaration"}
)  # part of the definition if they declare just one
_ATTRIBUTES = frozenset({"attribute_item", "decorator"})  # part of the definition that follows them


def symbols(text: str, language: Language, *, seconds: float = SECONDS) -> tuple[Symbol, ...]:
    """All definitions in a text, sorted by their start.

    UsageError: the language has no definitions (json, html, css) or no grammar, or parsing takes longer than `seconds`.
    """
    if language.name not in _KINDS:
        raise UsageError(f"{language.name} has no symbols", hint="name the lines instead, as in `-r 10:40`")
    tree = languages.parse(text, language, seconds=seconds)
    if tree is None:
        raise UsageError(f"cannot look for symbols in this {language.name}: no grammar, or it took too long to parse")
    offset = languages.characters(text)
    found = (
        Symbol(
            name, offset(start), offset(stop), body and Body(offset(body.start), offset(body.stop), offset(body.first))
        )
        for name, start, stop, body in _definitions(tree.root_node, _KINDS[language.name])
    )
    return tuple(sorted(found, key=lambda symbol: symbol.start))


def find(text: str, language: Language, name: str) -> Symbol:
    """The only definition of a dotted name (`Cfg::load` is `Cfg.load`), or of the end of one (`load`).

    `load@12` is the one in line 12. Quotes, blanks and parameters of a name may be left out if no other has that name.
    UsageError: there is none (the message names similar ones), or there are several (the message names them).
    """
    found = symbols(text, language)
    at = _AT_LINE.fullmatch(name.strip())
    wanted = _exact(at["name"] if at else name.strip())
    matches = _named(found, wanted)
    if at and matches:
        defined, line = _lines_of(text, matches), int(at["line"])
        matches = [each for each in matches if _line(text, each.start) <= line <= _line(text, each.stop - 1)]
        if not matches:
            raise UsageError(f"`{wanted}` is not defined in line {line}", hint=f"it is at {defined}")
    if len(matches) == 1:
        return matches[0]
    names = list(dict.fromkeys(symbol.name for symbol in matches))
    if not names:
        raise _unknown(wanted, list(dict.fromkeys(symbol.name for symbol in found)))
    if len(names) > 1:
        raise UsageError(
            f"{len(names)} symbols are named `{wanted}`; did you mean {_either(names[:_SHOWN])}?",
            hint=f"write its whole name, as in `-r {shlex.quote(names[0])}`",
        )
    raise UsageError(
        f"`{names[0]}` is defined {len(matches)} times, at {_lines_of(text, matches)}",
        hint=_apart(text, matches),
    )


def _apart(text: str, matches: Sequence[Symbol]) -> str:
    """How one of several definitions of a name is named."""
    first, last = matches[0].start, matches[0].stop - 1
    lines = [_line(text, each.start) for each in matches]
    if len(set(lines)) == len(lines):
        return f"say in which line, as in `-r {shlex.quote(f'{matches[0].name}@{lines[0]}')}`"
    left, right = (offset - text.rfind("\n", 0, offset) for offset in (first, last))
    return f"name its columns instead, as in `-r {lines[0]}:{left}-{_line(text, last)}:{right}`"


def _named(found: Sequence[Symbol], wanted: str) -> list[Symbol]:
    """Those of that name, else those whose name ends so; names are compared exactly, else loosely."""
    for form in (_exact, _loose):
        name = form(wanted)
        matches = [symbol for symbol in found if form(symbol.name) == name]
        matches = matches or [symbol for symbol in found if form(symbol.name).endswith(f".{name}")]
        if matches:
            return matches
    return []


def _exact(name: str) -> str:
    """A name in one spelling: é may be one character or two."""
    return unicodedata.normalize("NFC", name).replace("::", ".")


def _loose(name: str) -> str:
    """A name without quotes, blanks and parameters: `operator bool() const` is `operatorbool`."""
    return _LOOSE.sub("", _exact(name))


def _lines_of(text: str, matches: Sequence[Symbol]) -> str:
    lines = [str(_line(text, symbol.start)) for symbol in matches[:_SHOWN]]
    return f"line{'s' if len(lines) > 1 else ''} {', '.join(lines)}"


def _unknown(wanted: str, names: list[str]) -> UsageError:
    near = difflib.get_close_matches(wanted, names, n=3)
    guess = f"; did you mean {_either(near)}?" if near else ""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    there = f"there are: {', '.join(names[:_SHOWN])}{more}" if names else "the text defines nothing"
    return UsageError(f"no symbol is named `{wanted}`{guess}", hint=there)


def _either(names: list[str]) -> str:
    return " or ".join(f"`{name}`" for name in names)


def _line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def _definitions(root: tree_sitter.Node, kinds: frozenset[str]) -> Iterator[tuple[str, int, int, Body | None]]:
    """The dotted name, start, stop and body of each definition, in bytes."""
    stack = [(root, "")]
    while stack:
        node, scope = stack.pop()
        inner = scope
        if node.type == "impl_item":
            inner = _join(scope, _type_name(node.child_by_field_name("type")))
        elif node.type in kinds and (name := _name(node)):
            inner = _join(scope, name)
            whole = _whole(node)
            yield inner, _first(whole).start_byte, whole.end_byte, bodies.body(node)
        stack.extend((child, inner) for child in reversed(node.named_children))


def _join(scope: str, name: str) -> str:
    return f"{scope}.{name}" if scope and name else scope or name


def _name(node: tree_sitter.Node) -> str:
    """The name of a definition, in Go with the type of its receiver; empty if the node defines nothing."""
    if node.type in _NEEDS_BODY and node.child_by_field_name("body") is None:
        return ""
    if node.type in bodies.HOLDERS:
        value = node.child_by_field_name("value")
        if (
            value is None
            or value.type not in _VALUES
            or (value.type == "call_expression" and bodies.function(value) is None)
        ):
            return ""
    declarator = node.child_by_field_name("declarator")
    if node.type in {"function_definition", "type_definition"} and declarator is not None:
        return _declared(declarator)
    given = node.child_by_field_name("name") or node.child_by_field_name("property")
    if given is None or given.type in {"object_pattern", "array_pattern"}:
        return ""
    return _join(_type_name(node.child_by_field_name("receiver")), _text(given).replace("::", "."))


def _declared(declarator: tree_sitter.Node) -> str:
    """The name in a C declarator: f for `*(*f)(int)`, A.b for `A::b()`, `operator()` for itself."""
    inner: tree_sitter.Node | None = declarator
    while inner is not None and declarator.type != "operator_cast":  # the declarator of a cast is no name
        declarator = inner
        inner = declarator.child_by_field_name("declarator") or next(
            (child for child in declarator.named_children if child.type.endswith("declarator")), None
        )
    return re.sub(r"\s*::\s*", ".", _without_arguments(_text(declarator)))


def _type_name(node: tree_sitter.Node | None) -> str:
    """The name `T` of the types `(t *T[int])`, `&mut T<U>` and `a::T`; empty for None."""
    while node is not None and node.named_children:
        node = node.child_by_field_name("type") or node.child_by_field_name("name") or node.named_children[0]
    return "" if node is None else _text(node)


def _whole(node: tree_sitter.Node) -> tree_sitter.Node:
    """The outermost node of a definition, with decorators, `export`, `template<…>` and `const` of a single name."""
    while (parent := node.parent) is not None:
        alone = parent.type in _SINGLES and parent.named_child_count == 1
        if parent.type not in _WRAPPERS and not alone:
            break
        node = parent
    return node


def _first(node: tree_sitter.Node) -> tree_sitter.Node:
    """The first of the attributes and decorators before a definition, or else the definition."""
    while (before := node.prev_named_sibling) is not None and before.type in _ATTRIBUTES:
        node = before
    return node


def _without_arguments(name: str) -> str:
    """`vector::push` for `vector<T>::push`; an operator such as `operator<` keeps its sign."""
    head, sign, tail = name.partition("operator")
    while (shorter := re.sub(r"<[^<>]*>", "", head)) != head:
        head = shorter
    return head + sign + tail


def _text(node: tree_sitter.Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")
