"""What every subcommand of `diffu bench` does around its measurement: it loads a model and prints what was found."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from diffucli.cli import streams
from diffucli.cli.report import Report

if TYPE_CHECKING:
    import torch

    from diffucli.bench.report import Findings
    from diffucli.cli.bench.options import Subject
    from diffucli.model.load import Checkpoint
    from diffucli.model.registry import Entry


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that was loaded to be measured, and how long that took."""

    entry: Entry
    checkpoint: Checkpoint
    seconds: float


def load(subject: Subject) -> Loaded:
    """Loads the model. Raises ModelError."""
    from diffucli.model import load as model
    from diffucli.model import registry

    entry, begun = registry.find(subject.model), perf_counter()
    checkpoint = model.load(entry.folder, device=subject.device, quant=subject.quant)
    model.settle_threads(checkpoint)
    return Loaded(entry, checkpoint, perf_counter() - begun)


def put_loaded(benchmark: str, loaded: Loaded, findings: Findings, *, as_json: bool) -> None:
    """As `put`, with the facts of the model that was loaded."""
    device = loaded.checkpoint.network.device
    put(benchmark, loaded.entry.name, device, findings, as_json=as_json, load_seconds=loaded.seconds)


def put(
    benchmark: str,
    model: str,
    device: torch.device,
    findings: Findings,
    *,
    as_json: bool,
    load_seconds: float | None = None,
) -> None:
    """Prints the findings below the facts that they depend on; as an object with --json."""
    from diffucli.bench.report import facts
    from diffucli.lab import markdown

    about = facts(model, device, load_seconds=load_seconds)
    if as_json:
        Report(json=True).object("diffu.bench/1", 0, benchmark=benchmark, **about, **findings.values)
    else:
        streams.put(f"{markdown.bullets(about)}\n\n{findings.text}\n".encode())
