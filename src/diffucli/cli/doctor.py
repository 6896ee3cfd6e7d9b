"""`diffu doctor`: whether this machine can run a model, what is wrong and what to do about it."""

from __future__ import annotations

from dataclasses import asdict

import typer

from diffucli.cli import options as flag
from diffucli.cli.report import Report, tell

EXAMPLES = flag.examples("diffu doctor", "diffu doctor --json")
MARKS = {"ok": "✓", "note": "·", "bad": "✗"}


def doctor(as_json: flag.Json = False) -> None:
    """Check Python, torch, the GPU, four-bit weights, grammars, folders and the model.

    Exits with 1 if the model cannot run. Each fault is followed by what to do about it.
    """
    from diffucli import doctor as room

    findings, stops = [], False
    for found, stop in room.examine():
        findings.append(found)
        stops |= stop
        if not as_json:
            tell(f"{MARKS[found.verdict]} {found.name:10} {found.text}")
            if found.verdict == "bad":
                tell(f"  {'':10} → {found.remedy}")
    status = int(stops)
    if as_json:
        values = [asdict(found) for found in findings]
        Report(json=True).object("diffu.doctor/1", status, findings=values, packages=room.packages())
    else:
        tell("the model cannot run: see the lines marked above" if stops else "ready")
    if status:
        raise typer.Exit(status)
