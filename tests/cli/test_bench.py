"""`diffu bench`: each subcommand prints a Markdown table, or an object, and has the flags that it uses."""

from __future__ import annotations

import json
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from diffucli import chart
from diffucli.bench import shape
from diffucli.bench.startup import NAMES
from diffucli.mini import held_out
from diffucli.mini.classics import programs
from diffucli.tasks.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Diffu

    from diffucli.model.load import Checkpoint
    from diffucli.tasks.engine import Run

drawing = pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib comes with the extra train")
FAST = ("--preset", "fast", "--length", "8")
BOTH = ("--against", "reference", "--against", "dual-cache")
SUBCOMMANDS = ("speed", "quality", "fill", "start", "shape")


def cells(row: str) -> list[str]:
    """The cells of a line of a Markdown table."""
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


@pytest.fixture
def values(diffu: Diffu, loaded: object) -> Callable[..., dict]:
    """values(*argv): the object that `diffu bench argv… --json` prints."""

    def go(*argv: str | Path) -> dict:
        done = diffu("bench", *argv, "--json")
        assert (done.code, done.err) == (0, "")
        return json.loads(done.out)

    return go


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A file with two requests."""
    path = tmp_path / "requests.txt"
    path.write_text("a stack class\n\n  sum of a list \n")
    return path


def test_alone_it_shows_the_subcommands(diffu: Diffu) -> None:
    done = diffu("bench")
    assert done.code == 2
    assert all(name in done.out.decode() for name in SUBCOMMANDS)


@pytest.mark.usefixtures("loaded")
def test_a_table_has_a_row_a_preset_and_the_machine_above(diffu: Diffu, two: Path) -> None:
    done = diffu("bench", "speed", "--prompts", two, "--length", "8")
    head, table = done.out.decode().split("\n\n")
    assert done.code == 0
    assert {line.split(":")[0] for line in head.splitlines()} >= {"- model", "- date", "- processor", "- device"}
    header, rule, *rows = table.strip().splitlines()
    assert cells(header) == ["preset", "answers", "tokens", "NFE", "TPF", "ms/step", "tok/s", "median s", "drawing"]
    assert len({len(line) for line in (header, rule, *rows)}) == 1
    assert [cells(row)[:2] for row in rows] == [["exact", "2"], ["balanced", "2"], ["fast", "2"]]


def test_json_holds_every_figure(values: Callable[..., dict], two: Path) -> None:
    found = values("speed", "--prompts", two, *FAST, "-n", "3")
    assert (found["schema"], found["status"], found["benchmark"]) == ("diffu.bench/1", 0, "speed")
    assert not found["full"]
    (row,) = found["presets"]
    assert (row["name"], row["requests"]) == ("fast", 6)
    assert row["tokens_per_forward"] == row["tokens"] / row["nfe"]
    assert not {"against", "quality"} & set(row)


def test_load_seconds_are_the_time_of_loading(
    diffu: Diffu, checkpoint: Checkpoint, two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(folder: Path, **_: object) -> Checkpoint:
        time.sleep(0.2)
        return checkpoint

    monkeypatch.setattr("diffucli.model.load.load", load)
    begun = time.perf_counter()
    found = json.loads(diffu("bench", "speed", "--prompts", two, *FAST, "--json").out)
    whole = time.perf_counter() - begun
    assert 0.2 <= found["load_seconds"] <= whole - sum(row["seconds"] for row in found["presets"])


def test_yardsticks_have_rows_and_every_row_is_compared_with_them(values: Callable[..., dict], two: Path) -> None:
    found = values("speed", "--prompts", two, *FAST, *BOTH, *BOTH[:2], "--full")
    rows = {row["name"]: row for row in found["presets"]}
    assert list(rows) == ["reference", "dual-cache", "fast"]
    assert found["full"]
    assert rows["reference"]["nfe"] == 2 * 8
    for name, row in rows.items():
        assert row["tokens"] == 2 * 8, "the answer fills the canvas"
        assert set(row["against"]) == {"reference", "dual-cache"}
        assert row["against"]["reference"]["forwards"] == row["nfe"] / 16
        assert row["against"]["reference"]["rate"] > 0
        assert (row["against"].get(name) or {"rate": 1, "forwards": 1}) == {"rate": 1, "forwards": 1}


@pytest.mark.parametrize("flags", [("speed", "--long", *FAST), ("quality", "--long", *FAST, "-n", "2")])
def test_long_requests_are_held_out_phrasings_of_programs(
    values: Callable[..., dict], monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...]
) -> None:
    requests: list[str] = []
    monkeypatch.setattr(Engine, "generate", noted(Engine.generate, requests))
    (row,) = values(*flags)["presets"]
    assert row.get("requests") == 10 or row["quality"]["passed"] == [False, False]
    assert len(set(requests)) == (10 if "requests" in row else 2)
    assert set(requests) <= {request.text for request in held_out.phrasings(tasks=programs())}


def noted(generate: Callable[..., Run], requests: list[str]) -> Callable[..., Run]:
    """`generate`, which appends every request to `requests`."""

    def go(engine: Engine, query: str, **keywords: object) -> Run:
        requests.append(query)
        return generate(engine, query, **keywords)

    return go


def test_the_profile_has_shares_for_every_policy_of_ours(values: Callable[..., dict], two: Path) -> None:
    found = values("speed", "--prompts", two, *FAST, *BOTH, "--profile")
    assert [each["name"] for each in found["profile"]] == ["dual-cache", "fast"], "not of the published loop"
    for each in found["profile"]:
        assert list(each["shares"]) == ["network", "sampling", "bookkeeping", "drawing"]
        assert sum(each["shares"].values()) == pytest.approx(1)


@pytest.mark.usefixtures("loaded")
def test_the_profile_is_a_second_table(diffu: Diffu, two: Path) -> None:
    *_, table = diffu("bench", "speed", "--prompts", two, *FAST, "--profile").out.decode().split("\n\n")
    header, _, row = table.strip().splitlines()
    assert cells(header) == ["preset", "network", "sampling", "bookkeeping", "drawing"]
    assert row.count("%") == 4


@pytest.mark.usefixtures("loaded")
def test_quality_is_paired_with_the_first_row(diffu: Diffu, values: Callable[..., dict]) -> None:
    flags = ("quality", "--preset", "balanced", *FAST, "-n", "3")
    header, _, first, second = diffu("bench", *flags).out.decode().splitlines()[-4:]
    assert cells(header)[:4] == ["preset", "problems", "pass@1", "to the first"]
    assert cells(first)[:4] == ["balanced", "3", "0.0 % ± 0.0", ""]
    assert cells(second)[:4] == ["fast", "3", "0.0 % ± 0.0", "+0.0 ± 0.0 (0 won, 0 lost)"]
    found = values(*flags)
    assert found["benchmark"] == "quality"
    for row in found["presets"]:
        assert row["quality"]["passed"] == [False] * 3
        assert row["quality"]["to_first"] == {"won": 0, "lost": 0, "problems": 3, "difference": 0, "error": 0}
        assert row["tokens_per_second"] == row["tokens"] / row["seconds"]


def test_the_quality_of_a_yardstick_is_the_first_row(values: Callable[..., dict]) -> None:
    rows = values("quality", *FAST, *BOTH[:2], "-n", "2")["presets"]
    assert [row["name"] for row in rows] == ["reference", "fast"]
    assert rows[0]["nfe"] == 2 * 8


@drawing
@pytest.mark.parametrize(
    ("flags", "label"), [(("speed", "--prompts"), "tokens per forward"), (("quality", "-n", "1"), "pass@1, percent")]
)
def test_the_chart_shows_every_row(
    values: Callable[..., dict], two: Path, tmp_path: Path, flags: tuple[str, ...], label: str
) -> None:
    prompts = (two,) if flags[0] == "speed" else ()
    values(*flags, *prompts, *FAST, *BOTH[2:], "--plot", tmp_path / "speed.svg")
    text = (tmp_path / "speed.svg").read_text()
    assert all(f">{word}<" in text for word in ("dual-cache", "fast", label))


def test_random_weights_of_a_shape_need_no_model(diffu: Diffu, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"vocab_size": 320, "hidden_size": 128, "intermediate_size": 192, "num_attention_heads": 4}
    more = {"num_hidden_layers": 28, "num_key_value_heads": 2, "max_position_embeddings": 512}
    monkeypatch.setattr(shape, "SHAPES", {"7b": {**small, **more}})
    done = diffu("bench", "shape", "--shape", "7b", "--layers", "2", "--quant", "nf4")
    assert (done.code, done.err) == (0, "")
    text = done.out.decode()
    assert "- model: random weights" in text
    assert "2 layers of width 128, 320 rows, NF4: 0.0 GB" in text
    assert [cells(line)[0] for line in text.splitlines()[-3:]] == ["whole canvas", "window", "sampling of a window"]
    found = json.loads(diffu("bench", "shape", "--layers", "1", "--json").out)
    assert found["settings"]["num_layers"] == 1
    assert len(found["steps"]) == 3
    assert shape.SHAPES["7b"]["num_hidden_layers"] == 28, "the table of shapes is not changed"


def test_random_weights_that_do_not_fit_are_refused(diffu: Diffu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diffucli.model.memory.free_memory", lambda device: 10**9)
    done = diffu("bench", "shape")
    assert done.code == 4
    assert len(done.lines) == 1


def test_a_fill_sees_the_same_canvas_in_a_small_and_in_a_large_file(values: Callable[..., dict]) -> None:
    found = values("fill", "--preset", "fast", "--preset", "balanced")
    assert found["lines"] == [100, 2000]
    assert [each["name"] for each in found["fill"]] == ["fast", "balanced"]
    for each in found["fill"]:
        small, large = each["seconds"]
        assert each["ratio"] == large / small
        assert each["nfe"][0] == each["nfe"][1] > 0


def test_a_start_is_measured_phase_by_phase(values: Callable[..., dict], monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = dict.fromkeys(NAMES, 0.5)
    calls = []
    monkeypatch.setattr(
        "diffucli.bench.startup.measure", lambda model, rounds: calls.append((model, rounds)) or seconds
    )
    found = values("start", "-n", "3", "--device", "cpu")
    assert found["start"] == seconds
    assert "load_seconds" not in found, "nothing is loaded in this process"
    ((model, rounds),) = calls
    assert (model.device, model.quant, rounds) == ("cpu", "auto", 3)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("speed", "--long", "--prompts", "a"), "--long and --prompts both choose the requests (give one of them)"),
        (("speed", "--plot", "a.png"), "--plot draws an SVG, not a.png (name a file that ends in .svg)"),
        (("quality", "--plot", "nowhere/a.svg"), "its folder does not exist"),
        (("quality", "-n", "99999"), "the suite mini holds no 99999 requests"),
        (("quality", "--long", "-n", "999"), "the suite mini holds no 999 long requests"),
        (("quality", "--full"), "No such option: --full"),
        (("fill", "--length", "8"), "No such option: --length"),
        (("start", "--preset", "fast"), "No such option: --preset"),
        (("shape", "-m", "mini"), "No such option: -m"),
        (("speed", "--shape", "7b"), "No such option: --shape"),
    ],
)
def test_mistakes_are_reported_in_one_line(diffu: Diffu, argv: tuple[str, ...], message: str) -> None:
    pytest.importorskip("matplotlib")
    done = diffu("bench", *argv)
    assert (done.code, done.out, len(done.lines)) == (2, b"", 1)
    assert message in done.err


def test_a_file_without_requests_is_refused(diffu: Diffu, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n  \n")
    done = diffu("bench", "speed", "--prompts", tmp_path / "empty")
    assert (done.code, len(done.lines)) == (2, 1)
    assert "has no request in it (write one request a line)" in done.err


@pytest.mark.parametrize("benchmark", ["speed", "quality"])
def test_a_missing_matplotlib_is_reported_before_anything_is_measured(
    diffu: Diffu, monkeypatch: pytest.MonkeyPatch, benchmark: str
) -> None:
    monkeypatch.setattr(chart, "find_spec", lambda name: None)
    monkeypatch.setattr("diffucli.model.load.load", lambda *_, **__: pytest.fail("the model was loaded"))
    done = diffu("bench", benchmark, "--plot", "a.svg")
    assert (done.code, len(done.lines)) == (2, 1)
    assert "the picture needs matplotlib (pip install 'diffucli[train]', or leave out --plot)" in done.err
