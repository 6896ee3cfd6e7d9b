"""The training log is a fold over the events of a training, and can be read again."""

from __future__ import annotations

import json
from dataclasses import replace
from email.message import Message
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from diffucli.errors import UsageError
from diffucli.mini import training_log
from diffucli.mini.recipe import Recipe, TrainingStarted, TrainingStep
from diffucli.mini.training_log import NAME, POINTS, LossPoint, TrainedPackage, package, thinned

if TYPE_CHECKING:
    from collections.abc import Iterator

RECIPE = Recipe(minutes=10.0)
STARTED = TrainingStarted({"packaging": 3}, 1000, torch.device("cpu"))


def step(number: int, loss: float = 1.0, stage: str = "causal") -> TrainingStep:
    rows, seconds = {"task": number}, float(number)
    return TrainingStep(seconds / 600, seconds, loss, stage, number, 100 * number, rows, number)  # type: ignore[arg-type]


def test_every_event_is_yielded(tmp_path: Path) -> None:
    events = [STARTED, step(1), step(2)]
    assert list(training_log.logged(events, RECIPE, tmp_path)) == events


def test_what_was_written_is_read(tmp_path: Path) -> None:
    list(training_log.logged([STARTED, step(1), step(2, 3.0), step(3)], RECIPE, tmp_path))
    log = training_log.read(tmp_path)
    assert (log.steps, log.tokens, log.seconds, log.rows, log.programs) == (3, 300, 3.0, {"task": 3}, 3)
    assert log.recipe["minutes"] == 10.0
    training_log.write(log, tmp_path)
    assert training_log.read(tmp_path) == log


def test_the_log_of_mini_can_be_read() -> None:
    """It was written when sessions were called `goes`."""
    folder = Path(str(resources.files("diffucli") / "models" / "mini"))
    text = json.loads((folder / NAME).read_text())
    log = training_log.read(folder)
    assert log.sessions == tuple(text.get("goes") or text["sessions"])
    assert len(log.sessions) > 1
    assert sum(log.rows.values()) > 100_000


def test_a_resumed_training_has_one_log(tmp_path: Path) -> None:
    list(training_log.logged([STARTED, step(1), step(60, 3.0)], RECIPE, tmp_path))
    first = training_log.read(tmp_path)
    list(training_log.logged([STARTED, step(1), step(30, 2.0, "polish")], RECIPE, tmp_path, before=first))
    both = training_log.read(tmp_path)
    assert (both.steps, both.tokens, both.seconds, both.rows) == (90, 9000, 90.0, {"task": 90})
    assert both.programs == 60, "the overlap is unknown"
    assert both.sessions == (1.0, 0.5)
    assert both.points[: len(first.points)] == first.points
    assert (both.points[-1].seconds, both.points[-1].tokens, both.points[-1].stage) == (61.0, 6100, "causal")


def test_a_point_has_the_mean_loss_since_the_point_before(tmp_path: Path) -> None:
    assert 600 / POINTS == 3.0
    list(training_log.logged([STARTED, *(step(i, float(i)) for i in range(1, 11))], RECIPE, tmp_path))
    points = training_log.read(tmp_path).points
    assert [(p.seconds, p.tokens, p.loss) for p in points] == [(5.0, 500, 3.0), (10.0, 1000, 8.0)]


def test_a_long_curve_is_thinned_stage_by_stage() -> None:
    curve = [LossPoint(float(i), 10 * i, "causal" if i <= 30 else "diffusion", float(i)) for i in range(1, 101)]
    few = thinned(curve, 12)
    assert len(few) <= 12
    assert few[-1].tokens == 1000
    assert {point.stage for point in few} == {"causal", "diffusion"}
    causal = [point for point in few if point.stage == "causal"]
    assert causal[-1].tokens == 300
    assert causal[0].loss == pytest.approx((1 + causal[0].tokens / 10) / 2)
    assert thinned(curve, 100) == tuple(curve)
    assert len(thinned(curve, 1)) == 2, "a stage keeps a point"


