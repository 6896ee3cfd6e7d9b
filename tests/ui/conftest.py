from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from diffucli.events import Finished, Started, Stepped

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from diffucli.events import Event

MASK, END = 0, 1
LINE = (("row", " "), ("=", "\t"), ("f(", ")\n"))


@dataclass(frozen=True)
class Story:
    """A run in which token i + 2 is `texts[i]`; all but the first `fixed` are written from left to right.

    shown: as in `Started`.
    """

    texts: tuple[bytes, ...]
    fixed: int = 0
    per: int = 1
    ends: int = 0
    shown: tuple[int, int] | None = None

    @property
    def tokens(self) -> tuple[int, ...]:
        return tuple(range(2, len(self.texts) + 2)) + (END,) * self.ends

    def pieces(self, token: int) -> bytes:
        return {MASK: b"<mask>", END: b"<end>"}.get(token) or self.texts[token - 2]

    def events(self) -> Generator[Event, None, str]:
        """The run, which returns "done"."""
        size = len(self.tokens)
        first = self.tokens[: self.fixed] + (MASK,) * (size - self.fixed)
        yield Started(first, MASK, ((self.fixed, size),), self.shown, frozenset({END}))
        for step, start in enumerate(range(self.fixed, size, self.per), 1):
            where = tuple(range(start, min(start + self.per, size)))
            what = tuple(self.tokens[position] for position in where)
            left = size - where[-1] - 1
            yield Stepped(step, where, what, (0.9,) * len(where), (self.fixed, size), left, step, step / 10)
        yield Finished(self.tokens, "complete", -(-(size - self.fixed) // self.per), size / 10)
        return "done"

    def until(self, steps: int) -> Iterator[Event]:
        """Started and the first `steps` steps."""
        return (event for event, _ in zip(self.events(), range(steps + 1), strict=False))


@pytest.fixture
def story():
    def tell(*texts: str | bytes, **options: Any) -> Story:
        return Story(tuple(text.encode() if isinstance(text, str) else text for text in texts), **options)

    return tell


@pytest.fixture(scope="session")
def story_of_lines() -> Story:
    """Fifty rows of three tokens each; the context of two rows stands before them."""
    return Story(tuple(f"{part}{row}{end}".encode() for row in range(50) for part, end in LINE), fixed=6, per=3)
