"""Requests composed of pieces, each with one canonical program and tests.

A composition is a source, up to two filters, an optional map and a reduction. Its key names the pieces without their
parameters. Compositions are held out by key: a held-out one is a new combination of pieces that were trained.
"""

import hashlib
import itertools
import random
import re
import types
from dataclasses import dataclass
from functools import cache
from textwrap import indent
from typing import Any

from diffucli.mini import grammar, shapes
from diffucli.mini.grammar import Map, Predicate, filled, paired, split, weighted
from diffucli.mini.shapes import ElementSource, Hints, Reduction, ReductionInput

Parameters = tuple[Any, ...]
COPIES = {("values", "by_key"), ("keys", "entries"), ("keys", "counts")}
HELD_OUT_PERCENT, LIFTED, PREDICATE_MAP, BEFORE, BRIEF, QUOTED, PLACED = 4, 0.12, 0.12, 0.6, 0.5, 0.25, 0.4
SHAPES = {(0, False): 10, (1, False): 34, (0, True): 16, (1, True): 30, (2, False): 8, (2, True): 4}
UNMAPPED, HEADED = re.compile(r"\{[us]\}"), re.compile(r"\{(?:h|hs|q|o)\}")
IMPORTS, NEWLINES = ("collections", "itertools", "math"), "\n\n"
FILE_TEST = """import tempfile
for content, expected in {cases}:
    with tempfile.NamedTemporaryFile("w") as file:
        print(content, end="", file=file, flush=True)
        assert candidate(file.name) == expected
"""


@dataclass(frozen=True, slots=True)
class Composition:
    """An instruction, the canonical program for it, and asserts on `candidate` that the program passes."""

    key: str
    instruction: str
    code: str
    tests: str


@dataclass(frozen=True, slots=True)
class Filter:
    """A predicate with its parameters `drawn`, on the element or, with `lift`, on an attribute of it."""

    piece: Predicate
    lift: Map | None
    drawn: Parameters

    def key(self) -> str:
        key = f"{self.lift.key}.{self.piece.key}" if self.lift else self.piece.key
        return grammar.ALIASES.get(key, key)

    def subject(self) -> tuple[str, str]:
        return (self.lift.code if self.lift else "", grammar.FAMILIES.get(self.piece.key, self.piece.key))

    def code(self, element: str) -> str:
        return filled(self.piece.code, self.drawn, v=self.lift.code.format(v=element) if self.lift else element)

    def holds(self, item: Any, seen: Any) -> bool:
        judged = self.lift.apply(item if self.lift.raw else seen) if self.lift else seen
        return bool(self.piece.holds(judged, *self.drawn))


@dataclass(frozen=True, slots=True)
class CompositionPlan:
    """The pieces of a composition and their parameters."""

    source: ElementSource
    filters: tuple[Filter, ...]
    map: Map | None
    mapping: Parameters
    end: Reduction
    ending: Parameters

    def key(self) -> str:
        filters = "+".join(sorted(each.key() for each in self.filters)) or "-"
        return f"{self.source.key}/{filters}/{self.map.key if self.map else '-'}/{self.end.key}"


def compose(rng: random.Random) -> Composition:
    """A random composition in a random wording; its tests come from the oracles of its pieces."""
    plan = _plan(rng)
    return Composition(plan.key(), _instruction(rng, plan), _program(plan), _tests(rng, plan))


def verify(item: Composition) -> bool:
    """Whether the code of a composition passes its tests; both are executed in this process."""
    scope: dict[str, Any] = {}
    try:
        exec(item.code, scope)  # noqa: S102
        scope["candidate"] = [each for each in scope.values() if isinstance(each, types.FunctionType)][-1]
        exec(item.tests, scope)  # noqa: S102
    except Exception:  # noqa: BLE001
        return False
    return True


def held_out(key: str) -> bool:
    """Whether a composition is held out of training; one with a single piece never is."""
    _, *pieces = (piece for piece in re.split(r"[/+]", key) if piece != "-")
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return len(pieces) > 1 and int.from_bytes(digest, "big") % 100 < HELD_OUT_PERCENT


