"""Sources of elements, reductions, and the frames of requests; compositions put the pieces of `grammar` into them.

In the code of a reduction `{v}` is the element, `{e}` the mapped element, `{L}` the loop, `{c}` the condition, `{f}`
the condition with "if", `{S}` the bare source, `{g}` the comprehension, `{i}` an iterable argument next to others,
`{j}` an only iterable argument, `{l}` a list, `{n}` an iterator, `{k}` a generator of ones to count. In its wordings
`{p}` is the mapped plural, `{u}` and `{s}` the unmapped plural and singular, `{h}` and `{hs}` singular and plural of
the mapped value, `{q}` and `{o}` plural and singular of the elements that are mapped.
"""

import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import itemgetter
from typing import Any

from diffucli.mini.grammar import TERMS, TEXTS, WORDS, Map, digits, split


@dataclass(frozen=True, slots=True)
class ReductionInput:
    """An example input of a reduction's oracle.

    values, picked, items: the filtered elements: mapped, in view, and whole. all, mapped: all elements: in view, and
    mapped. flags: whether each of them passed the filters.
    """

    values: list[Any]
    picked: list[Any]
    items: list[Any]
    all: list[Any]
    mapped: list[Any]
    flags: list[bool]


@dataclass(frozen=True, slots=True)
class Reduction:
    """The last step of a composition.

    on: domains. fold: the oracle. bare: its code if nothing is filtered or mapped. kinds: kinds of its parameters. one:
    it yields a single element. only: keys of the sources it applies to; empty for all.
    """

    key: str
    on: str
    code: str
    fold: Callable[..., Any]
    nouns: str = ""
    verbs: str = ""
    bare: str = ""
    kinds: str = ""
    name: str = ""
    one: bool = False
    only: str = ""


@dataclass(frozen=True, slots=True)
class ElementSource:
    """Where elements come from.

    loop, var: the loop over the elements and its variable. bare: the source as an iterable expression. places: phrases
    such as "in a list". element: the maker of an element in MAKERS. pack: makes an example input of elements. unpack:
    takes them out again. view: the part of an item that is the element; None if it is the whole item.
    """

    key: str
    weight: float
    domain: str
    parameter: str
    loop: str
    var: str
    bare: str
    nouns: str
    places: str
    element: str
    pack: Callable[[list[Any]], Any] = list
    unpack: Callable[[Any], list[Any]] = list
    setup: str = ""
    fields: tuple[str, ...] = ()
    own: tuple[Map, ...] = ()
    view: Callable[[Any], Any] | None = None


def grouped(elements: list[Any], by: Callable[[Any], Any]) -> dict[Any, list[Any]]:
    """The elements grouped by the value of `by`, in order of first occurrence."""
    return {label: [element for element in elements if by(element) == label] for label in map(by, elements)}


def edge(values: list[Any], index: int, default: Any = None) -> Any:
    """The value at `index`, or `default` if there is none."""
    return values[index] if -len(values) <= index < len(values) else default


def ranked(values: list[Any], sign: int, by: Callable[[Any], Any]) -> list[Any]:
    """The values sorted by `by`, ascending (sign 1) or descending (sign -1); equal ones keep their order."""
    return [values[i] for _, i in sorted((sign * by(value), i) for i, value in enumerate(values))]


def loops(label: str) -> tuple[str, str]:
    """The filtered and the bare code that groups elements by `label`."""
    add = f"groups.setdefault({label}, []).append({{v}})"
    return (
        f"groups = {{{{}}}}\nfor {{L}}:\n    if {{c}}:\n        {add}\nreturn groups",
        f"groups = {{{{}}}}\nfor {{L}}:\n    {add}\nreturn groups",
    )


