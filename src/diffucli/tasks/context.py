"""The context of holes: as many lines around them as a checkpoint can take."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from diffucli.tasks import prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffucli.model.load import Checkpoint
    from diffucli.syntax.languages import Language

FRAME = 3  # special tokens around a text with holes, at most
LINES = re.compile(r"[^\n]*\n|[^\n]+")  # with their ends; str.splitlines knows ends that no editor counts


def crop_context(
    checkpoint: Checkpoint, parts: Sequence[str], *, masks: int, request: str | None, language: Language
) -> tuple[list[str], tuple[str, ...]]:
    """`parts` with as many lines before the first hole and behind the last as the checkpoint's length allows.

    Also a note on the lines that are left out.
    """
    encode = checkpoint.tokenizer.encode
    between = sum(len(encode(part)) for part in parts[1:-1])
    framing = len(prompt.opening(checkpoint.tokenizer, request, language))
    framing += len(prompt.closing(checkpoint.tokenizer, request)) + FRAME
    room = max(checkpoint.config.context - masks - between - framing, 0)
    before, after = LINES.findall(parts[0])[::-1], LINES.findall(parts[-1])
    head = _fitting(encode, before, room * 2 // 3)
    tail = _fitting(encode, after, room - sum(len(encode(line)) for line in head))
    head = _fitting(encode, before, room - sum(len(encode(line)) for line in tail))
    notes = _left_out(len(before) - len(head), len(after) - len(tail))
    return ["".join(head[::-1]), *parts[1:-1], "".join(tail)], notes


def _left_out(above: int, below: int) -> tuple[str, ...]:
    """A note on the first `above` and the last `below` lines of a file, which are not on the canvas."""
    ends = [f"the {end} {count}" for end, count in (("first", above), ("last", below)) if count]
    return (f"{' and '.join(ends)} lines far from the regions were left out of the model's view",) if ends else ()


def _fitting(encode: prompt.Encode, lines: Sequence[str], room: int) -> list[str]:
    """The first of `lines` that fit into `room` tokens together; at least the first, which touches a hole."""
    fitting: list[str] = []
    for line in lines:
        room -= len(encode(line))
        if room < 0 and fitting:
            break
        fitting.append(line)
    return fitting