def _draw(rng: random.Random, kinds: str, domain: str, fields: tuple[str, ...]) -> Parameters:
    drawn: Parameters = ()
    for kind in split(kinds):
        drawn = (*drawn, grammar.KINDS[kind](rng, domain, fields, drawn))
    return drawn


@cache
def _predicates(domain: str) -> tuple[Predicate, ...]:
    return weighted(each for each in grammar.PREDICATES if domain in each.on)


@cache
def _maps(source: int, *, lift: bool) -> tuple[Map, ...]:
    every, domain = grammar.MAPS + shapes.SOURCES[source].own, shapes.SOURCES[source].domain
    return weighted(each for each in every if domain in each.on and (each.lift if lift else not each.raw))


@cache
def _reductions(source: int, to: str, *, filtered: bool, headed: bool) -> tuple[Reduction, ...]:
    every, base = shapes.REDUCTIONS, shapes.SOURCES[source]
    return weighted(end for end in every if _fits(base, end, to, filtered=filtered, headed=headed))


def _fits(source: ElementSource, end: Reduction, to: str, *, filtered: bool, headed: bool) -> bool:
    plain = not filtered and not to
    code = _template(source, end, plain=plain)
    return (
        (to or source.domain) in end.on
        and source.key in (split(end.only) or [source.key])
        and any(_valid(form, mapped=bool(to), headed=headed) for form in split(end.nouns) + split(end.verbs))
        and (filtered or "{c}" not in code)
        and ("{S}" not in code or code == end.bare or source.loop == f"{source.var} in {source.bare}")
        and not (plain and source.bare and ("return [{g}]" in code or (source.key, end.key) in COPIES))
    )


def _valid(form: str, *, mapped: bool, headed: bool) -> bool:
    return not (mapped and UNMAPPED.search(form)) and (headed or not HEADED.search(form))


def _template(source: ElementSource, end: Reduction, *, plain: bool) -> str:
    """The code of the reduction; its shorter bare form if nothing is filtered or mapped and the source allows it."""
    name, bare = source.bare, end.bare
    barred = "{S}[" in bare and (source.parameter == "d" or name.startswith("range"))
    usable = "{S}" not in bare or (name and not barred and (name.isidentifier() or bare.count("{S}") == 1))
    return bare if plain and bare and usable else end.code


def _filter(rng: random.Random, index: int) -> Filter:
    source, lifts, own = shapes.SOURCES[index], _maps(index, lift=True), _predicates(shapes.SOURCES[index].domain)
    lift = rng.choice(lifts) if lifts and (not own or rng.random() < LIFTED) else None
    piece = rng.choice(_predicates({"n": "k", "w": "t"}[lift.to]) if lift else own)
    return Filter(piece, lift, _draw(rng, piece.kinds, source.domain, (lift.heads.split("/")[1],) if lift else ()))


def _map(rng: random.Random, index: int) -> tuple[Map, tuple[Filter, ...]]:
    """A map; or a predicate as a map to a truth value, for reductions like any and all, with its filter."""
    own = _predicates(shapes.SOURCES[index].domain)
    if not own or rng.random() > PREDICATE_MAP:
        return rng.choice(_maps(index, lift=False)), ()
    piece = rng.choice(own)
    truth = Map(piece.key, "", "b", piece.code, piece.holds, rng.choice(piece.clauses()), kinds=piece.kinds)
    return truth, (Filter(piece, None, ()),)


def _plan(rng: random.Random) -> CompositionPlan:
    index = rng.choices(range(len(shapes.SOURCES)), [source.weight for source in shapes.SOURCES])[0]
    (count, mapped), source = rng.choices(list(SHAPES), list(SHAPES.values()))[0], shapes.SOURCES[index]
    filters = tuple(_filter(rng, index) for _ in range(count))
    piece, tested = _map(rng, index) if mapped else (None, ())
    to, headed = (piece.to, bool(piece.heads)) if piece else ("", False)
    ends = _reductions(index, to, filtered=bool(filters), headed=headed)
    subjects = [each.subject() for each in (*filters, *tested)]
    if not ends or len(set(subjects)) < len(subjects):
        return _plan(rng)
    end, drawn = rng.choice(ends), _draw(rng, piece.kinds, source.domain, ()) if piece else ()
    return CompositionPlan(source, filters, piece, drawn, end, _draw(rng, end.kinds, source.domain, source.fields))


