"""Problems, what a model wrote for them, and the verdict on it: tests in the sandbox, or the text that stood there.

Knows nothing of models or of where problems come from.
"""

from __future__ import annotations

from dataclasses import dataclass

from diffucli import sandbox
from diffucli.syntax import languages
from diffucli.syntax.check import check


@dataclass(frozen=True, slots=True)
class Problem:
    """A request, and asserts on `candidate` that tell whether the code written for it is right."""

    group: str
    request: str
    tests: str


@dataclass(frozen=True, slots=True)
class FillProblem:
    """Code with one hole between `before` and `after`, and the text that stood in it.

    tests: asserts on `candidate` that tell whether the whole is right; where there are none, the text must be the same.
    """

    group: str
    before: str
    expected: str
    after: str
    tests: str = ""


AnyProblem = Problem | FillProblem


@dataclass(frozen=True, slots=True)
class Sample:
    """What was written for a problem.

    nfe: forwards spent; tokens: of text, without what ends or pads it; seconds: wall time of the run.
    """

    text: str
    nfe: float
    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """passed: the tests reach their end, or the text is the expected one. parses: as a whole Python file.

    reason: "ok", or why it did not pass: the sandbox's word for tests ("error", "timeout", …), or "differs".
    """

    passed: bool
    parses: bool
    reason: str


def judge(problem: AnyProblem, text: str, *, seconds: float = 5.0) -> Verdict:
    """The verdict on `text`. seconds: wall clock for code and tests together; what takes longer has failed."""
    match problem:
        case FillProblem(tests=""):
            same = _words(text) == _words(problem.expected)
            return Verdict(same, _parses(problem.before + text + problem.after), "ok" if same else "differs")
        case FillProblem():
            return _tested(problem.before + text + problem.after, problem.tests, seconds)
        case Problem():
            return _tested(text, problem.tests, seconds)


def _tested(code: str, tests: str, seconds: float) -> Verdict:
    outcome = sandbox.run_tests(code, tests, seconds=seconds)
    return Verdict(outcome.ok, _parses(code), outcome.reason)


def _parses(text: str) -> bool:
    return bool(text.strip()) and check(text, languages.by_name("python")).ok


def _words(text: str) -> list[str]:
    """What is compared: the text but for the amount of white space."""
    return text.split()
