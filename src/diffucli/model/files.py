"""The files of a checkpoint folder: read whole, and blamed in one line when they are missing or wrong.

Knows nothing of what the files mean.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from diffucli.errors import BadCheckpoint, DiffuError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REPAIR = "fetch the checkpoint again"
LONGEST = 200  # characters of a foreign message that are passed on


def read_text(path: Path) -> str:
    """The text of `path`; BadCheckpoint unless it is a regular file (a pipe would wait for ever) in UTF-8."""
    require(path)
    with blaming(f"{path} cannot be read"):
        return path.read_text(encoding="utf-8")


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in `path`, or BadCheckpoint."""
    text = read_text(path)
    with blaming(f"{path} is not JSON"):
        value = json.loads(text)
    if not isinstance(value, dict):
        raise BadCheckpoint(f"{path} holds no JSON object", hint=REPAIR)
    return value


def require(path: Path) -> None:
    """BadCheckpoint unless `path` is a regular file or a link to one."""
    if not path.exists():
        raise BadCheckpoint(f"{path.parent} lacks {path.name}", hint=REPAIR)
    if not path.is_file():
        raise BadCheckpoint(f"{path} is no regular file", hint=REPAIR)


@contextmanager
def blaming(what: str) -> Iterator[None]:
    """Turns any foreign error inside into BadCheckpoint "`what` (the error)"; ours pass."""
    try:
        yield
    except DiffuError:
        raise
    except Exception as exc:  # json, tokenizers, safetensors and transformers raise many kinds, Exception itself too
        raise BadCheckpoint(f"{what} ({one_line(exc)})", hint=REPAIR) from exc


def one_line(exc: Exception) -> str:
    """An error's message without line breaks, cut to a line; its type where the message alone says little."""
    message = " ".join(str(exc).split())
    if isinstance(exc, LookupError | ArithmeticError | AttributeError) or not message:
        message = f"{type(exc).__name__} {message}".strip()
    return message if len(message) <= LONGEST else message[: LONGEST - 1] + "…"
