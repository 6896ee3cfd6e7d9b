"""Rows are canvases just as decoding lays them out, of nothing that is held out."""

from __future__ import annotations

import ast
import random
import re
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffucli.mini import rows
from diffucli.mini.classics import classics, kept_back, programs, summarised
from diffucli.mini.compositions import Composition, compose
from diffucli.mini.compositions import held_out as is_held_out
from diffucli.mini.rows import BRIEF, LONGEST, SHARES, SLACKS, Row, Sources
from diffucli.mini.wording import plain
from diffucli.model import tokenizer
from diffucli.tasks import prompt
from diffucli.tasks.engine import ANSWER, FREE

if TYPE_CHECKING:
    from diffucli.mini.corpus import Function
    from diffucli.model.tokenizer import Tokenizer

CODE = "def f(items):\n    total = 0\n    for item in items:\n        total += item\n    return total\n"
ASKED = re.compile(r"user\n(.*)\n<\|im_end\|>")
seeds = st.integers(0, 10**6)


@pytest.fixture(scope="module")
def words() -> Tokenizer:
    """mini's own: in it, whole programs are not too long for a row."""
    return tokenizer.read(Path(str(resources.files("diffucli") / "models" / "mini")))


@pytest.fixture(scope="module")
def sources(words: Tokenizer, functions: list[Function]) -> Sources:
    return Sources(words, functions, SLACKS)


@pytest.fixture(scope="module")
def composed() -> list[Composition]:
    """Every composition that was drawn for the rows below, held out or not."""
    return []


@pytest.fixture(scope="module")
def drawn(sources: Sources, composed: list[Composition]) -> list[Row]:
    def noted(rng: random.Random) -> Composition:
        composed.append(compose(rng))
        return composed[-1]

    rng = random.Random(7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "compose", noted)
        return [row for row in (sources.draw(rng) for _ in range(4000)) if row is not None]


def filled(row: Row, pad: int) -> list[int]:
    """What the hole of a row holds, without the pads that must stand at its end."""
    (hole,) = row.holes
    held = list(row.tokens[hole.start : hole.stop])
    while held and held[-1] == pad:
        held.pop()
    return held


@given(seed=seeds)
def test_an_answer_is_laid_out_as_the_engine_lays_it_out(sources: Sources, words: Tokenizer, seed: int) -> None:
    row = sources.answer(random.Random(seed), "sum a list", CODE, source="task")
    (hole,) = row.holes
    laid = prompt.answer(words, "sum a list", tag="python", length=len(hole))
    assert row.holes == laid.holes
    assert row.tokens[: hole.start] == laid.tokens[: hole.start]
    assert len(row.tokens) == len(laid.tokens) == hole.stop
    assert filled(row, words.pad) == [*words.encode(CODE), *prompt.closing(words, "sum a list")]
    assert row.answers


@given(seed=seeds, query=st.sampled_from([None, "sum a list"]))
def test_a_fill_is_laid_out_as_the_engine_lays_it_out(
    sources: Sources, words: Tokenizer, seed: int, query: str | None
) -> None:
    rng = random.Random(seed)
    state = rng.getstate()
    row = sources.fill(rng, rows.cut(rng, CODE), query, source="open fill")
    rng.setstate(state)
    start, stop = rows.hole(rng, CODE)
    (hole,) = row.holes
    laid = prompt.file(words, [CODE[:start], CODE[stop:]], [len(hole)], query=query, tag="python")
    assert row.holes == laid.holes
    for part in (slice(0, hole.start), slice(hole.stop, None)):
        assert row.tokens[part] == laid.tokens[part]
    text = words.decode(filled(row, words.pad))
    assert prompt.outside(CODE[:start], text) == CODE[start:stop]
    assert not row.answers


def test_holes_hold_content_and_then_pads_alone(drawn: list[Row], words: Tokenizer) -> None:
    for row in drawn:
        (hole,) = row.holes
        outside = [*row.tokens[: hole.start], *row.tokens[hole.stop :]]
        assert words.pad not in [*filled(row, words.pad), *outside]
        assert words.mask not in row.tokens


def test_every_row_says_its_code_in_full(drawn: list[Row], words: Tokenizer) -> None:
    for row in drawn:
        text = words.decode([token for token in row.tokens if token != words.pad])
        if "<|im_start|>" in text:
            assert text.endswith(f"```python\n{row.code}```<|im_end|>")
        else:
            assert text == row.code
        assert len(row.tokens) <= LONGEST


def test_no_row_asks_in_a_phrase_that_is_held_out(drawn: list[Row], words: Tokenizer) -> None:
    asked = [ASKED.search(words.decode(row.tokens)) for row in drawn if row.source in {"task", "task fill"}]
    requests = {plain(match[1]) for match in asked if match}
    assert len(requests) > 500
    assert not requests & kept_back()


def test_no_row_shows_a_composition_that_is_held_out(drawn: list[Row], composed: list[Composition]) -> None:
    kept = {item.code for item in composed if is_held_out(item.key)}
    shown = {row.code for row in drawn if row.source == "composition"}
    assert len(kept) > 30
    assert not kept & shown
    assert shown <= {item.code for item in composed}


