"""`diffu bench start`: how long the command takes to start."""

from __future__ import annotations

from diffucli.cli import options as flag
from diffucli.cli.bench import options, output
from diffucli.cli.groups import grouped

EXAMPLES = flag.examples("diffu bench start", "diffu bench start -n 5 -m mini")


@grouped
def start(subject: options.Subject, rounds: options.Rounds = 1, as_json: flag.Json = False) -> None:
    """Measure the phases of starting `diffu` in child processes: imports, load, first token, end.

    The first token is that of `diffu gen "write a quicksort"` in the live view. Figures are medians of the rounds.
    """
    from diffucli.bench import startup
    from diffucli.model import registry
    from diffucli.model.load import find_device

    entry, device = registry.find(subject.model), find_device(subject.device)
    model = startup.ModelFlags(str(entry.folder), subject.device, subject.quant)
    findings = startup.findings(startup.measure(model, rounds=rounds))
    output.put("start", entry.name, device, findings, as_json=as_json)
