"""JSON by the standard library, with comments and trailing commas where a file's name allows them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from diffucli.syntax.compiler import Error

_STRING = r'"(?:[^"\\\r\n]|\\.)*"'
_COMMENT = re.compile(rf"{_STRING}|//[^\r\n]*|/\*.*?\*/", re.DOTALL)
_COMMA = re.compile(rf"{_STRING}|,(?=\s*[\]}}])")


class _NotANumber(ValueError):
    pass


def errors(text: str, *, comments: bool) -> list[Error] | None:
    """The first error of `text`, if any; None if it is nested too deeply to be read.

    comments: comments and a comma behind the last element are allowed.
    """
    try:
        json.loads(_plain(text) if comments else text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        message = error.msg[:1].lower() + error.msg[1:]
        return [(error.pos, min(error.pos + 1, len(text)), message)]
    except _NotANumber as error:
        at = re.search(rf"(?:{_STRING}|[^\"])*?(?={error})", text)
        start = at.end() if at else 0
        return [(start, start + len(str(error)), f"unexpected `{error}`")]
    except ValueError:  # a number with more digits than Python reads
        return []
    except RecursionError:
        return None
    return []


def _refuse(name: str) -> NoReturn:
    raise _NotANumber(name)


def _plain(text: str) -> str:
    """`text` with blanks for comments and for commas that nothing follows."""
    for pattern in (_COMMENT, _COMMA):
        text = pattern.sub(lambda found: found[0] if found[0][0] == '"' else re.sub(r"[^\r\n]", " ", found[0]), text)
    return text
