"""Generation: new code as the answer to a request."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffucli.tasks import prompt
from diffucli.tasks.engine import (
    Attempt,
    Decode,
    Result,
    attempt_and_retry,
    check_length,
    constraints_of,
    default_decode,
    write,
)
from diffucli.tasks.prompt import PYTHON
from diffucli.tasks.verify import Verify, verify_answer

if TYPE_CHECKING:
    from diffucli.decode.loop import Run
    from diffucli.decode.policy import Policy
    from diffucli.model.load import Checkpoint
    from diffucli.syntax.languages import Language

DEFAULT_ANSWER_TOKENS = 256
CLOSING_FENCE = re.compile(r"^```", re.MULTILINE)  # an indented one is part of the code: of a docstring, say


@dataclass(frozen=True, slots=True)
class Request:
    """What to write. text: the request. length: masks for the answer. min_tokens: before which it may not end."""

    text: str
    language: Language = PYTHON
    length: int = DEFAULT_ANSWER_TOKENS
    min_tokens: int = 0
    verify: Verify = "error"


def generate(
    checkpoint: Checkpoint, request: Request, policy: Policy, *, decode: Decode = default_decode
) -> Run[Result]:
    """Writes code for `request`. UsageError: prompt and canvas are longer than the checkpoint can take."""
    tokenizer = checkpoint.tokenizer
    layout = prompt.answer(tokenizer, request.text, length=request.length, language=request.language)
    notes = check_length(checkpoint, len(layout.tokens))
    ends, forbidden = tokenizer.ends | tokenizer.fences, tokenizer.specials - tokenizer.ends

    def attempt(policy: Policy) -> Run[Attempt]:
        constraints = constraints_of(
            checkpoint, policy, ends=ends, forbidden=forbidden, min_tokens=[request.min_tokens]
        )
        written = yield from write(checkpoint, layout, constraints, policy, decode)
        code, ended = _code(tokenizer.decode(written.holes[0]), ended=written.ended[0])
        return Attempt(code, (code,), ended, verify_answer(code, request.language, request.verify), written)

    return (yield from attempt_and_retry(checkpoint, attempt, policy, notes))


def _code(text: str, *, ended: bool) -> tuple[str, bool]:
    """The code of an answer, with one final newline, and whether it came to its end by itself."""
    fence = CLOSING_FENCE.search(text)
    if fence is not None:
        text, ended = text[: fence.start()], True
    text = text.lstrip("\n").rstrip()
    return (text + "\n" if text else ""), ended
