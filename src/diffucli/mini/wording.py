"""Turns a phrase into a request as a person would type it: frames, synonyms, capitals and punctuation.

Does not know tasks.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

REWORDED = 0.2  # probability that a word with synonyms is replaced
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
SYNONYMS = (
    ("compute", "calculate", "find", "get", "return", "work out", "determine"),
    ("check if", "check whether", "test if", "test whether", "tell if", "tell whether", "determine whether", "see if"),
    ("remove", "delete", "drop"),
    ("make", "create", "build"),
    ("convert", "turn", "change", "transform"),
    ("select", "pick", "choose"),
    ("merge", "combine", "join"),
    ("swap", "exchange", "switch"),
    ("sum the", "add up the", "sum up the", "total the", "add the"),
    ("sort", "order", "arrange"),
    ("list", "array", "sequence"),
    ("lists", "arrays", "sequences"),
    ("string", "text"),
    ("strings", "texts"),
    ("integer", "number"),
    ("integers", "numbers"),
    ("dictionary", "dict", "mapping"),
    ("dictionaries", "dicts", "mappings"),
    ("largest", "biggest", "maximum", "highest", "greatest"),
    ("smallest", "lowest", "minimum"),
    ("letter", "character", "char"),
    ("letters", "characters", "chars"),
    ("element", "item", "entry"),
    ("elements", "items", "entries"),
    ("matrix", "2d list", "grid"),
    ("occurrences", "appearances"),
    ("unique", "distinct"),
    ("by using", "using", "with"),
    ("ascending", "increasing"),
    ("descending", "decreasing"),
    ("directory", "folder"),
    ("upper case", "uppercase", "capital letters"),
    ("lower case", "lowercase", "small letters"),
    ("average", "mean"),
    ("appears", "occurs"),
    ("appear", "occur"),
    ("without", "with no"),
    ("two", "2"),
    ("three", "3"),
    ("the number of", "how many", "the count of"),
    ("common", "shared"),
    ("read", "load"),
    ("nested list", "list of lists"),
)
SYNONYMS_OF = {word: group for group in SYNONYMS for word in group}
HAS_SYNONYMS = re.compile(r"\b(?:" + "|".join(sorted(map(re.escape, SYNONYMS_OF), key=len, reverse=True)) + r")\b")


def to_request(rng: random.Random, phrase: str, *, verb: bool) -> str:
    """`phrase` in a random frame. verb: it is a verb phrase like "sort a list", not a noun like "a quicksort"."""
    if verb and rng.random() < len(THIRD_FRAMES) / (len(THIRD_FRAMES) + len(VERB_FRAMES)):
        text = rng.choice(THIRD_FRAMES).format(third_person(phrase))
    else:
        text = rng.choice(VERB_FRAMES if verb else NOUN_FRAMES).format(phrase)
    return punctuate(rng, text)


def all_requests(phrase: str, *, verb: bool) -> list[str]:
    """Every request that `to_request` can make of `phrase`, normalized."""
    third = [frame.format(third_person(phrase)) for frame in THIRD_FRAMES] if verb else []
    return [normalize(text) for text in (*third, *(f.format(phrase) for f in (VERB_FRAMES if verb else NOUN_FRAMES)))]


def reword(rng: random.Random, phrase: str) -> str:
    """`phrase` with some of its words replaced by synonyms."""

    def swap(found: re.Match[str]) -> str:
        return rng.choice(SYNONYMS_OF[found[0]]) if rng.random() < REWORDED else found[0]

    return HAS_SYNONYMS.sub(swap, phrase)


def punctuate(rng: random.Random, text: str) -> str:
    """`text`, perhaps with a capital at its start and a punctuation mark at its end."""
    if rng.random() < 0.25:
        text = text[0].upper() + text[1:]
    draw = rng.random()
    if text.lower().startswith(("how", "can")):
        return text + "?" if draw < 0.4 else text
    return text + "." if draw < 0.12 else text


def normalize(text: str) -> str:
    """A request without what `punctuate` adds."""
    return text.lower().rstrip("?.")


def sentence(phrase: str) -> str:
    """A phrase as the first line of a docstring: "sort a list" → "Sort a list."."""
    phrase = phrase.rstrip(".?")
    return phrase[:1].upper() + phrase[1:] + "."


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