def _program(plan: CompositionPlan) -> str:
    source, plain = plan.source, not plan.filters and not plan.map
    bare, template = source.bare if plain else "", _template(source, plan.end, plain=plain)
    f = " if " * bool(plan.filters) + " and ".join(each.code(source.var) for each in plan.filters)
    mapped = filled(plan.map.code, plan.mapping, v=source.var) if plan.map else source.var
    g, k = f"{mapped} for {source.loop}{f}", f"1 for {source.loop}{f}"
    i, items, n = (bare, f"list({bare})", f"iter({bare})") if bare else (f"({g})", f"[{g}]", f"({g})")
    parts = {"v": source.var, "e": mapped, "L": source.loop, "c": f[4:], "f": f, "S": source.bare}
    body = filled(template, plan.ending, g=g, k=k, i=i, j=bare or g, l=items, n=n, **parts)
    used = "".join(f"import {name}\n" for name in IMPORTS if re.search(rf"\b{name}\.", body))
    text = indent(f"{source.setup}\n{body}\n".lstrip("\n"), "    ")
    return f"{used}{used and NEWLINES}def {_name(plan)}({source.parameter}):\n{text}"


def _name(plan: CompositionPlan) -> str:
    noun = paired(split(plan.source.nouns)[0])[plan.end.one]
    last = plan.map.name or (plan.map.heads if plan.map.to != "b" else plan.map.key).split("/")[0] if plan.map else noun
    parts = [plan.end.name or plan.end.key, *(each.piece.key for each in plan.filters[: 1 if plan.map else 2]), last]
    return "_".join(dict.fromkeys(part.replace(" ", "_") for part in parts if part != "-"))


def _said(rng: random.Random, kinds: str, drawn: Parameters) -> Parameters:
    quotes = [
        rng.choice(shapes.QUOTES[kind]) if kind in shapes.QUOTES and rng.random() < QUOTED else "{}"
        for kind in split(kinds)
    ]
    return tuple(quote.format(grammar.SEPARATORS.get(each, each)) for quote, each in zip(quotes, drawn, strict=True))


def _clause(rng: random.Random, each: Filter) -> tuple[str, str, bool]:
    """The clause after a plural, the clause after a singular, and whether "that are" may be left out."""
    raw, said = rng.choice(each.piece.clauses()), _said(rng, each.piece.kinds, each.drawn)
    plural, single = (filled(form, said) for form in paired(raw))
    brief = plural.startswith("are ") and "/" not in raw and not each.piece.adjectives and raw != "are {a}"
    if not each.lift:
        return f"that {plural}", f"that {single}", brief
    plurals, noun = each.lift.heads.split("/")
    special = shapes.SPECIAL.get((noun, each.piece.key)) or (f"with {noun} {plural[4:]}" if brief else "")
    if special and rng.random() < BRIEF / 2:
        return filled(special, said), filled(special, said), False
    return rng.choice((f"whose {plurals} {plural}", *3 * [f"whose {noun} {single}"])), f"whose {noun} {single}", False


def _phrase(rng: random.Random, plan: CompositionPlan) -> tuple[str, str, bool]:
    """Plural and singular of the filtered elements, "@" where a place can be put, and whether clauses follow."""
    (plural, single), rest = paired(rng.choice(split(plan.source.nouns))), list(plan.filters)
    while rest and not rest[0].lift and rng.random() < BEFORE:
        piece, named = rest[0].piece, split(rest[0].piece.nominals) if len(rest) == len(plan.filters) else []
        options = [f"{word} {plural}/{word} {single}" for word in split(piece.adjectives)] + named
        if not options:
            break
        plural, single = paired(filled(rng.choice(options), rest.pop(0).drawn))
    plural, single, loose = f"{plural}@", f"{single}@", True
    for many, one, short in [_clause(rng, each) for each in rest]:
        brief = short and rng.random() < BRIEF
        link = " " if plural[-1] == "@" or (loose and not brief) else " and "
        plural, single = plural + link + (many[9:] if brief else many), single + link + (one[8:] if brief else one)
        loose = brief and rng.random() < BRIEF
    return plural, single, bool(rest)


