"""`diffu bench shape`: random weights need no model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from diffucli.bench import shape

if TYPE_CHECKING:
    import pytest
    from tests.cli.bench.conftest import Cells
    from tests.cli.conftest import Diffu


def test_random_weights_of_a_shape_need_no_model(cells: Cells, diffu: Diffu, monkeypatch: pytest.MonkeyPatch) -> None:
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