def test_a_composition_that_fails_its_tests_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [compose(random.Random(seed)) for seed in range(40)]
    right = next(item for item in items if not is_held_out(item.key))
    wrong = Composition(right.key, right.instruction, "def f(x):\n    return None\n", "assert candidate(1)")
    monkeypatch.setattr(rows, "compose", lambda queue: queue.pop(0))
    assert rows.trained_composition([wrong, right]) == right  # type: ignore[arg-type]


def test_sources_come_in_their_shares(drawn: list[Row]) -> None:
    shares = Counter(row.source for row in drawn)
    tasks, long, compositions, known, of_open = SHARES
    fills = {"task fill": 0.6 * known, "composition fill": 0.4 * known, "open fill": of_open}
    expected = {"task": tasks + long, "composition": compositions, **fills}
    assert {name: 100 * times / len(drawn) for name, times in shares.items()} == pytest.approx(expected, abs=3)


def test_a_source_whose_share_is_nothing_is_not_drawn(sources: Sources) -> None:
    alone = Sources(sources.words, sources.functions, SLACKS, (0, 0, 0, 0, 1))
    rng = random.Random(1)
    assert {row.source for row in (alone.draw(rng) for _ in range(20)) if row} == {"open fill"}


def test_every_task_is_drawn(drawn: list[Row]) -> None:
    solutions = {code for task in classics() for code in task.solutions}
    shown = {row.code for row in drawn if row.source == "task"}
    assert shown <= solutions
    assert len(shown) > 0.8 * len(solutions)
    assert {task.solutions[0] for task in programs()} <= shown


@pytest.mark.parametrize(("slacks", "most"), [(BRIEF, 3), ({8: 1}, 7), ({ANSWER: 1}, ANSWER - 40)])
def test_pads_after_an_answer_are_bounded(sources: Sources, slacks: dict[int, int], most: int) -> None:
    bounded = Sources(sources.words, sources.functions, slacks)
    rng = random.Random(0)
    found = {bounded.slack(rng, 40) for _ in range(300)}
    assert max(found) == most
    assert min(found) >= 0
    assert bounded.slack(rng, ANSWER + 9) <= max(slacks) % ANSWER, "an answer longer than a canvas gets no pads"


def test_a_hole_may_be_as_long_as_one_of_free_length(sources: Sources) -> None:
    rng = random.Random(0)
    spare = Counter(sources.spare(rng, 30) for _ in range(400))
    assert spare[0] > 40, "no room to spare"
    assert spare[FREE - 30] > 120
    assert max(spare) < 40
    assert sources.spare(rng, FREE + 40) < 40


@given(
    seed=seeds, code=st.sampled_from([CODE, "x = 1\n", "def f():\n\n    pass\n", "import os\n\n\ndef f():\n    os\n"])
)
def test_a_hole_is_a_stretch_of_code_without_its_indentation(seed: int, code: str) -> None:
    start, stop = rows.hole(random.Random(seed), code)
    assert 0 <= start < stop <= len(code)
    assert code[stop:].strip("\n") or stop >= len(code.rstrip("\n"))
    if code[start - 1 : start] in {"", "\n"}:
        assert not code[start:stop].startswith(" "), "the indentation of a hole's first line stays outside"


def test_holes_are_lines_bodies_and_parts_of_lines() -> None:
    cut = Counter(CODE[start:stop] for start, stop in (rows.hole(random.Random(i), CODE) for i in range(600)))
    assert cut["return total"] > 20
    assert cut[CODE.split("\n", 1)[1].strip()] > 50, "the whole body"
    assert any(" " in text and "\n" not in text and text not in CODE.replace("    ", "").split("\n") for text in cut)


def test_known_code_is_filled_with_and_without_a_docstring_and_other_code_beside_it(drawn: list[Row]) -> None:
    codes = [row.code for row in drawn if row.source in {"task fill", "composition fill"}]
    documented = sum('    """' in code for code in codes) / len(codes)
    accompanied = sum("\n\n\ndef " in code for code in codes) / len(codes)
    assert 0.15 < documented < 0.5
    assert 0.1 < accompanied < 0.4
    assert all(ast.parse(code) for code in codes)


def test_a_docstring_stands_in_the_last_function_above_the_hole() -> None:
    before = "import os\n\n\ndef f():\n    return 1\n\n\ndef g(x):\n    y = x\n    "
    assert rows.documented(before, "Do it.") == before.replace("    y", '    """Do it."""\n    y')
    assert rows.documented("import os\n", "Do it.") == "import os\n"
    assert rows.documented("def f", "Do it.") == "def f"


def test_no_docstring_says_a_phrase_that_is_held_out() -> None:
    rng = random.Random(3)
    said = {plain(summarised(rng, task)) for task in classics() for _ in range(5)}
    assert len(said) > 400
    assert not said & kept_back()


def test_a_row_that_would_be_too_long_is_none(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "LONGEST", 10)
    assert sources.draw(random.Random(0)) is None
