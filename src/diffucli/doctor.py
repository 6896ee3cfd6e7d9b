"""The checks of `diffu doctor`. Each runs on its own, so a check that breaks is reported and does not stop the others.

Knows nothing of terminals: a finding is a plain value.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Literal

from diffucli.errors import DiffuError, UsageError
from diffucli.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from diffucli.model.config import Config
    from diffucli.model.memory import Plan

Verdict = Literal["ok", "note", "bad"]
PYTHON = (3, 11)
TOLERANCE = 0.2  # allowed relative error of a product in four bits
ROUNDING = 1e-4  # allowed relative difference of layers in float32
TRANSFORMERS = "pip install --upgrade 'transformers>=5.3'"
LOW_DISK = 6e9  # bytes that a 7B model in four bits takes
GLYPHS = "░✓✗·"
CLASSES = {
    ("gpu", "small"): "instant: under a second an answer",
    ("gpu", "none"): "fast: seconds an answer",
    ("gpu", "nf4"): "good: some seconds an answer",
    ("gpu", "offloaded"): "slow: layers travel to the GPU at each step; minutes an answer",
    ("cpu", "small"): "quick: seconds an answer",
    ("cpu", "nf4"): "very slow: many minutes an answer; meant for a GPU",
    ("cpu", "none"): "very slow: many minutes an answer; meant for a GPU",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. verdict: "note" is neither good nor bad. remedy: what to do if it is "bad"."""

    name: str
    verdict: Verdict
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """One check. vital: no model can run if it fails. remedy: what to do if it raises an error without a hint."""

    name: str
    look: Callable[[], Finding]
    vital: bool = False
    remedy: str = "pip install --force-reinstall diffucli"


def examine() -> Iterator[tuple[Finding, bool]]:
    """Run all checks; yield each finding and whether it means that no model can run."""
    for probe in probes():
        found = isolated(probe)
        yield found, probe.vital and found.verdict == "bad"


def probes() -> tuple[Probe, ...]:
    """All checks in the order of the report."""
    torch = "pip install --force-reinstall torch"
    return (
        Probe("python", _python, vital=True, remedy="install Python 3.11 or newer"),
        Probe("torch", _torch, vital=True, remedy=torch),
        Probe("gpu", _gpu, remedy=torch),
        Probe("memory", _memory),
        Probe("four bits", _four_bits, remedy="pip install --upgrade bitsandbytes; --quant none works without"),
        Probe("training", _training, remedy=TRANSFORMERS),
        Probe("grammars", _grammars),
        Probe("verdicts", _verdicts),
        Probe("sandbox", _sandbox),
        *(Probe(name, partial(_folder, name), remedy=FOLDER) for name in ("models", "settings", "undo")),
        Probe("disk", _disk),
        Probe("hub", _hub, remedy="docs/models.md has the variables"),
        Probe("terminal", _terminal, remedy="set PYTHONIOENCODING=utf-8, or a UTF-8 locale"),
        Probe("model", _model, vital=True, remedy="diffu model use mini, or diffu model pull diffucoder"),
        Probe("advice", _advice, remedy="diffu model list --all shows what there is"),
    )


FOLDER = "make the folder writable, or set DIFFU_HOME and DIFFU_STATE to others"


def isolated(probe: Probe) -> Finding:
    """Run one check; every error that it raises becomes a finding, also the SystemExit of a library."""
    try:
        return probe.look()
    except DiffuError as exc:
        return Finding(probe.name, "bad", exc.message, exc.hint or probe.remedy)
    except (Exception, SystemExit) as exc:  # noqa: BLE001 — a broken library raises anything
        line = " ".join(str(exc).split())[:200]
        return Finding(probe.name, "bad", f"{type(exc).__name__}: {line}", probe.remedy)


def _python() -> Finding:
    text = f"{platform.python_version()} on {platform.system()} {platform.machine()}, diffu {version('diffucli')}"
    if sys.version_info < PYTHON:
        return Finding("python", "bad", text, "install Python 3.11 or newer")
    return Finding("python", "ok", text)


def _torch() -> Finding:
    import torch

    cuda = f", CUDA {torch.version.cuda}" if torch.version.cuda else ", built for the CPU alone"
    return Finding("torch", "ok", f"{torch.__version__}{cuda}, transformers {version('transformers')}")


def _gpu() -> Finding:
    import torch

    from diffucli.model.memory import free_memory

    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        names = [
            f"{torch.cuda.get_device_name(i)} ({format_bytes(free_memory(f'cuda:{i}'))} free)" for i in range(count)
        ]
        return Finding("gpu", "ok", ", ".join(names))
    if shutil.which("nvidia-smi"):
        remedy = "install torch for your CUDA (pytorch.org tells the command), or update the driver"
        return Finding("gpu", "bad", "there is a GPU that torch cannot use", remedy)
    return Finding("gpu", "note", "none that torch can use; models run on the CPU")


def _memory() -> Finding:
    from diffucli.model.memory import free_memory

    return Finding("memory", "note", f"{format_bytes(free_memory('cpu'))} free, {os.cpu_count()} cores")


def _four_bits() -> Finding:
    import torch

    from diffucli.model.memory import has_bitsandbytes
    from diffucli.model.nf4 import product_error

    if not has_bitsandbytes():
        return Finding("four bits", "note", "bitsandbytes cannot be used here; models run unpacked (--quant none)")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    error, name = product_error(device), f"bitsandbytes {version('bitsandbytes')} on {device}"
    if not error < TOLERANCE:
        text = f"{name} multiplies wrongly: {error:.2f} off float32, {TOLERANCE} is allowed"
        return Finding("four bits", "bad", text, "pip install --upgrade bitsandbytes; or use --quant none")
    return Finding("four bits", "ok", f"{name}, a product is {error:.3f} off float32")


