"""Children are watched from outside: what they print and when; here they are cheap ones."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import pytest

import diffucli
from diffucli.bench import startup
from diffucli.bench.startup import DIFFU, NAMES, ModelFlags, elapsed, first_and_last, measure, phases
from diffucli.errors import DiffuError
from diffucli.ui.terminal import BEGIN

MODEL = ModelFlags("folder", "cpu", "auto")


def child(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


FRAMES = f"""
import sys, time
frame = {BEGIN!r}
for _ in range(3):
    sys.stderr.write("x" + frame)
    sys.stderr.flush()
    time.sleep(0.1)
sys.exit(%d)
"""


@pytest.mark.parametrize("code", [0, 3], ids=["parses", "does not parse"])
def test_the_second_frame_is_the_first_with_tokens(code: int) -> None:
    first, last = first_and_last(child(FRAMES % code))
    assert 0.1 <= first <= last - 0.1


def test_a_child_that_fails_is_told_of_with_what_it_said() -> None:
    code = "import sys; sys.exit('it broke')"
    for watch in (elapsed, first_and_last):
        with pytest.raises(DiffuError, match="ended with exit code 1: it broke"):
            watch(child(code))


def test_phases_are_what_the_child_prints_of_its_model() -> None:
    code = "import sys, json; print(json.dumps([len(word) for word in sys.argv[1:]]))"
    assert phases(code, MODEL) == (6, 3, 4)


def test_every_name_has_the_median_of_its_laps(monkeypatch: pytest.MonkeyPatch) -> None:
    laps = iter([tuple(map(float, range(6))), tuple(map(float, range(10, 16))), tuple(map(float, range(1, 7)))])
    monkeypatch.setattr(startup, "_lap", lambda model: next(laps))
    assert measure(MODEL, rounds=3) == dict(zip(NAMES, map(float, range(1, 7)), strict=True))


def test_elapsed_is_the_time_of_the_whole_child() -> None:
    begun = time.perf_counter()
    seconds = elapsed(child("import time; time.sleep(0.3)"))
    assert 0.3 <= seconds <= time.perf_counter() - begun


def test_the_findings_have_a_row_for_every_phase() -> None:
    found = startup.findings({"import torch": 1.234, "to the end": 2.0})
    assert found.text.splitlines()[2:] == ["| import torch | 1.23 |", "| to the end   | 2.00 |"]
    assert found.values == {"start": {"import torch": 1.234, "to the end": 2.0}}


def test_modules_in_the_working_folder_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("diffucli", "pygments", "json", "torch"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(f'{__file__} was imported')\n")
    monkeypatch.chdir(tmp_path)
    assert elapsed([*DIFFU, "--help"]) > 0
    assert phases("import json, torch, pygments, diffucli; print(json.dumps([0.5]))", MODEL) == (0.5,)


def test_every_child_of_ours_is_started_so() -> None:
    scripts = Path(__file__).parents[2] / "docs" / "scripts"
    starts = [
        (path.name, flags)
        for folder in (Path(diffucli.__file__).parent, scripts)
        for path in folder.rglob("*.py")
        for flags in re.findall(r"""sys\.executable,(.*?"-[cm]")""", path.read_text(encoding="utf-8"))
    ]
    assert starts
    assert [each for each in starts if '"-P"' not in each[1] and '"-I"' not in each[1]] == []
