"""Names as people write them in scripts and applications: pools of words, and compounds made of them.

The words are in everyday/names.toml. Does not know Python's syntax.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

COMPOUND = 0.4  # probability that a noun gets a modifier
SHORT = 0.35  # probability that the element of a collection has a short name
WHOLE = 0.15  # probability that it has the whole name of its collection, in the singular
NUMBER = 0.3  # probability that a number has a noun for its name
COLLECTIONS = {"NS": ("N", "numbers"), "XS": ("X", "things"), "WS": ("W", "texts")}  # slots: (element, kind of noun)


@cache
def words() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """The tables of names.toml: nouns, compounds, plain, short, slots, strings."""
    text = (resources.files(__package__) / "everyday" / "names.toml").read_text(encoding="utf-8")
    return {
        name: {key: _split(name, value) for key, value in table.items()} for name, table in tomllib.loads(text).items()
    }


def slots() -> tuple[str, ...]:
    """The names of all slots."""
    tables = words()
    return (*tables["slots"], *tables["strings"], *COLLECTIONS, *(element for element, _ in COLLECTIONS.values()))


def slot(rng: random.Random, name: str) -> str:
    """A name or literal for the slot `name`, which is none of a collection."""
    tables = words()
    if name in tables["strings"]:
        return f'"{rng.choice(tables["strings"][name])}"'
    if name == "NUM" and rng.random() < NUMBER:
        return modified(rng, rng.choice(tables["nouns"]["numbers"]))
    return rng.choice(tables["slots"][name])


def collection(rng: random.Random, name: str) -> tuple[str, str]:
    """The names of a collection and of its element, such as "user_scores" and "score"; `name`: NS, XS or WS."""
    tables, (_, kind) = words(), COLLECTIONS[name]
    if rng.random() < SHORT:
        return rng.choice(tables["plain"][kind]), rng.choice(tables["short"][kind])
    one, _, many = rng.choice(tables["nouns"][kind]).partition(":")
    many = many or plural(one)
    whole, draw = modified(rng, many), rng.random()
    if draw < SHORT:
        return whole, rng.choice((one[0], *tables["short"][kind]))
    return whole, whole.removesuffix(many) + one if draw > 1 - WHOLE else one


def compound(rng: random.Random, *, many: bool) -> str:
    """A noun of any kind, perhaps with a modifier. many: in the plural."""
    kind = rng.choice(list(words()["nouns"].values()))
    one, _, irregular = rng.choice(kind).partition(":")
    return modified(rng, (irregular or plural(one)) if many else one)


def modified(rng: random.Random, noun: str) -> str:
    """`noun`, or a compound of it: "score" → "user_score"."""
    modifier = rng.choice(words()["compounds"]["modifiers"])
    return f"{modifier}_{noun}" if rng.random() < COMPOUND and modifier not in noun else noun


def plural(noun: str) -> str:
    """The regular plural of `noun`."""
    if noun[-1] == "y" and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


def _split(table: str, text: str) -> tuple[str, ...]:
    return tuple(text.replace("\n", "").split("|") if table == "strings" else text.split())