_r, VALUES = Reduction, "values = {l}\nreturn "
# fmt: off
REDUCTIONS: tuple[Reduction, ...] = (
    _r("sum", "n", "return sum({j})", lambda r: sum(r.values), "sum of the {p}|total of the {p}|total {h} of the {q}",
       "add up the {p}|sum the {p}"),
    _r("product", "n", "return math.prod({j})", lambda r: reduce(lambda a, b: a * b, r.values, 1),
       "product of the {p}", "multiply the {p} together|multiply the {p}"),
    _r("max", "n", "return max({i}, default=None)", lambda r: edge(sorted(r.values), -1),
       "largest {s}|biggest {s}|maximum of the {p}|largest of the {p}|highest {h} of the {q}", one=True),
    _r("min", "n", "return min({i}, default=None)", lambda r: edge(sorted(r.values), 0),
       "smallest {s}|minimum of the {p}|smallest of the {p}|lowest {h} of the {q}", one=True),
    _r("average", "n", VALUES + "sum(values) / len(values) if values else 0", lambda r: sum(r.values) /
       (len(r.values) or 1), "average of the {p}|mean of the {p}|average {h} of the {q}", "average the {p}",
       "return sum({S}) / len({S}) if {S} else 0"),
    _r("second", "n", "values = sorted(set({j}))\nreturn values[-2] if len(values) > 1 else None", lambda r:
       edge(sorted(set(r.values)), -2), "second largest {s}|second largest of the {p}", one=True),
    _r("running", "n", "return list(itertools.accumulate({j}))", lambda r: [sum(r.values[: i + 1]) for i in
       range(len(r.values))], "running totals of the {p}|running sums of the {p}|cumulative sums of the {p}"),
    _r("top", "n", "return sorted({i}, reverse=True)[:{a}]", lambda r, a: sorted(r.values)[::-1][:a],
       "{a} largest {u}|{a} biggest {u}|{a} largest of the {p}", kinds="k"),
    _r("list", "nwlcrm", "return [{g}]", lambda r: r.values, "{p}|list of the {p}", "list the {p}|collect the {p}",
       name="-"),
    _r("list", "nwlrm", "return [{g}]", lambda r: r.values, "", "keep the {u}|keep only the {u}|select the {u}",
       name="-"),
    _r("count", "nwlcrm", "return sum({k})", lambda r: len(r.picked), "number of {u}|count of the {u}",
       "count the {u}|count how many {u} there are", "return len({S})"),
    _r("different", "nwlc", "return len(set({j}))", lambda r: len(dict.fromkeys(r.values)),
       "number of distinct {u}|number of different {u}|number of distinct values in the {p}",
       "count the distinct {u}"),
    _r("unique", "nwlc", "return {{{g}}}", lambda r: set(r.values), "set of the {p}|unique {u}|distinct {u}", "",
       "return set({S})"),
    _r("first", "nwlcrm", "return next({n}, None)", lambda r: edge(r.values, 0), "first {s}|first of the {p}", "",
       "return {S}[0] if {S} else None", one=True),
    _r("last", "nwlcrm", VALUES + "values[-1] if values else None", lambda r: edge(r.values, -1),
       "last {s}|last of the {p}", "", "return {S}[-1] if {S} else None", one=True),
    _r("leading", "nwlrm", "return {l}[:{a}]", lambda r, a: list(itertools.islice(r.values, a)),
       "first {a} {u}|first {a} of the {p}", "take the first {a} {u}", "return {S}[:{a}]", "k", "first"),
    _r("sorted", "nw", "return sorted({j})", lambda r: sorted(r.values, reverse=True)[::-1],
       "sorted {u}|sorted list of the {p}|{p} in ascending order|{p} in order",
       "sort the {p}|sort the {p} in ascending order|put the {p} in order"),
    _r("descending", "nw", "return sorted({i}, reverse=True)", lambda r: sorted(r.values)[::-1],
       "{p} in descending order|{p} sorted from high to low",
       "sort the {p} in descending order|sort the {p} in reverse order"),
    _r("common", "nwlc", VALUES + "max(values, key=values.count, default=None)", lambda r: edge([x for x, _ in
       Counter(r.values).most_common(1)], 0), "most common {s}|most frequent {s}|most common of the {p}", one=True),
    _r("counts", "nwlc", "return dict(collections.Counter({j}))", lambda r: {x: r.values.count(x) for x in r.values},
       "frequencies of the {p}|frequency of each {s}", "count how often each {s} occurs"),
    _r("mapping", "nw", "return {{{v}: {e} for {L}{f}}}", lambda r: dict(zip(r.picked, r.values, strict=True)),
       "dict from each {o} to its {h}|dictionary from the {q} to their {hs}", only="numbers|words"),
    _r("update", "nw", "return [{e} if {c} else {v} for {L}]", lambda r: [m if flag else x for x, m, flag in
       zip(r.all, r.mapped, r.flags, strict=True)], "",
       "replace the {q} with their {hs}|change the {q} into their {hs}", only="numbers|words"),
    _r("without", "nwlrm", "return [{v} for {L} if not ({c})]", lambda r: list(itertools.compress(r.all, (not flag for
       flag in r.flags))), "", "remove the {u}|drop the {u}|filter out the {u}"),
    _r("positions", "nwlcrm", "return [i for i, {v} in enumerate({S}) if {c}]", lambda r: [i for i in
       range(len(r.flags)) if r.flags[i]], "positions of the {u}|indexes of the {u}"),
    _r("any", "b", "return any({j})", lambda r: True in r.values, "", "check if any {o} {h}|tell if any {o} {h}"),
    _r("all", "b", "return all({j})", lambda r: False not in r.values, "",
       "check if every {o} {h}|check if all {q} {hs}|tell if all {q} {hs}"),
    _r("no", "b", "return not any({j})", lambda r: True not in r.values, "", "check if no {o} {h}|tell if no {o} {h}"),
    _r("longest", "wlm", 'return max({i}, key=len, default="")', lambda r: edge(ranked(r.values, -1, len), 0, ""),
       "longest {s}|longest of the {p}", one=True),
    _r("shortest", "wlm", 'return min({i}, key=len, default="")', lambda r: edge(ranked(r.values, 1, len), 0, ""),
       "shortest {s}|shortest of the {p}", one=True),
    _r("earliest", "w", "return min({i}, default=None)", lambda r: edge(sorted(r.values), 0),
       "alphabetically first {s}|alphabetically first of the {p}", one=True),
    _r("joined", "wl", 'return "{a}".join({j})', lambda r, a: "".join(x + a for x in r.values)[: -len(a)],
       "{p} joined by {a}|{p} joined with {a}", "join the {p} with {a}|join the {p} by {a}", kinds="separator"),
    _r("by_length", "wlm", "return sorted({i}, key=len)", lambda r: ranked(r.values, 1, len), "{p} sorted by length",
       "sort the {p} by length|sort the {p} from shortest to longest"),
    _r("length_groups", "w", loops("len({v})")[0], lambda r: grouped(r.picked, len), "{u} grouped by length",
       "group the {u} by length", loops("len({v})")[1], name="group"),
    _r("text", "c", 'return "".join({j})', lambda r: reduce(lambda a, b: a + b, r.values, ""), "string of the {p}",
       "keep only the {u}|remove everything except the {u}|join the {p}", name="keep"),
    _r("removed", "c", 'return "".join({v} for {L} if not ({c}))', lambda r: "".join(x for x, flag in zip(r.all,
       r.flags, strict=True) if not flag), "text without the {u}",
       "remove the {u}|remove all {u}|delete the {u}|strip out the {u}", name="remove"),
    _r("masked", "c", 'return "".join("{a}" if {c} else {v} for {L})', lambda r, a: "".join(a if flag else x for x,
       flag in zip(r.all, r.flags, strict=True)), "", "replace the {u} with {a}|replace all {u} by {a}",
       kinds="symbol", name="replace"),
    _r("by_key", "nw", "return {{key: {e} for {L}{f}}}", lambda r: dict(zip((k for k, _ in r.items), r.values,
       strict=True)), "dict with the {p}|dictionary with the {p}|new dict with the {p}", name="dict", only="values"),
    _r("entries", "w", "return {{key: value for {L}{f}}}", lambda r: dict(r.items),
       "dict with the {u}|dictionary with the {u}|new dict with the {u}", name="dict", only="keys"),
    _r("swapped", "w", "return {{value: key for {L}{f}}}", lambda r: {v: k for k, v in r.items},
       "dict from value to key for the {u}", "swap the {u} with their values", name="swap", only="keys"),
    _r("best", "w", "return max({i}, key=d.get, default=None)", lambda r: edge(ranked(r.items, -1, itemgetter(1)), 0,
       [None])[0], "{s} with the largest value|{s} with the highest value|{s} with the biggest value", one=True,
       only="keys"),
    _r("worst", "w", "return min({i}, key=d.get, default=None)", lambda r: edge(ranked(r.items, 1, itemgetter(1)), 0,
       [None])[0], "{s} with the smallest value|{s} with the lowest value", one=True, only="keys"),
    _r("by_value", "w", "return sorted({i}, key=d.get)", lambda r: [k for k, _ in ranked(r.items, 1, itemgetter(1))],
       "{u} sorted by value|{u} ordered by value", "sort the {u} by value", only="keys"),
    _r("best_by", "r", 'return max({i}, key=lambda row: row["{a}"], default=None)', lambda r, a: edge(ranked(
       r.picked, -1, itemgetter(a)), 0), "{s} with the highest {a}|{s} with the largest {a}", kinds="count", one=True),
    _r("sorted_by", "r", 'return sorted({i}, key=lambda row: row["{a}"])', lambda r, a: ranked(r.picked, 1,
       itemgetter(a)), "{u} sorted by {a}|{u} ordered by {a}", "sort the {u} by {a}|order the {u} by {a}",
       kinds="count", name="sorted"),
    _r("sorted_by_down", "r", 'return sorted({i}, key=lambda row: row["{a}"], reverse=True)', lambda r, a: ranked(
       r.picked, -1, itemgetter(a)), "{u} sorted by {a} in descending order",
       "sort the {u} by {a} in descending order", kinds="count", name="sorted"),
    _r("field_groups", "r", loops('{v}["{a}"]')[0], lambda r, a: grouped(r.picked, itemgetter(a)),
       "{u} grouped by {a}", "group the {u} by {a}", loops('{v}["{a}"]')[1], "label", "group"),
    _r("field_dict", "r", 'return {{row["{a}"]: row["{b}"] for {L}{f}}}', lambda r, a, b: {x[a]: x[b] for x in
       r.picked}, "dict from {a} to {b} of the {u}|dict from {a} to {b} for the {u}", kinds="label|count",
       name="dict"),
)
# fmt: on

