"""Where any text may stand in code: inside of comments, strings and the like.

Works on the leaves of a syntax tree.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from diffucli.syntax import languages

if TYPE_CHECKING:
    from collections.abc import Callable

    from diffucli.syntax.languages import Language

# Parts of the names of nodes whose text is free: comments, strings of all kinds, and arguments of the preprocessor.
_FREE = re.compile(r"comment|string|template_chars|format_spec|char|rune|regex|text|preproc_arg|hash_bang")


def finder(text: str, language: Language) -> Callable[[int, int], bool]:
    """A function that says of a half-open range of characters of `text` whether any text may stand there.

    Without a grammar, or where parsing takes too long, it may nowhere.
    """
    tree = languages.parse(text, language)
    if tree is None:
        return lambda *_: False
    root, offset = tree.root_node, languages.bytes_before(text)

    def is_free(start: int, stop: int) -> bool:
        node = root.descendant_for_byte_range(offset(start), offset(stop))
        return node is not None and _FREE.search(node.type) is not None

    return is_free
