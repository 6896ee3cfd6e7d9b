"""What a checkpoint was not trained for: a request beyond its limits is told of before an answer disappoints."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from diffucli.model.registry import Limits
    from diffucli.model.tokenizer import Tokenizer
    from diffucli.syntax.languages import Language

FEW = 0.2  # share of known words; of the English requests held out from mini's training 0.2 % have no more
_WORD = re.compile(r"[^\W\d_]{2,}")


def exceeded(
    limits: Limits, tokenizer: Tokenizer, *, language: Language, words: str = "", contexts: Sequence[str] = ()
) -> Iterator[str]:
    """What is beyond the limits, each as the end of a sentence. words: what is asked for. contexts: texts to read."""
    if limits.languages and language.name not in limits.languages:
        yield f"knows no language but {', '.join(limits.languages)}, and {language.name} is asked for"
    if not limits.context and any(text.strip() for text in contexts):
        yield "was not trained to read context, so it will make little of it"
    if limits.english and not is_familiar(words, tokenizer):
        yield "knows few of the words of this request; it was trained on requests in English"


def is_familiar(words: str, tokenizer: Tokenizer) -> bool:
    """Whether enough of the words of a request are tokens, and none has a letter that is not ASCII.

    One word alone tells too little, so it is familiar.
    """
    found = _WORD.findall(words)
    if not all(word.isascii() for word in found):
        return False
    known = sum(len(tokenizer.encode(f" {word.lower()}")) == 1 for word in found)
    return len(found) <= 1 or known > FEW * len(found)
