"""Rows are laid out exactly as decoding lays canvases out, and nothing in them is held out."""

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
from diffucli.mini.classics import classics, draw_summary, held_out_requests, programs
from diffucli.mini.compositions import Composition, compose
from diffucli.mini.compositions import held_out as is_held_out
from diffucli.mini.rows import CAUSAL_PADDING, LONGEST, PADDING, SHARES, RowSampler, TrainingRow
from diffucli.mini.wording import normalize
from diffucli.model.tokenizer import read
from diffucli.tasks import prompt
from diffucli.tasks.fill import DEFAULT_HOLE_TOKENS
from diffucli.tasks.generate import DEFAULT_ANSWER_TOKENS

if TYPE_CHECKING:
    from diffucli.mini.corpus import Function
    from diffucli.model.tokenizer import Tokenizer

CODE = "def f(items):\n    total = 0\n    for item in items:\n        total += item\n    return total\n"
LONG = {DEFAULT_ANSWER_TOKENS: 1}  # every answer is padded to the default canvas
REQUEST = re.compile(r"user\n(.*)\n<\|im_end\|>")
seeds = st.integers(0, 10**6)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """The tokenizer of mini, with which whole programs fit into a row."""
    return read(Path(str(resources.files("diffucli") / "models" / "mini")))


@pytest.fixture(scope="module")
def sampler(tokenizer: Tokenizer, functions: list[Function]) -> RowSampler:
    return RowSampler(tokenizer, functions, PADDING)


@pytest.fixture(scope="module")
def composed() -> list[Composition]:
    """All compositions drawn for the rows below, held out or not."""
    return []


@pytest.fixture(scope="module")
def drawn(sampler: RowSampler, composed: list[Composition]) -> list[TrainingRow]:
    def noted(rng: random.Random) -> Composition:
        composed.append(compose(rng))
        return composed[-1]

    rng = random.Random(7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "compose", noted)
        return [row for row in (sampler.draw(rng) for _ in range(4000)) if row is not None]


def filled(row: TrainingRow, pad: int) -> list[int]:
    """The content of a row's hole without the padding at its end."""
    (hole,) = row.holes
    held = list(row.tokens[hole.start : hole.stop])
    while held and held[-1] == pad:
        held.pop()
    return held


@given(seed=seeds)
def test_an_answer_is_laid_out_as_the_engine_lays_it_out(sampler: RowSampler, tokenizer: Tokenizer, seed: int) -> None:
    row = sampler.answer(random.Random(seed), "sum a list", CODE, kind="task")
    (hole,) = row.holes
    laid = prompt.answer(tokenizer, "sum a list", length=len(hole))
    assert row.holes == laid.holes
    assert row.tokens[: hole.start] == laid.tokens[: hole.start]
    assert len(row.tokens) == len(laid.tokens) == hole.stop
    assert filled(row, tokenizer.pad) == [*tokenizer.encode(CODE), *prompt.closing(tokenizer, "sum a list")]
    assert row.answers


@given(seed=seeds, query=st.sampled_from([None, "sum a list"]))
def test_a_fill_is_laid_out_as_the_engine_lays_it_out(
    sampler: RowSampler, tokenizer: Tokenizer, seed: int, query: str | None
) -> None:
    rng = random.Random(seed)
    state = rng.getstate()
    row = sampler.fill(rng, rows.cut_hole(rng, CODE), query, kind="open fill")
    rng.setstate(state)
    start, stop = rows.hole_range(rng, CODE)
    (hole,) = row.holes
    laid = prompt.file(tokenizer, [CODE[:start], CODE[stop:]], [len(hole)], request=query)
    assert row.holes == laid.holes
    for part in (slice(0, hole.start), slice(hole.stop, None)):
        assert row.tokens[part] == laid.tokens[part]
    text = tokenizer.decode(filled(row, tokenizer.pad))
    assert prompt.outside(CODE[:start], text) == CODE[start:stop]
    assert not row.answers


def test_holes_hold_content_and_then_only_padding(drawn: list[TrainingRow], tokenizer: Tokenizer) -> None:
    for row in drawn:
        (hole,) = row.holes
        outside = [*row.tokens[: hole.start], *row.tokens[hole.stop :]]
        assert tokenizer.pad not in [*filled(row, tokenizer.pad), *outside]
        assert tokenizer.mask not in row.tokens


def test_every_row_has_its_code_in_full(drawn: list[TrainingRow], tokenizer: Tokenizer) -> None:
    for row in drawn:
        text = tokenizer.decode([token for token in row.tokens if token != tokenizer.pad])
        if "<|im_start|>" in text:
            assert text.endswith(f"```python\n{row.code}```<|im_end|>")
        else:
            assert text == row.code
        assert len(row.tokens) <= LONGEST


def test_no_request_is_a_held_out_phrase(drawn: list[TrainingRow], tokenizer: Tokenizer) -> None:
    found = [REQUEST.search(tokenizer.decode(row.tokens)) for row in drawn if row.kind in {"task", "task fill"}]
    requests = {normalize(match[1]) for match in found if match}
    assert len(requests) > 500
    assert not requests & held_out_requests()


def test_no_row_has_a_held_out_composition(drawn: list[TrainingRow], composed: list[Composition]) -> None:
    held = {item.code for item in composed if is_held_out(item.key)}
    shown = {row.code for row in drawn if row.kind == "composition"}
    assert len(held) > 30
    assert not held & shown
    assert shown <= {item.code for item in composed}


