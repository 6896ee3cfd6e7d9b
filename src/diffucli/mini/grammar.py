"""Pieces that compositions are made of: predicates and maps, each with code, meaning and wordings.

Domains are single letters: n number, w word, l line, c character, m row of a matrix, r record, b truth value. A
predicate with the domain k (number) or t (text) can also apply to an attribute, as in "words whose length is even".
Every piece has, next to its code, a function that was written independently of it: the oracle that the tests of a
composition are made from. A table cell has alternatives separated by "|", and plural and singular separated by "/"; the
singular of a verb is formed by rule.
"""

import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, TypeVar

VOWELS, ALPHABET, DIGITS = frozenset("aeiou"), frozenset("abcdefghijklmnopqrstuvwxyz"), frozenset("0123456789")
LETTERS = "abcdefghijklmnoprstuvw"
WORDS = (*str.split("apple banana cat dog level kiwi tree house noon river orange up sun moon egg radar blue green"),)
WORDS += (*str.split("table ice USA NASA Paris Anna x1 42 2024 area elephant strawberry"),)
TERMS = tuple(str.split("error warning todo info failed import test debug note ok start data user"))
TEXTS = {
    "name": tuple(str.split("anna bob clara dan eva tom iris omar")),
    "city": tuple(str.split("paris rome oslo berlin london athens")),
    "color": tuple(str.split("red blue green orange white")),
    "status": tuple(str.split("open active done closed error")),
}
SEPARATORS = {" ": "spaces", ",": "commas", "-": "dashes", "_": "underscores", "/": "slashes", ".": "dots"}
COMMON_WEIGHT = 2  # pieces that people ask for every day are drawn twice as often
COMMON = (
    *str.split(
        "even odd positive negative greater less divisible prime vowel starting ending containing longer shorter"
    ),
    *str.split("sized uppercase palindrome square cube double length upper lower reverse absolute sum count max min"),
    *str.split("average list product sorted descending first unique longest shortest joined text removed"),
)
IRREGULAR = {"are": "is", "have": "has", "do": "does"}


@dataclass(frozen=True, slots=True)
class Predicate:
    """A condition on an element.

    on: domains. kinds: kinds of its parameters. holds: the oracle. are, do: what follows "that are" and "that".
    adjectives: stand before the noun. nominals: replace the noun.
    """

    key: str
    on: str
    kinds: str
    code: str
    holds: Callable[..., Any]
    are: str = ""
    do: str = ""
    adjectives: str = ""
    nominals: str = ""

    def clauses(self) -> list[str]:
        """The clauses that can follow "that"."""
        named = [f"are {each.replace('/', '/is a ')}" for each in split(self.nominals)]
        return [f"are {each}" for each in split(self.are or self.adjectives)] + split(self.do) + named


@dataclass(frozen=True, slots=True)
class Map:
    """A value computed from one element.

    on: domains. to: domain of the value. apply: the oracle. heads: names of the value. forms: whole wordings. kinds:
    kinds of its parameters. lift: predicates can apply to the value. raw: it takes the whole item, not the view of it.
    """

    key: str
    on: str
    to: str
    code: str
    apply: Callable[..., Any]
    heads: str = ""
    forms: str = ""
    kinds: str = ""
    name: str = ""
    lift: bool = False
    raw: bool = False


def split(text: str) -> list[str]:
    """The alternatives in a table cell."""
    return text.split("|") if text else []


def paired(text: str) -> tuple[str, str]:
    """The plural and the singular of a wording."""
    plural, _, single = text.partition("/")
    verb, _, rest = plural.partition(" ")
    return plural, single or f"{IRREGULAR.get(verb, verb + 's')} {rest}"


def filled(form: str, drawn: tuple[Any, ...], **parts: Any) -> str:
    """A code or wording with its parameters and other parts filled in."""
    return form.format(**dict(zip("ab", drawn, strict=False)), **parts)


