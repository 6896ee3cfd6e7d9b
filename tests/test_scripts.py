"""The scripts of the documentation still fit the code: everything that they import exists."""

from __future__ import annotations

import ast
import importlib
import re
import runpy
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
import torch

from diffucli.decode.policy import PRESETS
from diffucli.model.load import load

if TYPE_CHECKING:
    from diffucli.model.load import Checkpoint

FOLDER = Path(__file__).parents[1] / "docs" / "scripts"
SCRIPTS = sorted(FOLDER.glob("*.py"))


def script(name: str) -> dict[str, Any]:
    """What the script of that name defines."""
    return runpy.run_path(str(FOLDER / f"{name}.py"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_can_be_loaded_and_has_a_main(path: Path) -> None:
    assert callable(runpy.run_path(str(path))["main"])


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_whatever_a_script_imports_from_the_package_exists(path: Path) -> None:
    """Imports inside functions, too, which loading the script does not run."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "diffucli":
            module = importlib.import_module(node.module or "")
            for name in (alias.name for alias in node.names):
                assert hasattr(module, name) or importlib.import_module(f"{node.module}.{name}"), name


def test_the_picture_shows_how_a_hole_is_filled_rightly_from_its_first_step_to_its_last(tmp_path: Path) -> None:
    live, target = script("live"), tmp_path / "live.svg"
    text = live["main"](target=target)
    namespace: dict[str, Any] = {}
    exec(text, namespace)
    assert [namespace["is_palindrome"](each) for each in ("Never odd or even!", "Neither")] == [True, False]
    root = ET.parse(target).getroot()
    words = " ".join(" ".join(root.itertext()).split())
    assert "diffu fill palindrome.py" in words
    left = [int(number) for number in re.findall(r"(\d+) masks? left", words)]
    assert (max(left), min(left)) == (40, 0)
    assert len(left) > 20
    assert any(node.tag.endswith("animate") for node in root.iter())
    assert "tok/s" not in words, "nothing tells of the machine"


def test_what_temperature_does_is_measured_and_written_by_one_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("diffucli.bench.orders.MOST", 1)
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "understanding.md"
    before = (FOLDER.parent / page.name).read_text(encoding="utf-8")
    page.write_text(before, encoding="utf-8")
    script("understanding")["main"](["--quick"], root=tmp_path)
    after = page.read_text(encoding="utf-8")
    assert "- problems: 1 of new code, 1 of body of a function" in after
    parts = [re.split(r"<!-- measured: \w+ -->.*?<!-- end -->", text, flags=re.DOTALL) for text in (before, after)]
    assert parts[0] == parts[1], "what is written by hand stays"
    drawn = {path.name: path.stat().st_size for path in page.parent.glob("*.svg")}
    assert set(drawn) == set(re.findall(r"\]\((understanding-\w+\.svg)\)", before))
    assert all(0 < size < 40_000 for size in drawn.values())


def test_recorded_runs_are_held_against_their_replays_and_a_difference_is_told(checkpoint: Checkpoint) -> None:
    traces = script("traces")
    (line,) = traces["runs"](checkpoint, 5)
    assert line.startswith("5 of 5 runs are replayed byte for byte: 1 of an answer, 1 of three candidates")
    assert all(int(count) for count in re.findall(r"(\d+) (?:masked again|changes of length|canvases)", line))
    events = traces["recorded"](checkpoint, "tokens masked again", PRESETS["balanced"])
    assert traces["differs"](events, checkpoint) == ""
    assert traces["differs"]([*events[:-2], events[-1]], checkpoint)
    assert traces["fuzz"](checkpoint, 2)[0].startswith("2 of 2 damaged traces are told in a line")
    loaded, drawn = traces["large"](100)
    assert loaded.startswith("a trace of 100 tokens")
    assert "a step of it is drawn in" in drawn


def test_a_forward_of_a_variant_is_timed_on_the_whole_canvas_and_on_a_window(checkpoint: Checkpoint) -> None:
    variants = script("cpu_variants")
    variant, tokens = variants["Variant"](checkpoint.network, 0.0), torch.arange(variants["LENGTH"])
    for _ in range(3):
        variants["measure"](variant, tokens)
    assert variant.first > 0
    assert len(variant.full) == len(variant.window) == 2, "the first one does not count"


def test_weights_agree_with_themselves(checkpoint: Checkpoint) -> None:
    cells = script("quality_of_four_bits")["compare"](checkpoint, checkpoint, 0.5, 2)
    assert cells == ["1.0000", "1.0000", "0.00", "100.0%"]


def test_a_checkpoint_is_loaded_and_decodes_as_many_tokens_as_are_wanted(golden: Path) -> None:
    flags, loaded = Namespace(device="cpu", quant="none", preset="exact", prompt=0), script("true_shape")["loaded"]
    assert set(loaded(golden, flags, tokens=0)) == {"load_seconds", "load_cpu_seconds", "device", "dtype"}
    found = loaded(golden, flags, tokens=6)
    assert (found["forwards"], found["reason"], found["preset"]) == (6, "complete", "exact")


def test_mutants_are_drawn_room_by_room_and_the_same_for_a_seed() -> None:
    sampled = script("mutation")["sampled"]
    mutants = [f"diffucli.{room}.a.x_f__mutmut_{number}" for room in ("edit", "model") for number in range(50)]
    drawn = sampled(mutants, ["model", "edit"], 20, 3)
    assert [name.split(".")[1] for name in drawn] == ["model"] * 20 + ["edit"] * 20
    assert len(set(drawn)) == 40
    assert drawn == sampled(mutants, ["model", "edit"], 20, 3) != sampled(mutants, ["model", "edit"], 20, 4)


def test_the_variance_of_estimators_is_measured_on_three_levels(golden: Path) -> None:
    """On the golden checkpoint, with few draws: a full mask does not vary; pairs are compared with independent ones."""
    grpo, checkpoint = script("grpo"), load(golden, device="cpu", trained=True)
    weights = grpo["TrainedWeights"](checkpoint, rank=0, with_reference=False)
    request = grpo["Request"]("write a function", length=grpo["LENGTH"])
    (group,) = grpo["roll_out"](checkpoint, [request], grpo["policy"](), seeds=[1], count=2)
    rows = grpo["Rows"](group, torch.tensor([1.0, -1.0]))
    before = [grpo["drawn"](checkpoint, rows, i, 4) for i in range(2)]
    table = grpo["_token_table"](before, with_error=True)
    cells = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in table.splitlines()
    }
    assert cells["full"][1] == "0"
    assert cells["independent + full"][2].startswith("1.00 (")
    assert float(cells["pair + full"][1]) > 0
    found = grpo["combined"](
        {k: torch.stack(each) for k, each in grpo["_gradients"](checkpoint, weights, rows, 4).items()}
    )
    assert {len(each) for name, each in found.items() if name != "independent + full"} == {4}
    assert "| pair + full" in grpo["_gradient_table"](found)
    grpo["_one_step"](checkpoint, weights, rows)
    after = grpo["drawn"](checkpoint, rows, 0, 4)
    assert not torch.equal(after["pair"], before[0]["pair"])


def test_reward_curves_are_of_trainings_and_go_on_from_their_records(
    golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the golden checkpoint, one update each; the reward of a completion is its place in the batch."""
    grpo = script("grpo")
    tasks = [grpo["TrainingTask"](text, ("assert True",)) for text in ("write one", "write two")]
    changed = {
        "MINI": golden,
        "LENGTH": 6,
        "mixed": lambda _checkpoint, count: ((task, [], []) for task in tasks[:count]),
        "by_tests": lambda _confinement: lambda _tasks, found: [float(number) for number in range(len(found))],
    }
    for name, value in changed.items():
        monkeypatch.setitem(grpo["curves"].__globals__, name, value)
    records, picture = tmp_path / "curves.jsonl", tmp_path / "curves.svg"
    flags = Namespace(algo=["coupled", "espo"], seeds=1, updates=1, tasks=1, records=records, picture=picture)
    grpo["curves"](flags)
    assert "coupled 0: 3.50" in capsys.readouterr().out
    grpo["curves"](flags)  # nothing is left to be trained
    header, _, coupled, espo = capsys.readouterr().out.splitlines()
    assert "held-out pass@1" in header
    assert [line.split("|")[1].strip() for line in (coupled, espo)] == ["coupled", "espo"]
    assert len(records.read_text().splitlines()) == 2
    assert "espo" in picture.read_text()
