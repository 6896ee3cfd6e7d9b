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
from diffucli.mini.holes import cut, cut_several
from diffucli.mini.rows import (
    CANVASES,
    CAUSAL_PADDING,
    EXACT,
    LONGEST,
    PADDING,
    SHARES,
    RowSampler,
    TrainingRow,
    hole_padding,
)
from diffucli.mini.wording import normalize
from diffucli.model.tokenizer import read
from diffucli.tasks import prompt
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
    """The content of a row's last hole without the padding at its end."""
    hole = row.holes[-1]
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
    start, stop = cut(rng, CODE)
    row = sampler.fill(rng, CODE, [(start, stop)], query, kind="open fill")
    (hole,) = row.holes
    laid = prompt.file(tokenizer, [CODE[:start], CODE[stop:]], [len(hole)], request=query)
    assert row.holes == laid.holes
    for part in (slice(0, hole.start), slice(hole.stop, None)):
        assert row.tokens[part] == laid.tokens[part]
    text = tokenizer.decode(filled(row, tokenizer.pad))
    assert prompt.outside(CODE[:start], text) == CODE[start:stop]
    assert not row.answers


@given(seed=seeds)
def test_several_holes_are_laid_out_as_the_engine_lays_them_out(
    sampler: RowSampler, tokenizer: Tokenizer, seed: int
) -> None:
    rng = random.Random(seed)
    ranges = cut_several(rng, CODE, 4)
    row = sampler.fill(rng, CODE, ranges, None, kind="open fill")
    assert len(row.holes) == len(ranges)
    if len(ranges) > 1:
        assert tokenizer.pad not in row.tokens
    bounds = [0, *(end for each in ranges for end in each), len(CODE)]
    parts = [CODE[a:b] for a, b in zip(bounds[::2], bounds[1::2], strict=True)]
    laid = prompt.file(tokenizer, parts, [len(hole) for hole in row.holes])
    assert row.holes == laid.holes
    assert tokenizer.decode([token for token in row.tokens if token != tokenizer.pad]) == CODE


@given(seed=seeds)
def test_holes_of_whole_tokens_leave_the_code_as_it_is_encoded(
    sampler: RowSampler, tokenizer: Tokenizer, seed: int
) -> None:
    row = sampler.fill_tokens(random.Random(seed), CODE, kind="open fill")
    assert list(row.tokens) == tokenizer.encode(CODE)
    ends = [end for hole in row.holes for end in (hole.start, hole.stop)]
    assert ends == sorted(ends)
    assert all(1 <= len(hole) <= 12 for hole in row.holes)


def test_holes_hold_content_and_then_only_padding(drawn: list[TrainingRow], tokenizer: Tokenizer) -> None:
    for row in drawn:
        inner = {i for hole in row.holes for i in range(hole.start, hole.stop)}
        assert all(i in inner for i, token in enumerate(row.tokens) if token == tokenizer.pad)
        assert tokenizer.pad not in filled(row, tokenizer.pad)
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
    tasks, long, compositions, known, ordinary, of_open = SHARES
    fills = {"task fill": 0.6 * known, "composition fill": 0.4 * known, "everyday fill": ordinary, "open fill": of_open}
    expected = {"task": tasks + long, "composition": compositions, **fills}
    assert {name: 100 * times / len(drawn) for name, times in shares.items()} == pytest.approx(expected, abs=3)


def test_a_kind_with_share_zero_is_not_drawn(sampler: RowSampler) -> None:
    alone = RowSampler(sampler.tokenizer, sampler.functions, PADDING, (0, 0, 0, 0, 0, 1))
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


def test_half_of_the_holes_have_no_room_to_spare_and_the_others_often_that_of_a_canvas() -> None:
    rng = random.Random(0)
    spare = Counter(hole_padding(rng, 9) for _ in range(1000))
    assert spare[0] / 1000 == pytest.approx(EXACT, abs=0.05)
    assert spare[CANVASES[1] - 9] > 150, "the smallest that has room"
    assert spare[CANVASES[3] - 9] > 40
    assert max(hole_padding(rng, CANVASES[-1] + 5) for _ in range(300)) < 16


def test_known_code_is_filled_with_and_without_docstrings_and_neighbours(drawn: list[TrainingRow]) -> None:
    codes = [row.code for row in drawn if row.kind in {"task fill", "composition fill"}]
    documented = sum('    """' in code for code in codes) / len(codes)
    accompanied = sum("\n\n\ndef " in code for code in codes) / len(codes)
    assert 0.1 < documented < 0.5
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
