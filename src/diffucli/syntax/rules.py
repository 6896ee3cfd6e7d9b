"""Rules of languages that their grammars leave out: texts that a grammar reads although the language refuses them.

Works on the nodes of a tree without errors; offsets are in bytes.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from diffucli.syntax.script_rules import SCRIPTS, TSX, TYPES
from diffucli.syntax.trees import ancestor, at, of_kinds, operator, quote, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Language as Grammar
    from tree_sitter import Node, Query

    from diffucli.syntax.compiler import Error
    from diffucli.syntax.trees import Rule

_C = """auto break case char const continue default do double else enum extern float for goto if int long register
return short signed static struct switch typedef union unsigned void volatile while"""
_SCRIPT = """break case catch class const continue debugger default delete do else export extends finally for function
if import in instanceof new return switch throw try typeof var void while with enum"""
RESERVED: dict[str, frozenset[str]] = {
    name: words(text)
    for name, text in {
        "c": _C,
        "cpp": f"""{_C} catch class constexpr delete explicit friend mutable namespace new nullptr operator private
            protected public template throw try using virtual""",
        "go": """break case chan const continue default defer else fallthrough for func go goto if import interface map
            package range return select struct switch type var""",
        "rust": """as break const continue else enum extern fn for if impl in let loop match mod move mut pub ref return
            static struct trait type unsafe use where while async await dyn""",
        "java": """abstract assert boolean break byte case catch char class const continue do double else enum
            extends final finally float for goto if implements import instanceof int interface long native new package
            private protected public return short static strictfp switch synchronized throw throws transient try void
            volatile while""",
        "javascript": _SCRIPT,
        "typescript": _SCRIPT,
        "tsx": _SCRIPT,
    }.items()
}
_NAMES = ("identifier", "type_identifier", "namespace_identifier", "shorthand_property_identifier_pattern")
_FREE = re.compile(r"^(preproc_|token_tree|macro_|attribute|lifetime|label)")  # any word may stand there
_NAMED = True
_DIRECTIVES = words(
    """include include_next import define undef if ifdef ifndef elif elifdef elifndef else endif line error
    warning pragma ident sccs embed assert unassert region endregion using"""
)


def errors(
    root: Node, language: str, grammar: Grammar, *, fragment: bool = False, is_ambient: bool = False
) -> list[Error]:
    """What the rules of a language find below `root`, by position.

    fragment: the text may be part of a file, such as Go without a package clause. is_ambient: it is a file of
    TypeScript that only declares, where a constant has no value.
    """
    from tree_sitter import QueryCursor

    found: list[Error] = []
    query = _query(language, grammar)
    if query is not None:
        rules = _RULES[language] | ({"lexical_declaration": ()} if is_ambient else {})
        for kind, those in QueryCursor(query).captures(root).items():
            for node in those:
                for rule in rules.get(kind, (_reserved,)):
                    found += rule(node)
    if language in _WHOLE and not fragment:
        found += _WHOLE[language](root)
    return sorted(set(found))


@cache
def _query(language: str, grammar: Grammar) -> Query | None:
    """All nodes that a language has rules for, captured by their kinds, and the reserved words that stand as names."""
    from tree_sitter import Query

    kinds = [kind for kind in _RULES.get(language, ()) if grammar.id_for_node_kind(kind, _NAMED) is not None]
    parts = [f"({kind}) @{kind}" for kind in kinds]
    reserved = " ".join(f'"{word}"' for word in sorted(RESERVED.get(language, ())))
    names = " ".join(f"({kind})" for kind in _NAMES if grammar.id_for_node_kind(kind, _NAMED) is not None)
    if reserved and names:
        parts.append(f"([{names}] @reserved (#any-of? @reserved {reserved}))")
    return Query(grammar, "\n".join(parts)) if parts else None


def _unexpected(node: Node) -> Error:
    return at(node, f"unexpected `{quote(node)}`")


def _reserved(node: Node) -> Iterator[Error]:
    """A reserved word that stands where a name does."""
    above = node.parent
    while above is not None and not _FREE.match(above.type):
        above = above.parent
    if above is None:
        yield at(node, f"`{quote(node)}` is a reserved word")


# C and C++

_SWITCHES = frozenset({"switch_statement"})
_BODIES = frozenset({"function_definition", "lambda_expression"})


def _c_directive(node: Node) -> Iterator[Error]:
    word = (node.text or b"").decode("utf-8", "replace").lstrip("# \t")
    if word and word not in _DIRECTIVES and not word.isdigit():
        yield at(node, f"no directive is called `{word}`")


def _c_label(node: Node) -> Iterator[Error]:
    word = node.children[0]
    if ancestor(node, _SWITCHES) is None and ancestor(node, _BODIES) is not None:
        yield node.start_byte, word.end_byte, f"`{word.type}` outside of a switch"


# Bash

_CLOSING = words("then fi do done esac elif else }")


def _shell_command(node: Node) -> Iterator[Error]:
    name = node.child_by_field_name("name")
    if name is not None and (name.text or b"").decode("utf-8", "replace") in _CLOSING:
        yield at(name, f"unexpected `{quote(name)}`")


def _shell_block(node: Node) -> Iterator[Error]:
    """A list of commands has at least one."""
    inner = [child for child in node.children if child.type not in {"comment", "\n"}]
    for before, child in pairwise(inner):
        if before.type in {"then", "else", "do", "{"} and child.type in _CLOSING | {"elif_clause", "else_clause"}:
            yield at(child, f"unexpected `{quote(child)}`")


# Go

_TOP = words(
    """package_clause import_declaration function_declaration method_declaration var_declaration
    const_declaration type_declaration"""
)
_CLOSERS, _OPENERS = frozenset(")]}"), frozenset("([{,")


def _go_package(root: Node) -> Iterator[Error]:
    """The package comes first, then the imports, then declarations alone."""
    own = [child for child in root.named_children if child.type != "comment"]
    if not own or own[0].type != "package_clause":
        yield root.start_byte, root.start_byte, "the package clause is missing"
        return
    yield from (at(child, "a statement outside of a function") for child in own if child.type not in _TOP)
    for before, child in pairwise(own):
        if child.type == "package_clause":
            yield _unexpected(child)
        if child.type == "import_declaration" and before.type not in {"package_clause", "import_declaration"}:
            yield at(child, "imports must come before other declarations")


def _broken_lines(node: Node) -> Iterator[tuple[Node, Node]]:
    """Each two neighbouring children with the end of a line between them."""
    for before, child in pairwise([child for child in node.children if child.type != "comment"]):
        if child.start_point[0] > before.end_point[0]:
            yield before, child


def _go_list(node: Node) -> Iterator[Error]:
    for before, child in _broken_lines(node):
        if child.type in _CLOSERS and before.type not in _OPENERS:
            yield at(child, "a comma is missing before the end of the line")


def _go_head(node: Node) -> Iterator[Error]:
    """The end of a line ends a statement, so `{`, `else` and `.` cannot begin the next one."""
    for _, child in _broken_lines(node):
        if child.type in {"block", "{", "else", "."}:
            shown = "{" if child.type == "block" else child.type
            yield child.start_byte, child.start_byte + len(shown), f"unexpected newline before `{shown}`"


# Rust

_COMPARISONS = frozenset({"<", ">", "<=", ">=", "==", "!="})


def _rust_comparison(node: Node) -> Iterator[Error]:
    if operator(node) in _COMPARISONS and operator(node.child_by_field_name("left")) in _COMPARISONS:
        yield at(node, "comparisons cannot be chained")


def _rust_function(node: Node) -> Iterator[Error]:
    parameters = node.child_by_field_name("parameters")
    for one in parameters.named_children if parameters is not None else ():
        if one.type in {"identifier", "type_identifier"}:
            yield at(one, f"`{quote(one)}` has no type")


def _rust_file(root: Node) -> Iterator[Error]:
    for child in root.named_children:
        inner = child.named_children[0].type if child.named_children else ""
        if child.type == "let_declaration" or (child.type == "expression_statement" and inner != "macro_invocation"):
            yield at(child, "a statement outside of a function")


# Java

_VALUES = words(
    """binary_expression identifier field_access array_access decimal_integer_literal string_literal true
    false null_literal unary_expression ternary_expression lambda_expression cast_expression
    parenthesized_expression"""
)
_CLASSES = frozenset({"class_declaration", "record_declaration", "enum_declaration"})


def _java_constructor(node: Node) -> Iterator[Error]:
    name, owner = node.child_by_field_name("name"), ancestor(node, _CLASSES)
    of = owner.child_by_field_name("name") if owner is not None else None
    if name is not None and of is not None and name.text != of.text:
        yield at(name, f"`{quote(name)}` has no type")


def _java_character(node: Node) -> Iterator[Error]:
    if len((node.text or b"").decode("utf-8", "replace")) > len("'x'") and b"\\" not in (node.text or b""):
        yield at(node, "several characters between single quotes")


def _java_statement(node: Node) -> Iterator[Error]:
    is_result = node.parent is not None and node.parent.type == "switch_rule"
    if not is_result and node.named_children and node.named_children[0].type in _VALUES:
        yield at(node, "a value is no statement")


def _java_modifiers(node: Node) -> Iterator[Error]:
    counted = Counter(child.type for child in node.children if "annotation" not in child.type)
    yield from (at(node, f"`{word}` twice") for word, count in counted.items() if count > 1)


_OF_C = {**of_kinds("preproc_directive", _c_directive), **of_kinds("case_statement", _c_label)}
_RULES: dict[str, dict[str, tuple[Rule, ...]]] = {
    "bash": {
        **of_kinds("command", _shell_command),
        **of_kinds("if_statement elif_clause else_clause do_group compound_statement", _shell_block),
    },
    "c": _OF_C,
    "cpp": _OF_C,
    "go": {
        **of_kinds("literal_value argument_list parameter_list type_arguments type_parameter_list", _go_list),
        **of_kinds(
            """function_declaration method_declaration func_literal if_statement for_statement
            expression_switch_statement type_switch_statement select_statement struct_type interface_type
            selector_expression""",
            _go_head,
        ),
    },
    "rust": {**of_kinds("binary_expression", _rust_comparison), **of_kinds("function_item", _rust_function)},
    "java": {
        **of_kinds("constructor_declaration compact_constructor_declaration", _java_constructor),
        **of_kinds("modifiers", _java_modifiers),
        **of_kinds("character_literal", _java_character),
        **of_kinds("expression_statement", _java_statement),
    },
    "javascript": SCRIPTS,
    "typescript": TYPES,
    "tsx": TSX,
}
_WHOLE: dict[str, Rule] = {"go": _go_package, "rust": _rust_file}