def is_prime(x: int) -> bool:
    """Whether x is prime."""
    return x > 1 and not any(x % i == 0 for i in range(2, math.isqrt(x) + 1))


def digits(x: int) -> list[int]:
    """The decimal digits of x without its sign."""
    return [int(char) for char in str(x).lstrip("-")]


def backwards(text: str) -> str:
    """The text reversed."""
    return "".join(reversed(text))


class Piece(Protocol):
    """Any piece of a composition."""

    @property
    def key(self) -> str:
        """Its name in the key of a composition."""
        ...


P = TypeVar("P", bound=Piece)


def weighted(pieces: Iterable[P]) -> tuple[P, ...]:
    """`pieces` for a uniform choice, with common pieces repeated COMMON_WEIGHT times."""
    return tuple(piece for piece in pieces for _ in range(COMMON_WEIGHT if piece.key in COMMON else 1))


_p, _m = Predicate, Map
# fmt: off
PREDICATES: tuple[Predicate, ...] = (
    _p("even", "nk", "", "{v} % 2 == 0", lambda x: not x & 1, adjectives="even"),
    _p("odd", "nk", "", "{v} % 2 != 0", lambda x: x & 1, adjectives="odd"),
    _p("positive", "n", "", "{v} > 0", lambda x: not x <= 0, adjectives="positive"),
    _p("negative", "n", "", "{v} < 0", lambda x: not x >= 0, adjectives="negative"),
    _p("zero", "n", "", "{v} == 0", lambda x: not x, "zero|equal to zero", adjectives="zero"),
    _p("nonzero", "n", "", "{v} != 0", bool, "not zero|different from zero", adjectives="non zero|nonzero"),
    _p("greater", "nk", "n", "{v} > {a}", lambda x, a: not x <= a,
       "greater than {a}|above {a}|larger than {a}|over {a}"),
    _p("less", "nk", "n", "{v} < {a}", lambda x, a: not x >= a, "less than {a}|below {a}|smaller than {a}|under {a}"),
    _p("least", "nk", "n", "{v} >= {a}", lambda x, a: not x < a, "at least {a}|{a} or more"),
    _p("most", "nk", "n", "{v} <= {a}", lambda x, a: not x > a, "at most {a}|{a} or less"),
    _p("equal", "nk", "n", "{v} == {a}", lambda x, a: not x - a, "equal to {a}|exactly {a}"),
    _p("different", "n", "n", "{v} != {a}", lambda x, a: bool(x - a), "not equal to {a}|different from {a}|not {a}"),
    _p("between", "nk", "n|above", "{a} <= {v} <= {b}", lambda x, a, b: x in range(a, b + 1),
       "between {a} and {b}|in the range {a} to {b}"),
    _p("outside", "n", "n|above", "not {a} <= {v} <= {b}", lambda x, a, b: x not in range(a, b + 1),
       "not between {a} and {b}|outside the range {a} to {b}"),
    _p("divisible", "nk", "divisor", "{v} % {a} == 0", lambda x, a: x // a * a == x, "divisible by {a}",
       nominals="multiples of {a}/multiple of {a}"),
    _p("indivisible", "n", "divisor", "{v} % {a} != 0", lambda x, a: x // a * a != x,
       "not divisible by {a}|no multiple of {a}"),
    _p("remainder", "n", "divisor|below", "{v} % {a} == {b}", lambda x, a, b: x - x // a * a == b,
       do="leave remainder {b} when divided by {a}|have remainder {b} when divided by {a}"),
    _p("ending", "n", "digit", "abs({v}) % 10 == {a}", lambda x, a: digits(x)[-1] == a,
       do="end with {a}|end in {a}|have last digit {a}"),
    _p("digit", "n", "digit", '"{a}" in str({v})', lambda x, a: a in digits(x),
       do="contain the digit {a}|have a digit {a}|include the digit {a}"),
    _p("one_digit", "n", "", "abs({v}) < 10", lambda x: not digits(x)[1:], "", "have one digit",
       "one digit|single digit"),
    _p("two_digit", "n", "", "10 <= abs({v}) <= 99", lambda x: bool(digits(x)[1:]) > bool(digits(x)[2:]), "",
       "have two digits", "two digit"),
    _p("prime", "n", "", "{v} > 1 and all({v} % i for i in range(2, {v}))", is_prime, "", "", "prime",
       "primes/prime"),
    _p("perfect", "n", "", "{v} >= 0 and math.isqrt({v}) ** 2 == {v}", lambda x: x in {i * i for i in range(40)},
       nominals="perfect squares/perfect square"),
    _p("power", "n", "", "{v} > 0 and {v} & ({v} - 1) == 0", lambda x: x in {1 << i for i in range(64)},
       nominals="powers of two/power of two"),
    _p("palindrome", "n", "", "str({v}) == str({v})[::-1]", lambda x: str(x) == backwards(str(x)), "palindromic",
       "read the same backwards", "palindrome|palindromic"),
    _p("vowel", "wt", "", '{v}[0] in "aeiou"', lambda x: x[:1] in VOWELS, "",
       "start with a vowel|begin with a vowel"),
    _p("consonant", "w", "", '{v}[0] not in "aeiou"', lambda x: x[:1] not in VOWELS, "", "do not start with a vowel"),
    _p("vowel_ending", "w", "", '{v}[-1] in "aeiou"', lambda x: x[len(x) - 1] in VOWELS, "",
       "end with a vowel|end in a vowel"),
    _p("starting", "wlt", "letter", '{v}.startswith("{a}")', lambda x, a: x.find(a) == 0, "",
       "start with {a}|begin with {a}"),
    _p("not_starting", "wl", "letter", 'not {v}.startswith("{a}")', lambda x, a: x.find(a) != 0, "",
       "do not start with {a}|do not begin with {a}"),
    _p("ending", "wlt", "letter", '{v}.endswith("{a}")', lambda x, a: x[-len(a):] == a, "",
       "end with {a}|end in {a}"),
    _p("containing", "wlt", "chunk", '"{a}" in {v}', lambda x, a: x.count(a) > 0, "", "contain {a}|include {a}"),
    _p("lacking", "wl", "chunk", '"{a}" not in {v}', lambda x, a: x.count(a) == 0, "",
       "do not contain {a}|do not include {a}"),
    _p("longer", "wlt", "size", "len({v}) > {a}", lambda x, a: x[a:] != "", "longer than {a}",
       "have more than {a} letters"),
    _p("shorter", "wl", "size", "len({v}) < {a}", lambda x, a: x[a - 1:] == "", "shorter than {a}",
       "have less than {a} letters|have fewer than {a} letters"),
    _p("sized", "w", "size", "len({v}) == {a}", lambda x, a: sum(1 for _ in x) == a, "{a} letters long",
       "have {a} letters|have length {a}"),
    _p("uppercase", "w", "", "{v}.isupper()", lambda x: x == x.upper() != x.lower(), "in upper case|uppercase", "",
       "uppercase|upper case"),
    _p("lowercase", "w", "", "{v}.islower()", lambda x: x == x.lower() != x.upper(), "in lower case|lowercase", "",
       "lowercase|lower case"),
    _p("capitalized", "w", "", "{v}[0].isupper()", lambda x: "A" <= x[0] <= "Z", "", "start with a capital letter",
       "capitalized"),
    _p("palindrome", "w", "", "{v} == {v}[::-1]", lambda x: x == backwards(x), "", "read the same backwards",
       "palindrome", "palindromes/palindrome"),
    _p("numeric", "wl", "", "{v}.isdigit()", lambda x: x != "" and set(x) <= DIGITS, "", "contain only digits",
       "numeric"),
    _p("alphabetic", "w", "", "{v}.isalpha()", lambda x: set(x.lower()) <= ALPHABET, "", "contain only letters"),
    _p("digit", "wl", "", "any(char.isdigit() for char in {v})", lambda x: bool(set(x) & DIGITS), "",
       "contain a digit|have a digit"),
    _p("same_ends", "w", "", "{v}[0] == {v}[-1]", lambda x: x[:1] == x[len(x) - 1:], "",
       "start and end with the same letter/starts and ends with the same letter"),
    _p("distinct", "w", "", "len(set({v})) == len({v})", lambda x: all(x.count(c) == 1 for c in x), "",
       "have no repeated letters|have only unique letters"),
    _p("equal", "wlt", "term", '{v} == "{a}"', lambda x, a: x == a, "equal to {a}|{a}"),
    _p("before", "w", "letter", '{v} < "{a}"', lambda x, a: not x >= a, "", "come before {a}"),
    _p("blank", "l", "", "not {v}.strip()", lambda x: x.split() == [], adjectives="blank|empty"),
    _p("nonblank", "l", "", "{v}.strip()", lambda x: x.split() != [], "not blank|not empty", "",
       "non empty|non blank"),
    _p("vowel", "c", "", '{v} in "aeiou"', lambda x: x in VOWELS, nominals="vowels/vowel"),
    _p("consonant", "c", "", '{v}.isalpha() and {v} not in "aeiou"',
       lambda x: x.lower() in ALPHABET and x not in VOWELS,
       nominals="consonants/consonant"),
    _p("digit", "c", "", "{v}.isdigit()", lambda x: x in DIGITS, nominals="digits/digit"),
    _p("letter", "c", "", "{v}.isalpha()", lambda x: x.lower() in ALPHABET, nominals="letters/letter"),
    _p("uppercase", "c", "", "{v}.isupper()", lambda x: "A" <= x <= "Z", "uppercase", "", "uppercase|upper case",
       "capital letters/capital letter"),
    _p("lowercase", "c", "", "{v}.islower()", lambda x: "a" <= x <= "z", adjectives="lowercase|lower case"),
    _p("space", "c", "", "{v}.isspace()", lambda x: x == " ", nominals="spaces/space"),
    _p("alphanumeric", "c", "", "{v}.isalnum()", lambda x: x.lower() in ALPHABET | DIGITS,
       "letters or digits/is a letter or digit",
       "", "alphanumeric"),
    _p("equal", "c", "letter", '{v} == "{a}"', lambda x, a: x == a, "equal to {a}"),
    _p("different", "c", "letter", '{v} != "{a}"', lambda x, a: x != a, "not {a}|different from {a}"),
    _p("among", "c", "letters", '{v} in "{a}"', lambda x, a: x in set(a), "in {a}|one of {a}"),
    _p("containing", "m", "n", "{a} in {v}", lambda x, a: x.count(a) > 0, "", "contain {a}|include {a}"),
    _p("lacking", "m", "n", "{a} not in {v}", lambda x, a: x.count(a) == 0, "",
       "do not contain {a}|do not include {a}"),
    _p("all_even", "m", "", "all(x % 2 == 0 for x in {v})", lambda r: not any(x & 1 for x in r), "",
       "contain only even numbers"),
    _p("all_positive", "m", "", "all(x > 0 for x in {v})", lambda r: min(r) > 0, "", "contain only positive numbers"),
    _p("any_negative", "m", "", "any(x < 0 for x in {v})", lambda r: min(r) < 0, "", "contain a negative number"),
    _p("sorted", "m", "", "{v} == sorted({v})", lambda r: all(a <= b for a, b in pairwise(r)), adjectives="sorted"),
)
MAPS: tuple[Map, ...] = (
    _m("square", "n", "n", "{v} * {v}", lambda x: x**2, "squares/square", "{p} squared"),
    _m("cube", "n", "n", "{v} ** 3", lambda x: x * x * x, "cubes/cube", "{p} cubed"),
    _m("double", "n", "n", "{v} * 2", lambda x: x + x, "doubles/double", "{p} doubled"),
    _m("triple", "n", "n", "{v} * 3", lambda x: x + x + x, "triples/triple", "{p} tripled"),
    _m("half", "n", "n", "{v} / 2", lambda x: x * 0.5, "halves/half", "{p} halved"),
    _m("absolute", "n", "n", "abs({v})", lambda x: max(x, -x), "absolute values/absolute value",
       name="absolutes", lift=True),
    _m("negate", "n", "n", "-{v}", lambda x: 0 - x, "negatives/negative", "{p} negated"),
    _m("plus", "n", "n", "{v} + {a}", lambda x, a: a + x, "",
       "results of adding {a} to the {p}|{p} plus {a}|{p} increased by {a}", "n", "plus"),
    _m("minus", "n", "n", "{v} - {a}", lambda x, a: -(a - x), "",
       "results of subtracting {a} from the {p}|{p} minus {a}|{p} decreased by {a}", "n", "minus"),
    _m("times", "n", "n", "{v} * {a}", lambda x, a: sum([x] * a), "",
       "results of multiplying the {p} by {a}|{p} times {a}|{p} multiplied by {a}", "factor", "times"),
    _m("modulo", "n", "n", "{v} % {a}", lambda x, a: x - x // a * a, "",
       "remainders of the {p} divided by {a}|{p} modulo {a}", "n", "remainders"),
    _m("quotient", "n", "n", "{v} // {a}", lambda x, a: divmod(x, a)[0], "",
       "whole quotients of the {p} by {a}|{p} integer divided by {a}", "n", "quotients"),
    _m("digit_sum", "n", "n", "sum(map(int, str(abs({v}))))", lambda x: sum(digits(x)),
       "digit sums/digit sum", lift=True),
    _m("digit_count", "n", "n", "len(str(abs({v})))", lambda x: len(digits(x)), "digit counts/digit count",
       lift=True),
    _m("last_digit", "n", "n", "abs({v}) % 10", lambda x: digits(x)[-1], "last digits/last digit"),
    _m("string", "n", "w", "str({v})", repr, "", "{p} as strings|strings of the {p}", name="strings"),
    _m("length", "wl", "n", "len({v})", lambda x: sum(1 for _ in x), "lengths/length", lift=True),
    _m("vowels", "wl", "n", 'sum(char in "aeiou" for char in {v})',
       lambda x: len([c for c in x if c in VOWELS]), "vowel counts/vowel count", lift=True),
    _m("occurrences", "wl", "n", '{v}.count("{a}")', lambda x, a: len(x.split(a)) - 1, "",
       "counts of {a} in the {p}|count of {a} in each {s}", "letter", "counts"),
    _m("upper", "wl", "w", "{v}.upper()", str.upper, "upper case forms/upper case form",
       "{p} in upper case|uppercased {p}", name="uppercased"),
    _m("lower", "wl", "w", "{v}.lower()", str.lower, "lower case forms/lower case form",
       "{p} in lower case|lowercased {p}", name="lowercased"),
    _m("title", "w", "w", "{v}.capitalize()", lambda x: x[:1].upper() + x[1:].lower(),
       "capitalized forms/capitalized form", name="titled"),
    _m("reverse", "wl", "w", "{v}[::-1]", backwards, "reversals/reversal",
       "{p} spelled backwards|reversed {p}", name="reversed"),
    _m("first_letter", "w", "w", "{v}[0]", lambda x: x[:1], "first letters/first letter"),
    _m("last_letter", "w", "w", "{v}[-1]", lambda x: x[len(x) - 1], "last letters/last letter"),
    _m("head", "wl", "w", "{v}[:{a}]", lambda x, a: "".join(c for i, c in enumerate(x) if i < a),
       "", "first {a} letters of the {p}|first {a} letters of each {s}", "k", "heads"),
    _m("tail", "wl", "w", "{v}[-{a}:]", lambda x, a: backwards(backwards(x)[:a]), "",
       "last {a} letters of the {p}|last {a} letters of each {s}", "k", "tails"),
    _m("without", "wl", "w", '{v}.replace("{a}", "")', lambda x, a: "".join(x.split(a)), "",
       "results of removing {a} from the {p}|{p} with every {a} removed", "letter", "without"),
    _m("repeat", "w", "w", "{v} * 2", lambda x: x + x, "", "double copies of the {p}|{p} repeated twice",
       name="repeated"),
    _m("upper", "c", "c", "{v}.upper()", str.upper, "upper case forms/upper case form",
       "{p} in upper case", name="uppercased"),
    _m("repeat", "c", "c", "{v} * 2", lambda x: x + x, "", "double copies of the {p}|{p} repeated twice",
       name="repeated"),
    _m("ordinal", "c", "n", "ord({v})", lambda x: x.encode()[0], "character codes/character code", name="codes"),
    _m("sum", "m", "n", "sum({v})", lambda r: int(math.fsum(r)), "sums/sum", lift=True),
    _m("maximum", "m", "n", "max({v})", lambda r: -min(-x for x in r), "maximums/maximum", lift=True),
    _m("minimum", "m", "n", "min({v})", lambda r: -max(-x for x in r), "minimums/minimum", lift=True),
    _m("length", "m", "n", "len({v})", lambda r: sum(1 for _ in r), "lengths/length", lift=True),
    _m("average", "m", "n", "sum({v}) / len({v})", lambda r: sum(r) / len(r), "averages/average"),
    _m("head", "m", "n", "{v}[0]", lambda r: next(iter(r)), "first elements/first element"),
    _m("tail", "m", "n", "{v}[-1]", lambda r: next(reversed(r)), "last elements/last element"),
    _m("ordered", "m", "m", "sorted({v})", sorted, "sorted copies/sorted copy", name="ordered"),
)
# fmt: on
# Two filters of one family on the same attribute contradict or repeat each other.
_GROUPS = (
    "even odd|positive negative zero nonzero|greater least equal different|less most between outside|blank nonblank|"
    "divisible indivisible|one_digit two_digit|vowel consonant|starting not_starting|containing lacking|"
    "longer shorter sized|uppercase lowercase capitalized|numeric alphabetic"
)
FAMILIES = {key: group.split()[0] for group in split(_GROUPS) for key in group.split()}
ALIASES = {"length.greater": "longer", "length.less": "shorter", "length.equal": "sized"}
# Draws a parameter of each kind, given the domain, its fields and the parameters drawn before.
KINDS: dict[str, Callable[[random.Random, str, tuple[str, ...], tuple[Any, ...]], Any]] = {
    "n": lambda rng, *_: rng.choice((*range(2, 21), *range(2, 21), *range(2, 21), 1, 25, 30, 40, 50, 100)),
    "divisor": lambda rng, *_: rng.randint(3, 20),  # 2 has pieces of its own
    "factor": lambda rng, *_: rng.randint(4, 20),
    "above": lambda rng, _, __, drawn: drawn[-1] + rng.randint(2, 12),
    "below": lambda rng, _, __, drawn: rng.randrange(1, drawn[-1]),
    "digit": lambda rng, *_: rng.randint(0, 9),
    "k": lambda rng, *_: rng.randint(2, 5),
    "size": lambda rng, *_: rng.randint(2, 9),
    "letter": lambda rng, *_: rng.choice(LETTERS),
    "letters": lambda rng, *_: "".join(rng.sample(LETTERS, 3)),
    "chunk": lambda rng, domain, *_: rng.choice(TERMS if domain == "l" else tuple(LETTERS) + TERMS),
    "term": lambda rng, domain, fields, _: rng.choice(TERMS if domain == "l" else TEXTS.get("".join(fields), WORDS)),
    "separator": lambda rng, *_: rng.choice(tuple(SEPARATORS)),
    "symbol": lambda rng, *_: rng.choice("*-_#.?x"),
    "count": lambda rng, _, fields, __: rng.choice([field for field in fields if field not in TEXTS]),
    "label": lambda rng, _, fields, __: rng.choice([field for field in fields if field in TEXTS]),
}
