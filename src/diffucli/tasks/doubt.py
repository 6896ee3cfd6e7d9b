"""Doubt: how sure a model was of a text, and the estimated probability that the text is right.

The evidence is the log-probability of the tokens when they were written, the same when they are read again with half of
them masked, and what the critics found. A checkpoint may have calibrations, fitted on held-out problems.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from diffucli import files
from diffucli.decode.lanes import side_by_side
from diffucli.decode.loop import ask
from diffucli.errors import BadCheckpoint, Unparsable
from diffucli.tasks.write import composed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from diffucli.decode.loop import Run
    from diffucli.model.load import Checkpoint
    from diffucli.tasks.attempt import Attempt
    from diffucli.tasks.write import RunOutput

Kind = Literal["gen", "fill", "mend"]  # a new text, the text of holes, a text whose faults were mended
FILE = "doubt.json"  # the calibrations of a checkpoint, in its folder
UNSURE = -0.25  # nats a token: below it a text is in doubt where there is no calibration
MOST = 2  # repairs, or warnings, that count


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for a text and against it.

    mean_logprob: of its tokens when they were written (nats). reread_logprob: of the same tokens when every other one
    is masked again. repairs: rounds of repair. warnings: of the critics.
    """

    mean_logprob: float
    reread_logprob: float
    repairs: int
    warnings: int

    @property
    def features(self) -> tuple[float, float, float, float]:
        """The evidence as the calibration sees it; more is worse."""
        written, reread = (math.sqrt(max(-mean, 0.0)) for mean in (self.mean_logprob, self.reread_logprob))
        return written, reread, float(min(self.repairs, MOST)), float(min(self.warnings, MOST))


@dataclass(frozen=True, slots=True)
class Calibration:
    """A logistic regression: the probability that a text is right is 1 / (1 + exp(weights · features - bias)).

    threshold: a text with a lower probability is in doubt.
    """

    weights: tuple[float, float, float, float]
    bias: float
    threshold: float

    def probability(self, evidence: Evidence) -> float:
        """The estimated probability that a text with this evidence is right."""
        against = sum(weight * feature for weight, feature in zip(self.weights, evidence.features, strict=True))
        return 1 / (1 + math.exp(min(against - self.bias, 700.0)))


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is known of how sure a text is. probability: that it is right; None without a calibration."""

    evidence: Evidence
    probability: float | None
    doubtful: bool

    @property
    def message(self) -> str:
        """The doubt in words; "" if there is none."""
        if not self.doubtful:
            return ""
        if self.probability is None:
            return f"the model was not sure of this text (mean log-probability {self.evidence.mean_logprob:.2f})"
        return (
            f"the model was not sure of this text: it is right with an estimated probability of {self.probability:.0%}"
        )


UNKNOWN = Doubt(Evidence(0.0, 0.0, repairs=0, warnings=0), None, doubtful=False)  # of a text that was not read again


class Doubted(Unparsable):
    """New text that the model was not sure of, and that was not written because doubt was to be refused."""

    def __init__(self, text: str, doubt: Doubt) -> None:
        hint = "leave --strict out to get the text, or try more candidates (-n 8)"
        super().__init__(f"{doubt.message}; nothing was written", hint=hint)
        self.text, self.doubt = text, doubt


def judge(evidence: Evidence, calibration: Calibration | None) -> Doubt:
    """The doubt that `evidence` gives. Without a calibration the log-probability alone decides."""
    if calibration is None:
        return Doubt(evidence, None, evidence.mean_logprob < UNSURE)
    probability = calibration.probability(evidence)
    return Doubt(evidence, probability, probability < calibration.threshold)


def doubt_of(checkpoint: Checkpoint, attempt: Attempt, kind: Kind) -> Run[tuple[Doubt, float]]:
    """The doubt about an attempt, and the forwards that it cost to read it again."""
    reread, nfe = yield from read_again(checkpoint, attempt.written)
    evidence = Evidence(attempt.written.mean_logprob, reread, attempt.rounds, len(attempt.warnings))
    return judge(evidence, read(checkpoint.folder).get(kind)), nfe


def read_again(checkpoint: Checkpoint, output: RunOutput) -> Run[tuple[float, float]]:
    """The mean log-probability (nats) of a text's tokens when every other one is masked; and the forwards it cost."""
    layout = composed(output.layout, output.holes)
    places = [position for span in layout.holes for position in range(span.start, span.stop)]
    halves = [half for half in (places[::2], places[1::2]) if half]
    if not halves:
        return 0.0, 0.0
    mask = checkpoint.tokenizer.mask
    found = yield from side_by_side([_masked(layout.tokens, half, mask) for half in halves], shown=None)
    return sum(total for total, _ in found) / len(places), sum(nfe for _, nfe in found)


def _masked(tokens: Sequence[int], places: Sequence[int], mask: int) -> Run[tuple[float, float]]:
    """The total log-probability (nats) of the tokens at `places` if all of these are masked; and the cost."""
    logprobs, nfe = yield from ask(tokens, places, mask)
    truth = torch.tensor([tokens[place] for place in places], device=logprobs.device)
    return float(logprobs.gather(1, truth[:, None]).sum()), nfe


def read(folder: Path) -> dict[Kind, Calibration]:
    """The calibrations in a checkpoint folder, of which there may be none. Raises BadCheckpoint."""
    path = folder / FILE
    try:
        values: dict[Any, Any] = files.read_json(path)
        return {kind: _calibration(each) for kind, each in values.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadCheckpoint(f"{path}: is no calibration ({error})", hint="fetch the checkpoint again") from error


def _calibration(values: Mapping[str, Any]) -> Calibration:
    a, b, c, d = map(float, values["weights"])
    return Calibration((a, b, c, d), float(values["bias"]), float(values["threshold"]))


def write(folder: Path, calibrations: Mapping[Kind, Calibration]) -> None:
    """Writes the calibrations into a checkpoint folder."""
    values = {kind: asdict(each) for kind, each in calibrations.items()}
    (folder / FILE).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