def test_a_composition_that_fails_its_tests_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [compose(random.Random(seed)) for seed in range(40)]
    right = next(item for item in items if not is_held_out(item.key))
    wrong = Composition(right.key, right.instruction, "def f(x):\n    return None\n", "assert candidate(1)")
    monkeypatch.setattr(rows, "compose", lambda queue: queue.pop(0))
    assert rows.trained_composition([wrong, right]) == right  # type: ignore[arg-type]


def test_kinds_of_rows_come_in_their_shares(drawn: list[TrainingRow]) -> None:
    shares = Counter(row.kind for row in drawn)
    tasks, long, compositions, known, of_open = SHARES
    fills = {"task fill": 0.6 * known, "composition fill": 0.4 * known, "open fill": of_open}
    expected = {"task": tasks + long, "composition": compositions, **fills}
    assert {name: 100 * times / len(drawn) for name, times in shares.items()} == pytest.approx(expected, abs=3)


def test_a_kind_with_share_zero_is_not_drawn(sampler: RowSampler) -> None:
    alone = RowSampler(sampler.tokenizer, sampler.functions, PADDING, (0, 0, 0, 0, 1))
    rng = random.Random(1)
    assert {row.kind for row in (alone.draw(rng) for _ in range(20)) if row} == {"open fill"}


def test_every_task_is_drawn(drawn: list[TrainingRow]) -> None:
    solutions = {code for task in classics() for code in task.solutions}
    shown = {row.code for row in drawn if row.kind == "task"}
    assert shown <= solutions
    assert len(shown) > 0.8 * len(solutions)
    assert {task.solutions[0] for task in programs()} <= shown


@pytest.mark.parametrize(("padding", "most"), [(CAUSAL_PADDING, 3), ({8: 1}, 7), (LONG, DEFAULT_ANSWER_TOKENS - 40)])
def test_pads_after_an_answer_are_bounded(sampler: RowSampler, padding: dict[int, int], most: int) -> None:
    bounded = RowSampler(sampler.tokenizer, sampler.functions, padding)
    rng = random.Random(0)
    found = {bounded.answer_padding(rng, 40) for _ in range(300)}
    assert max(found) == most
    assert min(found) >= 0
    assert bounded.answer_padding(rng, DEFAULT_ANSWER_TOKENS + 9) <= max(padding) % DEFAULT_ANSWER_TOKENS, (
        "an answer longer than a canvas gets no pads"
    )


def test_a_hole_may_be_as_long_as_one_of_free_length(sampler: RowSampler) -> None:
    rng = random.Random(0)
    spare = Counter(sampler.hole_padding(rng, 30) for _ in range(400))
    assert spare[0] > 40, "no room to spare"
    assert spare[DEFAULT_HOLE_TOKENS - 30] > 120
    assert max(spare) < 40
    assert sampler.hole_padding(rng, DEFAULT_HOLE_TOKENS + 40) < 40


@given(
    seed=seeds, code=st.sampled_from([CODE, "x = 1\n", "def f():\n\n    pass\n", "import os\n\n\ndef f():\n    os\n"])
)
def test_a_hole_is_a_stretch_of_code_without_its_indentation(seed: int, code: str) -> None:
    start, stop = rows.hole_range(random.Random(seed), code)
    assert 0 <= start < stop <= len(code)
    assert code[stop:].strip("\n") or stop >= len(code.rstrip("\n"))
    if code[start - 1 : start] in {"", "\n"}:
        assert not code[start:stop].startswith(" "), "the indentation of a hole's first line stays outside"


def test_holes_are_lines_bodies_and_parts_of_lines() -> None:
    cut = Counter(CODE[start:stop] for start, stop in (rows.hole_range(random.Random(i), CODE) for i in range(600)))
    assert cut["return total"] > 20
    assert cut[CODE.split("\n", 1)[1].strip()] > 50, "the whole body"
    assert any(" " in text and "\n" not in text and text not in CODE.replace("    ", "").split("\n") for text in cut)


def test_known_code_is_filled_with_and_without_docstrings_and_neighbours(drawn: list[TrainingRow]) -> None:
    codes = [row.code for row in drawn if row.kind in {"task fill", "composition fill"}]
    documented = sum('    """' in code for code in codes) / len(codes)
    accompanied = sum("\n\n\ndef " in code for code in codes) / len(codes)
    assert 0.15 < documented < 0.5
    assert 0.1 < accompanied < 0.4
    assert all(ast.parse(code) for code in codes)


def test_a_docstring_is_put_into_the_last_function_above_the_hole() -> None:
    before = "import os\n\n\ndef f():\n    return 1\n\n\ndef g(x):\n    y = x\n    "
    assert rows.with_docstring(before, "Do it.") == before.replace("    y", '    """Do it."""\n    y')
    assert rows.with_docstring("import os\n", "Do it.") == "import os\n"
    assert rows.with_docstring("def f", "Do it.") == "def f"


def test_no_docstring_is_a_held_out_phrase() -> None:
    rng = random.Random(3)
    found = {normalize(draw_summary(rng, task)) for task in classics() for _ in range(5)}
    assert len(found) > 400
    assert not found & held_out_requests()


def test_a_row_that_would_be_too_long_is_none(sampler: RowSampler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "LONGEST", 10)
    assert sampler.draw(random.Random(0)) is None
