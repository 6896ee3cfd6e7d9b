"""pass@k and costs by group, and their table.

Does not know how samples are generated or judged.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from itertools import groupby
from math import comb, sqrt
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from diffucli.eval.judging import JudgedSample
from diffucli.eval.problems import Judgement, Sample
from diffucli.lab import markdown
from diffucli.tasks.doubt import Evidence
from diffucli.units import per_second

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from diffucli.eval.problems import Problem

KS = (1, 10)
COLUMNS = ("parses", "wrong told", "right told", "NFE", "tokens", "TPF", "s", "tok/s")


def pass_at(k: int, *, samples: int, passed: int) -> float:
    """Unbiased estimate of the probability that at least one of `k` samples passes.

    samples: number of samples drawn; passed: how many of them passed. The estimate is 1 - C(n - c, k) / C(n, k), from
    Chen et al. 2021, "Evaluating Large Language Models Trained on Code", section 2.1.
    """
    assert 1 <= k <= samples
    assert 0 <= passed <= samples
    return 1 - comb(samples - passed, k) / comb(samples, k)


@dataclass(frozen=True, slots=True)
class GroupReport:
    """Pass rates and mean costs of one group of problems.

    group: Name of the group.
    problems: Number of problems.
    samples: Samples of each problem.
    passes: pass@k by k, for each k that is asked for and that there are enough samples for.
    error: Standard error of pass@1 over the problems; None where they are all alike, so that it cannot be told.
    parses: Share of samples that parse.
    told_wrong, told_right: Share of the wrong, and of the right, samples that are refused or told to be in doubt; None
        if there are none.
    nfe: Mean number of forwards a sample.
    tokens: Mean number of tokens of text a sample.
    seconds: Mean wall time of decoding a sample.
    """

    group: str
    problems: int
    samples: int
    passes: Mapping[int, float]
    error: float | None
    parses: float
    told_wrong: float | None
    told_right: float | None
    nfe: float
    tokens: float
    seconds: float

    @property
    def tpf(self) -> float | None:
        """Tokens of text per forward; None without forwards."""
        return self.tokens / self.nfe if self.nfe else None

    @property
    def rate(self) -> float | None:
        """Tokens of text per second of decoding; None where that cannot be told."""
        return per_second(self.tokens, self.seconds)


def group_reports(results: Iterable[JudgedSample], ks: Sequence[int] = KS) -> list[GroupReport]:
    """One report per group, in the order in which the groups first appear. ks: of pass@k, besides 1.

    Problems with harder tests have a group for the others before that of all tests.
    """
    groups: dict[str, list[JudgedSample]] = {}
    for result in results:
        base, name = result.judgement.base, result.problem.group
        if base is not None:
            judgement = replace(result.judgement, passed=base)
            groups.setdefault(f"{name}, base tests alone", []).append(replace(result, judgement=judgement))
        groups.setdefault(name, []).append(result)
    return [_group_report(group, found, sorted({1, *ks})) for group, found in groups.items()]


def _group_report(group: str, results: Sequence[JudgedSample], ks: Sequence[int]) -> GroupReport:
    ordered = sorted(results, key=lambda result: result.index)
    passed = [[r.judgement.passed for r in each] for _, each in groupby(ordered, key=lambda result: result.index)]
    samples = min(map(len, passed))
    rates = {k: [pass_at(k, samples=len(each), passed=sum(each)) for each in passed] for k in ks if k <= samples}
    return GroupReport(
        group=group,
        problems=len(passed),
        samples=samples,
        passes={k: fmean(each) for k, each in rates.items()},
        error=stdev(rates[1]) / sqrt(len(passed)) if len(set(rates[1])) > 1 else None,
        parses=fmean(r.judgement.parses for r in results),
        told_wrong=_told(r for r in results if not r.judgement.passed),
        told_right=_told(r for r in results if r.judgement.passed),
        nfe=fmean(r.sample.nfe for r in results),
        tokens=fmean(r.sample.tokens for r in results),
        seconds=fmean(r.sample.seconds for r in results),
    )


def _told(results: Iterable[JudgedSample]) -> float | None:
    """The share of `results` of which the user would have been told that something may be wrong."""
    told = [result.sample.told for result in results]
    return sum(told) / len(told) if told else None


def record(result: JudgedSample) -> dict[str, object]:
    """A sample as plain values: which problem it answers, how it was judged, and every field of the sample."""
    problem, judgement = result.problem, result.judgement
    asked = {"group": problem.group, "index": result.index, "title": problem.title, "seed": result.seed}
    judged = {"ok": judgement.passed, "base": judgement.base, "parses": judgement.parses, "reason": judgement.reason}
    return {**asked, "length": result.length, **judged, **asdict(result.sample)}


def of_record(values: Mapping[str, Any], problem: Problem) -> JudgedSample:
    """The sample of a record, which answers `problem`. KeyError, TypeError: it is none."""
    given = {field.name: values[field.name] for field in fields(Sample)}
    sample = Sample(**{**given, "evidence": Evidence(**values["evidence"])})
    judgement = Judgement(values["ok"], values["parses"], values["reason"], values["base"])
    return JudgedSample(values["index"], problem, values["seed"], sample, judgement, values["length"])


def values(report: GroupReport) -> dict[str, object]:
    """Every figure of a group as plain values."""
    return {**asdict(report), "tpf": report.tpf, "rate": report.rate}


def table(reports: Sequence[GroupReport]) -> str:
    """A Markdown table with one row per group; it has pass@k only if every group has so many samples."""
    ks = [k for k in (reports[0].passes if reports else ()) if all(k in each.passes for each in reports)]
    header = ["group", "problems", *(f"pass@{k}" for k in ks), *COLUMNS]
    return markdown.table(header, [_cells(each, ks) for each in reports])


def _cells(report: GroupReport, ks: Sequence[int]) -> list[str]:
    first, *more = (f"{100 * report.passes[k]:.1f} %" for k in ks)
    return [
        report.group,
        str(report.problems),
        markdown.uncertain(first, report.error),
        *more,
        f"{100 * report.parses:.1f} %",
        *("-" if told is None else f"{100 * told:.0f} %" for told in (report.told_wrong, report.told_right)),
        f"{report.nfe:.1f}",
        f"{report.tokens:.1f}",
        "-" if report.tpf is None else f"{report.tpf:.1f}",
        f"{report.seconds:.2f}",
        "-" if report.rate is None else f"{report.rate:.0f}",
    ]
