"""Calibrates the measure of doubt on judged samples: fitted on one half of them, measured on the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from diffucli.eval.problems import CodeProblem, FillProblem, RepairProblem
from diffucli.lab import markdown
from diffucli.tasks.doubt import Calibration, Evidence

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from diffucli.eval.judging import JudgedSample
    from diffucli.eval.problems import Problem
    from diffucli.tasks.doubt import Features, Kind

KINDS: tuple[Kind, ...] = ("gen", "fill", "mend")
FLAGGED = 0.10  # share of the right texts that may be in doubt
SHARES = (0.05, FLAGGED, 0.20)  # of the curve
SHRINKING = 0.01  # of the weights: samples are few
FEWEST = 20  # samples of a kind to calibrate on, with at least one right and one wrong in each half


@dataclass(frozen=True, slots=True)
class Case:
    """A text's evidence, and whether it was right."""

    evidence: Evidence
    right: bool


def kind_of(problem: Problem) -> Kind:
    """The kind of text that solves a problem."""
    if isinstance(problem, RepairProblem):
        return "mend"
    return "gen" if isinstance(problem, CodeProblem) else "fill"


def cases(samples: Iterable[JudgedSample], kind: Kind) -> list[Case]:
    """What can be learned from: samples that a command would write and that tests have judged."""
    return [
        Case(each.sample.evidence, each.judgement.passed)
        for each in samples
        if not each.sample.refused
        and kind_of(each.problem) == kind
        and not (isinstance(each.problem, FillProblem) and not each.problem.tests)
    ]


def calibrate(found: Sequence[Case]) -> tuple[Calibration, list[Case]] | None:
    """A calibration fitted on every other case, and the other cases; None if there are too few."""
    fitted, others = list(found[::2]), list(found[1::2])
    if len(found) < FEWEST or any({case.right for case in half} != {True, False} for half in (fitted, others)):
        return None
    weights, bias = _fit(fitted)
    loose = Calibration(weights, bias, 0.0)
    return Calibration(weights, bias, threshold(loose, fitted, FLAGGED)), others


def threshold(calibration: Calibration, found: Iterable[Case], share: float) -> float:
    """The probability below which lies `share` of the right texts at most."""
    right = sorted(calibration.probability(case.evidence) for case in found if case.right)
    return right[int(len(right) * share)]


def below(calibration: Calibration, found: Iterable[Case], limit: float, *, right: bool) -> float:
    """The share of the right, or of the wrong, texts whose probability is below `limit`."""
    chosen = [calibration.probability(case.evidence) < limit for case in found if case.right is right]
    return sum(chosen) / max(len(chosen), 1)


def curve(kinds: Sequence[tuple[str, Calibration, Sequence[Case], Sequence[Case]]]) -> str:
    """A Markdown table: how many wrong texts are in doubt if so many right ones are.

    kinds: name, calibration, the cases that the thresholds are taken from, and those that are measured.
    """
    rows = []
    for name, calibration, fitted, measured in kinds:
        for share in SHARES:
            limit = threshold(calibration, fitted, share)
            flagged, caught = (below(calibration, measured, limit, right=right) for right in (True, False))
            counts = [sum(case.right is right for case in measured) for right in (True, False)]
            rows.append([name, f"{share:.0%}", f"{flagged:.0%} of {counts[0]}", f"{caught:.0%} of {counts[1]}"])
    return markdown.table(["text", "set to", "right texts in doubt", "wrong texts in doubt"], rows)


def _fit(found: Sequence[Case]) -> tuple[Features, float]:
    """Weights that are not negative, and the bias, by maximum likelihood with a small penalty on the weights."""
    features = torch.tensor([case.evidence.features for case in found], dtype=torch.float64)
    right = torch.tensor([float(case.right) for case in found], dtype=torch.float64)
    parameters = torch.zeros(features.shape[1] + 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([parameters], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        weights = parameters[:-1].exp() - 1e-3
        value = binary_cross_entropy_with_logits(parameters[-1] - features @ weights, right)
        value = value + SHRINKING * weights.square().sum() / features.shape[1]
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    *logs, bias = parameters.tolist()
    a, b, c, d, e = (max(float(torch.tensor(log).exp()) - 1e-3, 0.0) for log in logs)
    return (a, b, c, d, e), bias
