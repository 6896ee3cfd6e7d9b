"""`diffu bench`: tables that are Markdown, an object that holds all of them, and flags that do not go together."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from diffucli import chart
from diffucli.bench import shape
from diffucli.bench.startup import NAMES
from diffucli.errors import UsageError
from diffucli.eval import suites
from diffucli.eval.suites import Suite
from diffucli.mini import held_out
from diffucli.mini.classics import programs
from diffucli.tasks.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Diffu

    from diffucli.tasks.engine import Run

drawing = pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib comes with the extra train")
FAST = ("--preset", "fast", "--length", "8")
BOTH = ("--against", "reference", "--against", "dual-cache")


@pytest.fixture
def values(diffu: Diffu, loaded: object) -> Callable[..., dict]:
    """values(*argv): what `diffu bench argv… --json` says."""

    def go(*argv: str | Path) -> dict:
        done = diffu("bench", *argv, "--json")
        assert (done.code, done.err) == (0, "")
        return json.loads(done.out)

    return go


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A file of two requests."""
    path = tmp_path / "requests.txt"
    path.write_text("a stack class\n\n  sum of a list \n")
    return path


@pytest.mark.usefixtures("loaded")
def test_a_row_a_preset_and_the_machine_above(diffu: Diffu, two: Path) -> None:
    done = diffu("bench", "--prompts", two, "--length", "8")
    head, table = done.out.decode().split("\n\n")
    assert done.code == 0
    assert {line.split(":")[0] for line in head.splitlines()} >= {"- model", "- date", "- processor", "- device"}
    header, rule, *rows = table.strip().splitlines()
    assert header == "| preset | answers | tokens | NFE | TPF | ms/step | tok/s | median s | drawing |"
    assert len({line.count("|") for line in (header, rule, *rows)}) == 1
    assert [row.split()[1] for row in rows] == ["exact", "balanced", "fast"]
    assert all(row.split(" | ")[1] == "2" for row in rows)


def test_json_holds_every_figure(values: Callable[..., dict], two: Path) -> None:
    found = values("--prompts", two, *FAST, "-n", "3")
    assert found["schema"] == "diffu.bench/1"
    assert found["status"] == 0
    assert not found["full"]
    assert found["load_seconds"] >= 0
    (row,) = found["presets"]
    assert (row["name"], row["requests"]) == ("fast", 6)
    assert row["tokens_per_forward"] == row["tokens"] / row["nfe"]
    assert not {"against", "quality"} & set(row)


def test_yardsticks_have_rows_and_every_row_is_compared_with_them(values: Callable[..., dict], two: Path) -> None:
    found = values("--prompts", two, *FAST, *BOTH, "--full")
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


