"""Prompts: a request, or code with holes, becomes the token ids of a canvas.

Training and decoding share these functions, so that a model sees what it was trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from diffucli.decode.canvas import Span
from diffucli.model.tokenizer import FENCE, Tokenizer
from diffucli.syntax.languages import Language, by_name

Encode = Callable[[str], list[int]]
PREFILL = "Here is the code to solve this problem:\n```{tag}\n"
PYTHON = by_name("python")


@dataclass(frozen=True, slots=True)
class Layout:
    """Token ids with holes among them; ids inside holes have no meaning.

    shown: the positions that are code. closing: the ids that close an answer behind its text.
    """

    tokens: tuple[int, ...]
    holes: tuple[Span, ...]
    shown: Span
    closing: tuple[int, ...] = ()


def answer(tokenizer: Tokenizer, request: str, *, length: int, language: Language = PYTHON) -> Layout:
    """A prompt that asks for code, and `length` masks for the code and what closes it."""
    prefix = opening(tokenizer, request, language)
    hole = Span(len(prefix), len(prefix) + length)
    behind = tokenizer.special_ids(tokenizer.family.close)
    return Layout((*prefix, *[tokenizer.mask] * length, *behind), (hole,), hole, tuple(closing(tokenizer, request)))


def opening(tokenizer: Tokenizer, request: str | None, language: Language = PYTHON) -> list[int]:
    """The prompt up to the code: a chat turn with an open fence, or comments for a checkpoint without chat turns."""
    begin = tokenizer.special_ids(tokenizer.family.begin)
    if request is None:
        return begin
    if not tokenizer.instruct:
        return [*begin, *tokenizer.encode(as_comment(request, language))]
    return tokenizer.chat(request, prefill=PREFILL.format(tag=language.tag))


def closing(tokenizer: Tokenizer, request: str | None) -> list[int]:
    """What follows the code when the prompt opened a fence."""
    if request is None or not tokenizer.instruct:
        return []
    return [*tokenizer.encode(FENCE), tokenizer.turn_end]


def as_comment(text: str, language: Language) -> str:
    """`text` as comment lines of `language`; as `//` where it has no comments (JSON)."""
    start, end = language.comment or "//", f" {language.comment_end}" if language.comment_end else ""
    return "".join(f"{start} {line}{end}\n" for line in text.splitlines())


def file(
    tokenizer: Tokenizer,
    parts: Sequence[str],
    sizes: Sequence[int],
    *,
    request: str | None = None,
    language: Language = PYTHON,
) -> Layout:
    """Code with holes: `parts[0]`, a hole of `sizes[0]` masks, `parts[1]` and so on, behind `request` if there is one.

    A blank right before a hole belongs to the hole, since vocabularies have words with the blank in front.
    """
    tokens, holes = opening(tokenizer, request, language), []
    start = len(tokens)
    for part, size in zip(parts, sizes, strict=False):
        tokens += tokenizer.encode(part.removesuffix(" "))
        holes.append(Span(len(tokens), len(tokens) + size))
        tokens += [tokenizer.mask] * size
    tokens += tokenizer.encode(parts[-1])
    shown = Span(start, len(tokens))
    behind = [*closing(tokenizer, request), *tokenizer.special_ids(tokenizer.family.close)]
    return Layout((*tokens, *behind), tuple(holes), shown)


def middle(
    tokenizer: Tokenizer, before: Sequence[int], after: str, size: int, *, request: str | None, language: Language
) -> Layout:
    """A hole of `size` masks between `before` and `after` for a checkpoint that cannot see what is behind a hole.

    What is behind it stands in front of all, as the checkpoint's FIM template has it. before: ids.
    """
    template = tokenizer.family.fim
    assert template is not None, "only some checkpoints have such a template"
    suffix, prefix, middle = (tokenizer.special(name) for name in (template.suffix, template.prefix, template.middle))
    asked = tokenizer.encode(as_comment(request, language)) if request else []
    tokens = [suffix, *tokenizer.encode(after), prefix, *asked, *before, middle]
    hole = Span(len(tokens), len(tokens) + size)
    return Layout((*tokens, *[tokenizer.mask] * size), (hole,), hole)


def inside(before: str, text: str) -> str:
    """The content of a hole behind `before` that stands for `text`: with the blank that the hole took over."""
    return " " + text if before.endswith(" ") else text


def outside(before: str, text: str) -> str:
    """The text that the content `text` of a hole behind `before` stands for; the inverse of `inside`."""
    return text.removeprefix(" ") if before.endswith(" ") else text
