"""Where a text is broken: the statements around its errors, and in Python the errors behind the first one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from diffucli.syntax import languages, neutral
from diffucli.syntax.check import Diagnostic, check
from diffucli.syntax.indentation import is_about_indentation
from diffucli.syntax.statements import statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    import tree_sitter

    from diffucli.syntax.languages import Language
    from diffucli.syntax.statements import Statement

MOST, LARGE = 20, 100_000  # errors looked for in Python; characters from which on one alone is
MOST_PARSED = 300  # errors of other languages, which are all found at once
Span = tuple[int, int]
Scale = tuple[Callable[[int], int], Callable[[int], int]]  # of characters in bytes, and of bytes in characters
_HEAD_LINE = re.compile(r"expected an indented block after .* on line ([0-9]+)")
_OWN_BODY = frozenset({"def", "class", "async", "@", "else", "elif", "except", "finally", "case"})
_LISTS = ("block", "body", "declaration_list", "compound_statement", "statement_list", "do_group", "subshell")
_SEQUENCES = frozenset({"ERROR", "object", "array", "element"})


def faults(text: str, language: Language, *, fragment: bool = False) -> list[tuple[Diagnostic, Span]]:
    """The errors of a text, each with the half-open range of the statement around it.

    Python's compiler stops at its first error; those behind it are found with that statement replaced, as far as this
    is possible. fragment: as in `check`.
    """
    if language.name == "python":
        return _python(text, language, fragment=fragment)
    tree = languages.parse(text, language)
    if tree is None:
        return []
    scale = languages.bytes_before(text), languages.characters(text)
    found = check(text, language).diagnostics[:MOST_PARSED]
    return [(one, _around(text, tree.root_node, one, scale)) for one in found]


def _python(text: str, language: Language, *, fragment: bool) -> list[tuple[Diagnostic, Span]]:
    found: list[tuple[Diagnostic, Span]] = []
    left, most = text, MOST if len(text) < LARGE else 1
    while len(found) < most and (wrong := check(left, language, fragment=fragment).diagnostics):
        start, stop = _statement(left, wrong[0])
        touched = [one for one in found if start < one[1][1] and one[1][0] < stop]
        if any(span[0] <= start and stop <= span[1] for _, span in touched):  # it was replaced in vain
            break
        start, stop = min([start, *(span[0] for _, span in touched)]), max([stop, *(span[1] for _, span in touched)])
        found = [one for one in found if one not in touched]
        found.append(((touched[0][0] if touched else wrong[0]), (start, stop)))
        start = _behind_sound_blanks(left, start, wrong[0])
        word = neutral.filler(left, start, stop)
        if len(word) > stop - start:
            break
        left = left[:start] + word + re.sub(r"[^\r\n]", " ", left[start + len(word) : stop]) + left[stop:]
    return found


def _behind_sound_blanks(text: str, start: int, error: Diagnostic) -> int:
    """`start`, or the end of the indentation that follows it if the error is in a line further down."""
    line = _line_end(text, start)
    return start if error.start <= line else start + len(text[start:line]) - len(text[start:line].lstrip())


def _statement(text: str, error: Diagnostic) -> Span:
    """The range of the Python statement around an error; of a wrong indentation with the lines that decide on it."""
    found = statements(text)
    at = max((i for i, one in enumerate(found) if one.line <= error.start), default=None)
    if at is None:
        return error.start, error.stop
    at = next(
        (i for i, one in enumerate(found[: at + 1]) if one.opened), at
    )  # it takes the lines behind it for its own
    here = found[at]
    head = _HEAD_LINE.match(error.message)
    if head is not None:
        return _headed(text, found, int(head[1]))
    if is_about_indentation(error.message):
        outer = next((one for one in reversed(found[:at]) if one.indent < here.indent), None)
        unclear = "unindent" in error.message or "tabs" in error.message  # lines above may be the wrong ones
        return outer.start if outer and unclear else found[max(at - 1, 0)].line, _deeper(found, at)
    if error.message.startswith("expected 'except'"):
        tries = [i for i in range(at) if found[i].first == "try" and found[i].indent >= here.indent]
        return (found[tries[-1]].start, found[at - 1].stop) if tries else (here.start, here.stop)
    return here.start, max(here.stop, _line_end(text, here.stop))


def _headed(text: str, found: Sequence[Statement], line: int) -> Span:
    """A head that lacks its block, with the line that may have been meant as one."""
    number = [text.count("\n", 0, one.line) + 1 for one in found]  # \r alone ends no line for most tools
    at = max((i for i, n in enumerate(number) if n <= line), default=0)
    head, stop = found[at], found[at].stop
    if at + 1 < len(found):
        below = found[at + 1]
        blank = text[stop : below.line].count("\n") > 1
        if below.indent == head.indent and below.first not in _OWN_BODY and not blank:
            stop = below.stop
    return head.start, stop


def _deeper(found: Sequence[Statement], at: int) -> int:
    """The end of the statements from `at` on that are indented at least as far as it."""
    stop = found[at].stop
    for one in found[at + 1 :]:
        if one.indent < found[at].indent:
            break
        stop = one.stop
    return stop


def _line_end(text: str, offset: int) -> int:
    """The end of the line of `offset`, without blanks: a comment there belongs to the statement."""
    found = re.compile(r"[^\r\n]*").match(text, offset)
    return offset + len(found[0].rstrip()) if found else offset


def _around(text: str, root: tree_sitter.Node, error: Diagnostic, scale: Scale) -> Span:
    """The lines of an error, with the rest of the statement in which it lies."""
    start = max(text.rfind(end, 0, error.start) for end in "\r\n") + 1
    stop = _line_end(text, error.start)
    start += len(text[start:stop]) - len(text[start:stop].lstrip())
    if error.message.startswith("unclosed"):
        return start, stop
    in_bytes, offset = scale
    node = root.named_descendant_for_byte_range(in_bytes(error.start), in_bytes(error.stop))
    if node is None or _is_list(node):
        return start, stop
    while node.parent is not None and not _is_list(node.parent):
        node = node.parent
    body = node.child_by_field_name("body") or node.child_by_field_name("consequence")
    end = node.end_byte
    if body is not None and in_bytes(error.start) <= body.start_byte:
        end = body.start_byte
    covered = text[offset(node.start_byte) : offset(end)]
    return min(start, offset(node.start_byte)), max(stop, offset(node.start_byte) + len(covered.rstrip()))


def _is_list(node: tree_sitter.Node) -> bool:
    """Whether a node is a sequence of statements or the like, or nothing that a grammar knows."""
    return node.parent is None or node.type in _SEQUENCES or node.type.endswith(_LISTS)
