"""The objects of --json have the keys that docs/usage.md lists, and no others."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "usage.md").read_text(encoding="utf-8").partition("\n## JSON\n")[2]
ROWS = dict(re.findall(r"^\| (\S[^|]*?) \| (.*) \|$", PAGE, re.MULTILINE))
CHANGED = ("f.py", "-r", "1", "--seed", "3", "--preset", "fast", "--temp", "0.5")


def keys(row: str) -> set[str]:
    """The keys that a row of the table lists."""
    listed = re.sub(r"\([^()]*(?:\([^()]*\))?[^()]*\)|;.*", "", ROWS[row])
    own = set(re.findall(r"`(\w+)`", listed))
    return own | keys("a text") if "keys of a text" in listed else own


def test_the_object_of_gen_says_what_made_it(diffu, says, golden):
    says("x = 1\n```")
    done = diffu("gen", "set x", "--json", "--seed", "3", stdin=b"a = 1\nb = 2\n")
    told = json.loads(done.out)
    assert (set(told), set(told["run"]), done.err) == (keys("`gen`"), keys("`run`"), "")
    assert (told["schema"], told["status"], told["version"]) == ("diffu.run/1", 0, version("diffucli"))
    assert (told["model"], told["preset"], told["temperature"]) == (str(golden), "balanced", 0.0)
    assert (told["language"], told["run"]["seed"]) == ("python", 3)
    assert told["context"] == [{"file": "-", "lines": 2}]


@pytest.mark.parametrize(("words", "lacks", "has"), [((), set(), set()), (("--diff",), {"text"}, {"diff"})])
def test_the_object_of_fill_has_an_entry_for_each_file(diffu, says, words, lacks, has):
    says("x = 1", "x = 2")
    Path("f.py").write_text("x = 0\n")
    done = diffu("fill", *CHANGED, "--json", *words)
    told = json.loads(done.out)
    (one,) = told["files"]
    assert (set(told), set(one), done.err) == (keys("`fill`"), keys("each of `files`") - lacks | has, "")
    assert (told["preset"], told["temperature"]) == ("fast", 0.5)
    assert (one["language"], one["run"]["seed"]) == ("python", 3)


def test_every_object_has_a_version(diffu):
    Path("a.py").touch()
    for words in (["check", "a.py"], ["undo", "--list"], ["model", "list"]):
        assert json.loads(diffu(*words, "--json").out)["version"] == version("diffucli")
