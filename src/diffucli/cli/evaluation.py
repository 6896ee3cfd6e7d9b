"""An evaluation of the command line: how it is written, what it goes on from, and what is told at the end."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffucli.cli import streams
from diffucli.eval import asking, lengths, report
from diffucli.eval import folder as folders
from diffucli.eval.asking import WantedSample, key_of
from diffucli.eval.judging import AUTO, JudgedSample, judged
from diffucli.eval.problems import CodeProblem, Judgement, Sample, judge, judge_program
from diffucli.eval.published import SUITES
from diffucli.eval.recipes import recipe
from diffucli.sandbox import DESCRIPTIONS
from diffucli.tasks.engine import DEFAULT_EFFORT, Effort
from diffucli.tasks.generate import DEFAULT_ANSWER_TOKENS
from diffucli.tasks.options import require_sampling

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from diffucli.batch.answers import AnswerFile
    from diffucli.batch.worker import RowWorker
    from diffucli.cli.eval_input import EvalOutput, ProblemInput
    from diffucli.cli.options import Choice
    from diffucli.cli.report import Report
    from diffucli.decode.policy import Policy
    from diffucli.eval.judging import Judge
    from diffucli.eval.problems import Problem
    from diffucli.eval.report import GroupReport
    from diffucli.executors.executor import Executor
    from diffucli.sandbox import Confinement
    from diffucli.tasks.options import DecodingOptions


@dataclass(frozen=True, slots=True)
class EvalPlan:
    """How answers are written.

    answer: masks of each. samples: of each problem. ks: of pass@k. about: of the model. is_base: it has no chat turns.
    """

    options: DecodingOptions
    policy: Policy
    effort: Effort
    answer: int
    samples: int
    ks: tuple[int, ...]
    about: Mapping[str, Any]
    is_base: bool
    begun: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, choice: Choice, name: str | None, *, length: int | None, samples: int, ks: tuple[int, ...]) -> EvalPlan:
        """The plan of these options. name: of a recipe. UsageError: they cannot work."""
        from diffucli.model import registry

        options, effort, answer = choice.decoding(), DEFAULT_EFFORT, length or DEFAULT_ANSWER_TOKENS
        if name is not None:
            paper = recipe(name)
            options, effort, answer = paper.options(options), Effort(repair=0), length or paper.length
        entry = registry.find(choice.model)
        family = registry.family(entry)
        policy = options.policy(family)
        if samples > 1:
            require_sampling(policy)
        adapter = {} if choice.adapter is None else {"adapter": registry.find_adapter(choice.adapter).name}
        revision = {"revision": entry.record.revision} if entry.record else {}
        about = {"model": entry.name, **revision, "quant": choice.quant, **adapter}
        return cls(options, policy, effort, answer, samples, ks, about, family.template is None)

    def worker(self, choice: Choice, together: int) -> RowWorker:
        """The worker that writes so."""
        from diffucli.batch.worker import RowWorker

        return RowWorker(
            self.about["model"],
            self.policy,
            self.effort,
            device=choice.device,
            quant=choice.quant,
            together=together,
            adapter=self.about.get("adapter"),
        )

    def warn(self, problems: Sequence[Problem], report_: Report) -> None:
        """Says if requests for code are put to a checkpoint without chat turns otherwise than by others' tools."""
        if self.is_base and any(isinstance(each, CodeProblem) for each in problems):
            report_.warn(
                "this model has no chat turns: problems stand before its answers as comments, not raw as EvalPlus puts "
                "them to base models, so these figures cannot be compared with published ones"
            )

    def wanted(self, problems: Sequence[Problem], *, by_length: bool, seed: int) -> dict[str, WantedSample]:
        """Every sample that is to be written, by its key."""
        chosen = lengths.LENGTHS if by_length else (AUTO,)
        found = asking.wanted(problems, seeds=range(seed, seed + self.samples), lengths=chosen)
        return {each.key: each for each in found}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Samples that are known already, and those that are still wanted. file: of raw rows, if they are written."""

    plan: EvalPlan
    known: list[JudgedSample]
    wanted: list[WantedSample]
    file: AnswerFile | None

    @property
    def missing(self) -> int:
        """How many samples are still wanted."""
        return len(self.wanted)

    def fresh(self, executor: Executor, worker: RowWorker, judge: Judge) -> Iterator[JudgedSample]:
        """The samples that were missing, as they come, each with its raw row."""
        if not self.wanted:
            return
        written = asking.samples(executor, worker, self.wanted, answer=self.plan.answer)
        results = judged(written, judge=judge)
        if self.file is None:
            yield from results
            return
        yield from folders.recorded(((key_of(each), each) for each in results), self.file)
        self.file.sync()


@contextmanager
def opened(plan: EvalPlan, given: ProblemInput, out: EvalOutput, problems: Sequence[Problem]) -> Iterator[Evaluation]:
    """An evaluation of problems, which goes on from the folder of its output. UsageError: that is of another one."""
    if out.folder is None:
        wanted = plan.wanted(problems, by_length=given.lengths, seed=plan.policy.seed)
        yield Evaluation(plan, [], list(wanted.values()), None)
        return
    from diffucli.batch import answers

    settings = {**plan.about, **asdict(plan.options), "effort": str(plan.effort), "answer": plan.answer}
    settings |= {"suite": given.suite, "limit": given.limit, "groups": given.group, "samples only": out.samples_only}
    with answers.opened(out.folder / folders.RAW) as file:
        known = answers.settings_of(file) or {}
        seed = known.get("seed", plan.policy.seed) if plan.options.seed is None else plan.options.seed
        answers.settle(file, {**settings, "seed": seed})
        wanted = plan.wanted(problems, by_length=given.lengths, seed=seed)
        found = folders.known(file, wanted)
        there = {key_of(each) for each in found}
        yield Evaluation(plan, found, [each for key, each in wanted.items() if key not in there], file)


def judge_of(out: EvalOutput, confinement: Confinement) -> Judge:
    """Judges in the sandbox, unless only samples are wanted."""
    if out.samples_only:
        return lambda _problem, _text: Judgement(passed=False, parses=False, reason="unjudged")
    return partial(judge, confinement=confinement)


def of_file(path: Path, problems: Sequence[Problem], confinement: Confinement) -> Iterator[JudgedSample]:
    """The judged samples of a file. UsageError: a row is no sample of these problems."""
    rows = list(folders.read_samples(path, problems))
    for index, number, problem, program in rows:
        judgement = judge_program(problem, program, confinement=confinement)
        yield JudgedSample(index, problem, number, Sample(program, 0.0, 0, 0.0), judgement)


def tell(
    plan: EvalPlan,
    given: ProblemInput,
    out: EvalOutput,
    results: list[JudgedSample],
    report_: Report,
    confinement: Confinement,
) -> None:
    """Prints the table or the object, and writes the files of the folder."""
    _tell_samples(given, out, results, report_)
    if out.samples_only:
        return
    reports = lengths.length_reports(results, plan.ks)
    seconds, tokens = time.monotonic() - plan.begun, sum(each.sample.tokens for each in results)
    seed = min((each.seed for each in results), default=plan.policy.seed)
    temperature = plan.policy.sampling.temperature
    how = {**plan.about, "preset": plan.options.preset, "temperature": temperature, "seed": seed}
    groups = [{**report.values(one), "length": length} for length, each in reports.items() for one in each]
    about = {"suite": given.suite, "samples": plan.samples, **how, "confinement": confinement}
    values = {**about, "wall": {"seconds": seconds, "tokens": tokens}, "groups": groups}
    table = f"{_table(reports)}\n\nThe code was {DESCRIPTIONS[confinement]}.\n"
    if out.folder is not None:
        folders.write_report(out.folder, values, table)
        if find_spec("matplotlib") is None:
            report_.say("no chart is drawn, for which pip install 'diffucli[eval]' brings matplotlib")
        else:
            folders.draw(out.folder / folders.CHART, reports)
    if report_.json:
        report_.object("diffu.eval/1", 0, **values)
    else:
        streams.put(table.encode())
        report_.notice(f"seed {seed} · {plan.samples} a problem · {plan.options.preset}")


def _tell_samples(given: ProblemInput, out: EvalOutput, results: list[JudgedSample], report_: Report) -> None:
    """Writes the samples, and says which command of others judges them."""
    if out.folder is None:
        return
    paths, suite = folders.write_samples(out.folder, results), SUITES.get(given.suite)
    for path in paths:
        if (old := path.with_name(path.stem + "_eval_results.json")).exists():
            report_.warn(f"{old} is of earlier samples, and evalplus shows it again until it is deleted")
    if paths and (given.limit is not None or given.group):
        report_.say(f"the samples in {out.folder} are of some problems, and others' tools want all")
    elif paths and suite is not None and suite.official:
        report_.say(f"the official judge: {suite.official.replace('FILE', str(paths[-1]))}")


def _table(reports: Mapping[str, Sequence[GroupReport]]) -> str:
    """The table of the reports by length; of the default alone, that of all figures."""
    return lengths.table(reports) if len(reports) > 1 else report.table(reports.get(AUTO, []))
