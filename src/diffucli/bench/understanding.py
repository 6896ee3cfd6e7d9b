"""What records of orders say, as sections of docs/understanding.md: tables with standard errors, and charts.

A standard error is over problems; of a problem with several samples, their mean counts. Does not know models.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations, groupby
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from diffucli.bench.orders import OrderedSample, OrderProbe
from diffucli.eval.report import pass_at
from diffucli.lab import markdown
from diffucli.lab.chart import chart
from diffucli.trace.order import ar_ness_of, kendall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from diffucli.bench.orders import OrderRecord
    from diffucli.trace.order import ArNess

BINS = (1, 2, 4, 8, 16, 32, 64)  # positions of the first step: up to each of them
HEIGHT = 3.4  # inches of a chart
COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:red")
Samples = list[OrderedSample]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over problems. error: its standard error; NaN where it cannot be told."""

    mean: float
    error: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Estimate:
        """That of one value for each problem. Those that are not a number do not count."""
        known = [value for value in values if not math.isnan(value)]
        if not known:
            return cls(math.nan, math.nan)
        return cls(fmean(known), stdev(known) / math.sqrt(len(known)) if len(known) > 1 else math.nan)

    def text(self, scale: float = 1.0, places: int = 2) -> str:
        """The mean ± its error, `scale` times as large."""
        if math.isnan(self.mean):
            return "-"
        error = "" if math.isnan(self.error) else f" ± {scale * self.error:.{places}f}"
        return f"{scale * self.mean:.{places}f}{error}"


@dataclass(frozen=True, slots=True)
class Understanding:
    """Records, by what the sections are about."""

    samples: Samples
    probes: list[OrderProbe]

    @classmethod
    def of(cls, records: Iterable[OrderRecord]) -> Understanding:
        """Those of problems of which there is everything. Others were broken off."""
        found = list(records)
        samples = [each for each in found if isinstance(each, OrderedSample)]
        probes = [each for each in found if isinstance(each, OrderProbe)]
        counts: defaultdict[int, int] = defaultdict(int)
        for each in samples:
            counts[each.problem] += 1
        whole = {each.problem for each in probes if counts[each.problem] == max(counts.values())}
        return cls([s for s in samples if s.problem in whole], [p for p in probes if p.problem in whole])

    @property
    def groups(self) -> list[str]:
        """The groups of problems."""
        return list(dict.fromkeys(each.group for each in self.probes))

    @property
    def temperatures(self) -> list[float]:
        """All temperatures, the lowest first."""
        return sorted({each.temperature for each in self.samples})

    def over(self, group: str, temperature: float, value: Callable[[Samples], float]) -> Estimate:
        """The estimate of what `value` says of the samples of a problem."""
        return Estimate.of(map(value, self.by_problem(group, temperature).values()))

    def by_problem(self, group: str, temperature: float) -> dict[int, Samples]:
        """The samples of a group at a temperature."""
        found = [each for each in self.samples if (each.group, each.temperature) == (group, temperature)]
        ordered = sorted(found, key=lambda each: (each.problem, each.seed))
        return {number: list(each) for number, each in groupby(ordered, key=lambda sample: sample.problem)}

    def facts(self) -> dict[str, object]:
        """How much was measured."""
        counts = {group: sum(each.group == group for each in self.probes) for group in self.groups}
        records: list[OrderRecord] = [*self.samples, *self.probes]
        seconds = sum(each.seconds for each in records)
        problems = ", ".join(f"{count} of {group}" for group, count in counts.items())
        most = max((each.seed + 1 for each in self.samples), default=0)
        return {
            "problems": problems,
            "samples": f"{len(self.samples)}: {most} of each problem at each temperature, one at temperature 0",
            "minutes of computing": f"{seconds / 60:.0f}",
        }