def _instruction(rng: random.Random, plan: CompositionPlan) -> str:
    plural, single, clauses = _phrase(rng, plan)
    piece, end, mapped, heads, headed = plan.map, plan.end, plural, ("", ""), False
    if piece:
        said, headed = _said(rng, piece.kinds, plan.mapping), bool(piece.heads)
        heads = paired(filled(piece.heads, said)) if headed else heads
        forms = [f"{heads[0]} of the {{p}}", f"{heads[1]} of each {{s}}"] * headed + split(piece.forms)
        form = rng.choice([form for form in forms if not (clauses and form.startswith("{p}"))])
        mapped = filled(form, said, p=plural, s=single)
    cells = ((end.nouns, shapes.NOUN_FRAMES), (end.verbs, shapes.VERB_FRAMES))
    options = [(form, frames) for cell, frames in cells for form in split(cell)]
    form, frames = rng.choice([each for each in options if _valid(each[0], mapped=bool(piece), headed=headed)])
    said = _said(rng, end.kinds, plan.ending)
    task = filled(form, said, p=mapped, u=plural, s=single, q=plural, o=single, h=heads[1], hs=heads[0])
    task = task.replace(" of the ", " of ") if rng.random() < QUOTED else task
    text, place = rng.choice(frames).format(t=task), rng.choice(plan.source.places.split("|"))
    if place.startswith("in a ") and rng.random() < QUOTED / 2:
        return f"given {place[3:]}, {text.replace('@', '')}"
    if place and rng.random() < PLACED:
        text, place = text.replace("@", f" {place}", 1), ""
    return f"{text.replace('@', '')} {place}".strip()


def _reduction_input(plan: CompositionPlan, items: list[Any]) -> ReductionInput:
    seen = list(map(plan.source.view or (lambda item: item), items))
    flags = [all(each.holds(*pair) for each in plan.filters) for pair in zip(items, seen, strict=True)]
    mapped = [plan.map.apply(each, *plan.mapping) for each in seen] if plan.map else seen
    values, picked, whole = (list(itertools.compress(each, flags)) for each in (mapped, seen, items))
    return ReductionInput(values, picked, whole, seen, mapped, flags)


def _example(rng: random.Random, plan: CompositionPlan, hints: Hints) -> Any:
    """A random input with elements that pass the filters and elements that do not."""
    source, size = plan.source, rng.randint(2, 5)
    found: tuple[list[Any], list[Any]] = ([], [])
    while len(found[1]) < size and len(found[0]) < 30:
        item = shapes.MAKERS[source.element](rng, hints, source.fields)
        seen = source.view(item) if source.view else item
        found[all(each.holds(item, seen) for each in plan.filters)].append(item)
    chosen = found[0][: rng.randint(1, 3)] + found[1] + rng.choices(found[1] or found[0], k=rng.randint(0, 2))
    rng.shuffle(chosen)
    return source.pack(chosen)


def _tests(rng: random.Random, plan: CompositionPlan) -> str:
    drawn = sum((each.drawn for each in plan.filters), plan.mapping + plan.ending)
    hints = [each for each in drawn if isinstance(each, int)], [each for each in drawn if str(each).isalpha()]
    inputs = [_example(rng, plan, hints) for _ in range(3)] + [plan.source.pack([])]
    cases = [(each, plan.end.fold(_reduction_input(plan, plan.source.unpack(each)), *plan.ending)) for each in inputs]
    asserts = "".join(f"assert candidate({given!r}) == {expected!r}\n" for given, expected in cases)
    return FILE_TEST.format(cases=cases) if plan.source.parameter == "path" else asserts
