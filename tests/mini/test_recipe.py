"""A training of seconds yields its progress and makes a checkpoint that loads and writes."""

from __future__ import annotations

import random
import shutil
import stat
from dataclasses import replace
from itertools import count, groupby
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from diffucli.decode.loop import alone
from diffucli.decode.policy import PRESETS
from diffucli.errors import UsageError
from diffucli.mini import classics, corpus, held_out, recipe, rows, training_log
from diffucli.mini.recipe import (
    SHAPES,
    ModelShape,
    Recipe,
    TrainingStarted,
    TrainingStep,
    averaged,
    can_compile,
    fast_bfloat16,
    optimizers,
    schedule,
    train,
    update,
)
from diffucli.mini.wording import normalize
from diffucli.model.config import Config
from diffucli.model.load import load
from diffucli.tasks.generate import Request, generate
from diffucli.train.hf_reference import untrained
from diffucli.ui.live import pull

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import Qwen2ForCausalLM

    from diffucli.mini.corpus import Function

TINY = Recipe(
    *(ModelShape(32, 64, 2, 2, 1), 0.1),
    causal=0.4,
    polish=0.3,
    batch_tokens=1024,
    rate=0.01,
    embed_rate=0.01,
    compiled=False,
)


@pytest.fixture(scope="module")
def open_code(functions: list[Function]) -> list[Function]:
    return [*functions, *[corpus.Function(name, "Kept.", "def kept():\n    return 1\n") for name in corpus.HELD_OUT]]


@pytest.fixture(scope="module")
def folder(vocabulary_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(vocabulary_folder, tmp_path_factory.mktemp("trained") / "mini")


@pytest.fixture(scope="module")
def events(open_code: list[Function], folder: Path) -> list[TrainingStarted | TrainingStep]:
    """The events of a training of six seconds on a few tasks."""
    few = classics.classics()[:5]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "functions", lambda: iter(open_code))
        patch.setattr(rows, "draw_request", lambda rng, _tasks=(): (task := rng.choice(few), task.nouns[0]))
        patch.setattr(recipe, "SAVE_SECONDS", 2.0)
        return list(training_log.logged(train(TINY, folder), TINY, folder))


def test_it_begins_with_what_it_has_and_leaves_out_the_packages_held_out(
    events: list[TrainingStarted | TrainingStep],
) -> None:
    first, *rest = events
    assert isinstance(first, TrainingStarted)
    assert first.functions == {"toys": 2, "tools": 1}
    assert first.device == torch.device("cpu")
    assert all(isinstance(event, TrainingStep) for event in rest)


def test_it_is_causal_first_then_masked_diffusion_then_polished(events: list[TrainingStarted | TrainingStep]) -> None:
    steps = [event for event in events if isinstance(event, TrainingStep)]
    assert [stage for stage, _ in groupby(step.stage for step in steps)] == ["causal", "diffusion", "polish"]
    assert all((step.stage == "causal") == (step.done < TINY.causal) for step in steps)
    assert all((step.stage == "polish") == (step.done >= 1 - TINY.polish) for step in steps)
    assert [step.steps for step in steps] == list(range(1, len(steps) + 1))
    assert [step.done for step in steps] == pytest.approx([step.seconds / 6 for step in steps])
    assert steps[-1].tokens > steps[0].tokens > 0
    assert sum(steps[-1].rows.values()) > sum(steps[0].rows.values())
    assert 0 < steps[-1].programs <= sum(steps[-1].rows.values())


def test_seconds_are_those_since_the_first_step(
    open_code: list[Function], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = count()
    monkeypatch.setattr(corpus, "functions", lambda: iter(open_code))
    monkeypatch.setattr(recipe, "save", lambda *_: None)
    monkeypatch.setattr(recipe, "_loss", lambda _stage, model, *_: model.lm_head.weight.sum())
    monkeypatch.setattr(recipe.time, "monotonic", lambda: 100.0 + next(ticks))
    _, *steps = train(replace(TINY, minutes=10 / 60), folder)
    assert [step.seconds for step in steps] == [1, 3, 5, 7, 9], "the clock is read twice a step"  # type: ignore[union-attr]
    assert [step.done for step in steps] == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9])  # type: ignore[union-attr]


def test_the_loss_goes_down(events: list[TrainingStarted | TrainingStep]) -> None:
    causal = [event.loss for event in events if isinstance(event, TrainingStep) and event.stage == "causal"]
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
    assert checkpoint.config.hole_padding
    assert checkpoint.tokenizer.instruct
    run = generate(checkpoint, Request("write a quicksort", length=32), PRESETS["balanced"])
    result = pull(alone(checkpoint.network, run))
    assert isinstance(result.text, str)
    assert result.nfe > 0
    assert result.chosen.written.masks == 32


def test_the_log_is_in_the_checkpoint_folder(events: list[TrainingStarted | TrainingStep], folder: Path) -> None:
    started, last, log = events[0], events[-1], training_log.read(folder)
    assert isinstance(started, TrainingStarted)
    assert isinstance(last, TrainingStep)
    assert (log.steps, log.tokens, log.programs, dict(log.rows)) == (last.steps, last.tokens, last.programs, last.rows)
    assert log.parameters == started.parameters
    assert {point.stage for point in log.points} == {"causal", "diffusion", "polish"}
    assert log.recipe["size"]["hidden_size"] == 32
    assert [package.functions for package in log.packages] == [2, 1]


