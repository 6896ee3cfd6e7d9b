"""CSS by tinycss2, a reader of the specification's syntax, and what the specification says of selectors and values.

What a browser ignores without a word is an error here. Names of properties and values are not checked.
"""

from __future__ import annotations

import re
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from diffucli.syntax.compiler import line_starts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from diffucli.syntax.compiler import Error

_PAIRS = {"(": ")", "[": "]", "{": "}"}
_TOKEN = re.compile(
    r"""(?P<skipped>/\*.*?\*/|\\.|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|url\(\s*(?!["'\s])(?:[^)\\]|\\.)*\))
    |(?P<comment>/\*)|(?P<open>[(\[{])|(?P<close>[)\]}])""",
    re.DOTALL | re.VERBOSE | re.IGNORECASE,
)
_HACK = re.compile(r"(?<=[{;\s])\*(?=[\w-]+[ \t]*:[^:])")  # `*zoom: 1`, which was written for an old browser
_WITH_BLOCK = frozenset({"media", "supports", "font-face", "keyframes", "container", "property", "counter-style"})
_WITHOUT_BLOCK = frozenset({"import", "charset", "namespace"})
_COMBINING = frozenset({">", "+", "~"})
_IN_SELECTOR = frozenset({".", ":", "*", "|", "&", "||", *_COMBINING})
_NOT_IN_SELECTOR = frozenset(
    {"number", "dimension", "percentage", "string", "{} block", "() block", "at-keyword", "url"}
)
_NOT_IN_VALUE = frozenset("!?@^$~&|")
_JOINING = frozenset({"and", "or", "not", "only"})
_OLD = frozenset({"filter", "-ms-filter"})  # whose values were written `progid:…`
Node = Any  # tinycss2 has no types


def errors(text: str) -> list[Error] | None:
    """Everything that is wrong in a style sheet, by position; None if tinycss2 is not installed."""
    try:
        reader = import_module("tinycss2")
    except ImportError:
        return None
    plain = _HACK.sub(" ", text.replace("\f", " "))
    if unpaired := list(_unpaired(plain)):
        return unpaired
    starts = line_starts(text)
    found = []
    for node, message in _of_rules(reader.parse_stylesheet(plain, skip_comments=True, skip_whitespace=True)):
        start = min(starts[node.source_line - 1] + node.source_column - 1, len(text))
        found.append((start, min(start + 1, len(text)), message))
    return sorted(set(found))


def _unpaired(text: str) -> Iterator[Error]:
    """Brackets and comments without an end: the specification closes them at the end of the file."""
    opened: list[re.Match[str]] = []
    for token in _TOKEN.finditer(text):
        if token["comment"]:
            yield token.start(), token.end(), "unclosed comment"
            return
        if token["open"]:
            opened.append(token)
        elif token["close"] and opened and _PAIRS[opened[-1]["open"]] == token["close"]:
            opened.pop()
        elif token["close"] and opened:
            wrong = opened[-1]
            yield wrong.start(), wrong.end(), f"unclosed `{wrong[0]}`"
            return
        elif token["close"]:
            yield token.start(), token.end(), f"unexpected `{token[0]}`"
            return
    yield from ((token.start(), token.end(), f"unclosed `{token[0]}`") for token in opened)


def _of_rules(nodes: Sequence[Node], within: str = "") -> Iterator[tuple[Node, str]]:
    """What is wrong in a list of rules and declarations. within: the name of the at-rule around it."""
    for node in nodes:
        if node.type == "error":
            yield node, _in_lower_case(node.message)
        elif node.type == "declaration":
            yield from _of_declaration(node)
        elif node.type == "qualified-rule":
            if not within.endswith("keyframes"):
                yield from _of_selector(node)
            yield from _of_rules(_contents(node))
        elif node.type == "at-rule":
            yield from _of_at_rule(node)


def _of_at_rule(node: Node) -> Iterator[tuple[Node, str]]:
    name = node.lower_at_keyword
    if node.content is None and name in _WITH_BLOCK:
        yield node, f"`@{name}` without a block"
    elif node.content is not None and name in _WITHOUT_BLOCK:
        yield node, f"`@{name}` cannot have a block"
    elif node.content is not None:
        yield from _of_rules(_contents(node), name)
    yield from _of_tokens(node.prelude)
    words = [token for token in node.prelude if token.type not in {"whitespace", "comment"}]
    for one, other in pairwise(words if name == "media" else ()):
        if one.type == other.type == "ident" and not _JOINING & {one.lower_value, other.lower_value}:
            yield other, f"unexpected `{other.value}`"


def _contents(node: Node) -> list[Node]:
    found: list[Node] = import_module("tinycss2").parse_blocks_contents(
        node.content, skip_comments=True, skip_whitespace=True
    )
    return found


def _of_declaration(node: Node) -> Iterator[tuple[Node, str]]:
    yield from _of_tokens(node.value)
    if node.name.startswith("--"):
        return
    values = [token for token in node.value if token.type not in {"whitespace", "comment"}]
    if not values:
        yield node, f"no value of `{node.name}`"
    for token in values:
        if _is_sign(token, ":") and node.lower_name not in _OLD:
            yield token, "unexpected `:`; is a `;` missing before it?"
            return
        if token.type == "literal" and token.value in _NOT_IN_VALUE:
            yield token, f"unexpected `{token.value}`"
            return


def _of_tokens(tokens: Sequence[Node]) -> Iterator[tuple[Node, str]]:
    """What no token is, such as a string that its line ends, at any depth."""
    for token in tokens:
        if token.type == "error":
            yield token, _in_lower_case(token.message)
        yield from _of_tokens(getattr(token, "content", None) or getattr(token, "arguments", None) or ())


def _of_selector(node: Node) -> Iterator[tuple[Node, str]]:
    yield from _of_tokens(node.prelude)
    tokens = [token for token in node.prelude if token.type not in {"whitespace", "comment"}]
    parts: list[list[Node]] = [[]]
    for token in tokens:
        if _is_sign(token, ","):
            parts.append([])
        else:
            parts[-1].append(token)
    for part in parts:
        if not part:
            yield node, "a selector is missing"
        elif part[-1].type == "literal" and part[-1].value not in {"*", "&"}:
            yield part[-1], f"unexpected `{part[-1].value}`"
    yield from _of_signs(node, tokens)


def _of_signs(node: Node, tokens: Sequence[Node]) -> Iterator[tuple[Node, str]]:
    """Tokens that no selector has. tokens: those of the selector of a rule, without blanks."""
    for token in tokens:
        is_sign = token.type == "literal" and token.value not in _IN_SELECTOR | {","}
        if is_sign or token.type in _NOT_IN_SELECTOR or (token.type == "hash" and not token.is_identifier):
            yield token, f"unexpected `{token.serialize()}` in a selector"
            return
    for token in tokens:
        if token.type == "[] block" and any(each.type in {"number", "dimension"} for each in token.content):
            yield token, "a value that is no name needs quotes"
    for one, other in pairwise(node.prelude):
        if _is_sign(one, ".") and other.type != "ident":
            yield one, "unexpected `.`"


def _is_sign(token: Node, sign: str) -> bool:
    return bool(token.type == "literal" and token.value == sign)


def _in_lower_case(message: str) -> str:
    return (message[:1].lower() + message[1:]).rstrip(".").replace(", got ", ", not ")
