"""A training of seconds makes a checkpoint that loads and writes, and says on the way where it is."""

from __future__ import annotations

import random
import shutil
import stat
from itertools import groupby
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors import safe_open

from diffucli.decode.policy import PRESETS
from diffucli.errors import UsageError
from diffucli.events import Finished
from diffucli.mini import classics, corpus, held_out, journal, recipe, rows
from diffucli.mini.recipe import SIZES, Begun, Progress, Recipe, Size, train
from diffucli.mini.wording import plain
from diffucli.model.load import load
from diffucli.tasks.engine import Engine

if TYPE_CHECKING:
    from pathlib import Path

    from diffucli.mini.corpus import Function

TINY = Recipe(
    *(Size(32, 64, 2, 2, 1), 0.1), causal=0.4, polish=0.3, batch_tokens=1024, rate=0.01, embed_rate=0.01, compiled=False
)


@pytest.fixture(scope="module")
def open_code(functions: list[Function]) -> list[Function]:
    return [*functions, *[corpus.Function(name, "Kept.", "def kept():\n    return 1\n") for name in corpus.HELD_OUT]]


@pytest.fixture(scope="module")
def folder(vocabulary_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(vocabulary_folder, tmp_path_factory.mktemp("trained") / "mini")


@pytest.fixture(scope="module")
def events(open_code: list[Function], folder: Path) -> list[Begun | Progress]:
    """What a training of six seconds on a few tasks tells."""
    few = classics.classics()[:5]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "functions", lambda: iter(open_code))
        patch.setattr(rows, "request", lambda rng, _tasks=(): (task := rng.choice(few), task.nouns[0]))
        patch.setattr(recipe, "SAVED", 2.0)
        return list(journal.kept(train(TINY, folder), TINY, folder))


def test_it_begins_with_what_it_has_and_leaves_out_the_packages_held_out(events: list[Begun | Progress]) -> None:
    first, *rest = events
    assert isinstance(first, Begun)
    assert first.functions == {"toys": 2, "tools": 1}
    assert first.device == torch.device("cpu")
    assert all(isinstance(event, Progress) for event in rest)


def test_it_is_causal_first_then_masked_diffusion_then_polished(events: list[Begun | Progress]) -> None:
    steps = [event for event in events if isinstance(event, Progress)]
    assert [stage for stage, _ in groupby(step.stage for step in steps)] == ["causal", "diffusion", "polish"]
    assert all((step.stage == "causal") == (step.done < TINY.causal) for step in steps)
    assert all((step.stage == "polish") == (step.done >= 1 - TINY.polish) for step in steps)
    assert [step.steps for step in steps] == list(range(1, len(steps) + 1))
    assert [step.done for step in steps] == pytest.approx([step.seconds / 6 for step in steps])
    assert steps[-1].tokens > steps[0].tokens > 0
    assert sum(steps[-1].rows.values()) > sum(steps[0].rows.values())
    assert 0 < steps[-1].programs <= sum(steps[-1].rows.values())


def test_the_loss_goes_down(events: list[Begun | Progress]) -> None:
    causal = [event.loss for event in events if isinstance(event, Progress) and event.stage == "causal"]
    assert causal[-1] < 0.8 * causal[0]


@pytest.mark.usefixtures("events")
def test_the_weights_are_bfloat16_in_a_file_that_all_may_read(folder: Path) -> None:
    path = folder / "model.safetensors"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert not list(folder.glob("*.part"))
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 — it is no mapping
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
    assert "model.layers.0.mlp.up_proj.weight" in tensors


@pytest.mark.usefixtures("events")
def test_the_checkpoint_loads_and_writes(folder: Path) -> None:
    checkpoint = load(folder, device="cpu")
    assert checkpoint.hole_padding
    assert checkpoint.tokenizer.instruct
    engine = Engine(checkpoint, PRESETS["balanced"])
    run = engine.generate("write a quicksort", length=32)
    *_, final = run.events
    assert isinstance(final, Finished)
    assert isinstance(engine.answer_of(run, final)[0], str)


def test_the_journal_stands_beside_the_weights(events: list[Begun | Progress], folder: Path) -> None:
    begun, last, log = events[0], events[-1], journal.read(folder)
    assert isinstance(begun, Begun)
    assert isinstance(last, Progress)
    assert (log.steps, log.tokens, log.programs, dict(log.rows)) == (last.steps, last.tokens, last.programs, last.rows)
    assert log.parameters == begun.parameters
    assert {point.stage for point in log.points} == {"causal", "diffusion", "polish"}
    assert log.recipe["size"]["hidden_size"] == 32
    assert [package.functions for package in log.packages] == [2, 1]


def test_it_goes_on_from_the_weights_that_are_there(
    events: list[Begun | Progress], open_code: list[Function], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = classics.classics()[:5]
    monkeypatch.setattr(corpus, "functions", lambda: iter(open_code))
    monkeypatch.setattr(rows, "request", lambda rng, _tasks=(): (task := rng.choice(few), task.nouns[0]))
    again = Recipe(TINY.size, 0.02, causal=0.0, batch_tokens=1024, compiled=False, seed=1)
    _, first, *_ = train(again, folder)
    untrained = next(event for event in events if isinstance(event, Progress))
    assert isinstance(first, Progress)
    assert first.stage == "diffusion"
    assert first.loss < 0.8 * untrained.loss


def test_an_unknown_device_is_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "functions", lambda: pytest.fail("it was read"))
    with pytest.raises(UsageError, match="no device"):
        next(train(Recipe(device="abacus"), tmp_path))


def test_a_vocabulary_is_learned_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, functions: list[Function]
) -> None:
    monkeypatch.setattr(corpus, "functions", lambda: iter(functions))
    monkeypatch.setattr(recipe, "PROGRAMS", 50)
    assert isinstance(next(train(TINY, tmp_path / "new")), Begun)
    assert (tmp_path / "new" / "merges.txt").exists()


def test_the_vocabulary_is_learned_from_nothing_that_is_held_out(
    functions: list[Function], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "PROGRAMS", 50)
    texts = set(recipe._texts(functions, random.Random(0)))
    asked = {plain(text) for text in texts}
    assert not asked & {plain(request.text) for request in held_out.phrasings()}
    assert {function.code for function in functions} <= texts
    assert {solution for task in classics.classics() for solution in task.solutions} <= texts


def test_sizes_have_names() -> None:
    assert set(SIZES) == {"small", "large"}
    assert SIZES["large"].hidden_size > SIZES["small"].hidden_size
