from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from diffucli.ui.footer import Counts, footer

COUNTS = Counts(steps=12, total=104, left=40, written=64, nfe=12, seconds=1.6)


def text(counts=COUNTS, title="", hint="ctrl-c stops", *, width=120, encoding="utf-8"):
    return "".join(segment.text for segment in footer(counts, title, hint, width=width, encoding=encoding))


def test_says_step_masks_and_rates():
    assert text() == "━━━━━━──── step 12 · 40 masks left · 5.3 tokens/forward · 40 tok/s · ctrl-c stops"


def test_tokens_per_forward_counts_forwards_and_not_steps():
    assert "step 12 · 40 masks left · 16.0 tokens/forward" in text(replace(COUNTS, nfe=4))


def test_the_title_stands_first_and_cannot_steer_the_terminal():
    assert text(title="fill\n\x1b[2Ja.py").startswith("━━━━━━──── fill ␛[2Ja.py · step 12")


@given(st.integers(1, 130), st.text(max_size=30), st.sampled_from(["utf-8", "ascii"]))
def test_never_wider_than_asked(width, title, encoding):
    assert cell_len(text(title=title, width=width, encoding=encoding)) <= width


@pytest.mark.parametrize("width", [20, 24, 26])
def test_narrow_terminals_keep_what_counts(width):
    assert "40 masks left" in text(title="gen", width=width)


def test_ascii_terminals_get_ascii():
    assert text(encoding="ascii").isascii()
    assert text(encoding="cp1252").encode("cp1252")


def test_nothing_is_divided_by_zero_before_the_first_step():
    assert text(Counts(total=1, left=1)) == "────────── step 0 · 1 mask left · ctrl-c stops"
    assert text(Counts(), hint="") == "━━━━━━━━━━ 0 masks left"


def test_parts_go_one_by_one_as_the_terminal_narrows_and_what_counts_last():
    parts = ["gen", "step 12", "40 masks left", "5.3 tokens/forward", "40 tok/s", "ctrl-c stops"]
    order = ["5.3 tokens/forward", "40 tok/s", "gen", "ctrl-c stops", "step 12"]
    for width in range(120, 23, -1):
        found = text(title="gen", width=width)
        shown = [part for part in parts if part in found]
        assert found == "━━━━━━──── " + " · ".join(shown)
        dropped = [part for part in parts if part not in shown]
        assert dropped == sorted(dropped, key=parts.index)
        assert set(dropped) == set(order[: len(dropped)])
        if dropped:
            assert cell_len(found) + 3 + cell_len(order[len(dropped) - 1]) > width, "it is dropped though it fits"
    assert text(title="gen", width=23) == "40 masks left", "without room for a bar"
    assert text(title="gen", width=5) == "40 ma"


@pytest.mark.parametrize(("total", "left", "done"), [(4, 4, 0), (4, 3, 2), (4, 1, 8), (4, 0, 10), (0, 0, 10)])
def test_the_bar_is_as_long_as_the_share_that_is_written(total, left, done):
    assert text(Counts(total=total, left=left)).startswith("━" * done + "─" * (10 - done) + " ")


def test_forwards_that_were_shared_are_divided_by_all_the_same():
    assert "25.6 tokens/forward" in text(replace(COUNTS, nfe=2.5))
    assert "tokens/forward" not in text(replace(COUNTS, nfe=0))


def test_a_speed_is_told_once_there_is_one():
    assert text(replace(COUNTS, written=0)) == "━━━━━━──── step 12 · 40 masks left · ctrl-c stops", (
        "ends were committed"
    )
    assert "0.4 tok/s" in text(replace(COUNTS, written=5, seconds=12.5))
    assert "40 s/token" in text(replace(COUNTS, written=1, seconds=40))
