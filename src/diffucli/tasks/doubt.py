"""Doubt: how sure a model was of a text, and the estimated probability that the text is right.

The evidence is the log-probability of the tokens when they were written, the same when they are read again with half of
them masked, that of the end of a hole, and what the critics found; of several holes the least sure one counts. A
checkpoint may have calibrations, fitted on held-out problems.
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
from diffucli.tasks.length import end_logprob
from diffucli.tasks.write import composed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from diffucli.decode.loop import Run
    from diffucli.model.load import Checkpoint
    from diffucli.tasks.write import RunOutput

Kind = Literal["gen", "fill", "mend"]  # a new text, the text of holes, a text whose faults were mended
FILE = "doubt.json"  # the calibrations of a checkpoint, in its folder
UNSURE = -0.25  # nats a token: below it a text is in doubt where there is no calibration
Features = tuple[float, float, float, float, float]
MOST = 2  # repairs, or warnings, that count


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for a text and against it.

    mean_logprob: of its tokens when they were written (nats). reread_logprob: of the same tokens when every other one
    is masked again. end_logprob: that a hole ends behind its text, 0 if that cannot be asked. repairs: rounds of
    repair. warnings: of the critics.
    """

    mean_logprob: float
    reread_logprob: float
    end_logprob: float
    repairs: int
    warnings: int

    @property
    def features(self) -> Features:
        """The evidence as the calibration sees it; more is worse."""
        sure = self.mean_logprob, self.reread_logprob, self.end_logprob
        written, reread, end = (math.sqrt(max(-logprob, 0.0)) for logprob in sure)
        return written, reread, end, float(min(self.repairs, MOST)), float(min(self.warnings, MOST))


@dataclass(frozen=True, slots=True)
class Calibration:
    """A logistic regression: the probability that a text is right is 1 / (1 + exp(weights · features - bias)).

    threshold: a text with a lower probability is in doubt.
    """

    weights: Features
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


UNKNOWN = Doubt(Evidence(0.0, 0.0, 0.0, 0, 0), None, doubtful=False)  # of a text that was not read again


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


def doubt_of(
    checkpoint: Checkpoint, output: RunOutput, kind: Kind, *, repairs: int, warnings: int
) -> Run[tuple[Doubt, float]]:
    """The doubt about a text, and the forwards that it cost to read it again. repairs, warnings: as in `Evidence`."""
    written = [hole.mean_logprob for hole in output.holes if hole.tokens]
    reread, end, nfe = yield from read_again(checkpoint, output, ends=kind == "fill")
    evidence = Evidence(min(written, default=0.0), reread, end, repairs, warnings)
    return judge(evidence, read(checkpoint.folder).get(kind)), nfe


def read_again(checkpoint: Checkpoint, output: RunOutput, *, ends: bool) -> Run[tuple[float, float, float]]:
    """What is known of the least sure hole of a text, and the forwards that it cost.

    The first number is the mean log-probability (nats) of a hole's tokens when every other one is masked, the second
    that of its end, if `ends` are asked for and the checkpoint pads holes.
    """
    tokenizer, layout = checkpoint.tokenizer, composed(output.layout, output.holes)
    spans = [span for span in layout.holes if len(span)]
    places = [place for span in spans for place in range(span.start, span.stop)]
    halves = [half for half in (places[::2], places[1::2]) if half]
    asked = range(len(layout.holes)) if ends and checkpoint.config.hole_padding else ()
    rereadings = yield from side_by_side([_masked(layout.tokens, half, tokenizer.mask) for half in halves], shown=None)
    found = yield from side_by_side([end_logprob(layout, number, tokenizer) for number in asked], shown=None)
    logprobs = {place: logprob for half, _ in rereadings for place, logprob in half.items()}
    means = (sum(logprobs[place] for place in range(span.start, span.stop)) / len(span) for span in spans)
    nfe = sum(cost for _, cost in (*rereadings, *found))
    return min(means, default=0.0), min((end for end, _ in found), default=0.0), nfe


def _masked(tokens: Sequence[int], places: Sequence[int], mask: int) -> Run[tuple[dict[int, float], float]]:
    """The log-probability (nats) of the token at each of `places` if all of these are masked; and the cost."""
    logprobs, nfe = yield from ask(tokens, places, mask)
    truth = torch.tensor([tokens[place] for place in places], device=logprobs.device)
    return dict(zip(places, logprobs.gather(1, truth[:, None])[:, 0].tolist(), strict=True)), nfe


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
    a, b, c, d, e = map(float, values["weights"])
    return Calibration((a, b, c, d, e), float(values["bias"]), float(values["threshold"]))


def write(folder: Path, calibrations: Mapping[Kind, Calibration]) -> None:
    """Writes the calibrations into a checkpoint folder."""
    values = {kind: asdict(each) for kind, each in calibrations.items()}
    (folder / FILE).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