NOUN_FRAMES = split(
    "{t}|the {t}|compute the {t}|calculate the {t}|return the {t}|find the {t}|get the {t}|i need the {t}|"
    "write a function that returns the {t}|write a function that computes the {t}|a function that returns the {t}|"
    "function to get the {t}|function that returns the {t}|python function for the {t}|write python code for the {t}|"
    "how do i get the {t}|how to get the {t}|how can i find the {t}|what is the {t}"
)
VERB_FRAMES = split(
    "{t}|{t}|write a function to {t}|write a function to {t}|function to {t}|a function to {t}|python function to {t}|"
    "how do i {t}|how to {t}|how can i {t}|write code to {t}|i want to {t}|make a function to {t}|python code to {t}"
)

LIST, FILE, TEXT = "|||in a list|in the list|of a list", "in a file|in the file|of a file", "in a text|in the text"
OPEN, ITEMS, DICT = "with open(path) as file:\n    ", "key, value in d.items()", "in a dict|in a dictionary|of a dict"
QUOTES = {"letter": ('"{}"', "the letter {}"), "chunk": ('"{}"',), "term": ('"{}"',), "letters": ('"{}"',)}
SPECIAL = {("age", "greater"): "older than {a}", ("age", "less"): "younger than {a}", ("price", "less"): "under {a}"}
RECORDS = {
    "people/person": ("people", "name", "city", "age", "score", "salary"),
    "products/product": ("products", "name", "color", "price", "stock", "weight"),
    "students/student": ("students", "name", "city", "age", "grade", "score"),
    "rows/row|records/record": ("rows", "name", "status", "price", "count", "size"),
}


