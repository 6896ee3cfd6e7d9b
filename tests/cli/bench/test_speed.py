"""`diffu bench speed`: a row a preset, yardsticks, and the profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from diffucli.bench.writers import Writer
from diffucli.mini import held_out
from diffucli.mini.classics import programs

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from tests.cli.bench.conftest import Cells
    from tests.cli.conftest import Diffu

    from diffucli.events import Event
    from diffucli.tasks.engine import Result

    Answer = Generator[Event, None, Result]

PRESETS_IN_ORDER = ("balanced", "fast", "exact", "factor", "entropy-bound", "p2")
FAST = ("--preset", "fast", "--length", "8")
BOTH = ("--against", "reference", "--against", "dual-cache")


@pytest.mark.usefixtures("loaded")
def test_a_table_has_a_row_a_preset_and_the_machine_above(cells: Cells, diffu: Diffu, two: Path) -> None:
    done = diffu("bench", "speed", "--prompts", two, "--length", "8")
    head, table = done.out.decode().split("\n\n")
    assert done.code == 0
    assert {line.split(":")[0] for line in head.splitlines()} >= {"- model", "- date", "- processor", "- device"}
    header, rule, *rows = table.strip().splitlines()
    assert cells(header) == ["preset", "answers", "tokens", "NFE", "TPF", "ms/step", "tok/s", "median s", "drawing"]
    assert len({len(line) for line in (header, rule, *rows)}) == 1
    assert [cells(row)[:2] for row in rows] == [[name, "2"] for name in PRESETS_IN_ORDER]


def test_json_holds_every_figure(values: Callable[..., dict], two: Path) -> None:
    found = values("speed", "--prompts", two, *FAST, "-n", "3")
    assert (found["schema"], found["status"], found["benchmark"]) == ("diffu.bench/1", 0, "speed")
    assert not found["full"]
    (row,) = found["presets"]
    assert (row["name"], row["requests"]) == ("fast", 6)
    assert row["tokens_per_forward"] == row["tokens"] / row["nfe"]
    assert not {"against", "quality"} & set(row)


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
    monkeypatch.setattr(Writer, "answer", noted(Writer.answer, requests))
    (row,) = values(*flags)["presets"]
    assert row.get("requests") == 10 or row["quality"]["passed"] == [False, False]
    assert len(set(requests)) == (10 if "requests" in row else 2)
    assert set(requests) <= {request.text for request in held_out.phrasings(tasks=programs())}


def noted(answer: Callable[..., Answer], requests: list[str]) -> Callable[..., Answer]:
    """`answer`, which appends every request to `requests`."""

    def go(writer: Writer, request: str, **keywords: object) -> Answer:
        requests.append(request)
        return answer(writer, request, **keywords)

    return go


def test_the_profile_has_shares_for_every_policy_of_ours(values: Callable[..., dict], two: Path) -> None:
    found = values("speed", "--prompts", two, *FAST, *BOTH, "--profile")
    assert [each["name"] for each in found["profile"]] == ["dual-cache", "fast"], "not of the published loop"
    for each in found["profile"]:
        assert list(each["shares"]) == ["network", "sampling", "bookkeeping", "drawing"]
        assert sum(each["shares"].values()) == pytest.approx(1)


@pytest.mark.usefixtures("loaded")
def test_the_profile_is_a_second_table(cells: Cells, diffu: Diffu, two: Path) -> None:
    *_, table = diffu("bench", "speed", "--prompts", two, *FAST, "--profile").out.decode().split("\n\n")
    header, _, row = table.strip().splitlines()
    assert cells(header) == ["preset", "network", "sampling", "bookkeeping", "drawing"]
    assert row.count("%") == 4


def test_a_file_without_requests_is_refused(diffu: Diffu, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n  \n")
    done = diffu("bench", "speed", "--prompts", tmp_path / "empty")
    assert (done.code, len(done.lines)) == (2, 1)
    assert "has no request in it (write one request a line)" in done.err


def test_published_is_no_preset_to_compare_models_by(diffu: Diffu) -> None:
    done = diffu("bench", "speed", "--preset", "published")
    assert (done.code, done.lines[-1]) == (2, "diffu: published is another preset for each model (name the others)")
