"""Generation: new code as the answer to a request."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from diffucli.tasks import prompt
from diffucli.tasks.attempt import Attempt, token_offsets
from diffucli.tasks.critics import NewText, depth, warnings_of
from diffucli.tasks.engine import (
    DEFAULT_EFFORT,
    Effort,
    Result,
    Task,
    check_length,
    constraints_of,
    fitted,
    growing,
    solve,
)
from diffucli.tasks.prompt import PYTHON
from diffucli.tasks.verify import Verify, verify_answer
from diffucli.tasks.write import Decode, Decoding, HoleText, RunOutput, default_decode, write

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
    checkpoint: Checkpoint,
    request: Request,
    policy: Policy,
    *,
    effort: Effort = DEFAULT_EFFORT,
    decode: Decode = default_decode,
) -> Run[Result]:
    """Writes code for `request`. UsageError: prompt and canvas are longer than the checkpoint can take."""
    tokenizer, policy, length = checkpoint.tokenizer, fitted(policy, checkpoint), request.length
    ends, forbidden = tokenizer.ends | tokenizer.fences, tokenizer.specials - tokenizer.ends
    constraints = constraints_of(checkpoint, policy, ends=ends, forbidden=forbidden, min_tokens=[request.min_tokens])
    if checkpoint.family.expand is not None:
        constraints = growing(constraints, checkpoint, policy, [(max(request.min_tokens, 1), length)])
        length = min(length, policy.max_length)
    layout = prompt.answer(tokenizer, request.text, length=length, language=request.language)
    notes = check_length(checkpoint, len(layout.tokens) + request.length - length)

    def first(policy: Policy) -> Run[Attempt]:
        return read((yield from write(Decoding(checkpoint, policy, constraints, decode), layout)))

    def read(written: RunOutput) -> Attempt:
        (hole,) = written.holes
        text = tokenizer.decode(hole.tokens)
        code, ended = _code(text, ended=hole.ended)
        check = verify_answer(code, request.language, request.verify)
        offsets = token_offsets(tokenizer, hole.tokens, start=len(text.lstrip("\n")) - len(text))
        size = bisect_left(offsets, len(code), hi=len(hole.tokens))  # what closes the answer is not part of it
        offsets = offsets[: size + 1]
        hole = HoleText(hole.tokens[:size], hole.logprobs[:size], ended)
        written = replace(written, holes=(hole,))
        judged = request.verify != "off" and not check.faults
        warnings = warnings_of("", code, [NewText(0, len(code))], request.language) if judged else ()
        far = depth(code, request.language, check)
        return Attempt(code, (code,), ended, check, written, warnings, (offsets,), far)

    exact = constraints_of(checkpoint, policy, ends=frozenset(), forbidden=forbidden | ends, min_tokens=[])
    task = Task("gen", first, read, Decoding(checkpoint, policy, exact, decode))
    return (yield from solve(checkpoint, task, policy, effort, notes))


def _code(text: str, *, ended: bool) -> tuple[str, bool]:
    """The code of an answer, with one final newline, and whether it came to its end by itself."""
    fence = CLOSING_FENCE.search(text)
    if fence is not None:
        text, ended = text[: fence.start()], True
    text = text.lstrip("\n").rstrip()
    return (text + "\n" if text else ""), ended
