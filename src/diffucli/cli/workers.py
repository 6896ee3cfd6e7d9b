"""Where the work of a long command is done: in this process, in several, or on a Ray cluster."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from diffucli.errors import UsageError

if TYPE_CHECKING:
    from diffucli.executors.executor import Executor

MOST = 1024  # processes
WORKERS_HELP = "Processes with a model each, or a Ray cluster; ray alone starts one on this machine."
_RAY = re.compile(r"ray(?::(?P<address>\S+))?")


Workers = Annotated[str, typer.Option("--workers", metavar="N|ray[:ADDRESS]", help=WORKERS_HELP)]


def executor_of(workers: str, *, together: int, device: str) -> Executor:
    """The executor that --workers names. UsageError: there is none of that name, or Ray is not installed.

    together: items that a worker works on at a time. device: where models are; "auto" spreads processes over the GPUs.
    """
    ahead = together + 1
    if found := _RAY.fullmatch(workers):
        from diffucli.executors.cluster import RayCluster

        return RayCluster(found["address"] or "", ahead)
    if not re.fullmatch(r"[0-9]{1,4}", workers) or not 1 <= int(workers) <= MOST:
        raise UsageError(f"--workers {workers} is neither a number nor a cluster", hint="give 4, ray or ray:ADDRESS")
    if int(workers) == 1:
        from diffucli.executors.executor import ThisProcess

        return ThisProcess()
    from diffucli.executors.processes import Processes

    return Processes(int(workers), ahead, spread=device == "auto")
