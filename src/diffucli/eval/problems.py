"""Problems, answers to them, and how an answer is judged: by tests in the sandbox, or by the text it replaces.

Does not know models, nor where problems come from.
"""

from __future__ import annotations

from dataclasses import dataclass

from diffucli import sandbox
from diffucli.syntax import languages
from diffucli.syntax.check import check
from diffucli.tasks.doubt import UNKNOWN, Evidence

TEST_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class CodeProblem:
    """A request for code.

    group: The group that results are reported by.
    request: What the model is asked to write.
    tests: Asserts on `candidate`, the last function or class of the answer.
    """

    group: str
    request: str
    tests: str

    @property
    def title(self) -> str:
        """What names the problem in a list."""
        return self.request


@dataclass(frozen=True, slots=True)
class FillProblem:
    """Python code with one hole.

    group: The group that results are reported by.
    before: The code to the left of the hole.
    expected: The text that was cut out.
    after: The code to the right of the hole.
    tests: Asserts on `candidate` in the filled code. If empty, the answer must equal `expected`.
    """

    group: str
    before: str
    expected: str
    after: str
    tests: str = ""

    @property
    def title(self) -> str:
        """What names the problem in a list."""
        return self.expected


@dataclass(frozen=True, slots=True)
class RepairProblem:
    """A Python program that does not compile.

    group: The group that results are reported by.
    broken: The program, all of it.
    original: The program before it was broken; other repairs may be right as well.
    tests: Asserts on `candidate`, the last function or class of the repaired program.
    """

    group: str
    broken: str
    original: str
    tests: str

    @property
    def title(self) -> str:
        """What names the problem in a list: the first line that was broken."""
        lines = zip(self.broken.splitlines(), self.original.splitlines(), strict=False)
        return next((broken.strip() for broken, line in lines if broken != line), self.broken)


Problem = CodeProblem | FillProblem | RepairProblem


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer to a problem. Every field is part of its record in `diffu eval --records`.

    text: The code, the content of the hole, or the whole repaired program.
    nfe: Number of forwards.
    tokens: Number of tokens of text, without end and padding tokens.
    seconds: Wall time of decoding.
    refused: Whether a command would have refused to write it.
    doubtful: Whether a command would have told that it is in doubt.
    evidence: What the doubt is judged by.
    """

    text: str
    nfe: float
    tokens: int
    seconds: float
    refused: bool = False
    doubtful: bool = False
    evidence: Evidence = UNKNOWN.evidence

    @property
    def told(self) -> bool:
        """Whether the user would have been told that something may be wrong."""
        return self.refused or self.doubtful


@dataclass(frozen=True, slots=True)
class Judgement:
    """How good an answer is.

    passed: Whether the tests reached their end or, without tests, whether the text equals the expected one.
    parses: Whether the answer, with the code around it, is valid Python.
    reason: "ok"; otherwise the sandbox's reason ("error", "timeout", "memory", "exit") or "differs".
    """

    passed: bool
    parses: bool
    reason: str


def judge(
    problem: Problem, text: str, *, seconds: float = TEST_SECONDS, confinement: sandbox.Confinement | None = None
) -> Judgement:
    """Judges `text` as an answer to `problem`. Code and tests together fail after `seconds` of wall time.

    confinement: of the code; None: the strongest that works here. UsageError: it cannot be confined so.
    """
    match problem:
        case FillProblem(tests=""):
            same = text.split() == problem.expected.split()  # the amount of white space does not matter
            return Judgement(same, _parses(problem.before + text + problem.after), "ok" if same else "differs")
        case FillProblem():
            code = problem.before + text + problem.after
        case CodeProblem() | RepairProblem():
            code = text
    outcome = sandbox.run_tests(code, problem.tests, seconds=seconds, confinement=confinement)
    return Judgement(outcome.ok, _parses(code), outcome.reason)


def _parses(text: str) -> bool:
    return bool(text.strip()) and check(text, languages.by_name("python")).ok
