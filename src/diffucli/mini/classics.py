"""Classic tasks: requests in many phrasings, each with solutions and tests, read from tasks/*.toml.

A task's phrase is trained in every frame or held out in every frame.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib import resources
from typing import TYPE_CHECKING

from diffucli.mini.wording import ask, asks, plain, reword, sentence

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

HELD_OUT = 6  # one phrase in so many
PROGRAM = 600  # characters of a solution that is a whole program, and nearly fills a canvas


@dataclass(frozen=True, slots=True)
class Classic:
    """A task: `nouns` ("a quicksort") and `verbs` ("sort a list with quicksort"), solutions, asserts on `candidate`."""

    name: str
    nouns: tuple[str, ...]
    verbs: tuple[str, ...]
    solutions: tuple[str, ...]
    tests: str

    def phrases(self, *, held_out: bool) -> list[tuple[str, bool]]:
        """The phrases that are held out, or those that are not; each with whether it is a verb phrase."""
        both = [(noun, False) for noun in self.nouns] + [(verb, True) for verb in self.verbs]
        first = {self.nouns[0], self.verbs[0]}
        return [(p, verb) for p, verb in both if (p not in first and is_held_out(f"{self.name}/{p}")) == held_out]


@cache
def classics() -> tuple[Classic, ...]:
    """Every task of the package, in the order of files and entries."""
    folder = resources.files(__package__) / "tasks"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    return tuple(_read(entry) for f in files for entry in tomllib.loads(f.read_text(encoding="utf-8"))["task"])


@cache
def programs() -> tuple[Classic, ...]:
    """The tasks with long solutions."""
    return tuple(task for task in classics() if len(task.solutions[0]) >= PROGRAM)


def _read(entry: dict[str, object]) -> Classic:
    def texts(key: str) -> tuple[str, ...]:
        value = entry[key]
        assert isinstance(value, list)
        return tuple(str(text) for text in value)

    return Classic(str(entry["name"]), texts("nouns"), texts("verbs"), texts("solutions"), str(entry["tests"]))


def is_held_out(key: str) -> bool:
    """Whether the phrase `key` is never trained on; the same on every machine."""
    return int.from_bytes(blake2b(key.encode(), digest_size=4).digest(), "big") % HELD_OUT == 0


def request(rng: random.Random, tasks: Sequence[Classic] = ()) -> tuple[Classic, str]:
    """One of `tasks`, or of all, and a request for it: a trained phrase, or in other words, but in none held out."""
    task = rng.choice(tasks or classics())
    phrase, verb = rng.choice(task.phrases(held_out=False))
    while plain(text := ask(rng, reword(rng, phrase), verb=verb)) in kept_back():
        continue
    return task, text


def summarised(rng: random.Random, task: Classic) -> str:
    """What a docstring of the task may say: a trained phrase, at times in other words, but none that is held out."""
    phrases = [phrase for phrase, verb in task.phrases(held_out=False) if verb]
    while plain(text := reword(rng, rng.choice(phrases))) in kept_back():
        continue
    return sentence(text)


@cache
def kept_back() -> frozenset[str]:
    """Every request that a held-out phrase may become, plain."""
    phrases = (each for task in classics() for each in task.phrases(held_out=True))
    return frozenset(text for phrase, verb in phrases for text in asks(phrase, verb=verb))