def _fields(fields: tuple[str, ...]) -> tuple[Map, ...]:
    kinds = [("label", "w") if field in TEXTS else ("count", "n") for field in fields]
    plurals = ["cities" if field == "city" else f"{field}s" for field in fields]
    return tuple(
        Map(key, "r", to, f'{{v}}["{field}"]', itemgetter(field), f"{plural}/{field}", lift=True)
        for (key, to), plural, field in zip(kinds, plurals, fields, strict=True)
    )


_s = ElementSource
# fmt: off
SOURCES: tuple[ElementSource, ...] = (
    _s("numbers", 31, "n", "numbers", "x in numbers", "x", "numbers",
           "numbers/number|numbers/number|numbers/number|integers/integer", LIST, "n"),
    _s("range", 4, "n", "n", "x in range(1, n + 1)", "x", "range(1, n + 1)", "numbers/number",
           "from 1 to n|up to n", "natural", lambda xs: max(xs, default=0), lambda n: [i + 1 for i in range(n)]),
    _s("digits", 2, "n", "n", "x in digits", "x", "digits", "digits/digit", "of a number|in a number|of n",
           "digit", lambda xs: int("".join(map(str, xs)) or 0), digits, "digits = [int(char) for char in str(n)]"),
    _s("flat", 2, "n", "matrix", "row in matrix for x in row", "x", "", "numbers/number", "in a matrix|in a grid",
           "n", lambda xs: [xs[i:i + 3] for i in range(0, len(xs), 3)], lambda rows: list(itertools.chain(*rows))),
    _s("file_numbers", 2, "n", "path", "x in numbers", "x", "numbers", "numbers/number", FILE, "n",
           lambda xs: "\n".join(map(str, xs)), lambda text: [int(x) for x in text.split()],
           OPEN + "numbers = [int(line) for line in file]"),
    _s("values", 5, "n", "d", ITEMS, "value", "d.values()", "values/value", DICT, "item", dict,
           lambda d: list(d.items()), view=itemgetter(1),
           own=(Map("key", "n", "w", "key", itemgetter(0), "keys/key", lift=True, raw=True),)),
    _s("keys", 5, "w", "d", ITEMS, "key", "d", "keys/key", DICT, "item", dict, lambda d: list(d.items()),
           view=itemgetter(0),
           own=(Map("value", "w", "n", "value", itemgetter(1), "values/value", lift=True, raw=True),)),
    _s("words", 20, "w", "words", "word in words", "word", "words", "words/word|strings/string", LIST, "w"),
    _s("text_words", 4, "w", "text", "word in text.split()", "word", "text.split()", "words/word",
           f"{TEXT}|in a sentence", "w", " ".join, str.split),
    _s("chars", 9, "c", "text", "char in text", "char", "text", "characters/character|chars/char",
           f"{TEXT}|in a string", "c", "".join),
    _s("file_lines", 6, "l", "path", "line in lines", "line", "lines", "lines/line", FILE, "l", "\n".join,
           str.splitlines, OPEN + "lines = file.read().splitlines()"),
    _s("rows", 3, "m", "matrix", "row in matrix", "row", "matrix", "rows/row", "in a matrix|of a matrix", "m"),
    *(_s("records", 1.8, "r", name, f"row in {name}", "row", name, nouns, "|||in a list", "r", fields=tuple(fields),
             own=_fields(tuple(fields))) for nouns, (name, *fields) in RECORDS.items()),
)
# fmt: on


