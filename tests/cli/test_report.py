"""Words on stderr and stdout: nothing that steers a terminal, nothing that an encoding cannot hold."""

from __future__ import annotations

import io
import sys
import unicodedata
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from diffucli.cli.report import Report, figures, mark, shown
from diffucli.syntax.check import CheckResult, Diagnostic

WRITTEN = SimpleNamespace(tokens=118, masks=128, masks_left=3)
RESULT: Any = SimpleNamespace(
    seed=8124,
    nfe=64,
    seconds=3.1,
    chosen=SimpleNamespace(written=WRITTEN, tested=None),
    check=SimpleNamespace(result=CheckResult(checked=True)),
)


def test_the_figures_are_one_line(capsys):
    Report(verbose=True).figures(RESULT, 0.4)
    line = "seed 8124 · NFE 64 · 118/128 tokens · load 0.4 s · 3.1 s · 38 tok/s · parses ✓"
    assert capsys.readouterr().err == f"{line}\n"


def test_a_speed_that_means_nothing_is_not_told(capsys):
    """Once it was 10060444962 tok/s."""
    result = SimpleNamespace(**{**vars(RESULT), "seconds": 1e-8})
    Report(verbose=True).figures(result, 0.4)
    assert capsys.readouterr().err.endswith("· load 0.4 s · 0.0 s · parses ✓\n")


def test_a_text_that_was_only_mended_has_no_canvas_to_be_told(capsys):
    """Once it was 3/0 tokens."""
    written = SimpleNamespace(tokens=3, masks=0, masks_left=0)
    mended = SimpleNamespace(**{**vars(RESULT), "chosen": SimpleNamespace(written=written, tested=None)})
    Report(verbose=True).figures(mended, 0.4)
    assert " · 3 tokens · " in capsys.readouterr().err


WRONG = Diagnostic(1, 1, "invalid syntax", 0, 1)


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        (CheckResult(checked=True), "parses ✓"),
        (CheckResult(checked=True, diagnostics=(WRONG,), old=(WRONG,)), "does not parse"),
        (CheckResult(checked=True, old=(WRONG,)), "no new errors, 1 old one left"),
        (CheckResult(checked=True, old=(WRONG, WRONG)), "no new errors, 2 old ones left"),
        (CheckResult(checked=False, note="no grammar"), "no grammar"),
        (CheckResult(checked=False), "not checked"),
    ],
)
def test_only_a_text_that_parses_is_said_to_parse(verdict, told):
    assert mark(verdict) == told


@pytest.mark.parametrize(("nfe", "shown"), [(64.0, 64), (2.5, 2.5), (1 / 3, 0.33)])
def test_shares_of_forwards_have_two_decimals(nfe, shown):
    told = figures(SimpleNamespace(**{**vars(RESULT), "nfe": nfe}), 0.4)
    assert told == {"seed": 8124, "nfe": shown, "tokens": 118, "canvas": 128, "left": 3, "load": 0.4, "seconds": 3.1}
    assert type(told["nfe"]) is type(shown)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "utf-8"])
def test_the_figures_are_spelled_as_the_terminal_can(monkeypatch, encoding):
    err = io.TextIOWrapper(io.BytesIO(), encoding, errors="strict")
    monkeypatch.setattr(sys, "stderr", err)
    Report(verbose=True).figures(RESULT, 0.4)
    err.flush()
    line = err.buffer.getvalue().decode(encoding)
    assert line.endswith("parses ✓\n" if encoding == "utf-8" else "parses\n")
    assert ("·" in line) is (encoding == "utf-8")


@given(some.text(), some.sampled_from(["ascii", "cp1252", "utf-8"]))
def test_whatever_is_shown_can_be_encoded_and_steers_nothing(text, encoding):
    told = shown(text, encoding)
    told.encode(encoding)
    assert not {char for char in told if unicodedata.category(char) in {"Cc", "Cf", "Cs"}} - {"\n", "\t"}


def test_who_asks_for_silence_gets_it(capsys):
    for report in (Report(quiet=True, verbose=True), Report(json=True, verbose=True)):
        report.notice("x")
        report.warn("x")
        report.say("x")
        report.figures(RESULT, 0.4)
    Report(json=True, verbose=True).note("x")
    assert capsys.readouterr().err == ""
