"""The Python interface: its names, what it gives, and that it leaves the process alone."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import diffucli
from diffucli import api
from diffucli.errors import UsageError
from diffucli.tasks.options import DecodingOptions

NAMES = ["Checkpoint", "DecodingOptions", "Effort", "Result", "fill", "generate", "generate_many", "load"]
PAGE = Path(__file__).parents[1] / "docs" / "python.md"
GREEDY = DecodingOptions(seed=0)


@pytest.fixture(scope="module")
def model():
    return diffucli.load("mini")


def test_the_names_are_these_and_no_others():
    assert diffucli.__all__ == api.__all__ == NAMES
    assert set(NAMES) <= set(dir(diffucli))
    assert all(getattr(diffucli, name) is getattr(api, name) for name in NAMES)
    with pytest.raises(AttributeError, match=r"no attribute .nothing."):
        _ = diffucli.nothing


def test_everything_public_has_a_docstring():
    for name in NAMES:
        assert getattr(diffucli, name).__doc__, name


def test_importing_the_package_loads_nothing_heavy():
    code = "import diffucli, sys; print('torch' in sys.modules, 'rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


def test_a_request_becomes_code(model):
    result = diffucli.generate(model, "write a quicksort", options=GREEDY)
    assert result.ok
    assert result.ended
    assert result.accepted() is result
    assert "def " in result.text
    assert (result.model, result.seed, result.policy) == ("mini", 0, GREEDY.policy())
    assert result.nfe > 0
    assert result.seconds > 0


def test_several_requests_together_get_the_texts_of_each_alone(model):
    requests = ["write a quicksort", "a stack class", "merge two dictionaries"]
    together = diffucli.generate_many(model, requests, options=GREEDY)
    assert [one.text for one in together] == [diffucli.generate(model, each, options=GREEDY).text for each in requests]
    assert diffucli.generate_many(model, []) == []


def test_holes_and_regions_of_a_text_are_filled(model):
    text = "def reverse_string(text):\n    ???1-16\n"
    result = diffucli.fill(model, text, options=GREEDY)
    assert result.text == text.replace("???1-16", result.pieces[0])
    changed = diffucli.fill(model, "a = 1\nb = 2\n", regions=["2"], length="4", verify="off", options=GREEDY)
    assert changed.text.startswith("a = 1\n")
    with pytest.raises(UsageError, match=r"there is no \?\?\?"):
        diffucli.fill(model, "a = 1\n")


def test_another_language_is_judged_by_its_grammar(model):
    result = diffucli.generate(model, "write a quicksort", language="rust", options=GREEDY)
    assert not result.ok, "mini writes Python"
    assert result.check.refused
    with pytest.raises(UsageError, match="no language is named"):
        diffucli.generate(model, "x", language="klingon")


def test_several_threads_may_use_one_model(model):
    requests = ["write a quicksort", "print <|mask|> <|im_end|>", "a stack class", "count the words in a text"] * 2
    wanted = [diffucli.generate(model, each, length=64, verify="off", options=GREEDY).text for each in requests]
    with ThreadPoolExecutor(4) as pool:
        found = list(
            pool.map(
                lambda each: diffucli.generate(model, each, length=64, verify="off", options=GREEDY).text, requests
            )
        )
    assert found == wanted


def test_the_process_is_left_as_it_was(model, capfd):
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    environment, threads = dict(os.environ), threading.active_count()
    diffucli.generate(model, "write a quicksort", options=GREEDY)
    diffucli.fill(model, "def mean(xs):\n    ???\n", verify="off", options=GREEDY)
    assert {number: signal.getsignal(number) for number in handlers} == handlers
    assert dict(os.environ) == environment
    assert threading.active_count() == threads
    assert capfd.readouterr() == ("", "")


def test_what_the_page_shows_runs(tmp_path, capsys, monkeypatch):
    """Every block of Python on docs/python.md, one after the other in one namespace."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) > 2
    monkeypatch.chdir(tmp_path)
    space: dict[str, object] = {}
    for block in blocks:
        exec(block, space)
    assert "def " in capsys.readouterr().out
