"""Doubt: evidence becomes a probability and a message; a text is read again with half of its tokens masked."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from diffucli.decode.canvas import Span
from diffucli.errors import BadCheckpoint
from diffucli.tasks import doubt, length
from diffucli.tasks.doubt import Calibration, Evidence
from diffucli.tasks.prompt import Layout
from diffucli.tasks.write import HoleText, RunOutput, composed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SURE = Evidence(-0.01, -0.02, 0.0, repairs=0, warnings=0)
UNSURE = Evidence(-0.64, -0.81, -0.25, repairs=1, warnings=3)
CALIBRATION = Calibration((2.0, 1.0, 1.0, 0.5, 0.5), 1.5, threshold=0.5)


def test_the_features_grow_with_what_speaks_against_a_text() -> None:
    assert UNSURE.features == pytest.approx((0.8, 0.9, 0.5, 1.0, 2.0)), "of three warnings two count"
    rounded = Evidence(0.0, 1e-9, 1e-9, repairs=9, warnings=0)
    assert rounded.features == (0.0, 0.0, 0.0, 2.0, 0.0), "rounding may give more than 0"


def test_a_calibration_gives_a_probability() -> None:
    against = 2 * 0.8 + 0.9 + 0.5 + 0.5 + 1.0 - 1.5
    assert CALIBRATION.probability(UNSURE) == pytest.approx(1 / (1 + 2.718281828**against))
    assert CALIBRATION.probability(SURE) > 0.7
    far = Calibration((1e6, 0.0, 0.0, 0.0, 0.0), 0.0, 0.5)
    assert far.probability(UNSURE) == pytest.approx(0.0), "no overflow"


def test_what_is_less_probable_than_the_threshold_is_in_doubt_and_says_how_probable_it_is() -> None:
    found = doubt.judge(UNSURE, CALIBRATION)
    assert found.doubtful
    assert "it is right with an estimated probability of 5%" in found.message
    assert doubt.judge(SURE, CALIBRATION).message == ""


@pytest.mark.parametrize(
    ("evidence", "doubtful"),
    [
        (SURE, False),
        (Evidence(-0.26, 0.0, 0.0, repairs=0, warnings=0), True),
        (Evidence(-0.01, 0.0, 0.0, repairs=0, warnings=1), False),
        (Evidence(-0.01, 0.0, 0.0, repairs=2, warnings=0), False),
    ],
)
def test_without_a_calibration_the_log_probability_decides(evidence: Evidence, doubtful: bool) -> None:
    found = doubt.judge(evidence, None)
    assert (found.probability, found.doubtful) == (None, doubtful)
    assert bool(found.message) == doubtful


def test_a_text_is_read_again_in_two_halves(checkpoint: Any, result_of: Callable[..., Any]) -> None:
    tokenizer = checkpoint.tokenizer
    before, text, after = (tokenizer.encode(part) for part in ("a = ", "f(1, 2)", "\nb = 3\n"))
    hole = Span(len(before), len(before) + 40)
    layout = Layout((*before, *[tokenizer.mask] * 40, *after), (hole,), Span(0, 40))
    output = RunOutput(layout, (HoleText(tuple(text), (0.0,) * len(text)),), 40, 0, 1.0, 1.0)
    mean, end, nfe = result_of(doubt.read_again(checkpoint, output, ends=True), checkpoint.network)
    total = 0.0
    for half in (0, 1):
        tokens = torch.tensor([*before, *text, *after])
        places = torch.arange(len(before) + half, len(before) + len(text), 2)
        truth = tokens[places]
        tokens[places] = tokenizer.mask
        logits = checkpoint.network(tokens[None], [places - 1])
        logits[:, tokenizer.mask] = -torch.inf
        total += float(logits.log_softmax(-1)[torch.arange(len(places)), truth].sum())
    assert mean == pytest.approx(total / len(text), abs=1e-4)
    assert nfe == 1, "both halves are rows of one forward"
    assert end == 0, "a checkpoint that does not pad cannot say"


def test_of_several_holes_the_least_sure_one_counts(checkpoint: Any, result_of: Callable[..., Any]) -> None:
    tokenizer = checkpoint.tokenizer
    texts = [tokenizer.encode(text) for text in ("x + 1", "zz", "f(1, 2)")]
    tokens, spans = [], []
    for text in texts:
        tokens += tokenizer.encode("\na = ")
        spans.append(Span(len(tokens), len(tokens) + len(text)))
        tokens += [tokenizer.mask] * len(text)
    sure = (-0.1, -0.9, -0.2)
    holes = tuple(HoleText(tuple(text), (each,) * len(text)) for text, each in zip(texts, sure, strict=True))
    output = RunOutput(Layout(tuple(tokens), tuple(spans), Span(0, len(tokens))), holes, 9, 0, 1.0, 1.0)
    pads = replace(checkpoint, config=replace(checkpoint.config, hole_padding=True))
    mean, end, _ = result_of(doubt.read_again(pads, output, ends=True))
    ends = [result_of(length.end_logprob(composed(output.layout, holes), i, tokenizer))[0] for i in range(3)]
    assert end == pytest.approx(min(ends))
    found, _ = result_of(doubt.doubt_of(pads, output, "fill", repairs=0, warnings=0))
    assert (found.evidence.mean_logprob, found.evidence.reread_logprob) == pytest.approx((-0.9, mean))
    mended, _ = result_of(doubt.doubt_of(pads, output, "mend", repairs=0, warnings=0))
    assert mended.evidence.end_logprob == 0, "nothing was written whose end is not given"


def test_nothing_written_is_not_read(checkpoint: Any, result_of: Callable[..., Any]) -> None:
    layout = Layout((1, 2), (Span(1, 2),), Span(0, 2))
    output = RunOutput(layout, (HoleText((), ()),), 1, 0, 1.0, 1.0)
    assert result_of(doubt.read_again(checkpoint, output, ends=True)) == (0.0, 0.0, 0.0)


def test_calibrations_are_written_and_read(tmp_path: Path) -> None:
    assert doubt.read(tmp_path) == {}
    doubt.write(tmp_path, {"fill": CALIBRATION})
    assert doubt.read(tmp_path) == {"fill": CALIBRATION}


@pytest.mark.parametrize(
    "text", ["{", "[1]", '{"gen": 1}', '{"gen": {"weights": [1], "bias": 0, "threshold": 0}}', '"x"']
)
def test_a_damaged_calibration_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / doubt.FILE).write_text(text, encoding="utf-8")
    with pytest.raises(BadCheckpoint, match=r"doubt\.json: is no calibration"):
        doubt.read(tmp_path)


def test_a_calibration_lacks_a_value(tmp_path: Path) -> None:
    doubt.write(tmp_path, {"gen": CALIBRATION})
    values = json.loads((tmp_path / doubt.FILE).read_text(encoding="utf-8"))
    del values["gen"]["threshold"]
    (tmp_path / doubt.FILE).write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(BadCheckpoint):
        doubt.read(tmp_path)
