"""The Python interface: load a checkpoint, generate code, fill holes. `import diffucli` has all of it.

Prints nothing, and changes no signal handler, environment variable or other global. Safe to call from several threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffucli.decode.loop import Returned, alone, together
from diffucli.edit import holes, source
from diffucli.model import registry
from diffucli.model.load import Checkpoint
from diffucli.model.load import load as load_folder
from diffucli.syntax import languages
from diffucli.tasks import generate as generation
from diffucli.tasks.engine import DEFAULT_EFFORT, Effort, Result
from diffucli.tasks.fill import fill as fill_job
from diffucli.tasks.jobs import Filled, Wanted, jobs_of
from diffucli.tasks.options import DecodingOptions

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from diffucli.events import Event
    from diffucli.model.config import Quant
    from diffucli.tasks.verify import Verify

__all__ = ["Checkpoint", "DecodingOptions", "Effort", "Result", "fill", "generate", "generate_many", "load"]
DEFAULT = DecodingOptions()


def load(
    name: str | None = None, *, device: str = "auto", quant: Quant = "auto", adapter: str | None = None
) -> Checkpoint:
    """Loads a checkpoint.

    name: of a pulled model, or a checkpoint folder; None: the one that `diffu model use` chose, else the embedded mini.
    device: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1", "mps". quant: "nf4" for four-bit weights, "none"
    for weights as they are, "auto" for what fits and runs fastest. adapter: a LoRA adapter that was pulled, or its
    folder. Raises ModelError, UsageError.
    """
    beside = None if adapter is None else registry.find_adapter(adapter).folder
    return load_folder(registry.find(name).folder, device=device, quant=quant, adapter=beside)


def generate(
    model: Checkpoint,
    request: str,
    *,
    language: str = "python",
    length: int = generation.DEFAULT_ANSWER_TOKENS,
    verify: Verify = "error",
    options: DecodingOptions = DEFAULT,
    effort: Effort = DEFAULT_EFFORT,
) -> Result:
    """Writes new code for a request; `Result.text` is the code.

        length: tokens that the answer may have. verify: what does not parse after its repair is an error ("error") or
    accepted ("warn"), or nothing is looked for nor repaired ("off"). `Result.ok` says whether the text parses,
    `Result.accepted()` raises if it must not be used. Raises UsageError for a request too long for the model, NoRoom if
    memory runs out.
    """
    (result,) = generate_many(
        model, [request], language=language, length=length, verify=verify, options=options, effort=effort
    )
    return result


def generate_many(
    model: Checkpoint,
    requests: Sequence[str],
    *,
    language: str = "python",
    length: int = generation.DEFAULT_ANSWER_TOKENS,
    verify: Verify = "error",
    options: DecodingOptions = DEFAULT,
    effort: Effort = DEFAULT_EFFORT,
) -> list[Result]:
    """Writes code for several requests together, which takes less time than one after the other.

    The texts are those that `generate` writes for each request. Parameters and errors are those of `generate`.
    """
    chosen, policy = languages.by_name(language), options.policy(model.family)
    runs = [
        generation.generate(model, generation.Request(text, chosen, length, verify=verify), policy, effort=effort)
        for text in requests
    ]
    results = {number: event.result for number, event in together(model.network, runs) if isinstance(event, Returned)}
    return [results[number] for number in range(len(runs))]


def fill(
    model: Checkpoint,
    text: str,
    *,
    regions: Sequence[str] = (),
    instruction: str | None = None,
    language: str = "python",
    length: str | None = None,
    verify: Verify = "error",
    options: DecodingOptions = DEFAULT,
    effort: Effort = DEFAULT_EFFORT,
) -> Result:
    """Fills the holes (`???`) and regions of a text; `Result.text` is the new text, `Result.pieces` the new parts.

    regions: as `diffu fill -r` has them: "10:40", "Cfg.load", ":todo". instruction: what the new text should do.
    length: tokens of holes and regions that name none, "30" or "1-60". Other parameters and errors are those of
    `generate`; UsageError also if there is nothing to fill.
    """
    bounds = None if length is None else holes.length(length, label=f"length {length}")
    wanted = Wanted(tuple(regions), language=language, length=bounds)
    (job,) = jobs_of([(source.from_bytes(text.encode()), None)], wanted)
    run = fill_job(model, job, options.policy(model.family), instruction=instruction, verify=verify, effort=effort)
    return _result(alone(model.network, run)).result


def _result(events: Generator[Event, None, Filled]) -> Filled:
    while True:
        try:
            next(events)
        except StopIteration as end:
            filled: Filled = end.value
            return filled
