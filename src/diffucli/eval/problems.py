"""Problems, answers to them, and how an answer is judged: by tests in the sandbox, or by the text it replaces.

Does not know models, nor where problems come from.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import partial

from diffucli import sandbox
from diffucli.syntax import languages
from diffucli.syntax.check import check
from diffucli.tasks.doubt import UNKNOWN, Evidence

TEST_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class RunLimits:
    """What a run of tests may take. memory: bytes."""

    seconds: float = TEST_SECONDS
    memory: int = 512 * 2**20


USUAL = RunLimits()


@dataclass(frozen=True, slots=True)
class CodeProblem:
    """A request for code.

    group: The group that results are reported by.
    request: What the model is asked to write.
    tests: Asserts on `candidate`, the last function or class of the answer, or on names that the answer defines.
    task_id: Of a published problem.
    prompt: The code that a published problem begins with; its answer stands behind it.
    entry_point: The name that the answer to a published problem must define.
    more_tests: Harder tests, run if the others pass.
    limits: Of a run of tests.
    """

    group: str
    request: str
    tests: str
    task_id: str = ""
    prompt: str = ""
    entry_point: str = ""
    more_tests: str = ""
    limits: RunLimits = USUAL

    @property
    def title(self) -> str:
        """What names the problem in a list."""
        return self.task_id or self.request

    def completion(self, text: str) -> str:
        """What follows the prompt if the answer is `text`: a definition of its own, or the body of the prompt's."""
        name = re.escape(self.entry_point)
        is_whole = self.prompt and re.search(rf"^(?:(?:async )?def|class) {name}\b|^{name} *=", text, re.MULTILINE)
        return f"\n{text}" if is_whole else text

    def program(self, completion: str) -> str:
        """The code that is tested."""
        return self.prompt + completion


@dataclass(frozen=True, slots=True)
class FillProblem:
    """Python code with one hole.

    group: The group that results are reported by.
    before: The code to the left of the hole.
    expected: The text that was cut out.
    after: The code to the right of the hole.
    tests: Asserts on `candidate` in the filled code. If empty, the answer must equal `expected`.
    task_id: Of a published problem.
    line_end: What `after` begins with though a published completion ends with it: the end of a line, or nothing.
    limits: Of a run of tests.
    """

    group: str
    before: str
    expected: str
    after: str
    tests: str = ""
    task_id: str = ""
    line_end: str = ""
    limits: RunLimits = USUAL

    @property
    def title(self) -> str:
        """What names the problem in a list."""
        return self.task_id or self.expected

    def completion(self, text: str) -> str:
        """What stands between the two parts of a published problem if the hole has `text`."""
        return text + self.line_end

    def program(self, completion: str) -> str:
        """The code that is tested."""
        return self.before + completion + self.after.removeprefix(self.line_end)


@dataclass(frozen=True, slots=True)
class RepairProblem:
    """A Python program that does not compile.

    group: The group that results are reported by.
    broken: The program, all of it.
    original: The program before it was broken; other repairs may be right as well.
    tests: Asserts on `candidate`, the last function or class of the repaired program.
    limits: Of a run of tests.
    """

    group: str
    broken: str
    original: str
    tests: str
    limits: RunLimits = USUAL

    def completion(self, text: str) -> str:
        """The program itself."""
        return text

    def program(self, completion: str) -> str:
        """The code that is tested."""
        return completion

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

    passed: Whether all tests reached their end or, without tests, whether the text equals the expected one.
    parses: Whether the answer, with the code around it, is valid Python.
    reason: "ok"; otherwise the sandbox's reason ("error", "timeout", "memory", "exit"), "differs", or why there is no
        answer.
    base: Whether it passed the tests without the harder ones; None if there are no harder ones.
    """

    passed: bool
    parses: bool
    reason: str
    base: bool | None = None


def judge(
    problem: Problem,
    text: str,
    *,
    seconds: float | None = None,
    confinement: sandbox.Confinement | None = None,
) -> Judgement:
    """Judges `text` as an answer to `problem`.

    seconds: wall time for code and tests together; None: the problem's. confinement: of the code; None: the strongest
    that works here. UsageError: it cannot be confined so.
    """
    if isinstance(problem, FillProblem) and not problem.tests:
        same = text.split() == problem.expected.split()  # the amount of white space does not matter
        return Judgement(same, _parses(problem.before + text + problem.after), "ok" if same else "differs")
    if seconds is not None:
        problem = replace(problem, limits=replace(problem.limits, seconds=seconds))
    return judge_program(problem, problem.program(problem.completion(text)), confinement=confinement)


def judge_program(problem: Problem, code: str, *, confinement: sandbox.Confinement | None = None) -> Judgement:
    """Judges `code`, which holds an answer to `problem` that has tests. Otherwise as `judge`."""
    limits = problem.limits
    run = partial(sandbox.run_tests, code, seconds=limits.seconds, memory=limits.memory, confinement=confinement)
    outcome = run(problem.tests)
    more = problem.more_tests if isinstance(problem, CodeProblem) else ""
    base = outcome.ok if more else None
    if more and outcome.ok:
        outcome = run(more)
    return Judgement(outcome.ok, _parses(code), outcome.reason, base)


def _parses(text: str) -> bool:
    return bool(text.strip()) and check(text, languages.by_name("python")).ok