def test_a_mean_of_points_is_weighted_by_their_tokens() -> None:
    uneven = [LossPoint(1.0, 10, "polish", 4.0), LossPoint(2.0, 40, "polish", 8.0)]
    assert thinned(uneven, 1) == (LossPoint(2.0, 40, "polish", 7.0),)


def test_the_file_of_a_long_training_is_short(tmp_path: Path) -> None:
    curve = tuple(LossPoint(i / 3, 12345 * i, "diffusion", 0.1234) for i in range(1, 3000))
    list(training_log.logged([STARTED, step(1)], RECIPE, tmp_path))
    training_log.write(replace(training_log.read(tmp_path), points=curve), tmp_path)
    assert len(training_log.read(tmp_path).points) <= POINTS
    assert (tmp_path / NAME).stat().st_size < 16_000


def test_a_stage_ends_its_point(tmp_path: Path) -> None:
    list(training_log.logged([STARTED, step(1, 9.0), step(2, 1.0, "diffusion"), *map(step, (9, 20))], RECIPE, tmp_path))
    points = training_log.read(tmp_path).points
    assert [(p.stage, p.loss) for p in points] == [("causal", 9.0), ("diffusion", 1.0), ("causal", 1.0)]


def test_an_interrupted_training_leaves_its_log(tmp_path: Path) -> None:
    def events() -> Iterator[TrainingStarted | TrainingStep]:
        yield from (STARTED, step(1))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(training_log.logged(events(), RECIPE, tmp_path))
    assert training_log.read(tmp_path).steps == 1


def test_it_is_written_now_and_then(tmp_path: Path) -> None:
    events = training_log.logged([STARTED, step(1), step(99), step(100)], RECIPE, tmp_path)
    assert [(next(events), (tmp_path / NAME).exists())[1] for _ in range(3)] == [False, False, True]
    assert training_log.read(tmp_path).steps == 99


def test_a_training_without_a_step_leaves_no_log(tmp_path: Path) -> None:
    list(training_log.logged([STARTED], RECIPE, tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", [None, "{", "[]", "{}", '{"schema": "diffu.training/1", "points": 3}'])
def test_a_folder_without_a_valid_log_is_the_users_mistake(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / NAME).write_text(text)
    with pytest.raises(UsageError, match="has no training log"):
        training_log.read(tmp_path)


def test_it_names_only_the_hardware_of_the_machine(tmp_path: Path) -> None:
    list(training_log.logged([STARTED, step(1)], RECIPE, tmp_path))
    assert set(json.loads((tmp_path / NAME).read_text())["machine"]) == {"processor", "cores", "threads", "device"}


def test_packages_have_their_version_and_licence() -> None:
    found = package("packaging", 7)
    assert found == TrainedPackage("packaging", metadata.version("packaging"), found.licence, 7)
    assert "Apache" in found.licence, "an expression or, in older packages, a classifier"
    assert package("no_such_package", 2) == TrainedPackage("no_such_package", "", "unknown", 2)
    assert package("stdlib", 1).licence == "PSF-2.0"


def test_a_licence_is_taken_from_classifiers_where_there_is_no_expression(monkeypatch: pytest.MonkeyPatch) -> None:
    about = Message()
    for key, value in (
        ("Name", "toys"),
        ("Version", "1"),
        ("Classifier", "License :: OSI Approved :: BSD License"),
        ("Classifier", "License :: OSI Approved :: MIT License"),
        ("Classifier", "Topic :: Toys"),
    ):
        about[key] = value
    monkeypatch.setattr(metadata, "metadata", lambda name: about)
    assert package("toys", 1) == TrainedPackage("toys", "1", "BSD License or MIT License", 1)
    about["License-Expression"] = "MIT"
    assert package("toys", 1).licence == "MIT"
