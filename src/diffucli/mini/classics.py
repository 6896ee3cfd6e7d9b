"""Classic tasks: requests in many phrasings, each with solutions and tests, read from tasks/*.toml.

A phrase is either trained in every frame or held out in every frame.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib import resources
from typing import TYPE_CHECKING

from diffucli.mini.wording import all_requests, normalize, reword, sentence, to_request

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

HELD_OUT = 6  # one phrase in six is held out
PROGRAM = 600  # characters; a solution of at least this length nearly fills a canvas


@dataclass(frozen=True, slots=True)
class ClassicTask:
    """A task with several phrasings and solutions.

    nouns: phrases such as "a quicksort". verbs: phrases such as "sort a list with quicksort". tests: asserts on
    `candidate`.
    """

    name: str
    nouns: tuple[str, ...]
    verbs: tuple[str, ...]
    solutions: tuple[str, ...]
    tests: str

    def phrases(self, *, held_out: bool) -> list[tuple[str, bool]]:
        """The held-out phrases, or the trained ones; each with whether it is a verb phrase.

        The first noun and the first verb phrase are always trained.
        """
        both = [(noun, False) for noun in self.nouns] + [(verb, True) for verb in self.verbs]
        first = {self.nouns[0], self.verbs[0]}
        return [(p, verb) for p, verb in both if (p not in first and is_held_out(f"{self.name}/{p}")) == held_out]


@cache
def classics() -> tuple[ClassicTask, ...]:
    """All tasks, in the order of files and entries."""
    folder = resources.files(__package__) / "tasks"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    return tuple(_read(entry) for f in files for entry in tomllib.loads(f.read_text(encoding="utf-8"))["task"])


@cache
def programs() -> tuple[ClassicTask, ...]:
    """The tasks with long solutions."""
    return tuple(task for task in classics() if len(task.solutions[0]) >= PROGRAM)


def _read(entry: dict[str, object]) -> ClassicTask:
    def texts(key: str) -> tuple[str, ...]:
        value = entry[key]
        assert isinstance(value, list)
        return tuple(str(text) for text in value)

    return ClassicTask(str(entry["name"]), texts("nouns"), texts("verbs"), texts("solutions"), str(entry["tests"]))


def is_held_out(key: str) -> bool:
    """Whether the phrase `key` is held out of training; the same on every machine."""
    return int.from_bytes(blake2b(key.encode(), digest_size=4).digest(), "big") % HELD_OUT == 0


def draw_request(rng: random.Random, tasks: Sequence[ClassicTask] = ()) -> tuple[ClassicTask, str]:
    """A random task of `tasks` (all tasks if empty) and a request for it: a trained phrase, perhaps reworded.

    The request never equals one that a held-out phrase can become.
    """
    task = rng.choice(tasks or classics())
    phrase, verb = rng.choice(task.phrases(held_out=False))
    while normalize(text := to_request(rng, reword(rng, phrase), verb=verb)) in held_out_requests():
        continue
    return task, text


def draw_summary(rng: random.Random, task: ClassicTask) -> str:
    """A docstring for a solution of `task`: a trained verb phrase, perhaps reworded, but never a held-out one."""
    phrases = [phrase for phrase, verb in task.phrases(held_out=False) if verb]
    while normalize(text := reword(rng, rng.choice(phrases))) in held_out_requests():
        continue
    return sentence(text)


@cache
def held_out_requests() -> frozenset[str]:
    """Every request that a held-out phrase can become, normalized."""
    phrases = (each for task in classics() for each in task.phrases(held_out=True))
    return frozenset(text for phrase, verb in phrases for text in all_requests(phrase, verb=verb))
