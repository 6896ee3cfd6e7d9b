"""`diffu bench fill`: whether filling a region costs more in a large file."""

from __future__ import annotations

from dataclasses import replace

from diffucli.cli import options as flag
from diffucli.cli.bench import options, output
from diffucli.cli.groups import grouped
from diffucli.cli.progress import meter
from diffucli.cli.report import Report

EXAMPLES = flag.examples("diffu bench fill", "diffu bench fill --preset fast -n 3 --json")


@grouped
def fill(
    subject: options.Subject, preset: options.Presets = None, rounds: options.Rounds = 1, as_json: flag.Json = False
) -> None:
    """Measure the same fill in a file of 100 lines and in one of 2,000.

    The model sees the same part of both files. The time is that of `diffu fill` from the text to the new text.
    """
    from diffucli.bench import growth

    loaded, policies, found = output.load(subject), options.policies(preset), []
    context = growth.context_of(loaded.checkpoint)
    narrow = replace(loaded.checkpoint, config=replace(loaded.checkpoint.config, trained_length=context))
    with meter("measuring", Report(json=as_json)) as show:
        for count, (name, policy) in enumerate(policies.items(), start=1):
            found.append(growth.measure(name, growth.fill_with(narrow, policy), rounds=rounds))
            show(count / len(policies), f"{name} · {count} of {len(policies)}")
    output.put_loaded("fill", loaded, growth.findings(found, context), as_json=as_json)