def test_long_requests_are_for_whole_programs_and_so_are_the_problems(
    values: Callable[..., dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {request.text for request in held_out.phrasings(tasks=programs())}
    asked: list[str] = []
    monkeypatch.setattr(Engine, "generate", noted(Engine.generate, asked))
    found = values("--long", *FAST, "--quality", "2")
    (row,) = found["presets"]
    assert (row["requests"], row["quality"]["passed"]) == (10, [False, False])
    assert len(set(asked)) >= 10
    assert set(asked) <= kept


def noted(generate: Callable[..., Run], asked: list[str]) -> Callable[..., Run]:
    """`generate`, which adds what is requested to `asked`."""

    def go(engine: Engine, query: str, **keywords: object) -> Run:
        asked.append(query)
        return generate(engine, query, **keywords)

    return go


@pytest.mark.usefixtures("loaded")
def test_ratios_are_columns(diffu: Diffu, two: Path) -> None:
    header, _, reference, fast = diffu("bench", "--prompts", two, *FAST, *BOTH[:2]).out.decode().splitlines()[-4:]
    assert header.endswith("| tok/s ÷ reference | NFE ÷ reference |")
    assert reference.endswith(" 1x |")
    assert fast.startswith("| fast |")


def test_the_profile_is_a_share_of_each_part_for_every_policy(values: Callable[..., dict], two: Path) -> None:
    found = values("--prompts", two, *FAST, *BOTH, "--profile")
    assert [each["name"] for each in found["profile"]] == ["dual-cache", "fast"], "the published loop is not ours"
    for each in found["profile"]:
        assert list(each["shares"]) == ["network", "sampling", "bookkeeping", "drawing"]
        assert sum(each["shares"].values()) == pytest.approx(1)


@pytest.mark.usefixtures("loaded")
def test_the_profile_is_a_second_table(diffu: Diffu, two: Path) -> None:
    *_, table = diffu("bench", "--prompts", two, *FAST, "--profile").out.decode().split("\n\n")
    header, _, row = table.strip().splitlines()
    assert header == "| preset | network | sampling | bookkeeping | drawing |"
    assert row.count("%") == 4


@pytest.mark.usefixtures("loaded")
def test_quality_is_a_column_with_its_error_and_the_difference_to_the_first_row(
    diffu: Diffu, values: Callable[..., dict], two: Path
) -> None:
    flags = ("--prompts", two, "--preset", "balanced", *FAST, "--quality", "3")
    header, _, first, second = diffu("bench", *flags).out.decode().splitlines()[-4:]
    assert header.startswith("| preset | pass@1 | to the first | answers |")
    assert first.startswith("| balanced | 0.0 % ± 0.0 |  | 2 |")
    assert second.startswith("| fast | 0.0 % ± 0.0 | +0.0 ± 0.0 (0 won, 0 lost) | 2 |")
    for row in values(*flags)["presets"]:
        assert row["quality"]["passed"] == [False] * 3
        assert row["quality"]["to_first"] == {"won": 0, "lost": 0, "problems": 3, "difference": 0, "error": 0}


def test_requests_of_the_suite_are_half_of_each_kind_while_these_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "COMPOSITIONS", 3)
    found = suites.requests(Suite.mini, 5)
    assert [problem.group for problem in found] == ["classic task, new phrasing"] * 3 + ["new composition"] * 2
    assert found[3:] == suites.requests(Suite.mini, 4)[2:]
    assert len(suites.requests(Suite.mini, 9)) == 9
    with pytest.raises(UsageError, match="holds no 100000 requests") as caught:
        suites.requests(Suite.mini, 100_000)
    most = int(caught.value.hint.split()[2])
    assert len(suites.requests(Suite.mini, most)) == most


@drawing
@pytest.mark.parametrize(("flags", "label"), [((), "tokens per forward"), (("--quality", "1"), "pass@1, percent")])
def test_the_picture_shows_every_row(
    values: Callable[..., dict], two: Path, tmp_path: Path, flags: tuple[str, ...], label: str
) -> None:
    values("--prompts", two, *FAST, *BOTH[2:], *flags, "--plot", tmp_path / "speed.svg")
    text = (tmp_path / "speed.svg").read_text()
    assert all(f">{word}<" in text for word in ("dual-cache", "fast", label))


def test_random_weights_of_a_shape_need_no_model(diffu: Diffu, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"vocab_size": 320, "hidden_size": 128, "intermediate_size": 192, "num_attention_heads": 4}
    more = {"num_hidden_layers": 28, "num_key_value_heads": 2, "max_position_embeddings": 512}
    monkeypatch.setattr(shape, "SHAPES", {"7b": {**small, **more}})
    done = diffu("bench", "--random", "--shape", "7b", "--layers", "2", "--quant", "nf4")
    assert (done.code, done.err) == (0, "")
    text = done.out.decode()
    assert "- model: random weights" in text
    assert "2 layers of width 128, 320 rows, NF4: 0.0 GB" in text
    assert [line.split(" | ")[0] for line in text.splitlines()[-3:]] == [
        "| whole canvas",
        "| window",
        "| sampling of a window",
    ]
    told = json.loads(diffu("bench", "--random", "--layers", "1", "--json").out)
    assert told["settings"]["num_hidden_layers"] == 1
    assert len(told["steps"]) == 3


def test_random_weights_that_do_not_fit_are_refused(diffu: Diffu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diffucli.model.memory.free_memory", lambda device: 10**9)
    done = diffu("bench", "--random")
    assert done.code == 4
    assert len(done.lines) == 1


def test_a_fill_sees_the_same_canvas_in_a_small_and_in_a_large_file(values: Callable[..., dict]) -> None:
    found = values("--fill", "--preset", "fast", "--preset", "balanced")
    assert found["lines"] == [100, 2000]
    assert [each["name"] for each in found["fill"]] == ["fast", "balanced"]
    for each in found["fill"]:
        small, large = each["seconds"]
        assert each["ratio"] == large / small
        assert each["nfe"][0] == each["nfe"][1] > 0


def test_a_start_is_told_phase_by_phase(values: Callable[..., dict], monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = dict.fromkeys(NAMES, 0.5)
    asked = []
    monkeypatch.setattr(
        "diffucli.bench.startup.measure", lambda model, rounds: asked.append((model, rounds)) or seconds
    )
    found = values("--start", "-n", "3", "--device", "cpu")
    assert found["start"] == seconds
    assert "load_seconds" not in found, "nothing is loaded here"
    ((model, rounds),) = asked
    assert (model.device, model.quant, rounds) == ("cpu", "auto", 3)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--fill", "--start"), "--fill and --start are two measurements (give one of them)"),
        (("--start", "--random"), "--start and --random are two measurements (give one of them)"),
        (("--random", "--full"), "--random measures the parts of a step on weights of its own (leave out --full)"),
        (("--random", "-m", "mini"), "on weights of its own (leave out -m)"),
        (("--shape", "7b"), "a shape is of --random weights (add --random)"),
        (("--layers", "2", "--fill"), "a shape is of --random weights (add --random)"),
        (("--fill", "--full"), "--fill measures regions of files, not answers (leave out --full)"),
        (("--fill", "--length", "8"), "not answers (leave out --length)"),
        (("--fill", "--quality", "8"), "not answers (leave out --quality)"),
        (("--fill", "--profile"), "not answers (leave out --profile)"),
        (("--fill", "--plot", "a.svg"), "not answers (leave out --plot)"),
        (("--fill", *BOTH), "not answers (leave out --against)"),
        (("--start", "--prompts", "a"), "--start measures the command as it is without flags (leave out --prompts)"),
        (("--start", "--preset", "fast"), "without flags (leave out --preset)"),
        (("--long", "--prompts", "a"), "--long and --prompts both say what is requested (give one of them)"),
        (("--start", "--long"), "without flags (leave out --long)"),
        (("--full", "--quality", "5"), "answers that may not end solve nothing (leave out --full or --quality)"),
        ((*BOTH, *BOTH[:2]), "--against names the same twice"),
        (("--plot", "a.png"), "--plot draws an SVG, not a.png (name a file that ends in .svg)"),
        (("--plot", "nowhere/a.svg"), "its folder does not exist"),
        (("--quality", "99999"), "the suite mini holds no 99999 requests"),
        (("--long", "--quality", "999"), "the suite mini holds no 999 long requests"),
    ],
)
def test_flags_that_do_not_go_together_are_one_line(diffu: Diffu, flags: tuple[str, ...], said: str) -> None:
    done = diffu("bench", *flags)
    assert (done.code, done.out, len(done.lines)) == (2, b"", 1)
    assert said in done.err


def test_a_file_without_requests_is_one_line(diffu: Diffu, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n  \n")
    done = diffu("bench", "--prompts", tmp_path / "empty")
    assert (done.code, len(done.lines)) == (2, 1)
    assert "holds no request (write one a line)" in done.err


def test_a_missing_matplotlib_is_told_before_anything_is_measured(
    diffu: Diffu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chart, "find_spec", lambda name: None)
    done = diffu("bench", "--plot", "a.svg")
    assert (done.code, len(done.lines)) == (2, 1)
    assert "the picture needs matplotlib (pip install 'diffucli[train]', or leave out --plot)" in done.err
