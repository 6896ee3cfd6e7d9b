"""matplotlib is optional, and asked for in one line."""

from __future__ import annotations

import pytest

from diffucli.errors import UsageError
from diffucli.lab import chart


def test_without_matplotlib_a_picture_is_refused_with_the_flag_that_does_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chart, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="needs matplotlib") as caught:
        chart.require_matplotlib("leave out --plot")
    assert caught.value.hint == "pip install 'diffucli[train]', or leave out --plot"
