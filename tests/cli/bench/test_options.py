"""Subcommands have only the flags that they use; mistakes are reported before a model is loaded."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from diffucli.lab import chart

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Diffu


SUBCOMMANDS = ("speed", "quality", "fill", "start", "shape")
FAST = ("--preset", "fast", "--length", "8")
BOTH = ("--against", "reference", "--against", "dual-cache")

drawing = pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib comes with the extra train")


def test_alone_it_shows_the_subcommands(diffu: Diffu) -> None:
    done = diffu("bench")
    assert done.code == 2
    assert all(name in done.out.decode() for name in SUBCOMMANDS)


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


@pytest.mark.parametrize("benchmark", ["speed", "quality"])
def test_a_missing_matplotlib_is_reported_before_anything_is_measured(
    diffu: Diffu, monkeypatch: pytest.MonkeyPatch, benchmark: str
) -> None:
    monkeypatch.setattr(chart, "find_spec", lambda name: None)
    monkeypatch.setattr("diffucli.model.load.load", lambda *_, **__: pytest.fail("the model was loaded"))
    done = diffu("bench", benchmark, "--plot", "a.svg")
    assert (done.code, len(done.lines)) == (2, 1)
    assert "the picture needs matplotlib (pip install 'diffucli[train]', or leave out --plot)" in done.err