def _training() -> Finding:
    from diffucli.train.hf_reference import attention_error

    error, name = attention_error(), f"transformers {version('transformers')}"
    if not error < ROUNDING:
        return Finding("training", "bad", f"{name} computes other layers than decoding: {error:.2g} off", TRANSFORMERS)
    return Finding("training", "ok", f"{name} computes the same layers as decoding")


def _grammars() -> Finding:
    from diffucli.syntax.languages import LANGUAGES, grammar

    missing = [language for language in LANGUAGES if grammar(language) is None]
    if not missing:
        return Finding("grammars", "ok", f"{len(LANGUAGES)} languages")
    names = ", ".join(language.name for language in missing)
    wheels = " ".join(dict.fromkeys(language.grammar[0].replace("_", "-") for language in missing))
    return Finding(
        "grammars", "bad", f"no grammar for {names}: these languages are not checked", f"pip install {wheels}"
    )


def _verdicts() -> Finding:
    """The programs that are asked whether a text of their language parses."""
    from diffucli.syntax import stylesheets, tools

    if stylesheets.errors("") is None:
        return Finding("verdicts", "bad", "tinycss2 is missing: CSS is judged less well", "pip install tinycss2")
    programs = tuple(dict.fromkeys(tool.program for tool in tools.TOOLS.values()))
    found = [path for program in programs if (path := tools.find(program))]
    absent = [program for program in programs if not tools.find(program)]
    missing = f"; not here: {', '.join(absent)}" if absent else ""
    return Finding("verdicts", "ok", f"asked beside tree-sitter: {', '.join(found) or 'none'}{missing}")


def _sandbox() -> Finding:
    from diffucli.sandbox import DESCRIPTIONS, strongest

    try:
        return Finding("sandbox", "ok", f"code of `diffu eval` is {DESCRIPTIONS[strongest()]}")
    except UsageError as exc:  # only needed to evaluate models
        return Finding("sandbox", "note", f"{exc.message}; {exc.hint}")


def folders() -> dict[str, Path]:
    """The folders that diffu uses on this machine, by their content."""
    from diffucli import settings
    from diffucli.edit.undo import default_root
    from diffucli.model import store

    return {"models": store.root(), "settings": settings.user_path().parent, "undo": default_root()}


def _folder(name: str) -> Finding:
    path = folders()[name]
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        return Finding(name, "bad", f"{path} cannot be written", FOLDER)
    if not path.exists():
        return Finding(name, "note", f"{path} (nothing yet)")
    held = sum(file.lstat().st_size for file in path.rglob("*") if file.is_file())
    return Finding(name, "ok", f"{path} ({format_bytes(held)})")


def _disk() -> Finding:
    path = folders()["models"]
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < LOW_DISK:
        remedy = "make room, or set DIFFU_HOME to a folder on another disk"
        return Finding("disk", "bad", f"{format_bytes(free)} free at {existing}: no room for a 7B model", remedy)
    return Finding("disk", "ok", f"{format_bytes(free)} free at {existing}")


def _hub() -> Finding:
    from diffucli.model import hub

    return Finding("hub", "note", f"{hub.settings()} (not asked)")


def _terminal() -> Finding:
    encoding = sys.stderr.encoding or "ascii"
    kind = f"{encoding}, TERM={os.environ.get('TERM', '')}" if sys.stderr.isatty() else f"{encoding}, no terminal"
    try:
        GLYPHS.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return Finding("terminal", "note", f"{kind}: masks are drawn in ASCII")
    return Finding("terminal", "ok", kind)


def _model() -> Finding:
    """Check the small files and the headers of the default model; nothing is loaded."""
    from diffucli.model import registry
    from diffucli.model.load import check, find_device
    from diffucli.model.memory import choose

    entry = registry.find(None)
    config, _, _ = check(entry.folder)
    chosen = choose(config, quant="auto", device=str(find_device("auto")))
    return Finding("model", "ok", f"{entry.name} runs here: {describe(chosen)}; {speed(chosen, config)}")


def _advice() -> Finding:
    """The known checkpoint that suits this machine best."""
    from diffucli.model import advice, registry
    from diffucli.model.load import find_device
    from diffucli.model.names import PULL

    found = advice.recommended(str(find_device("auto")))
    if found is None:
        return Finding("advice", "note", "no checkpoint that can be pulled fits here; mini does")
    here = found.name in {entry.name for entry in registry.entries()}
    how = f"diffu model use {found.name}" if here else f"{PULL.format(found.name)} fetches {format_bytes(found.size)}"
    return Finding("advice", "note", f"{found.name} suits this machine ({found.purpose}): {how}")


def describe(plan: Plan) -> str:
    """A memory plan in one line."""
    kind = "in four bits" if plan.quant == "nf4" else "unpacked"
    offloaded = f", {plan.offloaded} layers in main memory" if plan.offloaded else ""
    return f"{kind} on {plan.device}{offloaded}, {format_bytes(plan.total)} of memory"


def speed(plan: Plan, config: Config) -> str:
    """The speed class of a memory plan."""
    place = "cpu" if plan.device == "cpu" else "gpu"
    kind = "offloaded" if plan.offloaded else plan.quant
    return CLASSES[place, kind if config.is_large else "small"]


def packages() -> dict[str, str]:
    """The versions of the libraries that diffu computes with, if they are installed."""
    found = {}
    for name in ("torch", "transformers", "bitsandbytes", "accelerate", "tokenizers", "safetensors", "huggingface-hub"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