Hints = tuple[list[int], list[str]]


def _integer(rng: random.Random, hints: Hints) -> int:
    if not hints[0] or rng.random() < 0.6:
        return int(rng.random() * 52) - 12
    return rng.choice(hints[0]) * rng.randint(1, 4) + rng.choice((0, 0, 1, -1, 10))


def _word(rng: random.Random, hints: Hints, pool: tuple[str, ...] = WORDS) -> str:
    base, chunk = rng.choice(pool), rng.choice(hints[1] or [""])
    return rng.choice((chunk or base, chunk + base, base + chunk, base[:2] + chunk + base[2:], base, base, base))


# Makes a random example of an element; sometimes close to a parameter of the composition.
MAKERS: dict[str, Callable[[random.Random, Hints, tuple[str, ...]], Any]] = {
    "n": lambda rng, hints, _: _integer(rng, hints),
    "natural": lambda rng, hints, _: min(abs(_integer(rng, hints)), 60),
    "digit": lambda rng, *_: rng.randint(0, 9),
    "w": lambda rng, hints, _: _word(rng, hints),
    "l": lambda rng, hints, _: rng.choice(("", "  ", "31") + 7 * (" ".join(
        _word(rng, hints, WORDS + TERMS) for _ in range(rng.randint(1, 3))),)),
    "c": lambda rng, hints, _: rng.choice("aeioubcdnrstzXYEL 0127 !,-" + "".join(hints[1])),
    "item": lambda rng, hints, _: (_word(rng, hints), _integer(rng, hints)),
    "m": lambda rng, hints, _: [_integer(rng, hints) for _ in range(rng.randint(1, 4))],
    "r": lambda rng, hints, fields: {
        field: _word(rng, hints, TEXTS[field]) if field in TEXTS else abs(_integer(rng, hints)) for field in fields},
}  # fmt: skip
