"""Whether the background of the terminal is dark or light: what the environment says of it, or the terminal itself.

Knows nothing of what is drawn. A terminal is asked only where nobody types, and for a moment: one that answers later
would write its answer into the shell.
"""

from __future__ import annotations

import os
import re
import select
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from diffucli.signals import unwinding_on_kill

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Theme = Literal["dark", "light"]
PATIENCE = 0.05  # seconds until the answer begins
END_PATIENCE = 0.2  # seconds more until an answer that has begun ends
QUESTION = b"\x1b]11;?\x1b\\\x1b[c"  # the background; and what every terminal answers, so that nobody waits for nothing
ANSWER_END = re.compile(rb"\x1b\[\?[0-9;]*c")
COLOUR = re.compile(rb"\x1b\]11;rgba?:([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})")
LIGHT_INDEXES = frozenset({7, *range(9, 16)})  # of the sixteen colours those that are light as a background
LIGHT_LEVEL = 0.5  # of the luma, from 0 (black) to 1
SILENT = ("dumb", "linux", "screen")  # beginnings of TERM for terminals that do not answer, or not for themselves


def theme_of(env: Mapping[str, str]) -> Theme:
    """The theme of the terminal: by COLORFGBG where it is set, else by its own word, else dark."""
    if given := env.get("COLORFGBG"):
        index = given.rpartition(";")[2]
        return "light" if index.isdigit() and int(index) in LIGHT_INDEXES else "dark"
    return "light" if _answers(env) and _luma(_asked()) > LIGHT_LEVEL else "dark"


def _answers(env: Mapping[str, str]) -> bool:
    """Whether a terminal may be asked: a local one, since the answer of one far away comes too late."""
    remote = {"SSH_TTY", "SSH_CONNECTION", "MOSH_CONNECTION"} & env.keys()
    return not remote and ("TMUX" in env or not env.get("TERM", "dumb").startswith(SILENT))


def _luma(answer: bytes) -> float:
    """How light the colour in an answer is, from 0 to 1; 0 if there is none."""
    found = COLOUR.search(answer)
    if found is None:
        return 0.0
    red, green, blue = (int(part, 16) / int("f" * len(part), 16) for part in found.groups())
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _asked() -> bytes:
    """What the controlling terminal answers; nothing if it does not, or if somebody has typed ahead."""
    if sys.platform == "win32":
        return b""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return b""
    try:
        if os.tcgetpgrp(terminal) != os.getpgrp():
            return b""
        with _unechoed(terminal):
            return b"" if _ready(terminal, 0) else _answer(terminal)
    except OSError:
        return b""
    finally:
        os.close(terminal)


def _answer(terminal: int) -> bytes:
    os.write(terminal, QUESTION)
    got, limit = b"", time.monotonic() + PATIENCE
    while not ANSWER_END.search(got) and _ready(terminal, limit - time.monotonic()):
        if not got:
            limit += END_PATIENCE
        got += os.read(terminal, 256)
    return got


def _ready(terminal: int, seconds: float) -> bool:
    return bool(select.select([terminal], [], [], max(seconds, 0))[0])


@contextmanager
def _unechoed(terminal: int) -> Iterator[None]:
    """Within, what the terminal sends is not shown, and can be read at once."""
    import termios

    before = termios.tcgetattr(terminal)
    quiet = [*before[:3], before[3] & ~(termios.ECHO | termios.ICANON), *before[4:]]
    with unwinding_on_kill():
        try:
            termios.tcsetattr(terminal, termios.TCSANOW, quiet)
            yield
        finally:
            termios.tcsetattr(terminal, termios.TCSANOW, before)