@pytest.mark.usefixtures("events")
def test_it_resumes_from_the_weights_in_the_folder(
    open_code: list[Function], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models: list[Qwen2ForCausalLM] = []
    monkeypatch.setattr(corpus, "functions", lambda: iter(open_code))
    monkeypatch.setattr(recipe, "_steps", lambda _recipe, model, _sampler, _folder: iter(models.append(model) or ()))
    (started,) = train(TINY, folder)
    assert isinstance(started, TrainingStarted)
    state, saved = models[0].state_dict(), load_file(folder / "model.safetensors")
    assert set(state) == set(saved)
    assert all(torch.equal(state[name].bfloat16(), value) for name, value in saved.items())
    assert state["lm_head.weight"].dtype == torch.float32


def test_without_a_causal_share_it_begins_with_diffusion(
    open_code: list[Function], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "functions", lambda: iter(open_code))
    again = Recipe(TINY.size, 0.02, causal=0.0, batch_tokens=1024, compiled=False, seed=1)
    _, first, *_ = train(again, folder)
    assert isinstance(first, TrainingStep)
    assert first.stage == "diffusion"


def test_an_unknown_device_is_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "functions", lambda: pytest.fail("it was read"))
    with pytest.raises(UsageError, match="no device"):
        next(train(Recipe(device="abacus"), tmp_path))


def test_a_vocabulary_is_learned_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, functions: list[Function]
) -> None:
    monkeypatch.setattr(corpus, "functions", lambda: iter(functions))
    monkeypatch.setattr(recipe, "PROGRAMS", 50)
    assert isinstance(next(train(TINY, tmp_path / "new")), TrainingStarted)
    assert (tmp_path / "new" / "merges.txt").exists()


def test_the_vocabulary_is_learned_from_nothing_that_is_held_out(
    functions: list[Function], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "PROGRAMS", 50)
    texts = set(recipe.vocabulary_texts(functions, random.Random(0)))
    requests = {normalize(text) for text in texts}
    assert not requests & {normalize(request.text) for request in held_out.phrasings()}
    assert {function.code for function in functions} <= texts
    assert {solution for task in classics.classics() for solution in task.solutions} <= texts


def test_sizes_have_names() -> None:
    assert set(SHAPES) == {"small", "large"}
    assert SHAPES["large"].hidden_size > SHAPES["small"].hidden_size


@pytest.fixture
def model() -> Qwen2ForCausalLM:
    return untrained(Config(20, hidden_size=16, intermediate_size=32, num_layers=2, num_heads=2, num_kv_heads=1))


def test_the_rate_goes_up_stays_and_goes_down_to_nothing() -> None:
    assert schedule(0.0) == 1e-3
    assert schedule(0.01) == pytest.approx(0.5)
    assert {schedule(done) for done in (0.02, 0.2, 0.5)} == {1.0}
    assert schedule(0.75) == pytest.approx(0.5)
    assert schedule(1.0) == schedule(1.1) == 0.0


def test_the_average_forgets_the_first_weights_of_a_short_session() -> None:
    average = torch.ones(3)
    for number in range(1, 41):
        average = averaged(average, torch.zeros(3), number)
    assert float(average.max()) < 0.01
    late = averaged(torch.ones(3), torch.zeros(3), 10_000)
    assert late.tolist() == pytest.approx([recipe.AVERAGE_DECAY] * 3)


def test_every_weight_has_one_optimizer_and_matrices_of_the_layers_have_muon(model: Qwen2ForCausalLM) -> None:
    (muon, fast), (adam, slow) = optimizers(model, rate=0.2, embed_rate=0.1)
    assert (type(muon).__name__, type(adam).__name__, fast, slow) == ("Muon", "AdamW", 0.2, 0.1)
    held = [id(p) for each in (muon, adam) for group in each.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters())
    names = {id(p): name for name, p in model.named_parameters()}
    inner = {names[id(p)] for group in muon.param_groups for p in group["params"]}
    assert all("_proj" in name for name in inner)
    assert len(inner) == 2 * 7


def test_an_update_goes_down_and_leaves_no_gradient(model: Qwen2ForCausalLM) -> None:
    tokens = torch.arange(12)[None]
    optimizing, losses = optimizers(model, rate=0.01, embed_rate=0.01), []
    for _ in range(5):
        loss = model(input_ids=tokens, labels=tokens).loss
        update(model, optimizing, loss, factor=0.5)
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert all(p.grad is None for p in model.parameters())
    assert {group["lr"] for each, _ in optimizing for group in each.param_groups} == {0.005}


def test_compiling_needs_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert not can_compile(torch.device("cpu"))
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/clang++" if name == "clang++" else None)
    assert can_compile(torch.device("cpu"))
    monkeypatch.setattr(recipe, "find_spec", lambda name: None)
    assert not can_compile(torch.device("cuda"))
    assert not can_compile(torch.device("mps"))


def test_gpus_are_quick_in_bfloat16() -> None:
    assert fast_bfloat16(torch.device("cuda"))
    assert isinstance(fast_bfloat16(torch.device("cpu")), bool)
