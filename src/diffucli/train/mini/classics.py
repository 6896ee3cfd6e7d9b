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

if TYPE_CHECKING:
    import random

HELD_OUT = 6  # one phrase in so many
NOUN_FRAMES = (
    *("write {}", "write {}", "write {}", "implement {}", "{}", "{}", "code for {}", "write code for {}", "make {}"),
    *(
        "give me {}",
        "create {}",
        "please write {}",
        "i need {}",
        "show me {}",
        "python code for {}",
        "write {} in python",
    ),
)
VERB_FRAMES = (
    *("{}", "{}", "{}", "write a function to {}", "write a function to {}", "a function to {}", "function to {}"),
    *("how do i {}", "how to {}", "python code to {}", "write code to {}", "please {}", "{} in python", "i want to {}"),
    *("write a python function to {}", "code to {}", "implement a function to {}", "can you {}"),
)
THIRD_FRAMES = ("write a function that {}", "a function that {}", "function that {}", "i need a function that {}")


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


def _read(entry: dict[str, object]) -> Classic:
    def texts(key: str) -> tuple[str, ...]:
        value = entry[key]
        assert isinstance(value, list)
        return tuple(str(text) for text in value)

    return Classic(str(entry["name"]), texts("nouns"), texts("verbs"), texts("solutions"), str(entry["tests"]))


def is_held_out(key: str) -> bool:
    """Whether the phrase `key` is never trained on; the same on every machine."""
    return int.from_bytes(blake2b(key.encode(), digest_size=4).digest(), "big") % HELD_OUT == 0


def ask(rng: random.Random, phrase: str, *, verb: bool) -> str:
    """`phrase` as a person would type it."""
    if verb and rng.random() < len(THIRD_FRAMES) / (len(THIRD_FRAMES) + len(VERB_FRAMES)):
        text = rng.choice(THIRD_FRAMES).format(third_person(phrase))
    else:
        text = rng.choice(VERB_FRAMES if verb else NOUN_FRAMES).format(phrase)
    return dress(rng, text)


def dress(rng: random.Random, text: str) -> str:
    """`text` with or without a capital at its start and a mark at its end."""
    if rng.random() < 0.25:
        text = text[0].upper() + text[1:]
    draw = rng.random()
    if text.lower().startswith(("how", "can")):
        return text + "?" if draw < 0.4 else text
    return text + "." if draw < 0.12 else text


def third_person(phrase: str) -> str:
    """The phrase with its verb in the third person: "sort a list" → "sorts a list"."""
    verb, _, rest = phrase.partition(" ")
    if verb.endswith(("s", "x", "ch", "sh", "z", "do", "go")):
        verb += "es"
    elif verb.endswith("y") and verb[-2:-1] not in "aeiou":
        verb = verb[:-1] + "ies"
    else:
        verb += "s"
    return f"{verb} {rest}" if rest else verb