def order_section(found: Understanding) -> str:
    """AR-ness against temperature."""
    blocks = []
    for group in found.groups:
        rows = [
            [f"{temperature:g}", *(each.text() for each in _ar_nesses(found, group, temperature))]
            for temperature in found.temperatures
        ]
        header = ["T", "local @1", "local @4", "global @1", "global @4", "local @1, padding", "global @1, padding"]
        if not _is_padded(found, group):
            header, rows = header[:5], [row[:5] for row in rows]
        blocks.append(f"{group.capitalize()}:\n\n{markdown.table(header, rows)}")
    return "\n\n".join(blocks)


def sink_section(found: Understanding) -> str:
    """The first step: entropy and confidence by position."""
    header = ["position", *(f"{group}, {what}" for group in found.groups for what in ("entropy", "confidence"))]
    rows = []
    for low, high in zip((0, *BINS), BINS, strict=False):
        cells = [
            Estimate.of(_within(probe, low, high, what) for probe in found.probes if probe.group == group)
            for group in found.groups
            for what in ("entropies", "confidences")
        ]
        rows.append([str(high) if high - low == 1 else f"{low + 1}-{high}", *(each.text() for each in cells)])
    return markdown.table(header, rows)


def orders_section(found: Understanding) -> str:
    """How much orders and texts differ."""
    header = ["T", "other position, %", "τ to T 0", "τ of samples", "orders of 10", "texts of 10"]
    blocks = []
    for group in found.groups:
        rows = [[f"{each:g}", *_differences(found, group, each)] for each in found.temperatures]
        blocks.append(f"{group.capitalize()}:\n\n{markdown.table(header, rows)}")
    return "\n\n".join(blocks)


def passes_section(found: Understanding) -> str:
    """pass@1 and pass@10 against temperature, and the paired difference of pass@1 to the lowest above 0."""
    header = ["T", "pass@1, %", "to T {:g}", "pass@10, %", "to T {:g}"]
    lowest = min(each for each in found.temperatures if each)
    blocks = []
    for group in found.groups:
        rows = []
        for temperature in found.temperatures:
            one, ten = (passes(found, group, temperature, k) for k in (1, 10))
            row = [f"{temperature:g}", one.text(100, 1)]
            row += [_paired(found, group, temperature, lowest, 1), ten.text(100, 1) if temperature else ""]
            rows.append([*row, _paired(found, group, temperature, lowest, 10)])
        blocks.append(f"{group.capitalize()}:\n\n{markdown.table([each.format(lowest) for each in header], rows)}")
    return "\n\n".join(blocks)


def passes(found: Understanding, group: str, temperature: float, k: int) -> Estimate:
    """pass@k, as far as there are k samples of a problem."""
    return found.over(group, temperature, lambda samples: _pass(samples, k))


def _pass(samples: Samples, k: int) -> float:
    if len(samples) < k:
        return math.nan
    return pass_at(k, samples=len(samples), passed=sum(each.passed for each in samples))


def _paired(found: Understanding, group: str, temperature: float, base: float, k: int) -> str:
    """The difference of pass@k to that at another temperature, problem by problem, in points."""
    if temperature == base or (k > 1 and not temperature):
        return ""
    here, there = found.by_problem(group, temperature), found.by_problem(group, base)
    difference = Estimate.of(_pass(here[number], k) - _pass(there[number], k) for number in here)
    return ("+" if difference.mean > 0 else "") + difference.text(100, 1)


def _ar_nesses(found: Understanding, group: str, temperature: float) -> list[Estimate]:
    """Local @1 and @4, global @1 and @4 of the text; local and global @1 with its padding."""

    def estimate(k: int, name: str, *, padded: bool = False) -> Estimate:
        return found.over(group, temperature, lambda samples: _mean_ar_ness(samples, k, name, padded=padded))

    of_text = [estimate(k, name) for name in ("local", "overall") for k in (1, 4)]
    return [*of_text, *(estimate(1, name, padded=True) for name in ("local", "overall"))]


def _mean_ar_ness(samples: Samples, k: int, name: str, *, padded: bool) -> float:
    orders = [each.order if padded else each.text for each in samples]
    known: list[ArNess] = [value for order in orders if (value := ar_ness_of(order, k))]
    return fmean(getattr(value, name) for value in known) if known else math.nan


def _is_padded(found: Understanding, group: str) -> bool:
    return any(len(each.order) > len(each.text) for each in found.samples if each.group == group)


def _within(probe: OrderProbe, low: int, high: int, what: str) -> float:
    values = getattr(probe, what)[low:high]
    return fmean(values) if values else math.nan


def _differences(found: Understanding, group: str, temperature: float) -> list[str]:
    others = Estimate.of(p.others[f"{temperature:g}"] for p in found.probes if p.group == group)
    cells = [others.text(100, 1)]
    first = found.by_problem(group, 0.0)
    here = found.by_problem(group, temperature)
    to_first = Estimate.of(
        _tau((first[number][0], sample) for sample in samples) for number, samples in here.items() if number in first
    )
    cells += [to_first.text(), taus(found, group, temperature).text()]
    for name in ("text", "answer"):
        distinct = Estimate.of(len({getattr(each, name) for each in samples}) for samples in here.values())
        cells.append(distinct.text(places=1))
    return cells if temperature else [cells[0], "", "", "", ""]


def taus(found: Understanding, group: str, temperature: float) -> Estimate:
    """Kendall's τ between the orders of the samples of a problem, pair by pair."""
    return found.over(group, temperature, lambda samples: _tau(combinations(samples, 2)))


def _tau(pairs: Iterable[tuple[OrderedSample, OrderedSample]]) -> float:
    """The mean of Kendall's τ between the orders of text of pairs."""
    values = [value for a, b in pairs if not math.isnan(value := kendall(a.text, b.text))]
    return fmean(values) if values else math.nan


SECTIONS = {"order": order_section, "sink": sink_section, "orders": orders_section, "pass": passes_section}


def draw(found: Understanding, folder: Path) -> None:
    """Draws the chart of each section into `folder`. Needs matplotlib."""
    heat = found.temperatures
    drawn = [each for each in heat if each]
    ar = {
        f"{name} @1, {group}": [_ar_nesses(found, group, temperature)[place] for temperature in heat]
        for group in found.groups
        for name, place in (("local", 0), ("global", 2))
    }
    tau = {group: [taus(found, group, each) for each in drawn] for group in found.groups}
    passed = {
        f"pass@{k}, {group}": [passes(found, group, temperature, k) for temperature in drawn]
        for group in found.groups
        for k in (1, 10)
    }
    _lines(folder / "understanding-order.svg", heat, ar, y="AR-ness of the text")
    _first_step(folder / "understanding-sink.svg", found)
    _lines(folder / "understanding-orders.svg", drawn, tau, y="Kendall's τ of samples")
    _lines(folder / "understanding-pass.svg", drawn, passed, y="share of problems")


def _lines(path: Path, x: Sequence[float], lines: dict[str, list[Estimate]], *, y: str) -> None:
    with chart(path, x="temperature", y=y, height=HEIGHT) as axes:
        for colour, (name, estimates) in zip(COLOURS, lines.items(), strict=False):
            means = [each.mean for each in estimates]
            errors = [0.0 if math.isnan(each.error) else each.error for each in estimates]
            axes.errorbar(list(x), means, yerr=errors, fmt="o-", capsize=3, color=colour, label=name)
        axes.set_ylim(0, 1.05)
        axes.legend(fontsize="small")


def _first_step(path: Path, found: Understanding) -> None:
    with chart(path, x="position in the hole", y="entropy of the first step, nats", height=HEIGHT) as axes:
        for colour, group in zip(COLOURS, found.groups, strict=False):
            rows = [each.entropies for each in found.probes if each.group == group]
            by_place = [Estimate.of(row[at] for row in rows if at < len(row)) for at in range(max(map(len, rows)))]
            several = [(at, each) for at, each in enumerate(by_place, 1) if not math.isnan(each.error)]
            places, means = [at for at, _ in several], [each.mean for _, each in several]
            axes.plot(places, means, color=colour, label=group)
            low, high = ([each.mean + side * each.error for _, each in several] for side in (-1, 1))
            axes.fill_between(places, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.set_ylim(bottom=0)
        axes.legend(fontsize="small")
